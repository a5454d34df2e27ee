/**
 * A map's life: pinned, opened by name and by id, refused where it does not fit, closed.
 */
import { ArrayMap, BpfError, HashMap, PerCpuArray, PerCpuHashMap, bytes, struct, u16, u32, u64 } from "tsbpf";
import { BPF_F_RDONLY, BPF_F_WRONLY } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { inUse } from "../leaks.js";
import { forEachWay, kinds, replaced, thrownBy, useBpffs, valueFor } from "./_ways.js";

forEachWay((kernel) => {
  const bpffs = useBpffs(kernel);

  describe.each(kinds)("$name", (kind) => {
    it("is found by its pinned name and by its id, and stays while it has a name", () => {
      const path = `${bpffs()}/opened`;
      const map = kind.create(kernel(), { name: "opened", value: u64, maxEntries: 4 });
      map.set(1, valueFor(kind, kernel(), 5n));
      const { id } = map;
      map.pin(path);
      map.close();
      {
        using byName = kind.open(kernel(), path, { value: u64 });
        using byId = kind.fromId(kernel(), id, { value: u64 });
        expect(byName.get(1)).toEqual(valueFor(kind, kernel(), 5n));
        byId.set(1, valueFor(kind, kernel(), 6n));
        expect(byName.get(1)).toEqual(valueFor(kind, kernel(), 6n));
        expect(byName.fd).not.toBe(byId.fd);
        expect([byName.id, byName.name, byName.maxEntries]).toEqual([id, "opened", 4]);
        expect(byName.info()).toEqual(byId.info());
        expect(kernel().unlink(path)).toBe(0);
        expect(() => kind.open(kernel(), path, { value: u64 })).toThrow("ENOENT (nothing is pinned there)");
        expect(byName.get(1)).toEqual(valueFor(kind, kernel(), 6n));
      }
      // Linux lets go of a map a moment after its last fd.
      if (kernel().name === "embedded") {
        expect(thrownBy(() => kind.fromId(kernel(), id, { value: u64 })).message).toBe(
          `Cannot open map id ${id} as ${kind.name}: BPF_MAP_GET_FD_BY_ID failed with ENOENT (no map has this id (any more))`,
        );
      }
    });

    it("is refused as what it is not: by field, wanted and found, and no fd stays", () => {
      using map = kind.create(kernel(), { name: "one", value: u64, maxEntries: 4 });
      const path = `${bpffs()}/one`;
      map.pin(path);
      const before = inUse(kernel());
      const refused = (as: (typeof kinds)[number], codecs: Parameters<typeof kind.open>[2]): string => {
        const byId = thrownBy(() => as.fromId(kernel(), map.id, codecs));
        const byName = thrownBy(() => as.open(kernel(), path, codecs));
        expect([byId, byName].map((error) => error.constructor)).toEqual([TypeError, TypeError]);
        const [id, name] = [`Cannot open map id ${map.id} as `, `Cannot open "${path}" as `];
        expect(byName.message.replace(name, "")).toBe(byId.message.replace(id, ""));
        expect(byId.message.startsWith(id)).toBe(true);
        return byId.message.slice(id.length);
      };
      for (const other of kinds) {
        if (other === kind) continue;
        expect(refused(other, { value: u64 })).toBe(
          `${other.name}: its type is ${kind.typeName}, wanted ${other.typeName}`,
        );
      }
      expect(refused(kind, { value: u32 })).toBe(`${kind.name}: its valueSize is 8, wanted 4 (u32)`);
      expect(refused(kind, { value: struct({ a: u64, b: u32 }) })).toBe(
        `${kind.name}: its valueSize is 8, wanted 16 (struct { a: u64; b: u32 })`,
      );
      if (kind.isHash)
        expect(refused(kind, { key: u16, value: u64 })).toBe(`${kind.name}: its keySize is 4, wanted 2 (u16)`);
      expect(inUse(kernel())).toBe(before);
      kernel().unlink(path);
    });

    it("closes once, and twice is no error", () => {
      const before = inUse(kernel());
      {
        using map = kind.create(kernel(), { value: u32, maxEntries: 2 });
        const { fd } = map;
        expect(kernel().fdinfo(fd)).toBeDefined();
        map.close();
        map.close();
        map[Symbol.dispose]();
        map[Symbol.dispose]();
        expect(map.fd).toBe(-1);
        // The number may be the next map's: closing again must not close that.
        using next = kind.create(kernel(), { value: u32, maxEntries: 2 });
        map.close();
        expect(next.info().valueSize).toBe(4);
      }
      expect(inUse(kernel())).toBe(before);
    });

    it("refuses everything with EBADF once it is closed", () => {
      const map = kind.create(kernel(), { name: "gone", value: u64, maxEntries: 2 });
      const { id } = map;
      map.close();
      const set = valueFor(kind, kernel(), 1n);
      const what = `${kind.typeName} map "gone"`;
      const hash = map as unknown as HashMap<number, unknown>;
      const calls: [string, () => unknown, string][] = [
        ["look up key 0x00000001 in", () => map.get(1), "BPF_MAP_LOOKUP_ELEM"],
        ["look up key 0x00000001 in", () => map.has(1), "BPF_MAP_LOOKUP_ELEM"],
        ["insert key 0x00000001 into", () => map.set(1, set), "BPF_MAP_UPDATE_ELEM"],
        ["insert key 0x00000001 into", () => map.set(1, set, { mode: "create" }), "BPF_MAP_UPDATE_ELEM"],
        ["replace key 0x00000001 in", () => map.set(1, set, { mode: "replace" }), "BPF_MAP_UPDATE_ELEM"],
        ["add to the value of key 0x00000001 in", () => map.add(1, 1n), "BPF_MAP_UPDATE_ELEM"],
        ["walk over", () => [...map], "BPF_MAP_LOOKUP_BATCH"],
        ["walk over", () => [...map.keys()], "BPF_MAP_LOOKUP_BATCH"],
        ["walk over", () => [...map.values()], "BPF_MAP_LOOKUP_BATCH"],
        ["walk over", () => [...map.entries()], "BPF_MAP_LOOKUP_BATCH"],
        ["walk over", () => map.count(), "BPF_MAP_LOOKUP_BATCH"],
        ["look at", () => map.info(), "BPF_OBJ_GET_INFO_BY_FD"],
        ["pin", () => map.pin(`${bpffs()}/gone`), "BPF_OBJ_PIN"],
      ];
      if (kind.isHash) {
        calls.push(["delete key 0x00000001 from", () => hash.delete(1), "BPF_MAP_DELETE_ELEM"]);
        calls.push(["walk over", () => hash.clear(), "BPF_MAP_LOOKUP_BATCH"]);
      }
      for (const [verb, call, cmd] of calls) {
        const error = thrownBy(call);
        const at = cmd === "BPF_OBJ_PIN" ? ` at "${bpffs()}/gone"` : "";
        expect(error.message).toBe(`Cannot ${verb} ${what}${at}: ${cmd} failed with EBADF (the map is closed)`);
        expect(error).toBeInstanceOf(BpfError);
      }
      // What it was is known still.
      expect([map.id, map.name, map.maxEntries]).toEqual([id, "gone", 2]);
    });

    it("does not read with a write-only fd", () => {
      using map = kind.create(kernel(), { value: u64, maxEntries: 2, mapFlags: BPF_F_WRONLY });
      const value = valueFor(kind, kernel(), 5n);
      expect(map.set(1, value)).toBe(true);
      for (const read of [() => map.get(1), () => map.has(1), () => [...map], () => map.count()]) {
        expect(thrownBy(read).message).toMatch(/ failed with EPERM \(the fd is write-only \(BPF_F_WRONLY\)\)$/);
      }
      if (!kind.isPerCpu) {
        expect(thrownBy(() => map.add(1, 1n)).message).toBe(
          `Cannot add to the value of key 0x00000001 in ${kind.typeName} map: BPF_MAP_LOOKUP_ELEM failed with EPERM (the fd is write-only (BPF_F_WRONLY))`,
        );
      }
      using both = kind.fromId(kernel(), map.id, { value: u64 });
      expect(both.get(1)).toEqual(value);
      // It is the fd's, not the map's.
      expect(map.info().mapFlags).toBe(0);
    });

    it("does not write with a read-only fd", () => {
      using map = kind.create(kernel(), { value: u64, maxEntries: 2, mapFlags: BPF_F_RDONLY });
      using both = kind.fromId(kernel(), map.id, { value: u64 });
      const value = valueFor(kind, kernel(), 5n);
      both.set(1, value);
      expect(map.get(1)).toEqual(value);
      expect(map.has(1)).toBe(true);
      expect(new Map(map).get(1)).toEqual(value);
      expect(map.count()).toBe(kind.isHash ? 1 : 2);
      const hint = "(the fd is read-only (BPF_F_RDONLY), or the map is frozen)";
      expect(thrownBy(() => map.set(1, value)).message).toBe(
        `Cannot insert key 0x00000001 into ${kind.typeName} map: BPF_MAP_UPDATE_ELEM failed with EPERM ${hint}`,
      );
      if (!kind.isPerCpu) {
        expect(thrownBy(() => map.add(1, 1n)).message).toBe(
          `Cannot add to the value of key 0x00000001 in ${kind.typeName} map: BPF_MAP_UPDATE_ELEM failed with EPERM ${hint}`,
        );
      }
      if (kind.isHash) {
        const hash = map as unknown as HashMap<number, unknown>;
        expect(thrownBy(() => hash.delete(1)).message).toContain(`BPF_MAP_DELETE_ELEM failed with EPERM ${hint}`);
        expect(() => hash.clear()).toThrow("EPERM");
      }
      expect(both.get(1)).toEqual(value);
    });
  });

  it("pins where nothing is, in a bpffs", () => {
    using map = HashMap.create(kernel(), { name: "pinned", key: u32, value: u32, maxEntries: 2 });
    const path = `${bpffs()}/pinned`;
    map.pin(path);
    expect(thrownBy(() => map.pin(path)).message).toBe(
      `Cannot pin hash map "pinned" at "${path}": BPF_OBJ_PIN failed with EEXIST (something is pinned there already: unlink it, or choose another name)`,
    );
    expect(thrownBy(() => map.pin(`${bpffs()}/no/name`)).message).toMatch(/ENOENT \(its directory is not there/);
    expect(thrownBy(() => map.pin(`${bpffs()}/a.b`)).message).toMatch(/EPERM \(.*"\."\)$/);
    expect(thrownBy(() => HashMap.open(kernel(), bpffs(), { key: u32, value: u32 })).message).toMatch(/ EACCES \(/);
    expect(kernel().unlink(path)).toBe(0);
  });

  it("refuses paths and ids that the kernel would see as others", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 2 });
    const codecs = { key: u32, value: u32 };
    const path = `${bpffs()}/a\0b`;
    expect(thrownBy(() => map.pin(path))).toEqual(
      new RangeError(`path: wanted a string without NUL, found ${JSON.stringify(path)}`),
    );
    expect(thrownBy(() => HashMap.open(kernel(), path, codecs))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => map.pin(undefined as unknown as string))).toEqual(
      new TypeError("path: wanted a string, found nothing"),
    );
    for (const id of [-1, 1.5, 2 ** 32 + map.id, Number.NaN]) {
      expect(thrownBy(() => HashMap.fromId(kernel(), id, codecs))).toEqual(
        new RangeError(`id: wanted an integer from 0 to 4294967295, found ${id}`),
      );
    }
    expect(thrownBy(() => HashMap.fromId(kernel(), String(map.id) as unknown as number, codecs))).toEqual(
      new TypeError("id: wanted a number, found a string"),
    );
    expect(() => HashMap.fromId(kernel(), 0, codecs)).toThrow("ENOENT (no map has this id (any more))");
  });

  it("gives the fd back when the kernel does not say what the map is", () => {
    const silent = replaced(kernel(), { bpf: (cmd, attr, size) => (cmd === 15 ? -1 : kernel().bpf(cmd, attr, size)) });
    expect(thrownBy(() => HashMap.create(silent, { name: "x", key: u32, value: u32, maxEntries: 1 })).message).toBe(
      'Cannot create map "x": BPF_OBJ_GET_INFO_BY_FD failed with EPERM',
    );
  });

  it("refuses what is no codec, and opens nothing", () => {
    using map = HashMap.create(kernel(), { key: u32, value: bytes(4), maxEntries: 2 });
    const none = {} as never;
    expect(thrownBy(() => HashMap.fromId(kernel(), map.id, none)).message).toBe("key: wanted a codec, found nothing");
    expect(thrownBy(() => PerCpuHashMap.open(kernel(), "/", { key: u32, value: 7 } as never)).message).toBe(
      "value: wanted a codec, found a number",
    );
    expect(thrownBy(() => ArrayMap.fromId(kernel(), map.id, none)).message).toBe(
      "value: wanted a codec, found nothing",
    );
    expect(thrownBy(() => PerCpuArray.create(kernel(), { maxEntries: 1 } as never)).message).toBe(
      "value: wanted a codec, found nothing",
    );
  });
});

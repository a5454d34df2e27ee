/**
 * openOrCreate: one map for all who ask at once, and a report of all that differs. access and programAccess: what an fd, and
 * programs, may do.
 */
import {
  ArrayMap,
  ArrayOfMaps,
  BloomFilter,
  BpfError,
  HashMap,
  HashOfMaps,
  type Kernel,
  LpmTrie,
  LruHashMap,
  type MapAccess,
  PerCpuHashMap,
  ProgramArray,
  QueueMap,
  RingBuffer,
  StackMap,
  UserRingBuffer,
  prefix4,
  struct,
  u32,
  u64,
} from "tsbpf";
import {
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_OBJ_GET,
  BPF_OBJ_PIN,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { inUse } from "../leaks.js";
import { type AnyMap, forEachWay, kinds, replaced, thrownBy, useBpffs, valueFor } from "./_ways.js";

const counts = { name: "counts", key: u32, value: u64, maxEntries: 16 };

/** A kernel on which something happens before each call of a command. */
function before(cmd: number, kernel: Kernel, happens: () => void): Kernel {
  return replaced(kernel, {
    bpf: (called, ...args) => {
      if (called === cmd) happens();
      return kernel.bpf(called, ...args);
    },
  });
}

forEachWay((kernel) => {
  const bpffs = useBpffs(kernel);

  describe("openOrCreate", () => {
    it("creates and pins, then opens", () => {
      const path = `${bpffs()}/counts`;
      using first = HashMap.openOrCreate(kernel(), path, counts);
      first.set(1, 5n);
      using second = HashMap.openOrCreate(kernel(), path, counts);
      expect(second.id).toBe(first.id);
      expect(second.get(1)).toBe(5n);
      first.close();
      second.close();
      using third = HashMap.openOrCreate(kernel(), path, { ...counts, name: "other" });
      expect([third.get(1), third.name]).toEqual([5n, "counts"]);
      kernel().unlink(path);
      using fourth = HashMap.openOrCreate(kernel(), path, counts);
      expect(fourth.count()).toBe(0);
      kernel().unlink(path);
    });

    it("of each type", () => {
      const path = `${bpffs()}/typed`;
      const opened = (open: () => { id: number; close(): void }): void => {
        const [one, two] = [open(), open()];
        expect(two.id).toBe(one.id);
        one.close();
        two.close();
        expect(kernel().unlink(path)).toBe(0);
      };
      for (const kind of kinds) opened(() => kind.openOrCreate(kernel(), path, counts));
      opened(() => LpmTrie.openOrCreate(kernel(), path, { key: prefix4, value: u32, maxEntries: 4 }));
      opened(() => QueueMap.openOrCreate(kernel(), path, { value: u32, maxEntries: 4 }));
      opened(() => StackMap.openOrCreate(kernel(), path, { value: u32, maxEntries: 4 }));
      opened(() => BloomFilter.openOrCreate(kernel(), path, { value: u32, maxEntries: 4, hashes: 3 }));
      // The kernel makes them a multiple of the CPUs.
      opened(() =>
        LruHashMap.openOrCreate(kernel(), path, { ...counts, maxEntries: 101, mapFlags: BPF_F_NO_COMMON_LRU }),
      );
      opened(() => RingBuffer.openOrCreate(kernel(), path, { size: 4096 }));
      opened(() => UserRingBuffer.openOrCreate(kernel(), path, { size: 4096 }));
    });

    it("names every property that differs", () => {
      const path = `${bpffs()}/differs`;
      using map = HashMap.openOrCreate(kernel(), path, counts);
      const refused = (run: () => unknown): BpfError => {
        const open = inUse(kernel());
        const error = thrownBy(run);
        expect(error).toBeInstanceOf(BpfError);
        expect(inUse(kernel())).toBe(open);
        return error as BpfError;
      };
      const one = refused(() => HashMap.openOrCreate(kernel(), path, { ...counts, maxEntries: 32 }));
      expect(one.message).toBe(
        `Cannot open or create "${path}" as HashMap: EEXIST (another map is pinned there: its maxEntries is 16, wanted 32)`,
      );
      expect(one.details).toEqual({
        map: map.info(),
        differences: [{ property: "maxEntries", found: 16, wanted: 32 }],
      });
      const all = refused(() =>
        PerCpuHashMap.openOrCreate(kernel(), path, {
          key: u64,
          value: struct({ a: u64, b: u64 }),
          maxEntries: 7,
          mapFlags: BPF_F_NO_PREALLOC,
        }),
      );
      expect(all.message).toBe(
        `Cannot open or create "${path}" as PerCpuHashMap: EEXIST (another map is pinned there: its type is hash, wanted percpu_hash, its keySize is 4, wanted 8, its valueSize is 8, wanted 16, its maxEntries is 16, wanted 7, its mapFlags is 0x0, wanted 0x1)`,
      );
      kernel().unlink(path);
      using bloom = BloomFilter.openOrCreate(kernel(), path, { value: u32, maxEntries: 4, hashes: 3 });
      const extra = refused(() => BloomFilter.openOrCreate(kernel(), path, { value: u32, maxEntries: 4, hashes: 4 }));
      expect(extra.details["differences"]).toEqual([{ property: "mapExtra", found: 3n, wanted: 4n }]);
      bloom.close();
      kernel().unlink(path);
    });

    it("takes the map of whoever was faster, and looks at that one", () => {
      const path = `${bpffs()}/raced`;
      let rival: HashMap<number, bigint> | undefined;
      const raced = (options: typeof counts): Kernel =>
        before(BPF_OBJ_PIN, kernel(), () => (rival ??= HashMap.openOrCreate(kernel(), path, options)));
      using mine = HashMap.openOrCreate(raced(counts), path, counts);
      expect(mine.id).toBe(rival!.id);
      rival!.close();
      rival = undefined;
      kernel().unlink(path);
      const error = thrownBy(() => HashMap.openOrCreate(raced({ ...counts, maxEntries: 99 }), path, counts));
      expect(error.message).toContain("its maxEntries is 99, wanted 16");
      rival!.close();
      kernel().unlink(path);
      // One that comes, and is gone when it is looked for: then it begins again.
      let pins = 0;
      let gets = 0;
      const fickle = before(BPF_OBJ_PIN, kernel(), () => {
        if (pins++ > 0) return;
        using other = HashMap.create(kernel(), counts);
        other.pin(path);
      });
      const gone = before(BPF_OBJ_GET, fickle, () => gets++ === 1 && kernel().unlink(path));
      using last = HashMap.openOrCreate(gone, path, counts);
      expect([last.count(), pins, gets]).toEqual([0, 2, 2]);
      kernel().unlink(path);
    });

    it("holds nothing when it fails", () => {
      const open = inUse(kernel());
      const nowhere = `${bpffs()}/no/such/directory`;
      expect(thrownBy(() => HashMap.openOrCreate(kernel(), nowhere, counts))).toMatchObject({ code: "ENOENT" });
      expect(
        thrownBy(() => HashMap.openOrCreate(kernel(), `${bpffs()}/x`, { ...counts, maxEntries: 0 })),
      ).toMatchObject({ code: "EINVAL", hint: "maxEntries is 0: it must be at least 1" });
      expect(() => HashMap.openOrCreate(kernel(), "a\0b", counts)).toThrow(RangeError);
      expect(inUse(kernel())).toBe(open);
    });

    it("with an access: that of the fd, created or opened", () => {
      const path = `${bpffs()}/access`;
      using created = HashMap.openOrCreate(kernel(), path, { ...counts, access: "read" });
      using opened = HashMap.openOrCreate(kernel(), path, { ...counts, access: "write" });
      using both = HashMap.openOrCreate(kernel(), path, counts);
      expect([opened.id, both.id]).toEqual([created.id, created.id]);
      expect(thrownBy(() => created.set(1, 1n))).toMatchObject({ code: "EPERM" });
      opened.set(1, 1n);
      expect(thrownBy(() => opened.get(1))).toMatchObject({ code: "EPERM" });
      expect(created.get(1)).toBe(1n);
      both.delete(1);
      kernel().unlink(path);
    });
  });

  describe("access", () => {
    const readOnly = "(the fd is read-only (BPF_F_RDONLY), or the map is frozen)";
    const writeOnly = "(the fd is write-only (BPF_F_WRONLY))";

    it.each(kinds)("$name: read, write, both; by name, by id, and at create", (kind) => {
      const path = `${bpffs()}/${kind.typeName}`;
      using map = kind.create(kernel(), { value: u64, maxEntries: 64 });
      map.pin(path);
      const value = valueFor(kind, kernel(), 5n);
      map.set(1, value);
      const made = (access: MapAccess): AnyMap<bigint> => kind.create(kernel(), { value: u64, maxEntries: 64, access });
      for (const open of [
        (access: MapAccess): AnyMap<bigint> => kind.open(kernel(), path, { value: u64, access }),
        (access: MapAccess): AnyMap<bigint> => kind.fromId(kernel(), map.id, { value: u64, access }),
        made,
      ]) {
        using reader = open("read");
        if (open !== made) expect(reader.get(1)).toEqual(value);
        expect([...reader].length).toBe(reader.count());
        expect(thrownBy(() => reader.set(1, value)).message).toContain(`failed with EPERM ${readOnly}`);
        expect(thrownBy(() => reader.freeze())).toMatchObject({ code: "EPERM" });
        using writer = open("write");
        expect(writer.set(1, value)).toBe(true);
        expect(thrownBy(() => writer.get(1)).message).toContain(`failed with EPERM ${writeOnly}`);
        expect(thrownBy(() => [...writer]).message).toContain(`failed with EPERM ${writeOnly}`);
        using both = open("read-write");
        both.set(1, value);
        expect(both.get(1)).toEqual(value);
        // It is the fd's, not the map's.
        expect([reader, writer, both].map((each) => each.info().mapFlags)).toEqual([0, 0, 0]);
      }
      kernel().unlink(path);
    });

    it("of maps without keys", () => {
      using queue = QueueMap.create(kernel(), { value: u32, maxEntries: 4 });
      using reader = QueueMap.fromId(kernel(), queue.id, { value: u32, access: "read" });
      using writer = QueueMap.fromId(kernel(), queue.id, { value: u32, access: "write" });
      writer.push(1);
      expect(reader.peek()).toBe(1);
      expect(thrownBy(() => writer.peek()).message).toContain(writeOnly);
      expect(thrownBy(() => reader.push(1)).message).toContain(readOnly);
      // It reads and writes.
      for (const map of [reader, writer]) expect(thrownBy(() => map.pop())).toMatchObject({ code: "EPERM" });
    });

    it("of maps of maps, and of arrays of programs", () => {
      const same = kernel();
      using inner = HashMap.create(same, counts);
      using outer = HashOfMaps.create(same, { key: u32, maxEntries: 4, inner });
      outer.set(1, inner);
      expect([outer.count(), outer.pressure()]).toEqual([1, 0.25]);
      const openInner = (id: number): HashMap<number, bigint> => HashMap.fromId(same, id, counts);
      using reader = HashOfMaps.fromId(same, outer.id, { key: u32, openInner, access: "read" });
      using found = reader.get(1);
      expect(found!.id).toBe(inner.id);
      expect(thrownBy(() => reader.set(2, inner)).message).toContain(readOnly);
      using list = ArrayOfMaps.create(same, { maxEntries: 2, inner });
      using writer = ArrayOfMaps.fromId(same, list.id, { openInner, access: "write" });
      writer.set(1, inner);
      expect(thrownBy(() => writer.get(1)).message).toContain(writeOnly);
      expect(list.count()).toBe(1);
      using programs = ProgramArray.create(same, { maxEntries: 2 });
      using programWriter = ProgramArray.fromId(same, programs.id, { access: "write" });
      expect(thrownBy(() => programWriter.getId(0))).toMatchObject({ code: "EPERM" });
    });

    it("programs may do what programAccess says; system calls both", () => {
      const flags = (programAccess: MapAccess): number => {
        using map = ArrayMap.create(kernel(), { value: u32, maxEntries: 1, programAccess });
        map.set(0, 1);
        expect(map.get(0)).toBe(1);
        return map.info().mapFlags;
      };
      expect([flags("read"), flags("write"), flags("read-write")]).toEqual([BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG, 0]);
    });

    it("refuses other words", () => {
      const open = inUse(kernel());
      const access = "rw" as MapAccess;
      const refusal = (field: string): TypeError =>
        new TypeError(`${field}: wanted "read", "write" or "read-write", found "rw"`);
      expect(thrownBy(() => HashMap.create(kernel(), { ...counts, access }))).toEqual(refusal("access"));
      expect(thrownBy(() => HashMap.create(kernel(), { ...counts, programAccess: access }))).toEqual(
        refusal("programAccess"),
      );
      expect(thrownBy(() => HashMap.fromId(kernel(), 1, { ...counts, access }))).toEqual(refusal("access"));
      expect(thrownBy(() => HashMap.open(kernel(), "/x", { ...counts, access }))).toEqual(refusal("access"));
      expect(inUse(kernel())).toBe(open);
    });
  });
});

/**
 * GenericMap: any type with keys, in bytes; those of the Linux kernel's own objects there.
 */
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { type BpfError, GenericMap, HashMap, PerCpuHashMap, QueueMap, u32, u64 } from "tsbpf";
import { btfFromCodecs } from "tsbpf/btf";
import { BPF_F_NO_PREALLOC, BPF_MAP_TYPE_HASH } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { forEachWay, thrownBy, useBpffs } from "./_ways.js";

const bytesOf = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);

/** What Linux alone has, and what it takes. */
const linuxOnly: readonly [type: string, keySize: number, valueSize: number, maxEntries: number][] = [
  ["cpumap", 4, 4, 2],
  ["xskmap", 4, 4, 4],
  ["sockmap", 4, 8, 4],
  ["sockhash", 6, 8, 4],
  ["reuseport_sockarray", 4, 8, 4],
  ["stack_trace", 4, 80, 4],
  ["cgroup_array", 4, 4, 4],
];

forEachWay((way) => {
  const folder = useBpffs(way);

  it("a hash in bytes", () => {
    const kernel = way();
    using map = GenericMap.create(kernel, { name: "m", type: "hash", keySize: 3, valueSize: 5, maxEntries: 4 });
    const [a, b] = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)];
    const value = Uint8Array.of(9, 8, 7, 6, 5);
    expect(map.typeName).toBe("hash");
    expect(map.get(a)).toBeUndefined();
    expect(map.set(a, value)).toBe(true);
    expect(map.set(a, value, { mode: "create" })).toBe(false);
    map.set(b, new Uint8Array(5));
    expect(map.get(a)).toEqual(value);
    expect(map.has(b)).toBe(true);
    const sorted = [...map.entries()].toSorted(([x], [y]) => x[0]! - y[0]!);
    expect(sorted).toEqual([
      [a, value],
      [b, new Uint8Array(5)],
    ]);
    expect([...map].length).toBe(2);
    expect([...map.values()].length).toBe(2);
    expect(map.count()).toBe(2);
    const seen: Uint8Array[] = [];
    map.forEach((_, key, of) => {
      expect(of).toBe(map);
      seen.push(key);
    });
    expect(seen.length).toBe(2);
    expect(map.delete(b)).toBe(true);
    expect(map.delete(b)).toBe(false);
    expect(map.take(a)).toEqual(value);
    expect(map.take(a)).toBeUndefined();
    expect([...map.keys()]).toEqual([]);
    expect(() => map.get(Uint8Array.of(1))).toThrow("key: wanted a Uint8Array of 3 bytes");
  });

  it("a walk while the map changes", () => {
    using map = GenericMap.create(way(), { type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 64 });
    for (let i = 0; i < 32; i++) map.set(bytesOf(i), bytesOf(i));
    const met: string[] = [];
    for (const [key] of map) {
      met.push(String(key));
      map.delete(key);
    }
    expect(new Set(met).size).toBe(met.length);
    expect(met.length).toBe(32);
    expect(map.count()).toBe(0);
  });

  it("per-CPU values have a slot for each CPU", () => {
    const kernel = way();
    using hits = PerCpuHashMap.create(kernel, { key: u32, value: u32, maxEntries: 2 });
    using map = GenericMap.fromId(kernel, hits.id);
    const value = new Uint8Array(8 * kernel.possibleCpus);
    value[0] = 7;
    map.set(bytesOf(1), value);
    expect(map.get(bytesOf(1))).toEqual(value);
    expect(hits.get(1)?.at(0)).toBe(7);
  });

  it("opened by name and by id", () => {
    const kernel = way();
    using counts = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 4 });
    counts.set(1, 5n);
    using byId = GenericMap.fromId(kernel, counts.id);
    expect(byId.get(bytesOf(1))).toEqual(bytesOf(5, 0));
    const path = `${folder()}/counts`;
    counts.pin(path);
    using named = GenericMap.open(kernel, path);
    expect([...named]).toEqual([[bytesOf(1), bytesOf(5, 0)]]);
    kernel.unlink(path);
    using queue = QueueMap.create(kernel, { value: u32, maxEntries: 2 });
    expect(() => GenericMap.fromId(kernel, queue.id)).toThrow(
      new TypeError("A map of type queue has no keys or no values: GenericMap takes those that have both"),
    );
  });

  it("options are looked at", () => {
    const create = (options: object): Error =>
      thrownBy(() => GenericMap.create(way(), { type: "hash", keySize: 4, valueSize: 4, maxEntries: 1, ...options }));
    expect(create({ type: "hsah" })).toEqual(new RangeError('type: wanted a map type, found "hsah"'));
    expect(create({ keySize: 0 })).toEqual(new RangeError("keySize: wanted at least 1, found 0"));
    expect(create({ valueSize: 0 })).toEqual(new RangeError("valueSize: wanted at least 1, found 0"));
    expect(create({ valueSize: "4" })).toEqual(new TypeError("valueSize: wanted a number, found a string"));
    expect(create({ type: undefined })).toEqual(new TypeError("type: wanted a number, found nothing"));
  });

  describe.each(linuxOnly)("%s", (type, keySize, valueSize, maxEntries) => {
    it("is Linux's", () => {
      const kernel = way();
      const create = (): GenericMap => GenericMap.create(kernel, { name: "m", type, keySize, valueSize, maxEntries });
      if (kernel.name === "embedded") {
        expect(thrownBy(create)).toMatchObject({
          code: "EINVAL",
          hint: `maps of type ${type} are about objects of the Linux kernel: create it with LinuxKernel`,
        });
        return;
      }
      using map = create();
      expect(map.info()).toMatchObject({ typeName: type, keySize, valueSize, maxEntries });
      const keys = map.count();
      expect(keys).toBeLessThanOrEqual(maxEntries);
      const path = `${folder()}/linux_only`;
      map.pin(path);
      using again = GenericMap.open(kernel, path);
      expect([again.id, again.typeName]).toEqual([map.id, type]);
      kernel.unlink(path);
    });
  });

  it("a devmap has interfaces, a cgroup_array cgroups", () => {
    const kernel = way();
    if (kernel.name === "embedded") return;
    using ports = GenericMap.create(kernel, { type: "devmap_hash", keySize: 4, valueSize: 4, maxEntries: 4 });
    ports.set(bytesOf(7), bytesOf(1));
    expect([...ports]).toEqual([[bytesOf(7), bytesOf(1)]]);
    expect(thrownBy(() => ports.set(bytesOf(8), bytesOf(0x7fffffff)))).toMatchObject({ code: "EINVAL" });
    expect(ports.delete(bytesOf(7))).toBe(true);
    expect(ports.count()).toBe(0);
    using cgroups = GenericMap.create(kernel, { type: "cgroup_array", keySize: 4, valueSize: 4, maxEntries: 2 });
    const folderFd = openSync("/tmp", "r");
    expect(thrownBy(() => cgroups.set(bytesOf(0), bytesOf(folderFd)))).toMatchObject({ code: "EBADF" });
    closeSync(folderFd);
    const error = thrownBy(() => cgroups.get(bytesOf(0))) as BpfError;
    expect([error.code, error.hint]).toEqual([
      "ENOTSUPP",
      "elems of this map type are for programs: user space cannot read them",
    ]);
    using sockets = GenericMap.create(kernel, { type: "xskmap", keySize: 4, valueSize: 4, maxEntries: 2 });
    expect(thrownBy(() => sockets.get(bytesOf(0)))).toMatchObject({
      code: "EOPNOTSUPP",
      hint: "elems of this map type are for programs: user space cannot read them",
    });
  });

  it("a storage has a value for each socket, and wants BTF", async () => {
    const kernel = way();
    if (kernel.name === "embedded") return;
    const options = { type: "sk_storage", keySize: 4, valueSize: 8, maxEntries: 0, mapFlags: BPF_F_NO_PREALLOC };
    expect(thrownBy(() => GenericMap.create(kernel, options))).toMatchObject({ code: "EINVAL" });
    using marks = GenericMap.create(kernel, { ...options, types: btfFromCodecs(u32, u64) });
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = bytesOf((server as unknown as { _handle: { fd: number } })._handle.fd);
    expect(marks.get(socket)).toBeUndefined();
    expect(marks.set(socket, bytesOf(7, 8), { mode: "create" })).toBe(true);
    expect(marks.set(socket, bytesOf(7, 8), { mode: "create" })).toBe(false);
    expect(marks.get(socket)).toEqual(bytesOf(7, 8));
    expect(marks.delete(socket)).toBe(true);
    expect(marks.has(socket)).toBe(false);
    server.close();
    await once(server, "close");
  });

  it("openOrCreate, and fds that only read", () => {
    const kernel = way();
    const path = `${folder()}/either`;
    const options = { type: "array", keySize: 4, valueSize: 4, maxEntries: 2 };
    using first = GenericMap.openOrCreate(kernel, path, options);
    using second = GenericMap.openOrCreate(kernel, path, options);
    expect(second.id).toBe(first.id);
    expect(thrownBy(() => GenericMap.openOrCreate(kernel, path, { ...options, valueSize: 8 }))).toMatchObject({
      code: "EEXIST",
      details: { differences: [{ property: "valueSize", found: 4, wanted: 8 }] },
    });
    using reader = GenericMap.open(kernel, path, { access: "read" });
    expect(reader.get(bytesOf(0))).toEqual(bytesOf(0));
    expect(thrownBy(() => reader.set(bytesOf(0), bytesOf(1)))).toMatchObject({ code: "EPERM" });
    using writer = GenericMap.fromId(kernel, first.id, { access: "write" });
    writer.set(bytesOf(0), bytesOf(1));
    expect(thrownBy(() => writer.get(bytesOf(0)))).toMatchObject({ code: "EPERM" });
    expect(thrownBy(() => [...writer])).toMatchObject({ code: "EPERM" });
    kernel.unlink(path);
  });

  it("closed", () => {
    const map = GenericMap.create(way(), { type: "array", keySize: 4, valueSize: 4, maxEntries: 2 });
    const walk = map.keys();
    expect(walk.next().value).toEqual(bytesOf(0));
    map.close();
    map.close();
    for (const call of [() => map.get(bytesOf(0)), () => map.take(bytesOf(0)), () => walk.next(), () => map.count()]) {
      expect(thrownBy(call)).toMatchObject({ code: "EBADF" });
    }
  });
});

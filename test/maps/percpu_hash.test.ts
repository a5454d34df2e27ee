/**
 * PerCpuHashMap: what each method promises.
 */
import { EmbeddedKernel, PerCpu, PerCpuHashMap, bytes, f64, ipv4, struct, u16, u32, u64 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { describe, expect, it } from "vitest";
import { describeLinux } from "../kernels.js";
import { RawMap } from "../raw_map.js";
import { forEachWay, thrownBy } from "./_ways.js";

forEachWay((kernel) => {
  const perCpu = <V>(of: (cpu: number) => V): PerCpu<V> =>
    PerCpu.from(Array.from({ length: kernel().possibleCpus }, (_, cpu) => of(cpu)));

  it("sets and gets a value for each CPU", () => {
    using map = PerCpuHashMap.create(kernel(), { key: u32, value: u64, maxEntries: 2 });
    expect(map.get(1)).toBeUndefined();
    expect(
      map.set(
        1,
        perCpu((cpu) => BigInt(cpu + 1)),
      ),
    ).toBe(true);
    const got = map.get(1)!;
    expect(got).toBeInstanceOf(PerCpu);
    expect(got).toHaveLength(kernel().possibleCpus);
    expect(got).toStrictEqual(perCpu((cpu) => BigInt(cpu + 1)));
    expect(got[0]).toBe(1n);
    const n = BigInt(kernel().possibleCpus);
    expect(got.sum()).toBe((n * (n + 1n)) / 2n);
    expect(got.max()).toBe(n);
    expect(map.has(1)).toBe(true);
    expect(map.has(2)).toBe(false);
  });

  it("takes back what was made of what it gave", () => {
    using map = PerCpuHashMap.create(kernel(), { key: u32, value: u64, maxEntries: 2 });
    map.set(
      1,
      Array.from({ length: kernel().possibleCpus }, () => 1n),
    );
    map.set(
      1,
      map.get(1)!.map((value) => value * 2n),
    );
    expect(map.get(1)).toStrictEqual(perCpu(() => 2n));
  });

  it("is refused by its mode, deletes, clears, counts and is full", () => {
    using map = PerCpuHashMap.create(kernel(), { name: "hits", key: ipv4, value: u64, maxEntries: 2 });
    const ones = perCpu(() => 1n);
    expect(map.set("10.0.0.1", ones, { mode: "replace" })).toBe(false);
    expect(map.set("10.0.0.1", ones, { mode: "create" })).toBe(true);
    expect(map.set("10.0.0.1", ones, { mode: "create" })).toBe(false);
    map.set("10.0.0.2", ones);
    expect(thrownBy(() => map.set("10.0.0.3", ones)).message).toBe(
      'Cannot insert key 0a 00 00 03 into percpu_hash map "hits": BPF_MAP_UPDATE_ELEM failed with E2BIG (the map holds 2 of 2 elems: raise maxEntries or use an lru_percpu_hash)',
    );
    expect(map.count()).toBe(2);
    expect(map.delete("10.0.0.1")).toBe(true);
    expect(map.delete("10.0.0.1")).toBe(false);
    map.clear();
    expect(map.count()).toBe(0);
  });

  it("walks over keys and over the values of all CPUs", () => {
    using map = PerCpuHashMap.create(kernel(), { key: bytes(5), value: bytes(3), maxEntries: 20 });
    const wanted = new Map<string, PerCpu<Uint8Array>>();
    for (let i = 0; i < 20; i++) {
      const value = perCpu((cpu) => Uint8Array.of(i, cpu, 255));
      map.set(Uint8Array.of(i, 0, 0, 0, i), value);
      wanted.set(`${i},0,0,0,${i}`, value);
    }
    expect(new Map([...map].map(([key, value]) => [String(key), value]))).toEqual(wanted);
    expect([...map.values()].every((value) => value instanceof PerCpu)).toBe(true);
    expect(new Set([...map.keys()].map(String))).toEqual(new Set(wanted.keys()));
  });

  it("sums up structs field by field", () => {
    const value = struct({ packets: u64, port: u16, load: f64, at: struct({ n: u32 }) });
    using map = PerCpuHashMap.create(kernel(), { key: u32, value, maxEntries: 1 });
    map.set(
      1,
      perCpu((cpu) => ({ packets: 2n, port: cpu, load: 0.5, at: { n: 1 } })),
    );
    const n = kernel().possibleCpus;
    expect(map.get(1)!.sum()).toEqual({ packets: 2n * BigInt(n), port: (n * (n - 1)) / 2, load: n / 2, at: { n } });
    expect(map.get(1)!.max()).toEqual({ packets: 2n, port: n - 1, load: 0.5, at: { n: 1 } });
  });

  it("says the size of one CPU's value, as the kernel does", () => {
    using map = PerCpuHashMap.create(kernel(), { key: bytes(9), value: bytes(5), maxEntries: 2 });
    expect(map.info()).toMatchObject({ type: 5, typeName: "percpu_hash", keySize: 9, valueSize: 5, maxEntries: 2 });
  });

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 16, 100, 5000])("gives back values of %i bytes", (size) => {
    using map = PerCpuHashMap.create(kernel(), { key: u32, value: bytes(size), maxEntries: 3 });
    const value = (key: number): PerCpu<Uint8Array> =>
      perCpu((cpu) => Uint8Array.from({ length: size }, (_, i) => i * 7 + key * 3 + cpu));
    for (const key of [1, 2, 3]) map.set(key, value(key));
    for (const key of [1, 2, 3]) expect(map.get(key)).toEqual(value(key));
    expect(new Map(map)).toEqual(new Map([1, 2, 3].map((key) => [key, value(key)])));
  });

  it("writes the padding between the values of CPUs as zeroes", () => {
    using map = PerCpuHashMap.create(kernel(), { key: u32, value: bytes(5), maxEntries: 1 });
    using raw = new RawMap(kernel(), map.fd, 4, 8 * kernel().possibleCpus);
    raw.key.setUint32(0, 1, true);
    for (let i = 0; i < raw.value.byteLength; i++) raw.value.setUint8(i, 0xff);
    expect(raw.update()).toBe(0);
    // The buffer that `set` writes to holds all that was read, padding too.
    expect(map.get(1)).toEqual(perCpu(() => new Uint8Array(5).fill(0xff)));
    map.set(
      1,
      perCpu(() => new Uint8Array(5).fill(7)),
    );
    expect(raw.lookup()).toBe(0);
    for (let cpu = 0; cpu < kernel().possibleCpus; cpu++) {
      expect(raw.value.getBigUint64(8 * cpu, true)).toBe(0x07_0707_0707n);
    }
  });

  it("refuses lists that have not a value for each CPU, and changes nothing", () => {
    using map = PerCpuHashMap.create(kernel(), { key: u32, value: u64, maxEntries: 2 });
    const cpus = kernel().possibleCpus;
    map.set(
      1,
      perCpu(() => 1n),
    );
    const refused = (value: unknown): Error => thrownBy(() => map.set(1, value as PerCpu<bigint>));
    for (const length of [0, cpus - 1, cpus + 1]) {
      const list = Array.from({ length }, () => 2n);
      expect(refused(list)).toEqual(
        new RangeError(`value: wanted ${cpus} values, one for each CPU, found ${list.length}`),
      );
    }
    expect(refused(2n)).toEqual(
      new TypeError(`value: wanted a list of ${cpus} values, one for each CPU, found bigint`),
    );
    expect(refused(perCpu((cpu) => (cpu === 1 ? 2 : 2n))).message).toMatch(/^value\[1\]: wanted a u64 .*, found 2$/);
    const holes: bigint[] = [];
    holes.length = cpus;
    expect(refused(holes).message).toMatch(/^value\[0\]: wanted a u64 .*, found undefined$/);
    expect(map.get(1)).toEqual(perCpu(() => 1n));
  });

  it("refuses to add to values that are not integers", () => {
    using map = PerCpuHashMap.create(kernel(), { key: u32, value: f64, maxEntries: 2 });
    expect(thrownBy(() => map.add(1, 0.5)).message).toMatch(/^Cannot add to values of type double: wanted integers/);
  });
});

describeLinux("add on Linux", () => {
  it("is for programs only", () => {
    using kernel = LinuxKernel.open();
    using map = PerCpuHashMap.create(kernel, { name: "hits", key: u32, value: u64, maxEntries: 2 });
    expect(thrownBy(() => map.add(1, 1n)).message).toBe(
      'Cannot add to the value of key 0x00000001 in percpu_hash map "hits": BPF_MAP_UPDATE_ELEM failed with EOPNOTSUPP (on Linux only programs add to one CPU\'s value: set the values of all CPUs, or use a map that is not per-CPU)',
    );
    expect(map.count()).toBe(0);
  });
});

describe("add on the embedded kernel", () => {
  it("adds to the value of this thread's CPU, which the next thread does not share", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 2, maxMemory: 2 ** 24 });
    using map = PerCpuHashMap.create(kernel, {
      name: "hits",
      key: u32,
      value: struct({ n: u64, m: u32 }),
      maxEntries: 2,
    });
    map.add(1, { n: 1n, m: 2 });
    map.add(1, { n: 1n, m: 2 });
    expect(map.get(1)).toEqual([
      { n: 2n, m: 4 },
      { n: 0n, m: 0 },
    ]);
    // A second instance takes a CPU as a second thread would.
    using other = await EmbeddedKernel.attach(kernel.share());
    using same = PerCpuHashMap.fromId(other, map.id, { key: u32, value: struct({ n: u64, m: u32 }) });
    same.add(1, { n: 5n, m: 0 });
    expect(map.get(1)).toEqual([
      { n: 2n, m: 4 },
      { n: 5n, m: 0 },
    ]);
    expect(map.get(1)!.sum()).toEqual({ n: 7n, m: 4 });
    using third = await EmbeddedKernel.attach(kernel.share());
    using another = PerCpuHashMap.fromId(third, map.id, { key: u32, value: struct({ n: u64, m: u32 }) });
    expect(thrownBy(() => another.add(1, { n: 5n, m: 0 })).message).toBe(
      'Cannot add to the value of key 0x00000001 in percpu_hash map "hits": BPF_MAP_UPDATE_ELEM failed with ENXIO (all CPUs belong to other threads: create the kernel with more possibleCpus)',
    );
  });

  it("starts at zero on all CPUs, also where an elem was before", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 3, maxMemory: 2 ** 24 });
    using map = PerCpuHashMap.create(kernel, { key: u32, value: u64, maxEntries: 1 });
    map.set(1, PerCpu.of(7n, 7n, 7n));
    map.delete(1);
    map.add(2, 1n);
    expect(map.get(2)!.toSorted()).toEqual([0n, 0n, 1n]);
    expect(() => map.add(3, 1n)).toThrow("E2BIG");
  });
});

/**
 * LruPerCpuHashMap: what each method promises. What it has in common with other hashes is in many.test.ts, open.test.ts and
 * refused.test.ts.
 */
import { EmbeddedKernel, LruPerCpuHashMap, PerCpu, bytes, u32, u64 } from "tsbpf";
import { describe, expect, it } from "vitest";
import { forEachWay } from "./_ways.js";

forEachWay((kernel) => {
  const perCpu = <V>(of: (cpu: number) => V): PerCpu<V> =>
    PerCpu.from(Array.from({ length: kernel().possibleCpus }, (_, cpu) => of(cpu)));

  it("sets, gets, takes and deletes a value for each CPU", () => {
    using map = LruPerCpuHashMap.create(kernel(), { name: "hits", key: u32, value: u64, maxEntries: 16 });
    const values = perCpu((cpu) => BigInt(cpu + 1));
    expect(map.get(1)).toBeUndefined();
    expect(map.set(1, values)).toBe(true);
    expect(map.get(1)).toStrictEqual(values);
    expect(map.set(1, values, { mode: "create" })).toBe(false);
    expect(map.take(1)).toStrictEqual(values);
    expect(map.delete(1)).toBe(false);
    map.setMany([[2, values]]);
    expect([...map]).toStrictEqual([[2, values]]);
    map.clear();
    expect(map.count()).toBe(0);
    expect(map.info()).toMatchObject({ type: 10, typeName: "lru_percpu_hash", valueSize: 8, maxEntries: 16 });
  });

  it.each([8, 100])("with values of %i bytes is never full, and never holds more", (size) => {
    using map = LruPerCpuHashMap.create(kernel(), { key: u32, value: bytes(size), maxEntries: 40 });
    for (let key = 0; key < 400; key++) {
      const values = perCpu((cpu) => new Uint8Array(size).fill(key + cpu));
      map.set(key, values);
      expect(map.get(key)).toEqual(values);
      expect(map.count()).toBeLessThanOrEqual(40);
    }
    for (const [key, values] of map) expect(values).toEqual(perCpu((cpu) => new Uint8Array(size).fill(key + cpu)));
  });
});

describe("add on the embedded kernel", () => {
  it("makes room, and starts at zero on all CPUs", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 3, maxMemory: 2 ** 24 });
    using map = LruPerCpuHashMap.create(kernel, { key: u32, value: u64, maxEntries: 10 });
    for (let key = 0; key < 100; key++) {
      map.set(key, [7n, 7n, 7n]);
      map.add(1000 + key, 1n);
      map.add(1000 + key, 1n);
      expect(map.get(1000 + key)!.toSorted()).toEqual([0n, 0n, 2n]);
      expect(map.count()).toBeLessThanOrEqual(10);
    }
    expect(kernel.check()).toEqual([]);
  });
});

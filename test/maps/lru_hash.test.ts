/**
 * LruHashMap: what each method promises. What it has in common with other hashes is in many.test.ts, open.test.ts and
 * refused.test.ts.
 */
import { LruHashMap, bytes, ipv4, struct, u16, u32, u64 } from "tsbpf";
import { BPF_F_NO_COMMON_LRU } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { forEachWay, thrownBy } from "./_ways.js";

forEachWay((kernel) => {
  it("sets, gets, has, takes and deletes", () => {
    using map = LruHashMap.create(kernel(), { name: "pages", key: u32, value: u64, maxEntries: 16 });
    expect(map.get(7)).toBeUndefined();
    expect(map.set(7, 1n)).toBe(true);
    expect(map.get(7)).toBe(1n);
    expect(map.has(7)).toBe(true);
    expect(map.set(7, 2n, { mode: "create" })).toBe(false);
    expect(map.set(7, 2n, { mode: "replace" })).toBe(true);
    expect(map.set(8, 2n, { mode: "replace" })).toBe(false);
    expect([...map]).toEqual([[7, 2n]]);
    expect(map.take(7)).toBe(2n);
    expect(map.take(7)).toBeUndefined();
    map.set(1, 1n);
    expect(map.delete(1)).toBe(true);
    expect(map.delete(1)).toBe(false);
    map.add(2, 5n);
    map.add(2, 5n);
    expect(map.get(2)).toBe(10n);
    map.clear();
    expect(map.count()).toBe(0);
    expect(map.info()).toMatchObject({ type: 9, typeName: "lru_hash", keySize: 4, valueSize: 8, maxEntries: 16 });
  });

  it.each([1, 2, 3, 8, 100])("of %i elems is never full, and never holds more", (maxEntries) => {
    using map = LruHashMap.create(kernel(), { key: u32, value: u64, maxEntries });
    for (let key = 0; key < 5 * maxEntries; key++) {
      map.set(key, BigInt(key));
      expect(map.get(key)).toBe(BigInt(key));
      expect(map.count()).toBeLessThanOrEqual(maxEntries);
    }
    for (const [key, value] of map) expect(value).toBe(BigInt(key));
    // The others take their places, too.
    expect(map.setMany(Array.from({ length: 3 * maxEntries }, (_, i) => [9000 + i, 1n] as const))).toBe(3 * maxEntries);
    for (let key = 20_000; key < 20_000 + 3 * maxEntries; key++) map.add(key, 7n);
    expect(map.get(20_000 + 3 * maxEntries - 1)).toBe(7n);
    expect(map.count()).toBeLessThanOrEqual(maxEntries);
  });

  it.each([
    ["keys and values in slots", bytes(40), bytes(300)],
    ["keys of 16 bytes", bytes(16), bytes(8)],
    ["keys of 8 bytes", bytes(8), bytes(5)],
    ["large values", bytes(4), bytes(5000)],
  ])("is never full with %s", (_, key, value) => {
    using map = LruHashMap.create(kernel(), { key, value, maxEntries: 50 });
    const keyOf = (n: number): Uint8Array => new Uint8Array(key.size).fill(n >> 8).fill(n & 255, 0, 1);
    for (let n = 0; n < 500; n++) {
      map.set(keyOf(n), new Uint8Array(value.size).fill(n));
      expect(map.get(keyOf(n))).toEqual(new Uint8Array(value.size).fill(n));
    }
    for (const [found, of] of map) expect(of).toEqual(new Uint8Array(value.size).fill(found[0]!));
  });

  it("keeps what is set again and again, while others come and go", () => {
    const flow = struct({ address: ipv4, port: u16, pad: u16 });
    using map = LruHashMap.create(kernel(), { key: flow, value: u64, maxEntries: 1000 });
    const hot = Array.from({ length: 100 }, (_, i) => ({ address: `10.0.0.${i}`, port: i, pad: 0 }));
    let lost = 0;
    for (let round = 0; round < 200; round++) {
      for (const key of hot) {
        if (round > 1 && !map.has(key)) lost++;
        map.set(key, 1n);
      }
      for (let i = 0; i < 100; i++) map.set({ address: `10.1.${round}.${i}`, port: 1, pad: 0 }, 1n);
    }
    expect(lost).toBeLessThan(20);
  });

  it("rounds maxEntries up where each CPU has lists of its own", () => {
    using map = LruHashMap.create(kernel(), { key: u32, value: u32, maxEntries: 1, mapFlags: BPF_F_NO_COMMON_LRU });
    expect(map.maxEntries).toBe(kernel().possibleCpus);
  });

  it("says who refused an update", () => {
    const map = LruHashMap.create(kernel(), { name: "pages", key: u32, value: u32, maxEntries: 1 });
    map.close();
    expect(thrownBy(() => map.set(1, 1)).message).toMatch(
      /^Cannot insert key 0x00000001 into lru_hash map "pages": .*EBADF/,
    );
  });
});

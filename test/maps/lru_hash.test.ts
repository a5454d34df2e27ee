/**
 * LruHashMap: what each method promises. What it has in common with other hashes is in many.test.ts, open.test.ts and
 * refused.test.ts.
 */
import { EmbeddedKernel, LruHashMap, bytes, ipv4, struct, u16, u32, u64 } from "tsbpf";
import { BPF_F_NO_COMMON_LRU } from "tsbpf/uapi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LinuxKernel } from "tsbpf/linux";
import { describeLinux } from "../kernels.js";
import { forEachWay, seed, thrownBy, withoutDirect } from "./_ways.js";

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

/** A true LRU cache: JavaScript's Map keeps the order. */
class Lru {
  readonly elems = new Map<number, bigint>();
  readonly #maxEntries: number;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get(key: number): bigint | undefined {
    const value = this.elems.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: number, value: bigint): void {
    this.elems.delete(key);
    if (this.elems.size === this.#maxEntries) this.elems.delete([...this.elems.keys()][0]!);
    this.elems.set(key, value);
  }
}

describe("on the embedded kernel", () => {
  let kernel: EmbeddedKernel;
  beforeAll(async () => {
    kernel = await EmbeddedKernel.create({ possibleCpus: 2, maxMemory: 2 ** 26 });
  });
  afterAll(() => {
    expect(kernel.check()).toEqual([]);
    kernel[Symbol.dispose]();
  });

  it("a get is a use, has and getMany too; by system calls it is none", () => {
    for (const use of [
      (map: LruHashMap<number, bigint>) => map.get(0),
      (map: LruHashMap<number, bigint>) => map.has(0),
      (map: LruHashMap<number, bigint>) => map.getMany([0]),
    ]) {
      const lostWith = (used: LruHashMap<number, bigint>, map: LruHashMap<number, bigint>): boolean => {
        for (let key = 0; key < 500; key++) {
          use(used);
          map.set(key, 1n);
        }
        return !new Map(map).has(0);
      };
      using map = LruHashMap.create(kernel, { key: u32, value: u64, maxEntries: 20 });
      expect(lostWith(map, map)).toBe(false);
      using other = LruHashMap.create(kernel, { key: u32, value: u64, maxEntries: 20 });
      using called = LruHashMap.fromId(withoutDirect(kernel), other.id, { key: u32, value: u64 });
      expect(lostWith(called, other)).toBe(true);
    }
  });

  it.each([1, 2, 3, 10, 100, 1000])(
    "of %i elems, exact: the elem goes whose last use is the longest ago",
    (maxEntries) => {
      using map = LruHashMap.create(kernel, { key: u32, value: u64, maxEntries, exact: true });
      const lru = new Lru(maxEntries);
      let random = seed;
      const next = (n: number): number => {
        random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
        return Math.floor((random / 2 ** 32) * n);
      };
      for (let i = 0; i < 30 * maxEntries + 100; i++) {
        const key = next(2 * maxEntries);
        const what = next(10);
        if (what < 5) expect(map.get(key), `seed ${seed}`).toBe(lru.get(key));
        else if (what < 8) {
          map.set(key, BigInt(i));
          lru.set(key, BigInt(i));
        } else if (what === 8) {
          map.add(key, 1n);
          lru.set(key, (lru.elems.get(key) ?? 0n) + 1n);
        } else expect(map.delete(key)).toBe(lru.elems.delete(key));
      }
      expect(new Map(map), `seed ${seed}`).toEqual(new Map(lru.elems));
    },
  );

  it("keeps the order in an image", async () => {
    using map = LruHashMap.create(kernel, { key: u32, value: u64, maxEntries: 3, exact: true });
    for (const key of [1, 2, 3]) map.set(key, 1n);
    map.get(1);
    using loaded = await EmbeddedKernel.load(kernel.save());
    using same = LruHashMap.fromId(loaded, map.id, { key: u32, value: u64 });
    same.set(4, 1n);
    expect([...same.keys()].toSorted((a, b) => a - b)).toEqual([1, 3, 4]);
    same.set(5, 1n);
    expect([...same.keys()].toSorted((a, b) => a - b)).toEqual([1, 4, 5]);
    expect(loaded.check()).toEqual([]);
  });

  it("is exact where it is created by openOrCreate", () => {
    const path = "/sys/fs/bpf/pages";
    const options = { key: u32, value: u64, maxEntries: 3 };
    using map = LruHashMap.openOrCreate(kernel, path, { ...options, exact: true });
    using same = LruHashMap.openOrCreate(kernel, path, options);
    for (const key of [1, 2, 3]) same.set(key, 1n);
    same.get(1);
    same.set(4, 1n);
    expect([...map.keys()].toSorted((a, b) => a - b)).toEqual([1, 3, 4]);
    kernel.unlink(path);
  });

  it("refuses what is no boolean, and what cannot be had, and leaves nothing", () => {
    const options = { key: u32, value: u64, maxEntries: 3 };
    const before = kernel.usage();
    expect(thrownBy(() => LruHashMap.create(kernel, { ...options, exact: 1 as never }))).toEqual(
      new TypeError("options.exact is number: wanted a boolean"),
    );
    expect(thrownBy(() => LruHashMap.create(withoutDirect(kernel), { ...options, exact: true })).message).toMatch(
      /EOPNOTSUPP \(exact needs the embedded kernel/,
    );
    expect(kernel.usage()).toEqual(before);
  });
});

describeLinux("exact on Linux", () => {
  it("is refused", () => {
    using kernel = LinuxKernel.open();
    const options = { name: "pages", key: u32, value: u64, maxEntries: 3, exact: true };
    expect(thrownBy(() => LruHashMap.create(kernel, options)).message).toBe(
      'Cannot keep the exact order of uses of lru_hash map "pages": BPF_MAP_CREATE failed with EOPNOTSUPP (exact needs the embedded kernel, and an fd that may read and write: on Linux an LRU hash lets go of what was not used for long)',
    );
  });
});

/**
 * HashMap: what each method promises.
 */
import { BpfError, HashMap, array, be, bytes, cstring, i8, i64, ipv4, struct, u16, u32, u64, u8 } from "tsbpf";
import { BPF_F_NO_PREALLOC, ENOMEM } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { forEachWay, replaced, thrownBy } from "./_ways.js";

const pattern = (size: number, seed: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i * 7 + seed);

forEachWay((kernel) => {
  it("sets, gets, has and deletes", () => {
    using map = HashMap.create(kernel(), { name: "counts", key: u32, value: u64, maxEntries: 4 });
    expect(map.get(7)).toBeUndefined();
    expect(map.has(7)).toBe(false);
    expect(map.set(7, 1n)).toBe(true);
    expect(map.get(7)).toBe(1n);
    expect(map.has(7)).toBe(true);
    expect(map.set(7, 2n ** 64n - 1n)).toBe(true);
    expect(map.get(7)).toBe(2n ** 64n - 1n);
    expect(map.delete(7)).toBe(true);
    expect(map.delete(7)).toBe(false);
    expect(map.get(7)).toBeUndefined();
    expect(map.has(7)).toBe(false);
  });

  it("keeps the least and the largest key apart", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 4 });
    map.set(0, 1);
    map.set(0xffff_ffff, 2);
    map.set(0x8000_0000, 3);
    expect([map.get(0), map.get(0xffff_ffff), map.get(0x8000_0000), map.get(0x7fff_ffff)]).toEqual([
      1,
      2,
      3,
      undefined,
    ]);
    // JavaScript has two zeroes, and a u32 one.
    expect(map.get(-0)).toBe(1);
  });

  it("is refused by its mode with false, and changes nothing", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 2 });
    expect(map.set(1, 10, { mode: "replace" })).toBe(false);
    expect(map.count()).toBe(0);
    expect(map.set(1, 10, { mode: "create" })).toBe(true);
    expect(map.set(1, 11, { mode: "create" })).toBe(false);
    expect(map.get(1)).toBe(10);
    expect(map.set(1, 12, { mode: "replace" })).toBe(true);
    expect(map.get(1)).toBe(12);
    expect(map.set(1, 13, {})).toBe(true);
    expect([...map]).toEqual([[1, 13]]);
  });

  it("replaces when it is full, and refuses what is new", () => {
    using map = HashMap.create(kernel(), { name: "conns", key: u32, value: u32, maxEntries: 3 });
    for (const key of [0, 1, 2]) map.set(key, key);
    expect(map.set(1, 5)).toBe(true);
    expect(map.set(1, 6, { mode: "create" })).toBe(false);
    expect(map.set(9, 6, { mode: "replace" })).toBe(false);
    expect(thrownBy(() => map.set(7, 1)).message).toBe(
      'Cannot insert key 0x00000007 into hash map "conns": BPF_MAP_UPDATE_ELEM failed with E2BIG (the map holds 3 of 3 elems: raise maxEntries or use an lru_hash)',
    );
    expect(map.count()).toBe(3);
    map.delete(0);
    expect(map.set(7, 1)).toBe(true);
  });

  it("has JS Map's walks, counts and clears", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u64, maxEntries: 100 });
    expect([...map]).toEqual([]);
    expect(map.count()).toBe(0);
    map.clear();
    const wanted = new Map<number, bigint>();
    for (let key = 0; key < 50; key++) {
      map.set(key * 3, BigInt(key));
      wanted.set(key * 3, BigInt(key));
    }
    expect(new Map(map)).toEqual(wanted);
    expect(new Map(map.entries())).toEqual(wanted);
    expect(new Set(map.keys())).toEqual(new Set(wanted.keys()));
    expect(new Set(map.values())).toEqual(new Set(wanted.values()));
    // One order for all.
    expect([...map.keys()]).toEqual([...map].map(([key]) => key));
    expect([...map.values()]).toEqual([...map].map(([, value]) => value));
    expect(map.count()).toBe(50);
    map.clear();
    expect(map.count()).toBe(0);
    expect([...map]).toEqual([]);
  });

  it("knows its fd, id, name, sizes and what the kernel says", () => {
    using map = HashMap.create(kernel(), {
      name: "a.b_C9",
      key: u16,
      value: bytes(5),
      maxEntries: 9,
      mapFlags: BPF_F_NO_PREALLOC,
    });
    expect(map.name).toBe("a.b_C9");
    expect(map.maxEntries).toBe(9);
    expect(map.key).toBe(u16);
    expect(map.fd).toBeGreaterThanOrEqual(0);
    expect(kernel().fdinfo(map.fd)).toContain(`map_id:\t${map.id}\n`);
    expect(map.info()).toEqual({
      type: 1,
      typeName: "hash",
      id: map.id,
      keySize: 2,
      valueSize: 5,
      maxEntries: 9,
      mapFlags: BPF_F_NO_PREALLOC,
      name: "a.b_C9",
      btfVmlinuxValueTypeId: 0,
      mapExtra: 0n,
      btfId: expect.any(Number) as number,
      btfKeyTypeId: expect.any(Number) as number,
      btfValueTypeId: expect.any(Number) as number,
    });
  });

  it("takes NUMA node 0", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 1, numaNode: 0 });
    expect(map.info().mapFlags).toBe(4);
  });

  it("has no name unless told", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 1 });
    expect(map.name).toBe("");
  });

  it.each([0, BPF_F_NO_PREALLOC])("fills, empties and fills again, with flags %i", (mapFlags) => {
    using map = HashMap.create(kernel(), { key: u32, value: u64, maxEntries: 64, mapFlags });
    for (let round = 0; round < 5; round++) {
      for (let key = 0; key < 64; key++) map.set(key * 1000 + round, BigInt(key));
      expect(() => map.set(999_999, 1n)).toThrow("E2BIG");
      expect(map.count()).toBe(64);
      for (let key = 0; key < 64; key++) expect(map.delete(key * 1000 + round)).toBe(true);
    }
    expect(map.count()).toBe(0);
  });

  it("takes structs as keys and values, padding and all", () => {
    const flow = struct({ proto: u8, port: be.u16, src: ipv4, id: i64 });
    const sums = struct({ flags: u8, packets: u64, names: array(cstring(4), 2), min: i8 });
    using map = HashMap.create(kernel(), { key: flow, value: sums, maxEntries: 4 });
    const key = { proto: 6, port: 443, src: "10.0.0.1", id: -1n };
    const value = { flags: 255, packets: 1n, names: ["ab", ""], min: -128 };
    map.set(key, value);
    map.set({ ...key, port: 444 }, { ...value, min: 1 });
    expect(map.get({ ...key })).toEqual(value);
    expect(map.get({ ...key, id: 0n })).toBeUndefined();
    expect(new Map([...map].map(([{ port }, { min }]) => [port, min]))).toEqual(
      new Map([
        [443, -128],
        [444, 1],
      ]),
    );
    expect(map.delete(key)).toBe(true);
    expect(map.count()).toBe(1);
  });

  it("takes keys of 300 bytes that differ in the last one only", () => {
    using map = HashMap.create(kernel(), { key: bytes(300), value: u32, maxEntries: 8 });
    const keys = [0, 1, 2].map((last) => pattern(300, 1).with(299, last));
    keys.forEach((key, i) => map.set(key, i));
    keys.forEach((key, i) => expect(map.get(key)).toBe(i));
    expect(map.get(keys[0]!.with(299, 9))).toBeUndefined();
    expect(new Set([...map.keys()].map((key) => key[299]))).toEqual(new Set([0, 1, 2]));
    expect(map.delete(keys[1]!)).toBe(true);
    expect(map.has(keys[1]!)).toBe(false);
    expect(map.count()).toBe(2);
  });

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 16, 100, 5000])("gives back values of %i bytes", (size) => {
    using map = HashMap.create(kernel(), { key: u32, value: bytes(size), maxEntries: 3 });
    for (const key of [1, 2, 3]) map.set(key, pattern(size, key));
    for (const key of [1, 2, 3]) expect(map.get(key)).toEqual(pattern(size, key));
    expect(new Map(map)).toEqual(new Map([1, 2, 3].map((key) => [key, pattern(size, key)])));
  });

  it("gives values that later changes leave alone", () => {
    using map = HashMap.create(kernel(), { key: u32, value: bytes(32), maxEntries: 1 });
    const given = pattern(32, 1);
    map.set(1, given);
    given.fill(0);
    const got = map.get(1);
    map.set(1, pattern(32, 2));
    expect(got).toEqual(pattern(32, 1));
  });

  describe("add", () => {
    it("starts at zero, adds, and wraps around as C does", () => {
      using map = HashMap.create(kernel(), { key: u32, value: u64, maxEntries: 2 });
      map.add(1, 5n);
      map.add(1, 7n);
      expect(map.get(1)).toBe(12n);
      map.set(1, 2n ** 64n - 1n);
      map.add(1, 2n);
      expect(map.get(1)).toBe(1n);
      map.add(2, 1n);
      expect(thrownBy(() => map.add(3, 1n)).message).toMatch(
        /^Cannot add to the value of key 0x00000003 in hash map: BPF_MAP_UPDATE_ELEM failed with E2BIG \(the map holds 2 of 2 elems/,
      );
    });

    it("adds to each integer of a struct, and to negative ones", () => {
      const value = struct({ a: u8, b: u16, c: u32, d: u64, e: i8, f: array(i64, 2) });
      using map = HashMap.create(kernel(), { key: bytes(5), value, maxEntries: 2 });
      const key = pattern(5, 1);
      map.add(key, { a: 250, b: 65535, c: 1, d: 2n, e: -1, f: [-5n, 5n] });
      map.add(key, { a: 10, b: 2, c: 1, d: 2n, e: -1, f: [-5n, 5n] });
      expect(map.get(key)).toEqual({ a: 4, b: 1, c: 2, d: 4n, e: -2, f: [-10n, 10n] });
      expect(map.count()).toBe(1);
    });

    it("refuses values that are not integers, before any call", () => {
      using map = HashMap.create(kernel(), { key: u32, value: struct({ name: cstring(8), n: u32 }), maxEntries: 2 });
      expect(thrownBy(() => map.add(1, { name: "a", n: 1 }))).toEqual(
        new TypeError(
          "Cannot add to values of type struct { name: char[8]; n: u32 }: wanted integers, or structs of them",
        ),
      );
      using wide = HashMap.create(kernel(), { key: u32, value: be.u32, maxEntries: 2 });
      expect(() => wide.add(1, 1)).toThrow(TypeError);
      expect(map.count() + wide.count()).toBe(0);
    });

    it("names the delta that is wrong", () => {
      using map = HashMap.create(kernel(), { key: u32, value: struct({ n: u32 }), maxEntries: 2 });
      expect(thrownBy(() => map.add(1, { n: -1 })).message).toMatch(/^delta\.n: wanted a u32 /);
      expect(map.count()).toBe(0);
    });
  });

  it("gives its fd back when there is no memory for its buffers", () => {
    const full = replaced(kernel(), {
      direct: undefined,
      alloc(size) {
        if (size > 2000) throw new BpfError("Cannot allocate", ENOMEM);
        return kernel().alloc(size);
      },
    });
    // The leak check behind every test finds what is left.
    expect(() => HashMap.create(full, { key: u32, value: bytes(2000), maxEntries: 1 })).toThrow("ENOMEM");
  });
});

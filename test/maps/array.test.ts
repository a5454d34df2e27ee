/**
 * ArrayMap: what each method promises.
 */
import { ArrayMap, array, bytes, cstring, i32, struct, u16, u32, u64 } from "tsbpf";
import { BPF_F_MMAPABLE } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { forEachWay, thrownBy } from "./_ways.js";

const pattern = (size: number, seed: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i * 7 + seed);

forEachWay((kernel) => {
  it("has all elems from the start, zero at first", () => {
    using map = ArrayMap.create(kernel(), { value: u64, maxEntries: 3 });
    expect([...map]).toEqual([
      [0, 0n],
      [1, 0n],
      [2, 0n],
    ]);
    expect(map.length).toBe(3);
    expect(map.count()).toBe(3);
    expect(map.has(2)).toBe(true);
    expect(map.has(3)).toBe(false);
    expect(map.get(3)).toBeUndefined();
    expect(map.get(0xffff_ffff)).toBeUndefined();
  });

  it("sets and gets, in the order of the indices", () => {
    using map = ArrayMap.create(kernel(), { value: u32, maxEntries: 5 });
    for (const index of [4, 0, 2]) expect(map.set(index, index + 10)).toBe(true);
    expect([...map.keys()]).toEqual([0, 1, 2, 3, 4]);
    expect([...map.values()]).toEqual([10, 0, 12, 0, 14]);
    expect([...map.entries()]).toEqual([...map]);
    expect(map.get(2)).toBe(12);
    expect(map.length).toBe(5);
  });

  it("replaces always and creates never", () => {
    using map = ArrayMap.create(kernel(), { value: u32, maxEntries: 2 });
    expect(map.set(1, 5, { mode: "replace" })).toBe(true);
    expect(map.set(1, 6, { mode: "create" })).toBe(false);
    expect(map.get(1)).toBe(5);
  });

  it("refuses to set beyond its end, whatever the mode", () => {
    using map = ArrayMap.create(kernel(), { name: "counters", value: u64, maxEntries: 4 });
    const wanted =
      'array map "counters": BPF_MAP_UPDATE_ELEM failed with E2BIG (the array has 4 elems: the last index is 3)';
    expect(thrownBy(() => map.set(4, 1n)).message).toBe(`Cannot insert key 0x00000004 into ${wanted}`);
    expect(thrownBy(() => map.set(4, 1n, { mode: "create" })).message).toBe(
      `Cannot insert key 0x00000004 into ${wanted}`,
    );
    expect(thrownBy(() => map.set(4, 1n, { mode: "replace" })).message).toBe(
      `Cannot replace key 0x00000004 in ${wanted}`,
    );
    expect(thrownBy(() => map.add(4, 1n)).message).toBe(`Cannot add to the value of key 0x00000004 in ${wanted}`);
    expect([...map.values()]).toEqual([0n, 0n, 0n, 0n]);
  });

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 16, 100, 5000])("gives back values of %i bytes", (size) => {
    using map = ArrayMap.create(kernel(), { value: bytes(size), maxEntries: 3 });
    for (const index of [0, 1, 2]) map.set(index, pattern(size, index));
    for (const index of [0, 1, 2]) expect(map.get(index)).toEqual(pattern(size, index));
    expect([...map.values()]).toEqual([0, 1, 2].map((index) => pattern(size, index)));
  });

  it("walks over many batches in order", () => {
    using map = ArrayMap.create(kernel(), { value: u32, maxEntries: 30_000 });
    map.set(29_999, 1);
    let next = 0;
    for (const [index, value] of map) {
      expect(index === next++ && value === (index === 29_999 ? 1 : 0)).toBe(true);
    }
    expect(next).toBe(30_000);
  });

  it("says what the kernel says, and takes BPF_F_MMAPABLE", () => {
    using map = ArrayMap.create(kernel(), { name: "page", value: u16, maxEntries: 4, mapFlags: BPF_F_MMAPABLE });
    map.set(1, 7);
    expect(map.get(1)).toBe(7);
    expect(map.info()).toEqual({
      type: 2,
      typeName: "array",
      id: map.id,
      keySize: 4,
      valueSize: 2,
      maxEntries: 4,
      mapFlags: BPF_F_MMAPABLE,
      name: "page",
      btfVmlinuxValueTypeId: 0,
      mapExtra: 0n,
      btfId: expect.any(Number) as number,
      btfKeyTypeId: expect.any(Number) as number,
      btfValueTypeId: expect.any(Number) as number,
    });
  });

  describe("add", () => {
    it("adds to integers and to structs of them", () => {
      const value = struct({ packets: u64, bytes: u64, worst: array(i32, 2) });
      using map = ArrayMap.create(kernel(), { value, maxEntries: 2 });
      map.add(1, { packets: 1n, bytes: 60n, worst: [-1, 1] });
      map.add(1, { packets: 1n, bytes: 40n, worst: [-1, 1] });
      expect(map.get(1)).toEqual({ packets: 2n, bytes: 100n, worst: [-2, 2] });
      expect(map.get(0)).toEqual({ packets: 0n, bytes: 0n, worst: [0, 0] });
    });

    it("refuses values that are not integers", () => {
      using map = ArrayMap.create(kernel(), { value: cstring(8), maxEntries: 2 });
      expect(thrownBy(() => map.add(0, "a"))).toEqual(
        new TypeError("Cannot add to values of type char[8]: wanted integers, or structs of them"),
      );
    });
  });
});

/**
 * Freezing a map, and taking keys out of it.
 */
import { ArrayMap, HashMap, PerCpuHashMap, bytes, u32, u64 } from "tsbpf";
import { expect, it } from "vitest";
import { EBADF, EPERM } from "tsbpf/uapi";
import { forEachWay, thrownBy } from "./_ways.js";

forEachWay((kernel) => {
  it("a frozen map is read only, through every fd and by every way", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u64, maxEntries: 4 });
    using other = HashMap.fromId(kernel(), map.id, { key: u32, value: u64 });
    map.set(1, 5n);
    map.freeze();
    for (const each of [map, other]) {
      const writes = [
        () => each.set(1, 6n),
        () => each.delete(1),
        () => each.take(1),
        () => each.add(1, 1n),
        () => each.setMany([[2, 1n]]),
        () => each.deleteMany([1]),
        () => each.freeze(),
      ];
      for (const write of writes) expect(thrownBy(write)).toMatchObject({ errno: -EPERM });
      expect([...each]).toStrictEqual([[1, 5n]]);
    }
  });

  it("arrays freeze too", () => {
    using map = ArrayMap.create(kernel(), { value: u32, maxEntries: 2 });
    map.freeze();
    expect(thrownBy(() => map.set(0, 1))).toMatchObject({ errno: -EPERM });
    expect(thrownBy(() => map.add(0, 1))).toMatchObject({ errno: -EPERM });
    expect(map.get(0)).toBe(0);
  });

  it("take gives the value, once", () => {
    using map = HashMap.create(kernel(), { key: bytes(20), value: u64, maxEntries: 4 });
    const key = new Uint8Array(20).fill(3);
    expect(map.take(key)).toBeUndefined();
    map.set(key, 7n);
    expect(map.take(key)).toBe(7n);
    expect(map.take(key)).toBeUndefined();
    expect(map.count()).toBe(0);
    map.close();
    expect(thrownBy(() => map.take(key))).toMatchObject({ errno: -EBADF });
  });

  it("take gives the values of all CPUs", () => {
    using map = PerCpuHashMap.create(kernel(), { key: u32, value: u32, maxEntries: 4 });
    const values = Array.from({ length: kernel().possibleCpus }, (_, cpu) => cpu + 1);
    map.set(1, values);
    expect([...map.take(1)!]).toStrictEqual(values);
    expect(map.has(1)).toBe(false);
  });
});

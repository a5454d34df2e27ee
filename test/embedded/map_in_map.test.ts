/**
 * Maps of maps in the embedded kernel alone: when inner maps go, images, and many maps.
 */
import { ArrayOfMaps, EmbeddedKernel, HashMap, HashOfMaps, struct, u32, u64 } from "tsbpf";
import { describe, expect, it } from "vitest";
import { open, watched } from "./_kernel.js";

type Counts = HashMap<number, bigint>;
const codecs = { key: u32, value: u64 };
const newCounts = (kernel: EmbeddedKernel): Counts => HashMap.create(kernel, { ...codecs, maxEntries: 8 });
const opener = (kernel: EmbeddedKernel) => ({
  openInner: (id: number): Counts => HashMap.fromId(kernel, id, codecs),
});

describe("inner maps", () => {
  it("go with the last elem, fd, name or holder", async () => {
    const kernel = await open();
    const outers = [
      ArrayOfMaps.create(kernel, { maxEntries: 4, inner: () => newCounts(kernel) }),
      HashOfMaps.create(kernel, { key: u32, maxEntries: 4, inner: () => newCounts(kernel) }),
    ] as const;
    const one = newCounts(kernel);
    for (const outer of outers) for (const key of [0, 1]) outer.set(key, one);
    expect(kernel.usage().maps).toBe(3);
    one.pin("/sys/fs/bpf/one");
    const direct = kernel.direct(one.fd)!;
    one.close();
    outers[0].clear();
    outers[1].close();
    expect(kernel.usage().maps).toBe(2);
    outers[0].close();
    expect(kernel.unlink("/sys/fs/bpf/one")).toBe(0);
    expect(kernel.usage().maps).toBe(1);
    direct[Symbol.dispose]();
    expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
  });

  it("that only an outer map holds go with it, a thousand at once", async () => {
    const kernel = await open({ maxMemory: 2 ** 26 });
    const outer = HashOfMaps.create(kernel, { key: u32, maxEntries: 1000, inner: () => newCounts(kernel) });
    const ids = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      using inner = newCounts(kernel);
      inner.set(i, BigInt(i));
      outer.set(i, inner);
      ids.add(inner.id);
    }
    expect(ids.size).toBe(1000);
    for (let i = 0; i < 1000; i += 7) {
      using inner = outer.get(i);
      expect(inner?.get(i)).toBe(BigInt(i));
    }
    expect(kernel.check()).toEqual([]);
    expect(kernel.usage().maps).toBe(1001);
    outer.close();
    expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
  });
});

describe("an image", () => {
  it("has the maps that only maps of maps hold, and not those that only a holder held", async () => {
    const kernel = await open({ maxMemory: 2 ** 22 });
    const flow = struct({ src: u32, dst: u32, ports: u32, sizes: u64, more: u64, most: u64, last: u64 });
    const keyOf = (src: number) => ({ src, dst: 1, ports: 2, sizes: 3n, more: 4n, most: 5n, last: 6n });
    const inner = (): Counts => newCounts(kernel);
    const array = ArrayOfMaps.create(kernel, { maxEntries: 4, inner });
    const hash = HashOfMaps.create(kernel, { key: flow, maxEntries: 8, inner });
    for (let i = 0; i < 4; i++) {
      using one = inner();
      one.set(i, BigInt(i));
      array.set(i, one);
      if (i % 2 === 0) hash.set(keyOf(i), one);
    }
    const held = inner();
    const direct = kernel.direct(held.fd)!;
    held.close();
    array.delete(3);
    array.delete(2);
    expect(kernel.usage().maps).toBe(6);
    const ids = { array: array.id, hash: hash.id };

    const loaded = await EmbeddedKernel.load(kernel.save());
    direct[Symbol.dispose]();
    array.close();
    hash.close();
    expect(loaded.check()).toEqual([]);
    expect(loaded.usage()).toMatchObject({ fds: 2, maps: 5 });
    {
      using array = ArrayOfMaps.fromId(loaded, ids.array, opener(loaded));
      using hash = HashOfMaps.fromId(loaded, ids.hash, { key: flow, ...opener(loaded) });
      array.forEach((map, i) => expect(map.get(i)).toBe(BigInt(i)));
      hash.forEach((map, { src }) => expect(map.get(src)).toBe(BigInt(src)));
      expect([...array.keys(), hash.count()]).toEqual([0, 1, 2]);
      // Ids go on behind those that are held, and templates are there.
      using next = newCounts(loaded);
      hash.set(keyOf(9), next);
      using other = HashMap.create(loaded, { key: u32, value: u32, maxEntries: 8 });
      expect(() => hash.set(keyOf(9), other as unknown as Counts)).toThrow("EINVAL");
      array.clear();
      expect(loaded.check()).toEqual([]);
    }
    for (let fd = 3; fd < 10; fd++) loaded.close(fd);
    expect(loaded.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
    watched(loaded);
  });
});

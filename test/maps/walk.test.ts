/**
 * Walks: large ones, ones that the map changes under, and ones that nobody ends.
 */
import { ArrayMap, HashMap, type Kernel, type UserBuffer, bytes, u32, u64 } from "tsbpf";
import { BPF_F_NO_PREALLOC, BPF_MAP_LOOKUP_BATCH, bpfAttr } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { inUse } from "../leaks.js";
import { forEachWay, replaced, thrownBy } from "./_ways.js";

const N = 10_000;

function filled(kernel: Kernel, maxEntries = N, n = N, mapFlags = 0): HashMap<number, bigint> {
  const map = HashMap.create(kernel, { key: u32, value: u64, maxEntries, mapFlags });
  for (let key = 0; key < n; key++) map.set(key, BigInt(key) * 2n);
  return map;
}

/** A kernel whose batches have room for so many elems at most, as if the map were so much larger. */
function withBatchesOf(most: number, kernel: Kernel, seen: number[] = []): Kernel {
  return replaced(kernel, {
    bpf(cmd, attr: UserBuffer, size) {
      if (cmd === BPF_MAP_LOOKUP_BATCH) {
        const view = new DataView(attr.bytes.buffer, attr.bytes.byteOffset);
        const room = view.getUint32(bpfAttr.batch.count.off, true);
        seen.push(room);
        view.setUint32(bpfAttr.batch.count.off, Math.min(most, room), true);
      }
      return kernel.bpf(cmd, attr, size);
    },
  });
}

forEachWay((kernel) => {
  it.each([0, BPF_F_NO_PREALLOC])("meets each of 10,000 elems once, with flags %i", (mapFlags) => {
    using map = filled(kernel(), N, N, mapFlags);
    const met = new Map<number, bigint>();
    let n = 0;
    for (const [key, value] of map) {
      met.set(key, value);
      n++;
    }
    expect(n).toBe(N);
    expect(met.size).toBe(N);
    for (let key = 0; key < N; key++)
      if (met.get(key) !== BigInt(key) * 2n) expect([key, met.get(key)]).toEqual([key, BigInt(key) * 2n]);
    expect(map.count()).toBe(N);
  });

  it("finds the few elems of a large map", () => {
    using map = filled(kernel(), 200_000, 3, BPF_F_NO_PREALLOC);
    expect([...map.keys()].toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
  });

  it("gives each to a function, as Map does, until that throws", () => {
    using map = filled(kernel());
    const met: [number, bigint][] = [];
    map.forEach((value, key, of) => {
      expect(of).toBe(map);
      met.push([key, value]);
    });
    expect(met).toEqual([...map]);
    let n = 0;
    const throwing = (): void => {
      if (++n === 5000) throw new Error("enough");
    };
    expect(() => map.forEach(throwing)).toThrow("enough");
    expect(n).toBe(5000);
    // It holds nothing: the next walk begins at the first.
    expect([...map.keys()]).toEqual(met.map(([key]) => key));
  });

  it("goes on in many batches, in the same order", () => {
    using map = filled(kernel(), 2000, 2000);
    const rooms: number[] = [];
    using slow = HashMap.fromId(withBatchesOf(100, kernel(), rooms), map.id, { key: u32, value: u64 });
    expect([...slow]).toEqual([...map]);
    // Whole buckets, at most 100 elems a batch.
    expect(rooms.length).toBeGreaterThanOrEqual(20);
    using array = ArrayMap.create(withBatchesOf(100, kernel()), { value: u32, maxEntries: 2000 });
    expect([...array.keys()]).toEqual(Array.from({ length: 2000 }, (_, index) => index));
  });

  it("walks over values larger than a batch", () => {
    using map = HashMap.create(kernel(), { key: u32, value: bytes(200_000), maxEntries: 16 });
    for (let key = 0; key < 16; key++) map.set(key, new Uint8Array(200_000).fill(key));
    const met = [...map].map(([key, value]) => value.every((byte) => byte === key) && key);
    expect(met.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 16 }, (_, key) => key));
  });

  it("takes more room for a bucket that has more elems than a batch", () => {
    // Room for one elem each: the first bucket that has two asks for more.
    using map = filled(kernel(), 256, 256);
    const rooms: number[] = [];
    const watched = withBatchesOf(Infinity, kernel(), rooms);
    using wide = HashMap.create(watched, {
      key: u32,
      value: bytes(60_000),
      maxEntries: 256,
      mapFlags: BPF_F_NO_PREALLOC,
    });
    for (const key of map.keys()) wide.set(key, new Uint8Array(60_000).fill(key));
    expect(new Set(wide.keys())).toEqual(new Set(map.keys()));
    expect(rooms[0]).toBe(1);
    expect(Math.max(...rooms)).toBeGreaterThanOrEqual(2);
    expect([...wide.values()].reduce((sum, value) => sum + value[59_999]!, 0)).toBe((255 * 256) / 2);
  });

  describe("while the map changes", () => {
    /** Walks in small batches, doing something at each elem, and says which keys were met, each once. */
    function walk(map: HashMap<number, bigint>, atEach: (key: number) => void): Set<number> {
      using slow = HashMap.fromId(withBatchesOf(64, kernel()), map.id, { key: u32, value: u64 });
      const met: number[] = [];
      for (const key of slow.keys()) {
        met.push(key);
        atEach(key);
      }
      expect(met).toHaveLength(new Set(met).size);
      return new Set(met);
    }

    it("deleting the current elem misses none", () => {
      using map = filled(kernel(), 2000, 2000);
      expect(walk(map, (key) => map.delete(key)).size).toBe(2000);
      expect(map.count()).toBe(0);
    });

    it("deleting others misses none that stayed", () => {
      using map = filled(kernel(), 2000, 2000);
      const met = walk(map, (key) => {
        for (let other = key + 1; other < key + 4; other++) if (other % 5 !== 0) map.delete(other);
      });
      expect([...map.keys()].filter((key) => !met.has(key))).toEqual([]);
      for (let key = 0; key < 2000; key += 5) expect(met.has(key)).toBe(true);
    });

    it("replacing all misses none", () => {
      using map = filled(kernel(), 2000, 2000);
      let round = 0n;
      const met = walk(map, (key) => {
        map.set(key, ++round);
        map.set((key * 7) % 2000, ++round);
      });
      expect(met.size).toBe(2000);
    });

    it("inserting many ends all the same, and misses none that were there", () => {
      using map = filled(kernel(), 10_000, 500);
      let next = 500;
      const met = walk(map, () => {
        for (let i = 0; i < 10 && next < 10_000; i++) map.set(next++, 0n);
      });
      expect(Array.from({ length: 500 }, (_, key) => key).filter((key) => !met.has(key))).toEqual([]);
      expect(map.count()).toBe(next);
    });

    it("clearing it ends the walk with the batch that was read", () => {
      using map = filled(kernel(), 2000, 2000);
      expect(walk(map, () => map.clear()).size).toBeLessThanOrEqual(64);
      expect(map.count()).toBe(0);
    });

    it("closing it ends the walk with EBADF, though its fd may be another map's by then", () => {
      using map = filled(kernel(), 2000, 2000);
      const slow = HashMap.fromId(withBatchesOf(64, kernel()), map.id, { key: u32, value: u64 });
      const keys = slow.keys();
      expect(keys.next().done).toBe(false);
      slow.close();
      using reused = filled(kernel(), 10, 10);
      expect(reused.fd).toBeGreaterThan(0);
      const error = thrownBy(() => [...keys]);
      expect(error.message).toBe(
        "Cannot walk over hash map: BPF_MAP_LOOKUP_BATCH failed with EBADF (the map is closed)",
      );
    });
  });

  it("nests, and goes on beside other operations", () => {
    using map = filled(kernel(), 50, 50);
    let pairs = 0;
    for (const [key, value] of map) {
      for (const other of map.keys()) {
        map.get(other);
        pairs += value === BigInt(key) * 2n ? 1 : 0;
      }
    }
    expect(pairs).toBe(2500);
  });

  it("holds nothing when it is left early or never ended, but for the map's one buffer", () => {
    const unused = inUse(kernel());
    using map = filled(kernel());
    for (const _ of map) break;
    const before = inUse(kernel());
    for (const _ of map) break;
    for (const _ of map.keys()) break;
    expect(map.values().next().done).toBe(false);
    expect(map.entries().next().done).toBe(false);
    expect(() => {
      for (const [key] of map) throw new Error(`at ${key}`);
    }).toThrow("at ");
    expect(inUse(kernel())).toBe(before);
    const walk = map.keys();
    walk.next();
    walk.return();
    expect([...walk]).toEqual([]);
    const open = map.values();
    open.next();
    map.close();
    expect(inUse(kernel())).toBe(unused);
  });

  it("goes on where it was after others have walked, whatever they left", () => {
    using map = filled(kernel());
    using slow = HashMap.fromId(withBatchesOf(100, kernel()), map.id, { key: u32, value: u64 });
    const wanted = [...slow];
    const walks = [slow.entries(), slow.entries(), slow.entries()] as const;
    const met: [number, bigint][][] = [[], [], []];
    // Each some steps at a time, all at other places in other batches.
    for (let round = 0; met.some((list) => list.length < wanted.length); round++) {
      for (const [i, walk] of walks.entries()) {
        for (let step = 0; step < 37 * (i + 1); step++) {
          const { done, value } = walk.next();
          if (done === true) break;
          met[i]!.push(value);
        }
      }
      if (round % 10 === 0) for (const _ of slow.keys()) break;
    }
    expect(met).toEqual([wanted, wanted, wanted]);
    for (const walk of walks) expect(walk.next()).toEqual({ done: true, value: undefined });
  });

  it("gives the rest of its batch after the map is closed", () => {
    const map = filled(kernel(), 100, 100);
    const wanted = [...map];
    const walk = map.entries();
    const met = [walk.next().value];
    map.close();
    for (let i = 1; i < 100; i++) met.push(walk.next().value);
    expect(met).toEqual(wanted);
  });

  it("is refused again and again on a map that is closed, and takes nothing", () => {
    const before = inUse(kernel());
    const map = filled(kernel(), 100, 100);
    map.close();
    for (let i = 0; i < 3; i++) expect(thrownBy(() => [...map])).toMatchObject({ code: "EBADF" });
    expect(inUse(kernel())).toBe(before);
  });
});

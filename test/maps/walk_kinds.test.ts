/**
 * Walks over each kind of map while it changes between their steps: no key comes twice, and none that stayed is missed.
 */
import { ArrayMap, HashMap, type Kernel, LpmTrie, type UserBuffer, bytes, prefix4, u32 } from "tsbpf";
import { BPF_F_NO_PREALLOC, BPF_MAP_LOOKUP_BATCH, bpfAttr } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { type AnyMap, forEachWay, kinds, replaced, seed, valueFor } from "./_ways.js";

/** A kernel whose batches have room for so many elems at most. */
function withBatchesOf(most: number, kernel: Kernel): Kernel {
  return replaced(kernel, {
    bpf(cmd, attr: UserBuffer, size) {
      if (cmd === BPF_MAP_LOOKUP_BATCH) {
        const { off } = bpfAttr.batch.count;
        const view = new DataView(attr.bytes.buffer, attr.bytes.byteOffset);
        view.setUint32(off, Math.min(most, view.getUint32(off, true)), true);
      }
      return kernel.bpf(cmd, attr, size);
    },
  });
}

function randomFrom(state: number): (below: number) => number {
  let x = state >>> 0 || 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Three in each other: a network, a half of it, a quarter. */
const prefix = (i: number): string => `10.${Math.floor(i / 3) >> 8}.${Math.floor(i / 3) & 0xff}.0/${24 + (i % 3)}`;

/** A map of string or number keys, and how it is changed. */
interface Changing {
  readonly keys: () => Iterable<unknown>;
  readonly set: (i: number) => unknown;
  /** None of arrays. */
  readonly remove: ((i: number) => unknown) | undefined;
  readonly keyOf: (i: number) => unknown;
}

const N = 400;

/** Walks several times, with changes at each step by the dice. */
function walkWhileChanging(map: Changing, random: (below: number) => number): void {
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < N; i++) map.set(i);
    const stayed = new Set(Array.from({ length: N }, (_, i) => map.keyOf(i)));
    const met: unknown[] = [];
    for (const key of map.keys()) {
      met.push(key);
      for (let changes = random(4); changes > 0; changes--) {
        const i = random(N);
        if (map.remove !== undefined && random(3) === 0) {
          map.remove(i);
          stayed.delete(map.keyOf(i));
        } else {
          // One that was deleted comes back, or one that is there is replaced.
          map.set(i);
        }
      }
    }
    expect(met.length).toBe(new Set(met).size);
    const seen = new Set(met);
    expect([...stayed].filter((key) => !seen.has(key))).toEqual([]);
  }
}

forEachWay((kernel) => {
  describe.each([1, 7, 64])(`in batches of %i, seed ${seed}`, (most) => {
    it.each(kinds)("$name", (kind) => {
      const random = randomFrom(seed + most);
      // LRU kinds with room enough that nothing goes.
      const maxEntries = kind.isLru ? 8 * N : N;
      using map = kind.create(kernel(), { value: u32, maxEntries });
      // A bucket may have more elems than one, and asks for more room: not less than it has.
      const small = kind.isHash ? Math.max(most, 24) : most;
      using slow: AnyMap<number> = kind.fromId(withBatchesOf(small, kernel()), map.id, { value: u32 });
      walkWhileChanging(
        {
          keys: () => slow.keys(),
          set: (i) => map.set(i, valueFor(kind, kernel(), random(1000))),
          remove: kind.isHash ? (i) => (map as HashMap<number, unknown>).delete(i) : undefined,
          keyOf: (i) => i,
        },
        random,
      );
    });

    it("LpmTrie", () => {
      const random = randomFrom(seed + most);
      using map = LpmTrie.create(kernel(), { key: prefix4, value: u32, maxEntries: N });
      using slow = LpmTrie.fromId(withBatchesOf(most, kernel()), map.id, { key: prefix4, value: u32 });
      walkWhileChanging(
        {
          keys: () => slow.keys(),
          set: (i) => map.set(prefix(i), i),
          remove: (i) => map.delete(prefix(i)),
          keyOf: prefix,
        },
        random,
      );
    });
  });

  it("a bucket that grows between two batches", () => {
    // Batches begin with room for one elem: on Linux every bucket of two makes them larger, in the middle of a walk.
    using map = HashMap.create(kernel(), {
      key: u32,
      value: bytes(60_000),
      maxEntries: 200,
      mapFlags: BPF_F_NO_PREALLOC,
    });
    const value = new Uint8Array(60_000);
    for (let key = 0; key < 100; key++) map.set(key, value);
    const met: number[] = [];
    let next = 100;
    for (const key of map.keys()) {
      met.push(key);
      if (next < 200) map.set(next++, value);
    }
    expect(met.length).toBe(new Set(met).size);
    for (let key = 0; key < 100; key++) expect(met).toContain(key);
  });

  it("of arrays all indices, in order", () => {
    using map = ArrayMap.create(kernel(), { value: u32, maxEntries: 1000 });
    using slow = ArrayMap.fromId(withBatchesOf(7, kernel()), map.id, { value: u32 });
    let i = 0;
    for (const key of slow.keys()) {
      expect(key).toBe(i++);
      map.set((key * 31) % 1000, key);
    }
    expect(i).toBe(1000);
  });
});

/**
 * getOrInsert, getOrInsertComputed, drain: of the hash kinds, on both kernels.
 */
import {
  HashMap,
  type Kernel,
  LruHashMap,
  LruPerCpuHashMap,
  PerCpu,
  PerCpuHashMap,
  bytes,
  struct,
  u32,
  u64,
} from "tsbpf";
import { BPF_F_RDONLY, BPF_MAP_UPDATE_ELEM } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { forEachWay, replaced, thrownBy } from "./_ways.js";

const codecs = { key: u32, value: u64 };

/** A kernel on which something happens before each update: what another thread could do. */
function beforeUpdates(kernel: Kernel, happens: () => void): Kernel {
  return replaced(kernel, {
    direct: undefined,
    bpf: (cmd, ...args) => {
      if (cmd === BPF_MAP_UPDATE_ELEM) happens();
      return kernel.bpf(cmd, ...args);
    },
    prepare(cmd, attr) {
      const call = kernel.prepare(cmd, attr);
      return () => {
        if (cmd === BPF_MAP_UPDATE_ELEM) happens();
        return call();
      };
    },
  });
}

forEachWay((kernel) => {
  describe("getOrInsert", () => {
    it("gives what is there, else inserts", () => {
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: 2 });
      expect(map.getOrInsert(1, 10n)).toBe(10n);
      expect(map.getOrInsert(1, 20n)).toBe(10n);
      expect(map.get(1)).toBe(10n);
      expect(map.getOrInsertComputed(2, (key) => BigInt(key) * 100n)).toBe(200n);
      const never = (): bigint => {
        throw new Error("called");
      };
      expect(map.getOrInsertComputed(2, never)).toBe(200n);
      // A full map still gives what it has.
      expect(thrownBy(() => map.getOrInsert(3, 1n))).toMatchObject({ code: "E2BIG" });
      expect(() => map.getOrInsertComputed(3, never)).toThrow("called");
      expect([...map].toSorted(([a], [b]) => a - b)).toEqual([
        [1, 10n],
        [2, 200n],
      ]);
    });

    it("of structs and bytes, and of values for each CPU", () => {
      const flow = struct({ src: u32, dst: u32 });
      using map = HashMap.create(kernel(), { key: bytes(5), value: flow, maxEntries: 2 });
      const key = Uint8Array.of(1, 2, 3, 4, 5);
      expect(map.getOrInsert(key, { src: 1, dst: 2 })).toEqual({ src: 1, dst: 2 });
      expect(map.getOrInsert(key, { src: 3, dst: 4 })).toEqual({ src: 1, dst: 2 });
      using perCpu = PerCpuHashMap.create(kernel(), { ...codecs, maxEntries: 2 });
      const ones = Array.from({ length: kernel().possibleCpus }, () => 1n);
      expect(perCpu.getOrInsert(1, ones)).toEqual(ones);
      expect(perCpu.getOrInsertComputed(1, () => PerCpu.of(2n))).toEqual(PerCpu.from(ones));
      expect(() => perCpu.getOrInsert(2, [])).toThrow(RangeError);
    });

    it("gives what another thread inserts meanwhile, and inserts again what it deletes", () => {
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: 4 });
      const steps: (() => void)[] = [];
      const raced = beforeUpdates(kernel(), () => steps.shift()?.());
      using mine = HashMap.fromId(raced, map.id, codecs);
      steps.push(() => map.set(1, 77n));
      expect(mine.getOrInsert(1, 10n)).toBe(77n);
      // Inserted before the update, deleted before the lookup that follows: then it is tried again.
      let calls = 0;
      const rival = replaced(raced, {
        prepare(cmd, attr) {
          const call = raced.prepare(cmd, attr);
          return () => {
            const ret = call();
            if (cmd === BPF_MAP_UPDATE_ELEM && ++calls === 1) map.delete(2);
            return ret;
          };
        },
      });
      using tried = HashMap.fromId(rival, map.id, codecs);
      steps.push(() => map.set(2, 88n));
      let computed = 0;
      expect(tried.getOrInsertComputed(2, () => (computed++, 20n))).toBe(20n);
      expect([calls, computed, map.get(2)]).toEqual([2, 1, 20n]);
    });

    it("what the function itself inserts is kept", () => {
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: 4 });
      expect(
        map.getOrInsertComputed(1, () => {
          map.set(1, 5n);
          return 6n;
        }),
      ).toBe(5n);
    });

    it("is refused as get and set are", () => {
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: 4, mapFlags: BPF_F_RDONLY });
      expect(thrownBy(() => map.getOrInsert(1, 1n))).toMatchObject({ code: "EPERM" });
      expect(() => map.getOrInsert(-1, 1n)).toThrow(RangeError);
      map.close();
      expect(thrownBy(() => map.getOrInsert(1, 1n))).toMatchObject({ code: "EBADF" });
    });
  });

  describe("drain", () => {
    it.each([1, 10, 5000])("takes all of %i, each once", (n) => {
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: n });
      for (let key = 0; key < n; key++) map.set(key, BigInt(key) * 3n);
      const taken = [...map.drain()].flat();
      expect(taken.toSorted(([a], [b]) => a - b)).toEqual(
        Array.from({ length: n }, (_, key) => [key, BigInt(key) * 3n]),
      );
      expect([map.count(), [...map.drain()]]).toEqual([0, []]);
      // All of its room is there again.
      for (let key = 0; key < n; key++) map.set(key + n, 1n);
    });

    it("of values for each CPU", () => {
      using map = PerCpuHashMap.create(kernel(), { ...codecs, maxEntries: 3 });
      const values = Array.from({ length: kernel().possibleCpus }, (_, cpu) => BigInt(cpu));
      for (let key = 0; key < 3; key++) map.set(key, values);
      expect([...map.drain()].flat()).toHaveLength(3);
      expect(map.count()).toBe(0);
    });

    it("and getOrInsert, of the LRU kinds", () => {
      using map = LruHashMap.create(kernel(), { ...codecs, maxEntries: 64 });
      using perCpu = LruPerCpuHashMap.create(kernel(), { ...codecs, maxEntries: 64 });
      const ones = Array.from({ length: kernel().possibleCpus }, () => 1n);
      for (let key = 0; key < 8; key++) {
        expect([map.getOrInsert(key, 1n), map.getOrInsert(key, 2n)]).toEqual([1n, 1n]);
        expect(perCpu.getOrInsertComputed(key, () => ones)).toEqual(ones);
      }
      expect([[...map.drain()].flat().length, [...perCpu.drain()].flat().length]).toEqual([8, 8]);
      expect([map.count(), perCpu.count()]).toEqual([0, 0]);
    });

    it("left early, leaves the rest; nothing is lost", () => {
      const n = 20_000;
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: n });
      for (let key = 0; key < n; key++) map.set(key, 0n);
      let some: [number, bigint][] = [];
      for (const batch of map.drain()) {
        some = batch;
        break;
      }
      expect(some.length).toBeGreaterThan(0);
      expect(some.length).toBeLessThan(n);
      expect(map.count()).toBe(n - some.length);
      const all = new Set([...some, ...[...map.drain()].flat()].map(([key]) => key));
      expect(all.size).toBe(n);
    });

    it("what is inserted meanwhile is met or stays", () => {
      const n = 10_000;
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: 2 * n });
      for (let key = 0; key < n; key++) map.set(key, 0n);
      const met: number[] = [];
      let next = n;
      for (const batch of map.drain()) {
        met.push(...batch.map(([key]) => key));
        for (let i = 0; i < 1000 && next < 2 * n; i++) map.set(next++, 1n);
      }
      const left = [...map.keys()];
      expect(new Set([...met, ...left]).size).toBe(next);
      expect(met.length + left.length).toBe(next);
    });

    it("takes more room for a bucket that has more elems than a batch", () => {
      using map = HashMap.create(kernel(), { key: u32, value: bytes(60_000), maxEntries: 256, mapFlags: 1 });
      for (let key = 0; key < 256; key++) map.set(key, new Uint8Array(60_000).fill(key));
      const taken = [...map.drain()].flat();
      expect(new Set(taken.map(([key]) => key)).size).toBe(256);
      expect(taken.every(([key, value]) => value[59_999] === key)).toBe(true);
    });

    it("is refused where the fd may not write, on a frozen map, and when closed", () => {
      using reader = HashMap.create(kernel(), { ...codecs, name: "m", maxEntries: 4, mapFlags: BPF_F_RDONLY });
      expect(thrownBy(() => [...reader.drain()]).message).toBe(
        'Cannot drain hash map "m": BPF_MAP_LOOKUP_AND_DELETE_BATCH failed with EPERM (the fd is read-only (BPF_F_RDONLY), or the map is frozen)',
      );
      using map = HashMap.create(kernel(), { ...codecs, maxEntries: 4 });
      map.set(1, 1n);
      map.freeze();
      expect(thrownBy(() => [...map.drain()])).toMatchObject({ code: "EPERM" });
      expect(map.count()).toBe(1);
      map.close();
      expect(thrownBy(() => [...map.drain()])).toMatchObject({ code: "EBADF", hint: "the map is closed" });
    });
  });
});

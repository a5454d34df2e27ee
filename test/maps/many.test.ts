/**
 * getMany, setMany, deleteMany: what as many single operations would do, and nothing half done.
 */
import fc from "fast-check";
import {
  BpfError,
  type Codec,
  EmbeddedKernel,
  HashMap,
  type PerCpu,
  PerCpuHashMap,
  bytes,
  cstring,
  ipv4,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "tsbpf";
import { BPF_F_RDONLY, BPF_F_WRONLY, BPF_MAP_GET_FD_BY_ID, bpfAttr } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { inUse } from "../leaks.js";
import { type AnyMap, type Kind, forEachWay, kinds, replaced, seed, thrownBy, valueFor } from "./_ways.js";

/** More than a call takes. */
const LIST = 2500;

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

interface WithDelete {
  deleteMany(keys: Iterable<number>): number;
}

forEachWay((kernel) => {
  describe.each(kinds)("of a $name", (kind: Kind) => {
    const of = (n: number): bigint | PerCpu<bigint> => valueFor(kind, kernel(), BigInt(n));
    const pairs = (keys: readonly number[], plus = 0): [number, never][] =>
      keys.map((key) => [key, of(key + plus) as never]);
    const create = (maxEntries: number): AnyMap<bigint> =>
      kind.create(kernel(), { name: "many", value: u64, maxEntries: kind.isLru ? 4 * maxEntries : maxEntries });
    const deleteMany = (map: AnyMap<bigint>, keys: Iterable<number>): number =>
      (map as unknown as WithDelete).deleteMany(keys);

    it("gives values in the order of the keys, duplicates too, undefined for those that are not there", () => {
      using map = create(8);
      expect(map.setMany(pairs([1, 3, 5]))).toBe(3);
      const absent = kind.isHash ? undefined : of(0);
      expect(map.getMany([5, 2, 1, 5, 7, 3])).toEqual([of(5), absent, of(1), of(5), absent, of(3)]);
      expect(map.getMany([])).toEqual([]);
      expect(map.count()).toBe(kind.isHash ? 3 : 8);
      expect(map.get(3)).toEqual(of(3));
    });

    it("takes any iterable", () => {
      using map = create(8);
      expect(map.setMany(new Map(pairs([1, 2, 3])))).toBe(3);
      expect(map.getMany(new Set([3, 1]))).toEqual([of(3), of(1)]);
      expect(map.setMany(map.entries() as Iterable<[number, never]>)).toBe(map.count());
      if (kind.isHash) expect(deleteMany(map, map.keys())).toBe(3);
    });

    it("does more than one call takes", () => {
      using map = create(LIST);
      const keys = range(0, LIST);
      expect(map.setMany(pairs(keys))).toBe(LIST);
      const backwards = keys.toReversed();
      expect(map.getMany(backwards)).toEqual(backwards.map(of));
      expect(map.setMany(pairs(backwards, 7))).toBe(LIST);
      expect(map.getMany(keys)).toEqual(keys.map((key) => of(key + 7)));
      if (!kind.isHash) return;
      expect(deleteMany(map, [...range(0, LIST - 100), ...range(0, 100)])).toBe(LIST - 100);
      expect(map.count()).toBe(100);
      expect(map.getMany(range(LIST - 101, LIST))).toEqual([
        undefined,
        ...range(LIST - 100, LIST).map((key) => of(key + 7)),
      ]);
    });

    it("sets the last of duplicates, and deletes one of them once", () => {
      using map = create(8);
      expect(map.setMany([...pairs([1]), ...pairs([2]), ...pairs([1], 10)])).toBe(3);
      expect(map.getMany([1, 2])).toEqual([of(11), of(2)]);
      if (kind.isHash) expect(deleteMany(map, [1, 1, 3])).toBe(1);
    });

    it("counts what the mode did not refuse", () => {
      using map = create(4);
      if (kind.isHash) {
        map.setMany(pairs([1, 2]));
        expect(map.setMany(pairs([0, 1, 2, 3], 10), { mode: "create" })).toBe(2);
        expect(map.getMany([0, 1, 2, 3])).toEqual([of(10), of(1), of(2), of(13)]);
        deleteMany(map, [0]);
        expect(map.setMany(pairs([0, 1, 2, 3], 20), { mode: "replace" })).toBe(3);
        expect(map.getMany([0, 1, 2, 3])).toEqual([undefined, of(21), of(22), of(23)]);
      } else {
        expect(map.setMany(pairs([0, 1]), { mode: "create" })).toBe(0);
        expect(map.setMany(pairs([0, 1], 5), { mode: "replace" })).toBe(2);
        expect(map.getMany([0, 1])).toEqual([of(5), of(6)]);
      }
      expect(thrownBy(() => map.setMany([], { mode: "update" as "create" })).message).toMatch(
        /^options\.mode is "update"/,
      );
    });

    // An LRU hash is never full.
    if (!kind.isLru) {
      it("says how many were done when one fails", () => {
        using map = create(3);
        map.setMany(pairs([0]));

        const error = thrownBy(() => map.setMany([...pairs([0, 1, 2], 5), ...pairs([3]), ...pairs([0], 9)]));
        expect(error).toBeInstanceOf(BpfError);
        expect(error).toMatchObject({ code: "E2BIG", details: { key: 3, index: 3, done: 3, of: 5 } });
        expect(error.message).toMatch(
          new RegExp(
            `^Cannot insert key 0x00000003 \\(3 of 5 were done before it\\) into ${kind.typeName} map "many": BPF_MAP_UPDATE_ELEM failed with E2BIG \\(`,
          ),
        );
        // Those before are set, those behind are not.
        expect(map.getMany([0, 1, 2])).toEqual([of(5), of(6), of(7)]);
      });

      it("says so behind the first call too", () => {
        using map = create(LIST - 10);
        const error = thrownBy(() => map.setMany(pairs(range(0, LIST))));
        expect(error).toMatchObject({ code: "E2BIG", details: { index: LIST - 10, done: LIST - 10, of: LIST } });
        expect(map.get(LIST - 11)).toEqual(of(LIST - 11));
      });
    }

    it("changes nothing when one of the keys or values is not taken", () => {
      using map = create(LIST);
      map.setMany(pairs([1]));
      const n = map.count();
      const many = pairs(range(1, LIST - 1), 3);
      const at = kind.isPerCpu ? `entries[${many.length}][1][0]` : `entries[${many.length}][1]`;
      const bad = (key: unknown, value: unknown): Error =>
        thrownBy(() => map.setMany([...many, [key, value] as never]));
      expect(bad("1", of(1))).toEqual(
        new TypeError(`entries[${many.length}][0]: wanted a u32 (integer from 0 to 4294967295), found "1"`),
      );
      expect(bad(-1, of(1))).toBeInstanceOf(RangeError);
      const u64s = "wanted a u64 (bigint from 0 to 18446744073709551615, like 7n), found";
      expect(bad(1, valueFor(kind, kernel(), 7))).toEqual(new TypeError(`${at}: ${u64s} 7`));
      expect(bad(1, valueFor(kind, kernel(), -1n))).toEqual(new RangeError(`${at}: ${u64s} -1n`));
      for (const entry of [undefined, null, 7]) {
        expect(thrownBy(() => map.setMany([...many, entry as never]))).toMatchObject({
          name: "TypeError",
          message: `entries[${many.length}]: wanted a key and a value in a list of two, found ${entry}`,
        });
      }
      expect(map.getMany([1])).toEqual([of(1)]);
      expect(map.count()).toBe(n);
      expect(thrownBy(() => map.getMany([1, 2, 1.5])).message).toBe(
        "keys[2]: wanted a u32 (integer from 0 to 4294967295), found 1.5",
      );
      expect(thrownBy(() => map.getMany(7 as never))).toEqual(
        new TypeError("keys: wanted a list or another iterable, found number"),
      );
      expect(thrownBy(() => map.setMany(null as never)).message).toMatch(/^entries: .* found null$/);
      if (!kind.isHash) return;
      expect(thrownBy(() => deleteMany(map, [1, ...range(0, LIST), -1])).message).toBe(
        `keys[${LIST + 1}]: wanted a u32 (integer from 0 to 4294967295), found -1`,
      );
      expect(map.has(1)).toBe(true);
    });

    it("is refused when the map is closed, and gives its memory back with the map", () => {
      const before = inUse(kernel());
      const map = create(8);
      map.setMany(pairs([1, 2]));
      map.getMany([1]);
      map.close();
      expect(inUse(kernel())).toBe(before);
      expect(thrownBy(() => map.getMany([1]))).toMatchObject({ code: "EBADF" });
      expect(thrownBy(() => map.setMany(pairs([1])))).toMatchObject({ code: "EBADF", details: { done: 0 } });
      if (kind.isHash) expect(thrownBy(() => deleteMany(map, [1]))).toMatchObject({ code: "EBADF" });
      expect(thrownBy(() => map.getMany(["1" as never])).message).toMatch(/^keys\[0\]: /);
      expect(inUse(kernel())).toBe(before);
    });
  });

  it.each<[string, Codec<never>, Codec<never>, (n: number) => unknown, (n: number) => unknown]>([
    ["u8 -> bytes(3)", u8, bytes(3), (n) => n & 255, (n) => Uint8Array.of(n, n >> 8, 7)],
    ["u16 -> u16", u16, u16, (n) => n, (n) => n ^ 0xffff],
    ["u64 -> u32", u64, u32, (n) => BigInt(n) << 40n, (n) => n],
    ["ipv4 -> cstring(20)", ipv4, cstring(20), (n) => `10.0.${n >> 8}.${n & 255}`, (n) => `value ${n}`],
    [
      "struct of 5 bytes -> struct of 12",
      struct({ a: u8, b: u32 }, { packed: true }),
      struct({ x: u64, y: u32 }, { packed: true }),
      (n) => ({ a: n & 255, b: n }),
      (n) => ({ x: BigInt(n), y: n }),
    ],
    ["bytes(70000) -> u32", bytes(70_000) as never, u32, (n) => new Uint8Array(70_000).fill(n), (n) => n],
  ] as [string, Codec<never>, Codec<never>, (n: number) => unknown, (n: number) => unknown][])(
    "gives what was set: %s",
    (name, key, value, keyOf, valueOf) => {
      // Linux takes no longer keys.
      if (name.startsWith("bytes(70000)") && kernel().name === "linux") return;
      const n = name.startsWith("bytes(70000)") ? 3 : name.startsWith("u8") ? 200 : 1500;
      using map = HashMap.create(kernel(), { key, value, maxEntries: n });
      const keys = range(0, n).map(keyOf) as never[];
      expect(map.setMany(keys.map((key, i) => [key, valueOf(i) as never]))).toBe(n);
      expect(map.getMany(keys)).toEqual(range(0, n).map(valueOf));
      expect(map.get(keys[n - 1]!)).toEqual(valueOf(n - 1));
      expect(map.deleteMany(keys.slice(1))).toBe(n - 1);
      expect(map.getMany(keys.slice(0, 2))).toEqual([valueOf(0), undefined]);
    },
  );

  it("leaves single operations as they were", () => {
    using map = HashMap.create(kernel(), { key: u64, value: u32, maxEntries: 8 });
    map.set(1n, 1);
    map.setMany([[2n, 2]]);
    expect(map.getMany([1n, 3n])).toEqual([1, undefined]);
    map.set(3n, 3);
    expect([map.get(1n), map.get(2n), map.get(3n), map.get(4n)]).toEqual([1, 2, 3, undefined]);
    expect(map.deleteMany([1n])).toBe(1);
    expect(map.delete(2n)).toBe(true);
    expect([...map]).toEqual([[3n, 3]]);
  });

  it("may be asked for by the getters of what it is given", () => {
    using map = HashMap.create(kernel(), { key: struct({ a: u32 }), value: u32, maxEntries: 8 });
    let asked = 0;
    const key = {
      get a(): number {
        if (asked++ === 0)
          map.setMany([
            [{ a: 5 }, 50],
            [{ a: 6 }, 60],
          ]);
        return 7;
      },
    };
    expect(
      map.setMany([
        [{ a: 1 }, 10],
        [key, 70],
      ]),
    ).toBe(2);
    expect(map.getMany([{ a: 1 }, { a: 5 }, { a: 6 }, { a: 7 }])).toEqual([10, 50, 60, 70]);
  });

  it("ends with EBADF when what it is given closes the map", () => {
    const before = inUse(kernel());
    const map = HashMap.create(kernel(), { key: struct({ a: u32 }), value: u32, maxEntries: 8 });
    map.set({ a: 1 }, 1);
    const key = {
      get a(): number {
        map.close();
        return 1;
      },
    };
    expect(
      thrownBy(() =>
        map.setMany([
          [{ a: 2 }, 2],
          [key, 3],
        ]),
      ),
    ).toMatchObject({ code: "EBADF" });
    expect(inUse(kernel())).toBe(before);
  });

  it("is refused what the fd may not do", () => {
    using map = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 8 });
    map.set(1, 1);
    const opened = (open_flags: number): HashMap<number, number> => {
      const other = replaced(kernel(), {
        bpf(cmd, attr, size) {
          if (cmd === BPF_MAP_GET_FD_BY_ID)
            new DataView(attr.bytes.buffer, attr.bytes.byteOffset).setUint32(
              bpfAttr.getId.open_flags.off,
              open_flags,
              true,
            );
          return kernel().bpf(cmd, attr, size);
        },
      });
      return HashMap.fromId(other, map.id, { key: u32, value: u32 });
    };
    using reader = opened(BPF_F_RDONLY);
    using writer = opened(BPF_F_WRONLY);
    expect(reader.getMany([1, 2])).toEqual([1, undefined]);
    expect(writer.setMany([[2, 2]])).toBe(1);
    expect(thrownBy(() => reader.setMany([[3, 3]]))).toMatchObject({ code: "EPERM", details: { done: 0, index: 0 } });
    expect(thrownBy(() => reader.deleteMany([1]))).toMatchObject({ code: "EPERM" });
    expect(thrownBy(() => writer.getMany([1]))).toMatchObject({ code: "EPERM" });
    expect(map.count()).toBe(2);
  });

  it(`does what as many single operations do (seed ${seed})`, () => {
    const key = fc.integer({ min: 0, max: 12 });
    const entry = fc.tuple(key, fc.integer({ min: 0, max: 1000 }));
    const mode = fc.constantFrom(undefined, "create" as const, "replace" as const);
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 30 }),
        fc.array(entry, { maxLength: 30 }),
        mode,
        fc.array(key),
        (first, then, mode, gone) => {
          const options = mode === undefined ? {} : { mode };
          using one = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 8 });
          using many = HashMap.create(kernel(), { key: u32, value: u32, maxEntries: 8 });
          for (const [list, how] of [
            [first, {}],
            [then, options],
          ] as const) {
            let set = 0;
            let failed: number | undefined;
            for (const [index, [k, v]] of list.entries()) {
              try {
                if (one.set(k, v, how)) set++;
              } catch {
                failed = index;
                break;
              }
            }
            if (failed === undefined) expect(many.setMany(list, how)).toBe(set);
            else
              expect(thrownBy(() => many.setMany(list, how))).toMatchObject({ details: { index: failed, done: set } });
          }
          expect(new Map(many)).toEqual(new Map(one));
          expect(many.getMany(range(0, 13))).toEqual(range(0, 13).map((k) => one.get(k)));
          expect(many.deleteMany(gone)).toBe(gone.filter((k) => one.delete(k)).length);
          expect(new Map(many)).toEqual(new Map(one));
        },
      ),
      { seed, numRuns: 50 },
    );
  });
});

describe("on a kernel that is full", () => {
  it("is refused with ENOMEM when there is no room for the list, and works again later", async () => {
    using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 21 });
    using map = PerCpuHashMap.create(kernel, { key: u32, value: u64, maxEntries: 4 });
    const rest = [];
    for (let size = 2 ** 20; size >= 1; size >>= 1) {
      try {
        while (true) rest.push(kernel.alloc(size));
      } catch {
        // Then half of it.
      }
    }
    expect(thrownBy(() => map.getMany([1]))).toMatchObject({ code: "ENOMEM" });
    for (const buffer of rest) buffer[Symbol.dispose]();
    expect(map.getMany([1])).toEqual([undefined]);
  });
});

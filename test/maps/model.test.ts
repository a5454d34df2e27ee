/**
 * Typed maps against JavaScript's Map: the same random operations on both, the same results.
 */
import { ArrayMap, type Codec, HashMap, PerCpu, PerCpuArray, PerCpuHashMap, bytes, u32, u64 } from "tsbpf";
import { BPF_F_NO_PREALLOC } from "tsbpf/uapi";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forEachWay, seed } from "./_ways.js";

const keySizes = [1, 3, 4, 5, 8, 12, 16, 20, 300];
const valueSizes = [1, 2, 3, 4, 5, 7, 8, 9, 16, 100, 5000];

/** Keys are by their number here; `value` is what a value is made from. */
interface Op {
  readonly name: "set" | "create" | "replace" | "get" | "has" | "delete" | "walk" | "count" | "clear";
  readonly key: number;
  readonly value: number;
}

const op: fc.Arbitrary<Op> = fc.record({
  name: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom("set" as const, "create" as const, "replace" as const) },
    { weight: 6, arbitrary: fc.constantFrom("get" as const, "has" as const, "delete" as const) },
    { weight: 2, arbitrary: fc.constantFrom("walk" as const, "count" as const) },
    { weight: 1, arbitrary: fc.constant("clear" as const) },
  ),
  key: fc.nat(11),
  value: fc.nat(255),
});

/** What hashes are to a JS Map with room for so many. */
class Model<V> {
  readonly elems = new Map<number, V>();
  readonly maxEntries: number;

  constructor(maxEntries: number) {
    this.maxEntries = maxEntries;
  }

  set(key: number, value: V, mode: string): boolean | "E2BIG" {
    if (mode === "create" && this.elems.has(key)) return false;
    if (mode === "replace" && !this.elems.has(key)) return false;
    if (!this.elems.has(key) && this.elems.size === this.maxEntries) return "E2BIG";
    this.elems.set(key, value);
    return true;
  }
}

/** What both hashes have; V is a list of values in a per-CPU one. */
type AnyHash<K, V> = Pick<
  HashMap<K, V>,
  "maxEntries" | "set" | "get" | "has" | "delete" | "count" | "clear" | "entries" | typeof Symbol.iterator
>;

/** Does the same with both, and compares all that either says. */
function run<K, V>(
  map: AnyHash<K, V>,
  ops: readonly Op[],
  keyOf: (n: number) => K,
  numberOf: (key: K) => number,
  valueOf: (n: number) => V,
): void {
  const model = new Model<V>(map.maxEntries);
  const { elems } = model;
  for (const { name, key, value } of ops) {
    switch (name) {
      case "set":
      case "create":
      case "replace": {
        const wanted = model.set(key, valueOf(value), name);
        const set = (): boolean => map.set(keyOf(key), valueOf(value), name === "set" ? {} : { mode: name });
        if (wanted === "E2BIG") expect(set).toThrow("E2BIG");
        else expect(set()).toBe(wanted);
        break;
      }
      case "get":
        expect(shown(map.get(keyOf(key)))).toBe(shown(elems.get(key)));
        break;
      case "has":
        expect(map.has(keyOf(key))).toBe(elems.has(key));
        break;
      case "delete":
        expect(map.delete(keyOf(key))).toBe(elems.delete(key));
        break;
      case "count":
        expect(map.count()).toBe(elems.size);
        break;
      case "clear":
        map.clear();
        elems.clear();
        break;
      case "walk":
    }
    if (name === "walk" || name === "clear") {
      const walked = [...map];
      expect(walked).toHaveLength(elems.size);
      const text = (pairs: Iterable<[number, V]>): string[] =>
        [...pairs].map(([k, v]) => `${k}: ${shown(v)}`).toSorted();
      expect(text(walked.map(([k, v]) => [numberOf(k), v]))).toEqual(text(elems));
    }
  }
}

/** Bytes, or a list of them, as text: compared in less time than arrays are. */
function shown(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return Array.isArray(value) ? value.map(shown).join(" ") : String(value);
}

/** Keys that differ in few bits, at either end. */
function keyBytes(size: number, n: number): Uint8Array {
  const key = new Uint8Array(size).fill(0xa5);
  key[n % 2 === 0 ? 0 : size - 1] = n;
  return key;
}

/** Undoes keyBytes. */
function numberOfBytes(size: number, key: Uint8Array): number {
  return key[0] !== 0xa5 && (size === 1 || key[0]! % 2 === 0) ? key[0]! : key[size - 1]!;
}

const valueBytes = (size: number, n: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => n + i * 3);

const shape = fc.record({
  valueSize: fc.constantFrom(...valueSizes),
  mapFlags: fc.constantFrom(0, BPF_F_NO_PREALLOC),
  ops: fc.array(op, { minLength: 20, maxLength: 60 }),
});

forEachWay((kernel) => {
  describe(`TEST_SEED=${seed}`, () => {
    const cases: [string, Codec<unknown>, (n: number) => unknown, (key: unknown) => number][] = [
      ["u32", u32, (n) => n * 0x1111_1111, (key) => Math.round((key as number) / 0x1111_1111)],
      ["u64", u64, (n) => BigInt(n) << 58n, (key) => Number((key as bigint) >> 58n)],
      ...keySizes.map((size): (typeof cases)[number] => [
        `${size} bytes`,
        bytes(size) as Codec<unknown>,
        (n) => keyBytes(size, n),
        (key) => numberOfBytes(size, key as Uint8Array),
      ]),
    ];

    it.each(cases)("HashMap, keys of %s", (_, key, keyOf, numberOf) => {
      const property = fc.property(shape, ({ valueSize, mapFlags, ops }) => {
        using map = HashMap.create(kernel(), { key, value: bytes(valueSize), maxEntries: 8, mapFlags });
        run(map, ops, keyOf, numberOf, (n) => valueBytes(valueSize, n));
      });
      fc.assert(property, { seed, numRuns: 30 });
    });

    it.each(cases)("PerCpuHashMap, keys of %s", (_, key, keyOf, numberOf) => {
      const property = fc.property(shape, ({ valueSize, mapFlags, ops }) => {
        using map = PerCpuHashMap.create(kernel(), { key, value: bytes(valueSize), maxEntries: 8, mapFlags });
        const lists = (n: number): PerCpu<Uint8Array> =>
          PerCpu.from(Array.from({ length: kernel().possibleCpus }, (_, cpu) => valueBytes(valueSize, n + cpu)));
        run(map, ops, keyOf, numberOf, lists);
      });
      fc.assert(property, { seed, numRuns: 15 });
    });

    it("ArrayMap and PerCpuArray", () => {
      const sets = fc.array(fc.tuple(fc.nat(9), fc.nat(255)), { minLength: 5, maxLength: 40 });
      const property = fc.property(fc.constantFrom(...valueSizes), sets, (valueSize, pairs) => {
        using map = ArrayMap.create(kernel(), { value: bytes(valueSize), maxEntries: 8 });
        using perCpu = PerCpuArray.create(kernel(), { value: bytes(valueSize), maxEntries: 8 });
        const model = Array.from({ length: 8 }, (): Uint8Array => new Uint8Array(valueSize));
        const lists = (value: Uint8Array): PerCpu<Uint8Array> =>
          PerCpu.from(Array.from({ length: kernel().possibleCpus }, (_, cpu) => value.map((byte) => byte + cpu)));
        const zeros: Uint8Array = new Uint8Array(valueSize);
        const modelPerCpu = model.map(() => PerCpu.from(Array.from({ length: kernel().possibleCpus }, () => zeros)));
        for (const [index, n] of pairs) {
          const value = valueBytes(valueSize, n);
          if (index >= 8) {
            expect(() => map.set(index, value)).toThrow("E2BIG");
            expect(() => perCpu.set(index, lists(value))).toThrow("E2BIG");
            expect(map.get(index) ?? perCpu.get(index)).toBeUndefined();
          } else {
            map.set(index, value);
            perCpu.set(index, lists(value));
            model[index] = value;
            modelPerCpu[index] = lists(value);
            expect(shown(map.get(index))).toBe(shown(value));
            expect(shown(perCpu.get(index))).toBe(shown(lists(value)));
          }
        }
        expect([...map.values()].map(shown)).toEqual(model.map(shown));
        expect([...perCpu.values()].map(shown)).toEqual(modelPerCpu.map(shown));
      });
      fc.assert(property, { seed, numRuns: 30 });
    });
  });
});

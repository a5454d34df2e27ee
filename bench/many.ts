/**
 * Keys one by one against a thousand in a call: `getMany` and `setMany`, in a map that fits into a cache and in one that does not. A
 * nanosecond here is a key's.
 *
 * The lists of keys and entries are made beforehand; what getMany returns is read, value by value, as the other's is.
 */
import { EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { KEYS, intKeys, kept, roomFor } from "./keys.js";
import type { Ops, Suite } from "./measure.js";

/** How many keys a call has. */
export const MANY = 1000;

/** How many different keys are looked up at most, a power of two: of so many there are lists. */
const MOST_LISTED = 2 ** 21;

/** What a map offers for many keys at once. */
export interface ManyMap<K, V> {
  getMany(keys: readonly K[]): readonly (V | undefined)[];
  setMany(entries: readonly (readonly [K, V])[]): number;
}

/**
 * A map as one that takes many keys at once.
 *
 * @throws {Error} when this version of it does not, for the column that stays empty
 */
export function manyOf<K, V>(map: object): ManyMap<K, V> {
  const { getMany, setMany } = map as Partial<ManyMap<K, V>>;
  if (typeof getMany === "function" && typeof setMany === "function") return map as ManyMap<K, V>;
  throw new Error("HashMap has no getMany and setMany");
}

/** Lists of MANY each; what is left over at the end is left out. */
export function chunksOf<T>(list: readonly T[]): T[][] {
  return Array.from({ length: Math.floor(list.length / MANY) }, (_, i) => list.slice(i * MANY, (i + 1) * MANY));
}

async function open(contender: string, size: number): Promise<Ops> {
  const kernel = await EmbeddedKernel.create();
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u32, maxEntries: roomFor(size) });
  const { present, hits: all } = intKeys(size);
  for (let i = 0; i < size; i++) map.set(present[i]!, i);
  const hits = Array.from(all.subarray(0, MOST_LISTED));
  const mask = hits.length - 1;
  if (contender === "single") {
    return {
      get: (from, n) => {
        for (let i = from; i < from + n; i++) {
          const value = map.get(hits[i & mask]!);
          if (value === undefined) throw new Error("A key that was set is not there");
          kept.value = value;
        }
        return n;
      },
      set: (from, n) => {
        for (let i = from; i < from + n; i++) map.set(hits[i & mask]!, i & mask);
        return n;
      },
    };
  }
  const many = manyOf<number, number>(map);
  const keys = chunksOf(hits);
  const entries = chunksOf(hits.map((key, i): [number, number] => [key, i]));
  return {
    get: (from, n) => {
      let done = 0;
      for (let chunk = Math.floor(from / MANY); done < n; chunk++, done += MANY) {
        for (const value of many.getMany(keys[chunk % keys.length]!)) {
          if (value === undefined) throw new Error("A key that was set is not there");
          kept.value = value;
        }
      }
      return done;
    },
    set: (from, n) => {
      let done = 0;
      for (let chunk = Math.floor(from / MANY); done < n; chunk++, done += MANY) {
        kept.value = many.setMany(entries[chunk % entries.length]!);
      }
      return done;
    },
  };
}

/** By the size of the map. */
export const MANY_SUITES: readonly { readonly suite: Suite; readonly keys: string }[] = [
  { size: KEYS, keys: "64 Ki keys" },
  { size: 10 * 2 ** 20, keys: "10 Mi keys" },
].map(({ size, keys }) => ({
  keys,
  suite: {
    name: `many keys in a call, hash u32 -> u32, ${keys}`,
    titles: { many: `getMany, setMany of ${MANY.toLocaleString("en")}` },
    rows: ["get", "set"],
    contenders: ["single", "many"],
    open: (contender) => open(contender, size),
  },
}));

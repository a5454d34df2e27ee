/**
 * The npm package `bpf`: libbpf's calls through Node-API, on the Linux kernel.
 */
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH } from "tsbpf/uapi";
import { KEYS, type Load, kept, roomFor } from "./keys.js";
import type { Kind } from "./kinds.js";
import { u64Conversion } from "./kinds.js";
import type { Op, Ops } from "./measure.js";
import { load } from "./npm_package.js";
import { pairs } from "./typed.js";

/** How the package's maps turn bytes into values and back. */
export interface TypeConversion<T> {
  parse(bytes: Buffer): T;
  format(bytes: Buffer, value: T): void;
}

interface MapRef {
  close(): void;
}

interface ConvMap<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): boolean;
  entries(): Iterable<[K, V]>;
  getBatch(size: number): Iterable<[K, V][]>;
}

interface ConvArrayMap<V> {
  get(index: number): V;
  set(index: number, value: V): void;
  values(): Iterable<V>;
  getAll(): V[];
}

interface Bpf {
  createMap(options: { type: number; keySize: number; valueSize: number; maxEntries: number }): MapRef;
  ConvMap: new <K, V>(ref: MapRef, key: TypeConversion<K>, value: TypeConversion<V>) => ConvMap<K, V>;
  ConvArrayMap: new <V>(ref: MapRef, value: TypeConversion<V>) => ConvArrayMap<V>;
}

const open = (): Bpf => load("bpf") as Bpf;

/** Rows of a hash map. */
export function npmHashOps<K, V>(kind: Kind<K, V>, { mask, present, hits, absent, values }: Load<K, V>): Ops {
  const { ConvMap, createMap } = open();
  const { key, value, npm, delta } = kind;
  if (npm === undefined) throw new Error("it has no codecs of this kind");
  const options = { type: BPF_MAP_TYPE_HASH, keySize: key.size, valueSize: value.size, maxEntries: roomFor(KEYS) };
  const map = new ConvMap(createMap(options), npm.key, npm.value);
  for (let i = 0; i < present.length; i++) map.set(present[i]!, values[i]!);
  return {
    lookup: (from, n) => {
      for (let i = from; i < from + n; i++) {
        const value = map.get(hits[i & mask]!);
        if (value === undefined) throw new Error("A key that was set is not there");
        kept.value = value;
      }
      return n;
    },
    "lookup miss": (from, n) => {
      let found = 0;
      for (let i = from; i < from + n; i++) if (map.get(absent[i & mask]!) !== undefined) found++;
      if (found !== 0) throw new Error("A key is there that was never set");
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) map.set(hits[i & mask]!, values[i & mask]!);
      return n;
    },
    "insert + delete": pairs((from, n) => {
      for (let i = from; i < from + n; i++) map.set(absent[i & mask]!, values[i & mask]!);
      for (let i = from; i < from + n; i++) map.delete(absent[i & mask]!);
      return n;
    }),
    add: (from, n) => {
      for (let i = from; i < from + n; i++) {
        const key = hits[i & mask]!;
        map.set(key, npm.add(map.get(key)!, delta));
      }
      return n;
    },
    iterate: (_, n) => some(map.entries(), n),
    "iterate in batches": () => {
      let count = 0;
      for (const batch of map.getBatch(16_384)) {
        for (const entry of batch) kept.value = entry;
        count += batch.length;
      }
      return count;
    },
  };
}

/** Rows of an array. */
export function npmArrayOps({ mask, hits, values }: Load<number, bigint>): Ops {
  const { ConvArrayMap, createMap } = open();
  const ref = createMap({ type: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, maxEntries: KEYS });
  const map = new ConvArrayMap(ref, u64Conversion);
  for (let i = 0; i < KEYS; i++) map.set(i, values[i]!);
  const rows: Record<string, Op> = {
    lookup: (from, n) => {
      for (let i = from; i < from + n; i++) kept.value = map.get(hits[i & mask]!);
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) map.set(hits[i & mask]!, values[i & mask]!);
      return n;
    },
    add: (from, n) => {
      for (let i = from; i < from + n; i++) {
        const index = hits[i & mask]!;
        map.set(index, map.get(index) + 1n);
      }
      return n;
    },
    iterate: (_, n) => some(map.values(), n),
    "iterate in batches": () => {
      for (const value of map.getAll()) kept.value = value;
      return KEYS;
    },
  };
  return rows;
}

/** Its iterators make two system calls an elem: a round is over before they end. */
function some(entries: Iterable<unknown>, n: number): number {
  let count = 0;
  for (const entry of entries) {
    kept.value = entry;
    if (++count === n) break;
  }
  return count;
}

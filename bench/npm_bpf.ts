/**
 * The npm package `bpf`: libbpf's calls through Node-API, on the Linux kernel.
 *
 * It is installed into bench/npm, apart from tsbpf's own dependencies: by `npm run bench -- --setup`, or by the first run
 * that finds it missing. It brings a binary for Linux; where that does not fit, node-gyp compiles it.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH } from "tsbpf/uapi";
import { KEYS, type Load, kept } from "./keys.js";
import type { Kind } from "./kinds.js";
import { u64Conversion } from "./kinds.js";
import type { Op, Ops } from "./measure.js";
import { pairs } from "./typed.js";

const FOLDER = fileURLToPath(new URL("../../bench/npm", import.meta.url));
const INSTALL_MS = 90_000;
const INSTALL = [
  "install",
  "--no-audit",
  "--no-fund",
  "--no-package-lock",
  "--loglevel=error",
  "--fetch-retries=1",
  "--fetch-timeout=20000",
];

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

interface Package {
  createMap(options: { type: number; keySize: number; valueSize: number; maxEntries: number }): MapRef;
  ConvMap: new <K, V>(ref: MapRef, key: TypeConversion<K>, value: TypeConversion<V>) => ConvMap<K, V>;
  ConvArrayMap: new <V>(ref: MapRef, value: TypeConversion<V>) => ConvArrayMap<V>;
}

/** Installs the package if it is missing. Returns why it cannot be had, or undefined. */
export function setUpNpm(): string | undefined {
  if (existsSync(`${FOLDER}/node_modules/bpf/package.json`)) return undefined;
  const { status, stderr, error } = spawnSync("npm", INSTALL, { cwd: FOLDER, encoding: "utf8", timeout: INSTALL_MS });
  if (error !== undefined) return error.message;
  return status === 0 ? undefined : (stderr.trim().split("\n")[0] ?? `npm ended with ${status}`);
}

function load(): Package {
  try {
    return createRequire(`${FOLDER}/package.json`)("bpf") as Package;
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split("\n");
    throw new Error(`not installed ("npm run bench -- --setup" does it): ${reason}`, { cause: error });
  }
}

/** Rows of a hash map. */
export function npmHashOps<K, V>(kind: Kind<K, V>, { mask, present, hits, absent, values }: Load<K, V>): Ops {
  const { ConvMap, createMap } = load();
  const { key, value, npmKey, npmValue, npmAdd, delta } = kind;
  const options = { type: BPF_MAP_TYPE_HASH, keySize: key.size, valueSize: value.size, maxEntries: 2 * KEYS };
  const map = new ConvMap(createMap(options), npmKey, npmValue);
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
        map.set(key, npmAdd(map.get(key)!, delta));
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
  const { ConvArrayMap, createMap } = load();
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

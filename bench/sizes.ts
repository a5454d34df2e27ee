/**
 * What `get` and `set` cost as maps, keys and values grow.
 */
import { EmbeddedKernel, HashMap, bytes, u32 } from "tsbpf";
import { adviseHugePages } from "tsbpf/linux";
import { type IntKeys, intKeys, kept } from "./keys.js";
import type { Op, Ops, Suite } from "./measure.js";
import type { Sweep } from "./sweep.js";

/** From 1 Ki to 10 Mi keys. */
const MAP_SIZES = [...Array.from({ length: 7 }, (_, i) => 2 ** (10 + 2 * i)), 10 * 2 ** 20];
const KEY_SIZES = [4, 8, 16, 32, 64, 256];
const VALUE_SIZES = [4, 16, 64, 256, 1024, 4096];
/** Of the maps whose keys or values grow. */
const KEYS = 16_384;
/** So few different values that reading them costs what it costs in a program that has just made them. */
const VALUES = 256;

const ROWS = ["get", "set"];

/** Rows of anything that gets and sets. */
function opsOf<K, V>(
  keyAt: ArrayLike<K>,
  valueAt: ArrayLike<V>,
  get: (key: K) => V | undefined,
  set: (key: K, value: V) => void,
): { get: Op; set: Op } {
  const mask = keyAt.length - 1;
  const valueMask = valueAt.length - 1;
  return {
    get: (from, n) => {
      for (let i = from; i < from + n; i++) {
        const value = get(keyAt[i & mask]!);
        if (value === undefined) throw new Error("A key that was set is not there");
        kept.value = value;
      }
      return n;
    },
    set: (from, n) => {
      for (let i = from; i < from + n; i++) set(keyAt[i & mask]!, valueAt[i & valueMask]!);
      return n;
    },
  };
}

/** A map of the embedded kernel that is as large as its keys are many: full, as JavaScript's Map is of a power of two. */
async function openMapOfSize(contender: string, keys: number): Promise<Ops> {
  const { present, hits } = intKeys(keys);
  if (contender === "js") {
    const map = new Map<number, number>();
    for (let i = 0; i < keys; i++) map.set(present[i]!, i);
    return opsOf(
      hits,
      hits,
      (key) => map.get(key),
      (key, value) => void map.set(key, value),
    );
  }
  const kernel = await EmbeddedKernel.create();
  if (contender === "huge") adviseHugePages(kernel);
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u32, maxEntries: keys });
  for (let i = 0; i < keys; i++) map.set(present[i]!, i);
  return opsOf(
    hits,
    hits,
    (key) => map.get(key),
    (key, value) => void map.set(key, value),
  );
}

/** Bytes that begin with a key's, and go on with others. */
function bytesOf(key: number, size: number): Buffer {
  const result = Buffer.alloc(size, key & 0xff);
  result.writeInt32LE(key, 0);
  return result;
}

const bytesOfAll = (keys: Int32Array, size: number): Buffer[] => Array.from(keys, (key) => bytesOf(key, size));

async function openKeyOfSize(contender: string, size: number): Promise<Ops> {
  const { present, hits } = intKeys(KEYS);
  const keys = bytesOfAll(hits, size);
  const inserted = bytesOfAll(present, size);
  if (contender === "js") {
    const textOf = (key: Buffer): string => key.toString("latin1");
    const map = new Map(inserted.map((key, i) => [textOf(key), i]));
    return opsOf(
      keys,
      hits,
      (key) => map.get(textOf(key)),
      (key, value) => void map.set(textOf(key), value),
    );
  }
  const kernel = await EmbeddedKernel.create();
  const map = HashMap.create(kernel, { name: "bench", key: bytes(size), value: u32, maxEntries: KEYS });
  for (const [i, key] of inserted.entries()) map.set(key, i);
  return opsOf<Buffer, number>(
    keys,
    hits,
    (key) => map.get(key),
    (key, value) => void map.set(key, value),
  );
}

async function openValueOfSize(contender: string, size: number): Promise<Ops> {
  const { present, hits }: IntKeys = intKeys(KEYS);
  const values = bytesOfAll(present.subarray(0, VALUES), size).map((value) => new Uint8Array(value));
  const valueOf = (i: number): Uint8Array => values[i & (VALUES - 1)]!;
  if (contender === "js") {
    const map = new Map(Array.from(present, (key, i) => [key, valueOf(i)]));
    return opsOf(
      hits,
      values,
      (key) => map.get(key),
      (key, value) => void map.set(key, value),
    );
  }
  if (contender === "copy") {
    const map = new Map(Array.from(present, (key, i) => [key, valueOf(i).slice()]));
    return opsOf(
      hits,
      values,
      (key) => map.get(key)?.slice(),
      (key, value) => map.get(key)!.set(value),
    );
  }
  const kernel = await EmbeddedKernel.create();
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: bytes(size), maxEntries: KEYS });
  for (let i = 0; i < KEYS; i++) map.set(present[i]!, valueOf(i));
  return opsOf(
    hits,
    values,
    (key) => map.get(key),
    (key, value) => void map.set(key, value),
  );
}

const count = (n: number): string => n.toLocaleString("en");

const suiteOf = (name: string, contenders: readonly string[], open: Suite["open"]): Suite => ({
  name,
  rows: ROWS,
  contenders,
  open,
});

/** The largest map. */
export const MOST_KEYS: number = MAP_SIZES.at(-1)!;

const MAP_SIZE: Sweep = {
  name: "map size",
  unit: "keys in the map",
  subtitle: "Hash maps u32 -> u32, full, keys in random order",
  note: `Looked up in random order. maxEntries is the number of keys, so that all maps are full; so is JavaScript's Map when it
holds a power of two. In huge pages: with the embedded kernel's memory given to adviseHugePages`,
  titles: { embedded: "embedded", js: "JS Map", huge: "embedded in huge pages" },
  points: MAP_SIZES.map((keys) => ({
    x: keys,
    isQuick: keys === 2 ** 12 || keys === 2 ** 16 || keys === 2 ** 20,
    suite: suiteOf(`map size: ${count(keys)} keys`, ["embedded", "js", "huge"], (contender) =>
      openMapOfSize(contender, keys),
    ),
  })),
};

const KEY_SIZE: Sweep = {
  name: "key size",
  unit: "bytes of a key",
  subtitle: `Hash maps bytes(n) -> u32 of ${count(KEYS)} keys`,
  note: "JavaScript's Map is keyed by strings of the same bytes, a byte a character, made by Buffer's toString",
  titles: { embedded: "embedded", js: "JS Map of strings" },
  points: KEY_SIZES.map((size) => ({
    x: size,
    isQuick: size === 4 || size === 32 || size === 256,
    suite: suiteOf(`key size: ${size} bytes`, ["embedded", "js"], (contender) => openKeyOfSize(contender, size)),
  })),
};

const VALUE_SIZE: Sweep = {
  name: "value size",
  unit: "bytes of a value",
  subtitle: `Hash maps u32 -> bytes(n) of ${count(KEYS)} keys`,
  note: `JavaScript's Map hands out and takes references, which costs the same at any
size; to compare, one that copies as a shared map must: into the array that is there, out of it by slice`,
  titles: { embedded: "embedded", copy: "JS Map, copying", js: "JS Map of references" },
  points: VALUE_SIZES.map((size) => ({
    x: size,
    isQuick: size === 4 || size === 256 || size === 4096,
    suite: suiteOf(`value size: ${size} bytes`, ["embedded", "copy", "js"], (contender) =>
      openValueOfSize(contender, size),
    ),
  })),
};

export const sweeps: readonly Sweep[] = [MAP_SIZE, KEY_SIZE, VALUE_SIZE];

/** The name of the largest map's suite. */
export const LARGEST: string = MAP_SIZE.points.at(-1)!.suite.name;

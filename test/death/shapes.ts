/**
 * The maps that threads die in: all types, and sizes of keys and values that take each of the engine's ways.
 */
import {
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_ZERO_SEED,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from "../../src/uapi/index.js";
import { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { Hands, type Shape } from "./hands.js";

/** Integers that lie in a value: at its start, and at its end where there is room. */
function lanesOf(valueSize: number): Shape["lanes"] {
  if (valueSize === 7)
    return [
      [0, 4],
      [4, 2],
      [6, 1],
    ].map(([offset, width]) => ({ offset: offset!, width: width! }));
  if (valueSize < 8) return [{ offset: 0, width: valueSize }];
  if (valueSize === 12) return [0, 4, 8].map((offset) => ({ offset, width: 4 }));
  const last = valueSize - 8;
  return (last === 0 ? [0] : [0, last]).map((offset) => ({ offset, width: 8 }));
}

/** More than a line has room for, so that some lines overflow. The same seed each time: so each try has the same lines. */
const ENTRIES = 21;

const kinds = new Map<number, string>([
  [BPF_MAP_TYPE_HASH, "hash"],
  [BPF_MAP_TYPE_PERCPU_HASH, "per-CPU hash"],
  [BPF_MAP_TYPE_LRU_HASH, "LRU hash"],
  [BPF_MAP_TYPE_LRU_PERCPU_HASH, "LRU per-CPU hash"],
]);

function hash(mapType: number, keySize: number, valueSize: number, maxEntries = ENTRIES, flags = 0): Shape {
  const kind = kinds.get(mapType)!;
  const how = flags === 0 ? "" : ", not preallocated";
  return {
    name: `${kind} of ${maxEntries}, keys of ${keySize}, values of ${valueSize}${how}`,
    mapType,
    keySize,
    valueSize,
    maxEntries,
    mapFlags: BPF_F_ZERO_SEED | flags,
    lanes: lanesOf(valueSize),
  };
}

export const hashes: readonly Shape[] = [
  hash(BPF_MAP_TYPE_HASH, 4, 4),
  hash(BPF_MAP_TYPE_HASH, 4, 8, ENTRIES, BPF_F_NO_PREALLOC),
  hash(BPF_MAP_TYPE_HASH, 4, 48),
  hash(BPF_MAP_TYPE_HASH, 4, 1),
  hash(BPF_MAP_TYPE_HASH, 4, 7),
  hash(BPF_MAP_TYPE_HASH, 8, 12),
  hash(BPF_MAP_TYPE_HASH, 8, 8),
  hash(BPF_MAP_TYPE_HASH, 8, 2),
  hash(BPF_MAP_TYPE_HASH, 16, 8),
  hash(BPF_MAP_TYPE_HASH, 16, 2),
  hash(BPF_MAP_TYPE_HASH, 16, 48, ENTRIES, BPF_F_NO_PREALLOC),
  hash(BPF_MAP_TYPE_HASH, 300, 4),
  hash(BPF_MAP_TYPE_HASH, 300, 5000, 5, BPF_F_NO_PREALLOC),
  hash(BPF_MAP_TYPE_HASH, 4, 5000, 10),
];

export const perCpuHashes: readonly Shape[] = [
  hash(BPF_MAP_TYPE_PERCPU_HASH, 4, 4),
  hash(BPF_MAP_TYPE_PERCPU_HASH, 4, 12, ENTRIES, BPF_F_NO_PREALLOC),
  hash(BPF_MAP_TYPE_PERCPU_HASH, 8, 8),
  hash(BPF_MAP_TYPE_PERCPU_HASH, 16, 48),
  hash(BPF_MAP_TYPE_PERCPU_HASH, 300, 5000, 4),
];

const exact = (shape: Shape): Shape => ({ ...shape, name: `exact ${shape.name}`, exact: true });

export const lruHashes: readonly Shape[] = [
  hash(BPF_MAP_TYPE_LRU_HASH, 4, 4),
  hash(BPF_MAP_TYPE_LRU_HASH, 8, 12),
  hash(BPF_MAP_TYPE_LRU_HASH, 16, 48),
  hash(BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8),
  exact(hash(BPF_MAP_TYPE_LRU_HASH, 4, 8)),
  exact(hash(BPF_MAP_TYPE_LRU_PERCPU_HASH, 20, 12)),
];

function array(mapType: number, valueSize: number, flags = 0): Shape {
  const kind = mapType === BPF_MAP_TYPE_ARRAY ? "array" : "per-CPU array";
  return {
    name: `${kind}, values of ${valueSize}${flags === 0 ? "" : ", mappable"}`,
    mapType,
    keySize: 4,
    valueSize,
    maxEntries: 5,
    mapFlags: flags,
    lanes: lanesOf(valueSize),
  };
}

export const arrays: readonly Shape[] = [
  ...[1, 2, 4, 7, 8, 12, 64, 5000].map((size) => array(BPF_MAP_TYPE_ARRAY, size)),
  array(BPF_MAP_TYPE_ARRAY, 8, BPF_F_MMAPABLE),
  array(BPF_MAP_TYPE_ARRAY, 12, BPF_F_MMAPABLE),
  ...[1, 2, 4, 7, 8, 12, 64, 5000].map((size) => array(BPF_MAP_TYPE_PERCPU_ARRAY, size)),
];

/**
 * The same hash with keys that all belong into one bucket: so that it overflows, and what it overflows into.
 *
 * Which bucket a key has, the cursor of a walk by batches tells: the map's only elem is found from each cursor up to its own.
 */
export async function crowded(shape: Shape): Promise<Shape> {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 21, possibleCpus: 3 });
  const hands = new Hands(kernel, shape);
  const buckets = new Map<number, number[]>();
  for (let key = 10_000; ; key++) {
    hands.putAll([key], 1);
    let cursor = 0;
    while (hands.lookupBatch(kernel, cursor + 1).size === 1) cursor++;
    hands.remove(kernel, key);
    const bucket = buckets.get(cursor) ?? [];
    bucket.push(key);
    buckets.set(cursor, bucket);
    if (bucket.length === shape.maxEntries) {
      return { ...shape, name: `${shape.name}, all in one bucket`, keyNumbers: bucket };
    }
  }
}

/**
 * What typed maps are created and opened with.
 */
import { BPF_F_NUMA_NODE } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { MapAttr } from "../kernels/syscalls.js";
import type { Wanted } from "./_map_fd.js";

/** What keys and values are. */
export interface Codecs<K, V> {
  readonly key: Codec<K>;
  readonly value: Codec<V>;
}

/** What a map is beside its keys and values. */
export interface MapOptions {
  /** At most 15 letters, digits, "_" and ".". */
  readonly name?: string;
  /** How many elems it holds at most. */
  readonly maxEntries: number;
  /** BPF_F_* of "tsbpf/uapi", or-ed. */
  readonly mapFlags?: number;
  /** The NUMA node that its memory is on; sets BPF_F_NUMA_NODE. */
  readonly numaNode?: number;
}

/** What a map of keys and values is created with. */
export interface CreateOptions<K, V> extends Codecs<K, V>, MapOptions {}

/** What an array's values are. */
export interface ValueCodec<V> {
  readonly value: Codec<V>;
}

/** What an array is created with: its keys are indices. */
export interface ArrayOptions<V> extends ValueCodec<V>, MapOptions {}

/** attr for BPF_MAP_CREATE. `valueSize` is one CPU's. */
export function attrOf(mapType: number, keySize: number, valueSize: number, options: MapOptions): MapAttr {
  const { name = "", maxEntries, mapFlags = 0, numaNode } = options;
  if (typeof name !== "string") throw new TypeError(`name: wanted a string, found ${typeof name}`);
  return {
    mapType,
    keySize,
    valueSize,
    maxEntries: asU32("maxEntries", maxEntries),
    mapFlags: asU32("mapFlags", mapFlags) | (numaNode === undefined ? 0 : BPF_F_NUMA_NODE),
    numaNode: numaNode === undefined ? 0 : asU32("numaNode", numaNode),
    mapName: name,
  };
}

/** What a typed map wants of a map that it opens. `value` is one CPU's. */
export function wanted(className: string, type: number, key: Codec<unknown>, value: Codec<unknown>): Wanted {
  return { className, type, key, value };
}

function asU32(field: string, value: number): number {
  if (typeof value !== "number")
    throw new TypeError(`${field}: wanted a number, found ${value === undefined ? "nothing" : typeof value}`);
  if (value >>> 0 !== value) throw new RangeError(`${field}: wanted an integer from 0 to 4294967295, found ${value}`);
  return value;
}

/**
 * What typed maps are created and opened with.
 */
import { BPF_F_NUMA_NODE } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { asCString, asCodec, asU32 } from "./_arguments.js";
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

/** What the values are, of a map whose keys are indices, or that has none. */
export interface ValueCodec<V> {
  readonly value: Codec<V>;
}

/** What an array is created with: its keys are indices. */
export interface ArrayOptions<V> extends ValueCodec<V>, MapOptions {}

/** What a map without keys is created with. */
export interface ValueOptions<V> extends ValueCodec<V>, MapOptions {}

/**
 * attr for BPF_MAP_CREATE.
 *
 * @param value Of a per-CPU map, one CPU's.
 * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
 */
export function attrOf(mapType: number, key: Codec<unknown>, value: Codec<unknown>, options: MapOptions): MapAttr {
  return attrOfSizes(mapType, asCodec("key", key).size, asCodec("value", value).size, options);
}

/** The same for a map without keys. */
export function keylessAttrOf<V>(mapType: number, options: ValueOptions<V>): MapAttr {
  return attrOfSizes(mapType, 0, asCodec("value", options.value).size, options);
}

/** The same for sizes that no codec has. */
export function attrOfSizes(mapType: number, keySize: number, valueSize: number, options: MapOptions): MapAttr {
  const { name = "", maxEntries, mapFlags = 0, numaNode } = options;
  const onNode = numaNode === undefined ? 0 : BPF_F_NUMA_NODE;
  return {
    mapType,
    keySize,
    valueSize,
    maxEntries: asU32("maxEntries", maxEntries),
    mapFlags: (asU32("mapFlags", mapFlags) | onNode) >>> 0,
    numaNode: asU32("numaNode", numaNode ?? 0),
    mapName: asCString("name", name),
  };
}

/**
 * What a typed map wants of a map that it opens.
 *
 * @param value Of a per-CPU map, one CPU's.
 * @throws {TypeError} for what is no codec
 */
export function wanted(className: string, type: number, key: Codec<unknown>, value: Codec<unknown>): Wanted {
  return { className, type, key: asCodec("key", key), value: asCodec("value", value) };
}

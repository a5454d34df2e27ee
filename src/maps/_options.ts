/**
 * What typed maps are created and opened with.
 */
import { BPF_F_NUMA_NODE, BPF_F_RDONLY, BPF_F_RDONLY_PROG, BPF_F_WRONLY, BPF_F_WRONLY_PROG } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { asAccess, asCString, asCodec, asU32 } from "./_arguments.js";
import { btfOf } from "./_btf.js";
import type { TypedAttr, Wanted } from "./_map_fd.js";

/** Who may read, and who may write. */
export type MapAccess = "read" | "write" | "read-write";

/** What may be done with a map by the fd that it is opened with. */
export interface OpenOptions {
  /** Reads, writes, or both as unless told: the kernel refuses the rest with EPERM. Kernel names: BPF_F_RDONLY, BPF_F_WRONLY. */
  readonly access?: MapAccess;
}

/** What keys and values are. */
export interface Codecs<K, V> extends OpenOptions {
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
  /** What programs may do with the map: both, unless told. Kernel names: BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG. */
  readonly programAccess?: MapAccess;
  /** The NUMA node that its memory is on; sets BPF_F_NUMA_NODE. */
  readonly numaNode?: number;
  /** Whether the kernel is told what keys and values are, so that bpftool shows names and fields: it is, unless false. */
  readonly btf?: boolean;
}

/** What a map of keys and values is created with. */
export interface CreateOptions<K, V> extends Codecs<K, V>, MapOptions {}

/** What an LRU hash is created with. */
export interface LruOptions<K, V> extends CreateOptions<K, V> {
  /**
   * Whether it lets go of exactly the elem whose last use is the longest ago. Only on the embedded kernel, where each use then is a
   * step on a word that all threads share. Without it, as on Linux: one that was not used for long.
   */
  readonly exact?: boolean;
}

/** What the values are, of a map whose keys are indices, or that has none. */
export interface ValueCodec<V> extends OpenOptions {
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
export function attrOf(
  mapType: number,
  key: Codec<unknown>,
  value: Codec<unknown>,
  options: MapOptions & OpenOptions,
): TypedAttr {
  return attrOfCodecs(mapType, asCodec("key", key), asCodec("value", value), options);
}

/** The same for a map without keys. */
export function keylessAttrOf<V>(mapType: number, options: ValueOptions<V>): TypedAttr {
  return attrOfCodecs(mapType, undefined, asCodec("value", options.value), options);
}

function attrOfCodecs(
  mapType: number,
  key: Codec<unknown> | undefined,
  value: Codec<unknown>,
  options: MapOptions & OpenOptions,
): TypedAttr {
  const attr = attrOfSizes(mapType, key?.size ?? 0, value.size, options);
  const btf = btfOf(mapType, key, value);
  // The kernel finds a lock, or a timer, by its BTF: then that is not left out.
  return options.btf === false && btf?.hasFields !== true ? attr : { ...attr, btf };
}

/** The same for sizes that no codec has. */
export function attrOfSizes(
  mapType: number,
  keySize: number,
  valueSize: number,
  options: MapOptions & OpenOptions,
): MapAttr {
  const { name = "", maxEntries, mapFlags = 0, numaNode, access, programAccess } = options;
  const onNode = numaNode === undefined ? 0 : BPF_F_NUMA_NODE;
  return {
    mapType,
    keySize,
    valueSize,
    maxEntries: asU32("maxEntries", maxEntries),
    mapFlags:
      (asU32("mapFlags", mapFlags) |
        onNode |
        fdFlags(access) |
        asAccess("programAccess", programAccess, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG)) >>>
      0,
    numaNode: asU32("numaNode", numaNode ?? 0),
    mapName: asCString("name", name),
  };
}

/** BPF_F_RDONLY, BPF_F_WRONLY, or 0. */
export function fdFlags(access: MapAccess | undefined): number {
  return asAccess("access", access, BPF_F_RDONLY, BPF_F_WRONLY);
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

/**
 * BTF of typed maps: their codecs as C's types, so that bpftool shows names and fields.
 */
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from "../uapi/bpf.js";
import { type MapBtf, btfFromCodecs } from "../btf/btf_of_codecs.js";
import type { Codec } from "../codec/codec.js";
import { inlineOf } from "../codec/_inline.js";
import { shapeOf } from "../codec/_shape.js";
import type { Kernel } from "../kernels/kernel.js";
import { type MapAttr, btfLoad, mapCreate } from "../kernels/syscalls.js";

/** The types that Linux takes BTF with: queues and stacks it refuses. */
const KEYED: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
]);

/** By value and key: BTF of the same codecs is made once. A map without keys stands under its value itself. */
const known = new WeakMap<Codec<unknown>, WeakMap<Codec<unknown>, MapBtf>>();

/**
 * BTF of a map of this type, or undefined where the type takes none.
 *
 * @param value Of a per-CPU map, one CPU's.
 */
export function btfOf(mapType: number, key: Codec<unknown> | undefined, value: Codec<unknown>): MapBtf | undefined {
  const takes = key === undefined ? mapType === BPF_MAP_TYPE_BLOOM_FILTER : KEYED.has(mapType);
  // Of a trie, Linux wants a struct for a key.
  if (!takes || (mapType === BPF_MAP_TYPE_LPM_TRIE && key !== undefined && !isStruct(key))) return undefined;
  const byKey = known.get(value) ?? new WeakMap<Codec<unknown>, MapBtf>();
  known.set(value, byKey);
  const made = byKey.get(key ?? value) ?? btfFromCodecs(key, value);
  byKey.set(key ?? value, made);
  return made;
}

const isStruct = (codec: Codec<unknown>): boolean => "fields" in inlineOf(codec) || "fields" in (shapeOf(codec) ?? {});

/**
 * BPF_MAP_CREATE with BTF. A kernel that does not take it, or not from this caller, makes the map without, unless values have a
 * lock or a timer.
 *
 * @returns An fd, or a negative errno.
 */
export function createWithBtf(kernel: Kernel, attr: MapAttr, btf: MapBtf | undefined): number {
  const btfFd = btf === undefined ? -1 : btfLoad(kernel, btf.bytes);
  if (btf === undefined) return mapCreate(kernel, attr);
  if (btfFd < 0) return btf.hasFields ? btfFd : mapCreate(kernel, attr);
  const { keyTypeId: btfKeyTypeId, valueTypeId: btfValueTypeId } = btf;
  const fd = mapCreate(kernel, { ...attr, btfFd, btfKeyTypeId, btfValueTypeId });
  // The map holds it.
  kernel.close(btfFd);
  return fd >= 0 || btf.hasFields ? fd : mapCreate(kernel, attr);
}

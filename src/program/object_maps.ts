/**
 * The maps of an object as typed maps: keys and values as BTF tells them, or bytes where only sizes are told.
 */
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_USER_RINGBUF,
} from "../uapi/bpf.js";
import type { Btf } from "../btf/btf.js";
import { codecFromBtf } from "../btf/codec_from_btf.js";
import type { BtfId } from "../btf/types.js";
import { bytes } from "../codec/bytes.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import { ArrayMap } from "../maps/array.js";
import { ArrayOfMaps } from "../maps/array_of_maps.js";
import { BloomFilter } from "../maps/bloom_filter.js";
import { DevMap, DevMapHash } from "../maps/devmap.js";
import { GenericMap } from "../maps/generic_map.js";
import { HashMap } from "../maps/hash.js";
import { HashOfMaps } from "../maps/hash_of_maps.js";
import { LpmTrie } from "../maps/lpm_trie.js";
import { LruHashMap } from "../maps/lru_hash.js";
import { LruPerCpuHashMap } from "../maps/lru_percpu_hash.js";
import { PerCpuArray } from "../maps/percpu_array.js";
import { PerCpuHashMap } from "../maps/percpu_hash.js";
import { PerfEventArray } from "../maps/perf_event_array.js";
import { ProgramArray } from "../maps/prog_array.js";
import { QueueMap } from "../maps/queue.js";
import { RingBuffer } from "../maps/ring_buffer.js";
import { StackMap } from "../maps/stack.js";
import type { TypedMap } from "../maps/_typed_map.js";
import { UserRingBuffer } from "../maps/user_ring_buffer.js";
import type { MapDefinition } from "./map_definitions.js";

interface Opener {
  readonly kernel: Kernel;
  readonly id: number;
  readonly key: Codec<unknown>;
  readonly value: Codec<unknown>;
  /** Of a map of maps. */
  readonly openInner: (id: number) => TypedMap;
}

/** By type; others are GenericMaps. */
const openers: Readonly<Record<number, (from: Opener) => TypedMap>> = {
  [BPF_MAP_TYPE_HASH]: ({ kernel, id, key, value }) => HashMap.fromId(kernel, id, { key, value }),
  [BPF_MAP_TYPE_ARRAY]: ({ kernel, id, value }) => ArrayMap.fromId(kernel, id, { value }),
  [BPF_MAP_TYPE_PERCPU_HASH]: ({ kernel, id, key, value }) => PerCpuHashMap.fromId(kernel, id, { key, value }),
  [BPF_MAP_TYPE_PERCPU_ARRAY]: ({ kernel, id, value }) => PerCpuArray.fromId(kernel, id, { value }),
  [BPF_MAP_TYPE_LRU_HASH]: ({ kernel, id, key, value }) => LruHashMap.fromId(kernel, id, { key, value }),
  [BPF_MAP_TYPE_LRU_PERCPU_HASH]: ({ kernel, id, key, value }) => LruPerCpuHashMap.fromId(kernel, id, { key, value }),
  [BPF_MAP_TYPE_LPM_TRIE]: ({ kernel, id, key, value }) => LpmTrie.fromId(kernel, id, { key, value }),
  [BPF_MAP_TYPE_QUEUE]: ({ kernel, id, value }) => QueueMap.fromId(kernel, id, { value }),
  [BPF_MAP_TYPE_STACK]: ({ kernel, id, value }) => StackMap.fromId(kernel, id, { value }),
  [BPF_MAP_TYPE_BLOOM_FILTER]: ({ kernel, id, value }) => BloomFilter.fromId(kernel, id, { value }),
  [BPF_MAP_TYPE_RINGBUF]: ({ kernel, id }) => RingBuffer.fromId(kernel, id),
  [BPF_MAP_TYPE_USER_RINGBUF]: ({ kernel, id }) => UserRingBuffer.fromId(kernel, id),
  [BPF_MAP_TYPE_DEVMAP]: ({ kernel, id }) => DevMap.fromId(kernel, id),
  [BPF_MAP_TYPE_DEVMAP_HASH]: ({ kernel, id }) => DevMapHash.fromId(kernel, id),
  [BPF_MAP_TYPE_PERF_EVENT_ARRAY]: ({ kernel, id }) => PerfEventArray.fromId(kernel, id),
  [BPF_MAP_TYPE_PROG_ARRAY]: ({ kernel, id }) => ProgramArray.fromId(kernel, id),
  [BPF_MAP_TYPE_ARRAY_OF_MAPS]: ({ kernel, id, openInner }) => ArrayOfMaps.fromId(kernel, id, { openInner }),
  [BPF_MAP_TYPE_HASH_OF_MAPS]: ({ kernel, id, key, openInner }) => HashOfMaps.fromId(kernel, id, { key, openInner }),
};

/**
 * Opens the map of an id as its definition says.
 *
 * @throws {BpfError} as `fromId` of its class
 */
export function openMap(kernel: Kernel, id: number, map: MapDefinition, btf: Btf): TypedMap {
  const { inner } = map;
  const open = openers[map.type];
  if (open === undefined) return GenericMap.fromId(kernel, id);
  return open({
    kernel,
    id,
    key: codecOf(btf, map.keyType, map.keySize),
    value: codecOf(btf, map.valueType, map.valueSize),
    openInner: (id) => (inner === undefined ? GenericMap.fromId(kernel, id) : openMap(kernel, id, inner, btf)),
  });
}

function codecOf(btf: Btf, type: BtfId, size: number): Codec<unknown> {
  if (type === 0 || btf.type(type).kind === "DATASEC") return bytes(Math.max(size, 1));
  return codecFromBtf(btf, type);
}

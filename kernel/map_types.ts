/**
 * The registry: which map types this kernel has, one row a type, and the way to their operations.
 *
 * To add a type: write its file in maps/, with one function that switches over the operations, and add its row below.
 */
import {
  BPF_MAP_TYPE_ARENA,
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
} from "../src/uapi/bpf";
import { EINVAL } from "../src/uapi/errno";
import { BpfMap } from "./map";
import { sb } from "./super";
import { arenaOps } from "./maps/arena";
import { arrayOps } from "./maps/array";
import { arrayOfMapsOps } from "./maps/array_of_maps";
import { bloomFilterOps } from "./maps/bloom_filter";
import { devmapOps } from "./maps/devmap";
import { hashOps } from "./maps/hash";
import { hashOfMapsOps } from "./maps/hash_of_maps";
import { lpmTrieOps } from "./maps/lpm_trie";
import { perfEventArrayOps } from "./maps/perf_event_array";
import { progArrayOps } from "./maps/prog_array";
import { queueStackOps } from "./maps/queue_stack_maps";
import { ringbufOps } from "./maps/ringbuf";

/**
 * Operations of a map type: `op(map, a, b, flags)`. What each takes and gives, beside 0 or a negative errno:
 *
 *      ALLOC_CHECK      map = attr                  refusals that need no memory
 *      ALLOC            map = attr                  the map's address, as an unsigned number below -4095
 *      FREE
 *      LOOKUP_ELEM      a = key, b = to             the value is copied to `to`, unless that is 0
 *      UPDATE_ELEM      a = key, b = value, flags
 *      DELETE_ELEM      a = key
 *      GET_NEXT_KEY     a = key or 0, b = to
 *      ADD_ELEM         a = key, b = delta, flags = address of Lanes
 *      LOOKUP_BATCH     a = BatchAttr, b = address of the user's attr, where count is written
 *      COUNT                                        how many elems the map holds; -EOPNOTSUPP where nobody can tell
 *      MEM_USAGE                                    bytes of all that it has allocated
 *      OWN_RUNS         a = owner                   calls ownRun (mem/pages.ts) for each run of pages that FREE frees
 *      CLEAR_LOCKS                                  forgets what tasks have left in it: none of them is there
 *      REPAIR           a = lock word, b = task     finishes or undoes what that task, which has ended, did under the lock
 *      LOOKUP_AND_DELETE_ELEM  a = key, b = to      the value is copied to `to`, unless that is 0; flags = those of attr
 *      LOOKUP_AND_DELETE_BATCH, UPDATE_BATCH, DELETE_BATCH    as LOOKUP_BATCH
 *      CHECK                                        reports what is wrong with it to finding.ts
 *      MMAP             a = offset, b = bytes, flags = writable | page that is asked for     the address, or a negative errno
 *      POLL             a = whether to be woken, b = for room   1 if it can be read (for room: written), 0 if not yet
 *      LET_GO           a = task                    gives up what a task that ends has of it, beside its locks
 *      COUNT_REFS       a = id                      of a map whose elems are maps: how many hold the map of that id; of devices, the program
 *      ADD_REFS         a = 1 or -1                 of a map whose elems are maps: is added to the references of each elem's map, no more
 *                                                   of one of devices, -1: gives back those of elems' programs
 *      SET_EXACT                                    has an empty LRU hash keep the true order of uses
 *      FIND_ELEM        a = key                     where the value lies, for a program: of a per-CPU type that of CPU b; or 0
 *      HOLDS_VALUE      a = address, b = bytes      1 if these bytes are within one value
 *      DROP_CLOSED      a = 1 to count no references    empties elems that were put by fds which are closed
 */
export const ALLOC_CHECK: u32 = 0;
export const ALLOC: u32 = 1;
export const FREE: u32 = 2;
export const LOOKUP_ELEM: u32 = 3;
export const UPDATE_ELEM: u32 = 4;
export const DELETE_ELEM: u32 = 5;
export const GET_NEXT_KEY: u32 = 6;
export const ADD_ELEM: u32 = 7;
export const LOOKUP_BATCH: u32 = 8;
export const COUNT: u32 = 9;
export const OWN_RUNS: u32 = 10;
export const CLEAR_LOCKS: u32 = 11;
export const REPAIR: u32 = 12;
export const CHECK: u32 = 13;
export const MEM_USAGE: u32 = 14;
export const LOOKUP_AND_DELETE_ELEM: u32 = 15;
export const LOOKUP_AND_DELETE_BATCH: u32 = 16;
export const UPDATE_BATCH: u32 = 17;
export const DELETE_BATCH: u32 = 18;
export const MMAP: u32 = 20;
export const POLL: u32 = 21;
export const LET_GO: u32 = 23;
export const COUNT_REFS: u32 = 30;
export const ADD_REFS: u32 = 31;
export const SET_EXACT: u32 = 35;
export const FIND_ELEM: u32 = 40;
export const HOLDS_VALUE: u32 = 41;
export const DROP_CLOSED: u32 = 42;

/** Calls an operation; -EINVAL for a type that this kernel has not. */
export function callOp(type: u32, op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  switch (type) {
    case BPF_MAP_TYPE_HASH:
      return hashOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_ARRAY:
      return arrayOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_PERCPU_HASH:
      return hashOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_LRU_HASH:
      return hashOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
      return hashOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return arrayOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_ARRAY_OF_MAPS:
      return arrayOfMapsOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_HASH_OF_MAPS:
      return hashOfMapsOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_PROG_ARRAY:
      return progArrayOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_DEVMAP:
    case BPF_MAP_TYPE_DEVMAP_HASH:
      return devmapOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
      return perfEventArrayOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_LPM_TRIE:
      return lpmTrieOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_QUEUE:
      return queueStackOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_STACK:
      return queueStackOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_BLOOM_FILTER:
      return bloomFilterOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_RINGBUF:
      return ringbufOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_USER_RINGBUF:
      return ringbufOps(op, map, a, b, flags);
    case BPF_MAP_TYPE_ARENA:
      return arenaOps(op, map, a, b, flags);
    default:
      return -EINVAL;
  }
}

/** Whether a type is of the hash family (maps/_htab.ts). */
export function isHash(type: u32): bool {
  return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH || isLruHash(type);
}

/** Whether a full map of this type makes room for new elems. */
export function isLruHash(type: u32): bool {
  return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/** Whether elems of this type are maps (maps/_map_in_map.ts). */
export function isMapInMap(type: u32): bool {
  return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

/** Whether elems of this type hold maps: those of maps of maps, and ring buffers. */
export function holdsMaps(type: u32): bool {
  return isMapInMap(type) || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

/** Whether elems of this type are devices, which may have a program (maps/devmap.ts). */
export function isDevmap(type: u32): bool {
  return type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH;
}

/** Whether values of this type have a slot for each CPU. */
export function isPerCpu(type: u32): bool {
  return (
    type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_LRU_PERCPU_HASH
  );
}

/** Bytes of a value as system calls have it: of a per-CPU type the slots of all CPUs. */
// @ts-ignore: decorator
@inline
export function valueBytes(map: BpfMap): u64 {
  return isPerCpu(map.type) ? ((<u64>map.valueSize + 7) & ~7) * sb().possibleCpus : map.valueSize;
}

export function freeMap(map: BpfMap): void {
  callOp(map.type, FREE, changetype<usize>(map), 0, 0, 0);
}

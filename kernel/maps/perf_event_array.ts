/**
 * BPF_MAP_TYPE_PERF_EVENT_ARRAY: an array of where programs send what they have seen. Behaves as perf_event_array_map_ops in
 * kernel/bpf/arraymap.c. Who sends: helpers/rings.ts.
 *
 *      elem i    0  id of a ring buffer, or 0
 *                4  the fd of this map by which it was put there; 8 bytes of 8, as in any array (_array.ts)
 *
 * Differs from Linux: there an elem is a perf event, which has a ring of its own. There are no perf events here, so that an elem is a
 * RINGBUF map; and it takes from every CPU, where an event takes from its own alone.
 *
 * An elem ends when the fd is closed by which it was put there, unless the map is BPF_F_PRESERVE_ELEMS.
 *
 * Threads: elems change by one store under the tables lock; programs that run read them without. An elem holds one reference of its
 * ring, as those of maps of maps do (_map_in_map.ts).
 */
import {
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_TYPE_RINGBUF,
} from "../../src/uapi/bpf";
import { E2BIG, EBADF, EINVAL, ENOENT, ENOTSUPP } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { fdEntry, mapOf } from "../fd";
import { ELEM_OF_NO_MAP, finding } from "../finding";
import { lock, unlock } from "../lock";
import { BpfMap, collectDeadMaps, findMap, mapAt, tablesLock } from "../map";
import { ADD_ELEM, ADD_REFS, ALLOC_CHECK, CHECK, COUNT, COUNT_REFS, DELETE_ELEM, DROP_CLOSED, FIND_ELEM, HOLDS_VALUE, LOOKUP_BATCH, LOOKUP_ELEM, UPDATE_BATCH, UPDATE_ELEM } from "../map_types";
import { me } from "../task";
import { ArrayMap } from "./_array";
import { addArrayRefs, countArrayRefs, elemAt, exchangeRefs, idAt } from "./_map_in_map";
import { arrayOps } from "./array";

const CREATE_FLAGS: u32 = BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_NUMA_NODE | BPF_F_PRESERVE_ELEMS;

function allocCheck(attr: CreateAttr): i32 {
  if (attr.maxEntries == 0 || attr.keySize != 4 || attr.valueSize != 4) return -EINVAL;
  return (attr.mapFlags & ~CREATE_FLAGS) != 0 ? -EINVAL : 0;
}

function update(map: ArrayMap, index: u32, fd: u32, flags: u64): i32 {
  if (flags != 0) return -EINVAL;
  if (index >= map.maxEntries) return -E2BIG;
  lock(tablesLock());
  const ret = put(map, index, fd);
  unlock(tablesLock());
  return ret;
}

/** Under the tables lock. */
function put(map: ArrayMap, index: u32, fd: u32): i32 {
  const word = fdEntry(fd);
  if (<u32>word == 0 || mapOf(word).type != BPF_MAP_TYPE_RINGBUF || mapOf(word).exclusive != 0) return -EBADF;
  // The fd of this call may have been closed since: then the elem would be gone by now.
  if (isClosed(map, me().updating)) return 0;
  exchange(map, index, <usize>(<u32>word), me().updating);
  collectDeadMaps();
  return 0;
}

/** Whether an fd is not this map's any more, and elems that were put by it are to go. */
function isClosed(map: ArrayMap, fd: u32): bool {
  if ((map.mapFlags & BPF_F_PRESERVE_ELEMS) != 0) return false;
  return <u32>fdEntry(fd) != <u32>changetype<usize>(map);
}

/** Has an elem be another ring, or none (0). Under the tables lock. */
function exchange(map: ArrayMap, index: u32, ring: usize, fd: u32): void {
  const was = idAt(map, index);
  const word = ring != 0 ? ((<u64>fd) << 32) | mapAt(ring).id : 0;
  atomic.store<u64>(elemAt(map, index), word);
  exchangeRefs(ring, was);
}

function remove(map: ArrayMap, index: u32): i32 {
  if (index >= map.maxEntries) return -E2BIG;
  lock(tablesLock());
  const isThere = idAt(map, index) != 0;
  if (isThere) exchange(map, index, 0, 0);
  collectDeadMaps();
  unlock(tablesLock());
  return isThere ? 0 : -ENOENT;
}

/** Empties elems whose fds are closed. The caller holds the tables lock; `keepsRefs` if it counts all references anew. */
function dropClosed(map: ArrayMap, keepsRefs: bool): void {
  for (let index: u32 = 0; index < map.maxEntries; index++) {
    if (idAt(map, index) == 0 || !isClosed(map, load<u32>(elemAt(map, index), 4))) continue;
    if (keepsRefs) atomic.store<u64>(elemAt(map, index), 0);
    else exchange(map, index, 0, 0);
  }
}

function check(map: ArrayMap): void {
  for (let index: u32 = 0; index < map.maxEntries; index++) {
    const id = idAt(map, index);
    const ring = findMap(id);
    const isRing = ring != 0 && changetype<BpfMap>(ring).type == BPF_MAP_TYPE_RINGBUF;
    if (id != 0 && !isRing) finding(ELEM_OF_NO_MAP, <u32>changetype<usize>(map), id, 0);
  }
}

export function perfEventArrayOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const array = changetype<ArrayMap>(map);
  switch (op) {
    case ALLOC_CHECK:
      return allocCheck(changetype<CreateAttr>(map));
    case UPDATE_ELEM:
      return update(array, load<u32>(a), load<u32>(b), flags);
    case DELETE_ELEM:
      return remove(array, load<u32>(a));
    case DROP_CLOSED:
      dropClosed(array, a != 0);
      return 0;
    case COUNT:
      return countArrayRefs(array, 0);
    case COUNT_REFS:
      return countArrayRefs(array, <u32>a);
    case ADD_REFS:
      addArrayRefs(array, <i32>a);
      return 0;
    case CHECK:
      check(array);
      return 0;
    case LOOKUP_ELEM:
    case ADD_ELEM:
    case LOOKUP_BATCH:
    case UPDATE_BATCH:
    case FIND_ELEM:
    case HOLDS_VALUE:
      return -ENOTSUPP;
    default:
      return arrayOps(op, map, a, b, flags);
  }
}

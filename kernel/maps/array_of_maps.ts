/**
 * BPF_MAP_TYPE_ARRAY_OF_MAPS: an array of inner maps' ids. Behaves as array_of_maps_map_ops in kernel/bpf/arraymap.c. What it
 * shares with HASH_OF_MAPS, and threads: _map_in_map.ts.
 *
 *      elem i    id of the inner map, or 0; 4 bytes of 8, as in any array (_array.ts)
 */
import { E2BIG, EFAULT, EINVAL, ENOENT, ENOTSUPP } from "../../src/uapi/errno";
import { BatchAttr, CreateAttr, putBatchCount } from "../attr";
import { ELEM_OF_NO_MAP, finding } from "../finding";
import { lock, unlock } from "../lock";
import { BpfMap, collectDeadMaps, findMap, tablesLock } from "../map";
import { ADD_REFS, ALLOC, ALLOC_CHECK, CHECK, CLEAR_LOCKS, COUNT, COUNT_REFS, DELETE_ELEM, FREE, GET_NEXT_KEY, LOOKUP_BATCH, LOOKUP_ELEM, MEM_USAGE, OWN_RUNS, REPAIR, UPDATE_BATCH, UPDATE_ELEM } from "../map_types";
import { isUser } from "../mem/pages";
import { ArrayMap, arrayAlloc, arrayFree, arrayGetNextKey, arrayMemory, arrayOwnRuns, arrayRepair, fdArrayAllocCheck } from "./_array";
import { Template, addArrayRefs, checkTemplate, copyTemplate, countArrayRefs, elemAt, exchangeRefs, idAt, innerOf, isErrno } from "./_map_in_map";
import { genericUpdateBatch } from "./_batch";
import { clearStripes } from "./_stripe";

function alloc(attr: CreateAttr): isize {
  const refused = checkTemplate(attr);
  if (refused != 0) return refused;
  const made = arrayAlloc(attr);
  if (isErrno(<i32>made)) return made;
  const ret = copyTemplate(templateOf(changetype<ArrayMap>(<usize>made)), attr);
  if (ret == 0) return made;
  arrayFree(changetype<ArrayMap>(<usize>made));
  return ret;
}

function templateOf(map: ArrayMap): Template {
  return changetype<Template>(changetype<usize>(map) + offsetof<ArrayMap>("template0"));
}

function lookup(map: ArrayMap, index: u32, to: usize): i32 {
  if (index >= map.maxEntries) return -ENOENT;
  const id = idAt(map, index);
  if (id == 0) return -ENOENT;
  if (to != 0) store<u32>(to, id);
  return 0;
}

function update(map: ArrayMap, index: u32, fd: u32, flags: u64): i32 {
  if (flags != 0) return -EINVAL;
  if (index >= map.maxEntries) return -E2BIG;
  lock(tablesLock());
  const inner = innerOf(templateOf(map), fd);
  if (!isErrno(inner)) exchange(map, index, inner);
  unlock(tablesLock());
  return isErrno(inner) ? inner : 0;
}

function remove(map: ArrayMap, index: u32): i32 {
  if (index >= map.maxEntries) return -E2BIG;
  lock(tablesLock());
  const isThere = idAt(map, index) != 0;
  if (isThere) exchange(map, index, 0);
  unlock(tablesLock());
  return isThere ? 0 : -ENOENT;
}

/** Under the tables lock. */
function exchange(map: ArrayMap, index: u32, inner: usize): void {
  const was = idAt(map, index);
  atomic.store<u32>(elemAt(map, index), inner != 0 ? changetype<BpfMap>(inner).id : 0);
  exchangeRefs(inner, was);
  collectDeadMaps();
}

/**
 * BPF_MAP_LOOKUP_BATCH: as an array's, but empty elems are left out. The cursor is the last key looked at.
 *
 * @returns 0; -ENOENT when the last elem was reached; -EFAULT
 */
function lookupBatch(map: ArrayMap, batch: BatchAttr, user: usize): i32 {
  if (batch.elemFlags != 0) return -EINVAL;
  if (batch.count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  let index: u32 = 0;
  if (batch.inBatch != 0) {
    if (!isUser(batch.inBatch, 4)) return -EFAULT;
    index = load<u32>(<usize>batch.inBatch) + 1;
    // As get_next_key has it: a key out of range is followed by the first.
    if (index == 0 || index > map.maxEntries) index = 0;
  }
  let done: u32 = 0;
  for (; done < batch.count && index < map.maxEntries; index++) {
    const id = idAt(map, index);
    if (id == 0) continue;
    const key = batch.keys + 4 * <u64>done;
    const value = batch.values + 4 * <u64>done;
    if (!isUser(key, 4) || !isUser(value, 4)) return -EFAULT;
    store<u32>(<usize>key, index);
    store<u32>(<usize>value, id);
    done++;
  }
  if (!putBatchCount(user, done)) return -EFAULT;
  if (done != 0) {
    if (!isUser(batch.outBatch, 4)) return -EFAULT;
    store<u32>(<usize>batch.outBatch, index - 1);
  }
  return done < batch.count ? -ENOENT : 0;
}

function check(map: ArrayMap): void {
  for (let index: u32 = 0; index < map.maxEntries; index++) {
    const id = idAt(map, index);
    if (id != 0 && findMap(id) == 0) finding(ELEM_OF_NO_MAP, <u32>changetype<usize>(map), id, 0);
  }
}

export function arrayOfMapsOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const array = changetype<ArrayMap>(map);
  switch (op) {
    case ALLOC_CHECK:
      return fdArrayAllocCheck(changetype<CreateAttr>(map));
    case ALLOC:
      return <i32>alloc(changetype<CreateAttr>(map));
    case FREE:
      arrayFree(array);
      return 0;
    case LOOKUP_ELEM:
      return lookup(array, load<u32>(a), b);
    case UPDATE_ELEM:
      return update(array, load<u32>(a), load<u32>(b), flags);
    case DELETE_ELEM:
      return remove(array, load<u32>(a));
    case GET_NEXT_KEY:
      return arrayGetNextKey(array, a, b);
    case LOOKUP_BATCH:
      return lookupBatch(array, changetype<BatchAttr>(a), b);
    case UPDATE_BATCH:
      return genericUpdateBatch(array, changetype<BatchAttr>(a), b);
    case COUNT:
      return countArrayRefs(array, 0);
    case COUNT_REFS:
      return countArrayRefs(array, <u32>a);
    case ADD_REFS:
      addArrayRefs(array, <i32>a);
      return 0;
    case MEM_USAGE:
      return <i32>arrayMemory(array);
    case OWN_RUNS:
      arrayOwnRuns(array, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      clearStripes(array);
      return 0;
    case REPAIR:
      arrayRepair(a, <u32>b);
      return 0;
    case CHECK:
      check(array);
      return 0;
    default:
      return -ENOTSUPP;
  }
}

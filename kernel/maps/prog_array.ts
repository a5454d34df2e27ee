/**
 * BPF_MAP_TYPE_PROG_ARRAY: an array of programs. Behaves as prog_array_map_ops in kernel/bpf/arraymap.c.
 *
 *      elem i    address of a program, or 0; 4 bytes of 8, as in any array (_array.ts)
 *
 * All its programs are of one type: that of the first, or of the program that it is used by (`owner`). It is emptied when its last fd or name goes,
 * though programs hold it still (map.ts endUserUse), since it may hold the very program that holds it.
 *
 * Threads: elems change under the tables lock; programs that run read them without. An elem holds one reference of its program.
 */
import { E2BIG, EINVAL, ENOENT, ENOTSUPP } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { fdEntry, notOfKind, progOf } from "../fd";
import { lock, unlock } from "../lock";
import { collectDeadMaps, tablesLock } from "../map";
import { ADD_ELEM, ALLOC_CHECK, COUNT, DELETE_ELEM, FIND_ELEM, HOLDS_VALUE, LOOKUP_BATCH, LOOKUP_ELEM, UPDATE_BATCH, UPDATE_ELEM } from "../map_types";
import { dropProg, progAt, progElem } from "../prog";
import { ArrayMap, fdArrayAllocCheck } from "./_array";
import { arrayOps } from "./array";

/** The id of an index's program. */
function lookup(map: ArrayMap, index: u32, to: usize): i32 {
  if (index >= map.maxEntries) return -ENOENT;
  lock(tablesLock());
  const prog = load<u32>(progElem(map, index));
  if (prog != 0 && to != 0) store<u32>(to, progAt(prog).id);
  unlock(tablesLock());
  return prog == 0 ? -ENOENT : 0;
}

function update(map: ArrayMap, index: u32, fd: u32, flags: u64): i32 {
  if (flags != 0) return -EINVAL;
  if (index >= map.maxEntries) return -E2BIG;
  lock(tablesLock());
  const prog = progOf(fdEntry(fd));
  let ret: i32 = 0;
  if (prog == 0) ret = notOfKind(fd);
  else if (!fits(map, progAt(prog).type)) ret = -EINVAL;
  else exchange(map, index, <u32>prog);
  unlock(tablesLock());
  return ret;
}

/** Whether programs of a type go with those that are in already. */
function fits(map: ArrayMap, type: u32): bool {
  for (let i: u32 = 0; i < map.maxEntries; i++) {
    const prog = load<u32>(progElem(map, i));
    if (prog != 0) return progAt(prog).type == type;
  }
  return true;
}

/** Has an elem be another program, or none. The caller holds the tables lock. */
function exchange(map: ArrayMap, index: u32, prog: u32): void {
  const was = load<u32>(progElem(map, index));
  if (prog != 0) progAt(prog).refs++;
  atomic.store<u32>(progElem(map, index), prog);
  if (was != 0) dropProg(progAt(was));
  collectDeadMaps();
}

function remove(map: ArrayMap, index: u32): i32 {
  if (index >= map.maxEntries) return -E2BIG;
  lock(tablesLock());
  const was = load<u32>(progElem(map, index));
  if (was != 0) exchange(map, index, 0);
  unlock(tablesLock());
  return was == 0 ? -ENOENT : 0;
}

function count(map: ArrayMap): i32 {
  let elems = 0;
  for (let i: u32 = 0; i < map.maxEntries; i++) {
    if (atomic.load<u32>(progElem(map, i)) != 0) elems++;
  }
  return elems;
}

export function progArrayOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const array = changetype<ArrayMap>(map);
  switch (op) {
    case ALLOC_CHECK:
      return fdArrayAllocCheck(changetype<CreateAttr>(map));
    case LOOKUP_ELEM:
      return lookup(array, load<u32>(a), b);
    case UPDATE_ELEM:
      return update(array, load<u32>(a), load<u32>(b), flags);
    case DELETE_ELEM:
      return remove(array, load<u32>(a));
    case COUNT:
      return count(array);
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

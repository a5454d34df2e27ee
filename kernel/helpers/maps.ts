/**
 * Helpers on maps. A lookup gives the address of the value itself, where it stays as long as the program runs.
 */
import {
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_STACK,
  BPF_NOEXIST,
} from "../../src/uapi/bpf";
import { E2BIG, EEXIST, EINVAL, ENOENT, ENOMEM } from "../../src/uapi/errno";
import { dropValue, mayLock, takeValue } from "../_btf_fields";
import { dropKey, takeKey } from "../_key";
import { lock, unlock } from "../lock";
import { BpfMap, mapById, placeOfId, tablesLock } from "../map";
import {
  DELETE_ELEM,
  FIND_ELEM,
  LOOKUP_AND_DELETE_ELEM,
  LOOKUP_ELEM,
  UPDATE_ELEM,
  callOp,
  isMapInMap,
  isPerCpu,
} from "../map_types";
import { roundUp8 } from "../maps/_value";
import { allocKernel, freePages } from "../mem/pages";
import { FAULT_HELPER, fault, mayTouch, myRun, noteReached } from "../run";
import { sb } from "../super";
import { keyCopy, me } from "../task";
import { findInTrie } from "./tries";
import { isNoMap, mapArg, mayRead, mayWrite, refuse, result } from "./_arguments";

/** Where the value of a key lies, or 0: any type with values that a program can have the address of. */
export function findElem(map: usize, key: usize): usize {
  const it = changetype<BpfMap>(map);
  if (isMapInMap(it.type) || it.type == BPF_MAP_TYPE_LPM_TRIE) {
    // They may wait for a lock, and who reaps a thread knows of one map that it has locked.
    const run = myRun();
    if (run.locked != 0) {
      fault(FAULT_HELPER, run.faultInsn, map);
      return 0;
    }
    return isMapInMap(it.type) ? innerMap(it, key) : findInTrie(it, key);
  }
  const found = callOp(it.type, FIND_ELEM, map, key, me().cpu - 1, 0);
  return <u32>found > <u32>-4096 ? 0 : <u32>found;
}

/** The address of the inner map of a key, or 0. */
function innerMap(map: BpfMap, key: usize): usize {
  const to = keyCopy();
  if (callOp(map.type, LOOKUP_ELEM, changetype<usize>(map), key, to, 0) != 0) return 0;
  const at = heldMap(load<u32>(to));
  return at != 0 && noteReached(<u32>at) ? at : 0;
}

/** The address of the map whose id an elem has, or 0. While a program runs no map is freed. */
export function heldMap(id: u32): usize {
  let at = placeOfId(id);
  if (at == 0) {
    lock(tablesLock());
    at = mapById(id);
    unlock(tablesLock());
  }
  return at;
}

/** Whether programs neither look up nor change elems of a type. */
function isHidden(type: u32): bool {
  return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

export function mapLookup(insn: u32, r1: u64, r2: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map) || !mayRead(insn, r2, map.keySize)) return 0;
  if (map.keySize == 0 || isHidden(map.type) || !mayTouch(<u32>r1, false)) return refuse(insn, r1);
  return findElem(changetype<usize>(map), <usize>r2);
}

export function mapLookupPerCpu(insn: u32, r1: u64, r2: u64, cpu: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map) || !mayRead(insn, r2, map.keySize)) return 0;
  if (!isPerCpu(map.type)) return refuse(insn, r1);
  if (<u32>cpu >= sb().possibleCpus) return 0;
  const found = callOp(map.type, FIND_ELEM, changetype<usize>(map), <usize>r2, <u32>cpu, 0);
  return <u32>found;
}

function mayChange(insn: u32, map: BpfMap): bool {
  const isForPrograms = !isMapInMap(map.type) && !isHidden(map.type) && map.keySize != 0;
  if (isForPrograms && mayTouch(<u32>changetype<usize>(map), true)) return true;
  refuse(insn, changetype<usize>(map));
  return false;
}

export function mapUpdate(insn: u32, r1: u64, r2: u64, r3: u64, flags: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map) || !mayChange(insn, map)) return 0;
  if (!mayRead(insn, r2, map.keySize) || !mayRead(insn, r3, map.valueSize)) return 0;
  if (!mayLock(map, flags & BPF_F_LOCK)) return result(-EINVAL);
  const key = takeKey(map, r2);
  if (key == 0) return result(-ENOMEM);
  const value = takeValue(map, <usize>r3, flags);
  let ret: i32;
  if (value == 0) ret = -ENOMEM;
  else if (isPerCpu(map.type)) ret = updateOfCpu(map, key, value, flags);
  else ret = callOp(map.type, UPDATE_ELEM, changetype<usize>(map), key, value, flags & ~(<u64>BPF_F_LOCK));
  dropValue(map, value);
  dropKey(key);
  return result(ret);
}

/** A program's update of a per-CPU type: of its CPU's value; a new elem has zeroes for the others. */
function updateOfCpu(map: BpfMap, key: usize, value: usize, flags: u64): i32 {
  if (flags > <u64>BPF_EXIST) return -EINVAL;
  const at = <u32>callOp(map.type, FIND_ELEM, changetype<usize>(map), key, me().cpu - 1, 0);
  if (at == 0 && map.type == BPF_MAP_TYPE_PERCPU_ARRAY) return -E2BIG;
  if (at != 0) {
    if (flags == <u64>BPF_NOEXIST) return -EEXIST;
    memory.copy(at, value, map.valueSize);
    return 0;
  }
  if (flags == <u64>BPF_EXIST) return -ENOENT;
  const slot = roundUp8(map.valueSize);
  const all = allocKernel(<u64>slot * sb().possibleCpus);
  if (all == 0) return -ENOMEM;
  memory.copy(all + <usize>slot * (me().cpu - 1), value, map.valueSize);
  const ret = callOp(map.type, UPDATE_ELEM, changetype<usize>(map), key, all, BPF_NOEXIST);
  freePages(all);
  return ret;
}

export function mapDelete(insn: u32, r1: u64, r2: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map) || !mayChange(insn, map) || !mayRead(insn, r2, map.keySize)) return 0;
  const key = takeKey(map, r2);
  if (key == 0) return result(-ENOMEM);
  const ret = callOp(map.type, DELETE_ELEM, changetype<usize>(map), key, 0, 0);
  dropKey(key);
  return result(ret);
}

function isKeyless(type: u32): bool {
  return type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK || type == BPF_MAP_TYPE_BLOOM_FILTER;
}

export function mapPush(insn: u32, r1: u64, r2: u64, flags: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map)) return 0;
  if (!isKeyless(map.type) || !mayTouch(<u32>r1, true)) return refuse(insn, r1);
  if (!mayRead(insn, r2, map.valueSize)) return 0;
  return result(callOp(map.type, UPDATE_ELEM, changetype<usize>(map), 0, <usize>r2, flags));
}

export function mapPop(insn: u32, r1: u64, r2: u64): u64 {
  return takeOut(insn, r1, r2, LOOKUP_AND_DELETE_ELEM);
}

export function mapPeek(insn: u32, r1: u64, r2: u64): u64 {
  return takeOut(insn, r1, r2, LOOKUP_ELEM);
}

/** A value is written where there is one; where there is none, zeroes, as Linux has it. */
function takeOut(insn: u32, r1: u64, r2: u64, op: u32): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map)) return 0;
  const isFilter = map.type == BPF_MAP_TYPE_BLOOM_FILTER;
  if (!isKeyless(map.type) || (isFilter && op != LOOKUP_ELEM)) return refuse(insn, r1);
  if (!(isFilter ? mayRead(insn, r2, map.valueSize) : mayWrite(insn, r2, map.valueSize))) return 0;
  const ret = callOp(map.type, op, changetype<usize>(map), 0, <usize>r2, 0);
  if (ret == -ENOENT && !isFilter) memory.fill(<usize>r2, 0, map.valueSize);
  return result(ret);
}

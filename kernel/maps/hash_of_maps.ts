/**
 * BPF_MAP_TYPE_HASH_OF_MAPS: a hash of inner maps' ids. Behaves as htab_of_maps_map_ops in kernel/bpf/hashtab.c. The hash itself:
 * _htab.ts. What it shares with ARRAY_OF_MAPS, and threads: _map_in_map.ts.
 */
import { EINVAL, ENOTSUPP } from "../../src/uapi/errno";
import { BatchAttr, CreateAttr } from "../attr";
import { finding, ELEM_OF_NO_MAP } from "../finding";
import { lock, unlock } from "../lock";
import { BpfMap, collectDeadMaps, findMap, tablesLock } from "../map";
import { ADD_REFS, ALLOC, ALLOC_CHECK, CHECK, CLEAR_LOCKS, COUNT, COUNT_REFS, DELETE_BATCH, DELETE_ELEM, FREE, GET_NEXT_KEY, LOOKUP_AND_DELETE_BATCH, LOOKUP_BATCH, LOOKUP_ELEM, MEM_USAGE, OWN_RUNS, REPAIR, UPDATE_BATCH, UPDATE_ELEM } from "../map_types";
import { Task, keyCopy, me } from "../task";
import { hashOps } from "./hash";
import { Htab, fullCells, homeLine, htabAlloc, htabAllocCheck, htabFree, lineAt, linesInAll, valueAt } from "./_htab";
import { htabLookupAndDeleteBatch } from "./_htab_walk";
import { htabDeleteElem, htabLookupElem, htabUpdateElem } from "./_htab_ops";
import { Template, changeRefs, checkTemplate, copyTemplate, exchangeRefs, innerOf, isErrno } from "./_map_in_map";
import { checkHtab } from "./_check_htab";

function allocCheck(attr: CreateAttr): i32 {
  return attr.valueSize != 4 ? -EINVAL : htabAllocCheck(attr);
}

function templateOf(map: Htab): Template {
  return changetype<Template>(changetype<usize>(map) + offsetof<Htab>("template0"));
}

function alloc(attr: CreateAttr): isize {
  const refused = checkTemplate(attr);
  if (refused != 0) return refused;
  const made = htabAlloc(attr);
  if (isErrno(<i32>made)) return made;
  const ret = copyTemplate(templateOf(changetype<Htab>(<usize>made)), attr);
  if (ret == 0) return made;
  htabFree(changetype<Htab>(<usize>made));
  return ret;
}

/** The id of a key's inner map, or 0. Under the tables lock, so that it stays. */
function idOf(map: Htab, key: usize): u32 {
  const to = changetype<usize>(me()) + offsetof<Task>("walked");
  return htabLookupElem(map, key, to) == 0 ? load<u32>(to) : 0;
}

function update(map: Htab, given: usize, fd: u32, flags: u64): i32 {
  const key = stableKey(map, given);
  lock(tablesLock());
  const inner = innerOf(templateOf(map), fd);
  const ret = isErrno(inner) ? inner : updateTo(map, key, inner, flags);
  unlock(tablesLock());
  return ret;
}

/** A key is looked at twice. One of a word comes as it lies in user memory, which may change meanwhile. */
function stableKey(map: Htab, key: usize): usize {
  if (map.keySize > 8) return key;
  memory.copy(keyCopy(), key, map.keySize);
  return keyCopy();
}

/** Under the tables lock. */
function updateTo(map: Htab, key: usize, inner: usize, flags: u64): i32 {
  const was = idOf(map, key);
  const ret = htabUpdateElem(map, key, inner + offsetof<BpfMap>("id"), flags);
  if (ret != 0) return ret;
  exchangeRefs(inner, was);
  collectDeadMaps();
  return 0;
}

function remove(map: Htab, key: usize): i32 {
  lock(tablesLock());
  const was = idOf(map, key);
  const ret = htabDeleteElem(map, key);
  if (ret == 0) {
    exchangeRefs(0, was);
    collectDeadMaps();
  }
  unlock(tablesLock());
  return ret;
}

/** BPF_MAP_LOOKUP_AND_DELETE_BATCH: the walk gives each elem's reference back. */
function lookupAndDeleteBatch(map: Htab, batch: BatchAttr, user: usize): i32 {
  lock(tablesLock());
  const ret = htabLookupAndDeleteBatch(map, batch, user);
  collectDeadMaps();
  unlock(tablesLock());
  return ret;
}

/** Of a walk over all elems: see `walk`. */
const COUNTS: u32 = 0;
const ADDS: u32 = 1;
const CHECKS: u32 = 2;

/** Goes over all elems, whose map's id is at each value. The caller holds the tables lock. */
function walk(map: Htab, what: u32, by: u32): u32 {
  let held: u32 = 0;
  for (let n: u32 = 0; n < linesInAll(map); n++) {
    if (homeLine(map, n) == 0) continue;
    const line = lineAt(map, n);
    for (let full = fullCells(map, line); full != 0; full &= full - 1) {
      const id = load<u32>(valueAt(map, line, <u32>ctz<u32>(full)));
      if (what == ADDS) changeRefs(id, <i32>by);
      else if (what == COUNTS) held += id == by ? 1 : 0;
      else if (findMap(id) == 0) finding(ELEM_OF_NO_MAP, <u32>changetype<usize>(map), id, 0);
    }
  }
  return held;
}

export function hashOfMapsOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const htab = changetype<Htab>(map);
  switch (op) {
    case ALLOC_CHECK:
      return allocCheck(changetype<CreateAttr>(map));
    case ALLOC:
      return <i32>alloc(changetype<CreateAttr>(map));
    case UPDATE_ELEM:
      return update(htab, a, load<u32>(b), flags);
    case DELETE_ELEM:
      return remove(htab, a);
    case LOOKUP_AND_DELETE_BATCH:
      return lookupAndDeleteBatch(htab, changetype<BatchAttr>(a), b);
    case COUNT_REFS:
      return walk(htab, COUNTS, <u32>a);
    case ADD_REFS:
      return walk(htab, ADDS, <u32>a);
    case CHECK:
      checkHtab(htab);
      walk(htab, CHECKS, 0);
      return 0;
    case FREE:
    case LOOKUP_ELEM:
    case GET_NEXT_KEY:
    case LOOKUP_BATCH:
    case UPDATE_BATCH:
    case DELETE_BATCH:
    case COUNT:
    case MEM_USAGE:
    case OWN_RUNS:
    case CLEAR_LOCKS:
    case REPAIR:
      return hashOps(op, map, a, b, flags);
    default:
      return -ENOTSUPP;
  }
}

/**
 * BPF_MAP_TYPE_DEVMAP and BPF_MAP_TYPE_DEVMAP_HASH: network devices to send packets to, by index and by any key. Behaves as
 * kernel/bpf/devmap.c. Who sends: helpers/packets.ts.
 *
 *      value   0  u32 ifindex; 0 in an array stands for none
 *              4  u32 id of the program that is to see the packet there, or 0; not there in maps with values of 4 bytes
 *
 * The one is an array (_array.ts), the other a hash (_htab.ts) of such words. Programs may read them, not write: the map is
 * BPF_F_RDONLY_PROG, whatever was asked for.
 *
 * Differs from Linux: devices are numbers from 1 on, as many as the kernel was made with, and nothing is sent.
 *
 * Threads: elems change by one store under the tables lock (of a hash under the line's, too); programs that run read them without. An elem
 * holds one reference of its program: its word is the truth, from which `rebuildProgs` counts them anew after a death.
 */
import {
  BPF_EXIST,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_XDP_HAS_FRAGS,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_NOEXIST,
  BPF_PROG_TYPE_XDP,
  BPF_XDP_DEVMAP,
} from "../../src/uapi/bpf";
import { E2BIG, EEXIST, EINVAL, ENOENT, ENOMEM, ENOTSUPP } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { fdEntry, progOf } from "../fd";
import { ELEM_OF_NO_PROG, finding } from "../finding";
import { lock, unlock } from "../lock";
import { BpfMap, collectDeadMaps, tablesLock } from "../map";
import { ADD_REFS, ALLOC, ALLOC_CHECK, CHECK, CLEAR_LOCKS, COUNT, COUNT_REFS, DELETE_ELEM, FIND_ELEM, FREE, GET_NEXT_KEY, HOLDS_VALUE, LOOKUP_ELEM, MEM_USAGE, OWN_RUNS, REPAIR, UPDATE_ELEM } from "../map_types";
import { BpfProg, dropProg, progAt, progById } from "../prog";
import { deviceCount } from "../super";
import { keyCopy } from "../task";
import { checkHtab } from "./_check_htab";
import { ArrayMap, arrayAlloc, arrayFind } from "./_array";
import { Htab, fullCells, homeLine, htabAlloc, lineAt, linesInAll, valueAt } from "./_htab";
import { htabDeleteElem, htabLookupElem, htabUpdateElem } from "./_htab_ops";
import { arrayOps } from "./array";
import { hashOps } from "./hash";

const CREATE_FLAGS: u32 = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY;
/** Of fragments of packets. */
const TAKES_FRAGS: u32 = 1;
const TAKES_NONE: u32 = 2;
const MAX_HASH_ENTRIES: u32 = 1 << 31;
/** More than these no memory holds. */
const MOST_ENTRIES: u32 = 1 << 27;

function allocCheck(attr: CreateAttr): i32 {
  const isValue = attr.valueSize == 4 || attr.valueSize == 8;
  if (attr.maxEntries == 0 || attr.keySize != 4 || !isValue || (attr.mapFlags & ~CREATE_FLAGS) != 0) return -EINVAL;
  return attr.mapType == BPF_MAP_TYPE_DEVMAP_HASH && attr.maxEntries > MAX_HASH_ENTRIES ? -EINVAL : 0;
}

function alloc(attr: CreateAttr): isize {
  attr.mapFlags |= BPF_F_RDONLY_PROG;
  if (attr.mapType == BPF_MAP_TYPE_DEVMAP) return arrayAlloc(attr);
  return attr.maxEntries > MOST_ENTRIES ? -ENOMEM : htabAlloc(attr);
}

// @ts-ignore: decorator
@inline
function isArray(map: BpfMap): bool {
  return map.type == BPF_MAP_TYPE_DEVMAP;
}

// @ts-ignore: decorator
@inline
function elemAt(map: BpfMap, index: u32): usize {
  return <usize>changetype<ArrayMap>(map).values + 8 * <usize>index;
}

/** What is at a key, both halves; 0 for nothing. Under the tables lock. */
function wordOf(map: BpfMap, key: usize): u64 {
  if (isArray(map)) return load<u64>(elemAt(map, load<u32>(key)));
  const to = scratch();
  store<u64>(to, 0);
  return htabLookupElem(changetype<Htab>(map), key, to) == 0 ? load<u64>(to) : 0;
}

/** Behind a key's copy. */
// @ts-ignore: decorator
@inline
function scratch(): usize {
  return keyCopy() + 16;
}

/** Whether a key has a device. */
export function hasDevice(map: BpfMap, key: u32): bool {
  if (isArray(map)) return key < map.maxEntries && atomic.load<u32>(elemAt(map, key)) != 0;
  store<u32>(keyCopy(), key);
  return htabLookupElem(changetype<Htab>(map), keyCopy(), 0) == 0;
}

function update(map: BpfMap, key: usize, value: usize, flags: u64): i32 {
  const ifindex = load<u32>(value);
  const progFd = map.valueSize == 8 ? load<i32>(value, 4) : 0;
  if (flags > <u64>BPF_EXIST || (!isArray(map) && ifindex == 0)) return -EINVAL;
  // It is looked at more than once, and user memory may change meanwhile.
  store<u32>(keyCopy(), load<u32>(key));
  if (isArray(map) && load<u32>(keyCopy()) >= map.maxEntries) return -E2BIG;
  if (isArray(map) && flags == <u64>BPF_NOEXIST) return -EEXIST;
  lock(tablesLock());
  const ret = put(map, keyCopy(), ifindex, progFd, flags == <u64>BPF_NOEXIST);
  collectDeadMaps();
  unlock(tablesLock());
  return ret;
}

/** Under the tables lock. */
function put(map: BpfMap, key: usize, ifindex: u32, progFd: i32, isNew: bool): i32 {
  const was = wordOf(map, key);
  if (isNew && was != 0) return -EEXIST;
  if (ifindex > deviceCount() || (ifindex == 0 && progFd > 0)) return -EINVAL;
  const prog = progFd > 0 ? progOf(fdEntry(progFd)) : 0;
  if (progFd > 0 && (prog == 0 || !fits(map, progAt(prog)))) return -EINVAL;
  const word = ((prog != 0 ? <u64>progAt(prog).id : 0) << 32) | ifindex;
  if (isArray(map)) {
    atomic.store<u64>(elemAt(map, load<u32>(key)), word);
  } else {
    store<u64>(scratch(), word);
    const ret = htabUpdateElem(changetype<Htab>(map), key, scratch(), 0);
    if (ret != 0) return ret;
  }
  if (prog != 0) progAt(prog).refs++;
  dropProgOf(was);
  return 0;
}

/** Where it stands what programs must be like: 0 before the first came, TAKES_FRAGS or TAKES_NONE. */
function ownerAt(map: BpfMap): usize {
  return changetype<usize>(map) + (isArray(map) ? offsetof<ArrayMap>("template0") : offsetof<Htab>("template0"));
}

/** Whether a program goes in: bpf_prog_map_compatible. The first decides what the others must be like. */
function fits(map: BpfMap, prog: BpfProg): bool {
  if (prog.type != BPF_PROG_TYPE_XDP || prog.attachType != BPF_XDP_DEVMAP) return false;
  const kind = (prog.flags & BPF_F_XDP_HAS_FRAGS) != 0 ? TAKES_FRAGS : TAKES_NONE;
  if (load<u32>(ownerAt(map)) == 0) store<u32>(ownerAt(map), kind);
  return load<u32>(ownerAt(map)) == kind;
}

/** Gives back the reference that an elem's word has held. The caller holds the tables lock. */
function dropProgOf(word: u64): void {
  const prog = progById(<u32>(word >> 32));
  if (prog != 0) dropProg(progAt(prog));
}

function remove(map: BpfMap, key: usize): i32 {
  if (isArray(map) && load<u32>(key) >= map.maxEntries) return -EINVAL;
  lock(tablesLock());
  const was = wordOf(map, key);
  let ret = 0;
  if (isArray(map)) atomic.store<u64>(elemAt(map, load<u32>(key)), 0);
  else ret = htabDeleteElem(changetype<Htab>(map), key);
  if (ret == 0) dropProgOf(was);
  collectDeadMaps();
  unlock(tablesLock());
  return ret;
}

/** BPF_MAP_LOOKUP_ELEM of an array. */
function lookup(map: BpfMap, index: u32, to: usize): i32 {
  if (index >= map.maxEntries) return -ENOENT;
  const word = atomic.load<u64>(elemAt(map, index));
  if (word == 0) return -ENOENT;
  if (to != 0 && map.valueSize == 8) store<u64>(to, word);
  else if (to != 0) store<u32>(to, <u32>word);
  return 0;
}

/** Of a walk over all elems: see `walk`. */
const COUNTS: u32 = 0;
const DROPS: u32 = 1;
const CHECKS: u32 = 2;
const HAS: u32 = 3;

/** Goes over all elems: how many hold the program of `id`, or (HAS) a device. The caller holds the tables lock, but for HAS. */
function walk(map: BpfMap, what: u32, id: u32): u32 {
  let held: u32 = 0;
  if (isArray(map)) {
    for (let i: u32 = 0; i < map.maxEntries; i++) held += visit(map, elemAt(map, i), what, id);
    return held;
  }
  const htab = changetype<Htab>(map);
  if (map.valueSize != 8) return 0;
  for (let n: u32 = 0; n < linesInAll(htab); n++) {
    if (homeLine(htab, n) == 0) continue;
    const line = lineAt(htab, n);
    for (let full = fullCells(htab, line); full != 0; full &= full - 1) {
      held += visit(map, valueAt(htab, line, <u32>ctz<u32>(full)), what, id);
    }
  }
  return held;
}

function visit(map: BpfMap, at: usize, what: u32, id: u32): u32 {
  const word = load<u64>(at);
  const prog = <u32>(word >> 32);
  if (what == HAS) return <u32>word != 0 ? 1 : 0;
  if (what == COUNTS) return prog == id ? 1 : 0;
  if (what == DROPS) dropProgOf(word);
  else if (prog != 0 && progById(prog) == 0) finding(ELEM_OF_NO_PROG, <u32>changetype<usize>(map), prog, 0);
  return 0;
}

/** Where a program finds the value of a key, or 0. */
function findElem(map: BpfMap, key: usize): i32 {
  const array = changetype<ArrayMap>(map);
  const at = arrayFind(array, load<u32>(key), 0);
  return at != 0 && atomic.load<u32>(at) != 0 ? <i32>at : 0;
}

export function devmapOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  switch (op) {
    case ALLOC_CHECK:
      return allocCheck(changetype<CreateAttr>(map));
    case ALLOC:
      return <i32>alloc(changetype<CreateAttr>(map));
    default:
      return opsOf(changetype<BpfMap>(map), op, a, b, flags);
  }
}

/** Those of a map that there is. */
function opsOf(map: BpfMap, op: u32, a: usize, b: usize, flags: u64): i32 {
  switch (op) {
    case UPDATE_ELEM:
      return update(map, a, b, flags);
    case DELETE_ELEM:
      return remove(map, a);
    case COUNT_REFS:
      return walk(map, COUNTS, <u32>a);
    case ADD_REFS:
      walk(map, DROPS, 0);
      return 0;
    case CHECK:
      if (!isArray(map)) checkHtab(changetype<Htab>(map));
      walk(map, CHECKS, 0);
      return 0;
    case LOOKUP_ELEM:
    case FIND_ELEM:
    case COUNT:
    case HOLDS_VALUE:
    case FREE:
    case GET_NEXT_KEY:
    case MEM_USAGE:
    case OWN_RUNS:
    case CLEAR_LOCKS:
    case REPAIR:
      if (!isArray(map)) return hashOps(op, changetype<usize>(map), a, b, flags);
      if (op == LOOKUP_ELEM) return lookup(map, load<u32>(a), b);
      if (op == FIND_ELEM) return findElem(map, a);
      if (op == COUNT) return walk(map, HAS, 0);
      return arrayOps(op, changetype<usize>(map), a, b, flags);
    default:
      return -ENOTSUPP;
  }
}

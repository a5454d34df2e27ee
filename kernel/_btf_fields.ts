/**
 * Special fields: parts of a map's values that are the kernel's own (locks, timers, deferred work), found by their types'
 * names. User space reads them as zeroes, and what it writes there is ignored. In unions nobody looks for them. Behaves as btf_parse_fields in kernel/bpf/btf.c.
 *
 * Differs from Linux: kptrs, reference counts, lists and trees are found, and maps with them refused (EOPNOTSUPP): they are for
 * programs alone.
 * What Linux asks more of their types at BPF_BTF_LOAD is not looked at.
 *
 * Threads: what a search finds lies in the task's record (`shadow`), and then in the map's head, where it stays as it is.
 */
import {
  BPF_F_LOCK,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
} from "../src/uapi/bpf";
import { E2BIG, EACCES, EEXIST, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP } from "../src/uapi/errno";
import {
  Btf,
  KIND_ARRAY,
  KIND_DATASEC,
  KIND_PTR,
  KIND_STRUCT,
  KIND_TYPE_TAG,
  MAX_RESOLVE_DEPTH,
  kindOf,
  memberAt,
  memberBits,
  nameOff,
  sizeOrType,
  stringAt,
  typeAt,
  vlen,
} from "./_btf_types";
import { placesOf } from "./_timer_places";
import { BpfMap } from "./map";
import { hashBytes } from "./maps/_htab";
import { allocKernel, freePages } from "./mem/pages";
import { me, shadow } from "./task";
import { allocTimers } from "./timers";

/** Kinds of fields, by their number in a mask. A struct has at most one of each below REFCOUNT. */
export const SPIN_LOCK: u32 = 0;
const RES_SPIN_LOCK: u32 = 1;
export const TIMER: u32 = 2;
const WORKQUEUE: u32 = 3;
const TASK_WORK: u32 = 4;
const REFCOUNT: u32 = 5;
const LIST_HEAD: u32 = 6;
const LIST_NODE: u32 = 7;
const RB_ROOT: u32 = 8;
const RB_NODE: u32 = 9;
const KPTR: u32 = 10;
const NONE: u32 = 32;

/** Of a value: as many as there is room for in a map's head. */
export const MOST_FIELDS: u32 = 11;
const KIND_BITS: u32 = 4;
/** Those that arrays do not have. */
const ONCE: u32 = 0x3f;
/** What is looked for in values of maps, and at BPF_BTF_LOAD. */
const IN_VALUES: u32 = 0x57f;
const AT_LOAD: u32 = 0x7e3;
/** What a type is looked through for at BPF_BTF_LOAD when a member of it is one. */
const LEADS: u32 = 0x3e1;

/** A search, in the task's record. */
@unmanaged
class Search {
  /** What it looks for, what of it the struct has that is being looked at, and what was found. */
  mask: u32;
  seen: u32;
  found: u32;
  /** How many, of which kinds (KIND_BITS each), and, behind, where: a word each. */
  count: u32;
  kinds: u64;
}

// @ts-ignore: decorator
@inline
function search(): Search {
  return changetype<Search>(shadow());
}

// @ts-ignore: decorator
@inline
function offAt(i: u32): usize {
  return shadow() + offsetof<Search>() + 4 * <usize>i;
}

// @ts-ignore: decorator
@inline
function kindIn(kinds: u64, i: u32): u32 {
  return <u32>(kinds >> (KIND_BITS * i)) & ((1 << KIND_BITS) - 1);
}

/** Of a map's head. */
const FIELDS_BYTES: u32 = <u32>(offsetof<BpfMap>("fieldOff10") + 4 - offsetof<BpfMap>("fields"));

function isText(at: usize, text: string): bool {
  const length = text.length;
  for (let i = 0; i < length; i++) {
    if (load<u8>(at + i) != <u8>text.charCodeAt(i)) return false;
  }
  return load<u8>(at + length) == 0;
}

function kindOfName(at: usize): u32 {
  if (isText(at, "bpf_spin_lock")) return SPIN_LOCK;
  if (isText(at, "bpf_res_spin_lock")) return RES_SPIN_LOCK;
  if (isText(at, "bpf_timer")) return TIMER;
  if (isText(at, "bpf_wq")) return WORKQUEUE;
  if (isText(at, "bpf_task_work")) return TASK_WORK;
  if (isText(at, "bpf_refcount")) return REFCOUNT;
  if (isText(at, "bpf_list_head")) return LIST_HEAD;
  if (isText(at, "bpf_list_node")) return LIST_NODE;
  if (isText(at, "bpf_rb_root")) return RB_ROOT;
  if (isText(at, "bpf_rb_node")) return RB_NODE;
  return NONE;
}

function bytesOf(kind: u32): u32 {
  if (kind == SPIN_LOCK || kind == RES_SPIN_LOCK || kind == REFCOUNT) return 4;
  if (kind == LIST_NODE) return 24;
  if (kind == RB_NODE) return 32;
  return kind == TASK_WORK || kind == KPTR ? 8 : 16;
}

function alignOf(kind: u32): u32 {
  return kind == SPIN_LOCK || kind == RES_SPIN_LOCK || kind == REFCOUNT ? 4 : 8;
}

/** Begins a search, and does it: 0; -E2BIG, -EINVAL or -EEXIST when what is there cannot be. */
function findFields(btf: Btf, type: usize, mask: u32): i32 {
  memory.fill(shadow(), 0, offsetof<Search>() + 4 * MOST_FIELDS);
  search().mask = mask;
  const kind = kindOf(type);
  let ret = -EINVAL;
  if (kind == KIND_STRUCT) ret = findInStruct(btf, type, 0);
  else if (kind == KIND_DATASEC) ret = findInSection(btf, type);
  if (ret < 0) return ret;
  if ((search().found & 3) == 3) return -EINVAL;
  // In the order of offsets, none over another.
  let end: u32 = 0;
  for (let i: u32 = 0, n = search().count; i < n; i++) {
    const off = load<u32>(offAt(i));
    if (off < end) return -EEXIST;
    end = off + bytesOf(kindIn(search().kinds, i));
  }
  return 0;
}

/** Where fields lie is told from this struct's begin: alignment counts from there. */
function findInStruct(btf: Btf, type: usize, level: u32): i32 {
  const around = search().seen;
  search().seen = 0;
  for (let i: u32 = 0, n = vlen(type); i < n; i++) {
    const member = memberAt(type, i);
    const bits = memberBits(type, member);
    // Not of a bit-field.
    if ((bits & 7) != 0) return -EINVAL;
    const ret = findOne(btf, load<u32>(member, 4), bits / 8, 0, level);
    if (ret < 0) return ret;
  }
  search().seen = around;
  return 0;
}

function findInSection(btf: Btf, type: usize): i32 {
  for (let i: u32 = 0, n = vlen(type); i < n; i++) {
    const part = memberAt(type, i);
    const variable = typeAt(btf, load<u32>(part));
    const ret = findOne(btf, sizeOrType(variable), load<u32>(part, 4), load<u32>(part, 8), 0);
    if (ret < 0) return ret;
  }
  return 0;
}

/** Looks at a member. `size`: what it must have, or 0. */
function findOne(btf: Btf, id: u32, off: u32, size: u32, level: u32): i32 {
  let type = typeAt(btf, id);
  let elems: u32 = 1;
  let depth: u32 = 0;
  for (; depth < MAX_RESOLVE_DEPTH && kindOf(type) == KIND_ARRAY; depth++) {
    elems *= load<u32>(type, 20);
    type = typeAt(btf, load<u32>(type, 12));
  }
  if (depth == MAX_RESOLVE_DEPTH) return -E2BIG;
  if (elems == 0) return 0;
  const s = search();
  let kind = kindOfName(stringAt(btf, nameOff(type)));
  if (kind != NONE && (s.mask & (1 << kind)) != 0) {
    if (kind < REFCOUNT && (s.seen & (1 << kind)) != 0) return -E2BIG;
    s.seen |= 1 << kind;
  } else if (kindOf(type) == KIND_STRUCT) {
    const bytes = sizeOrType(type);
    if (size != 0 && size != bytes * elems) return 0;
    if (level + 1 >= MAX_RESOLVE_DEPTH) return -E2BIG;
    const before = s.found;
    s.found = 0;
    const first = s.count;
    const ret = findInStruct(btf, type, level + 1);
    for (let i = first; i < s.count; i++) store<u32>(offAt(i), load<u32>(offAt(i)) + off);
    const isOnce = (s.found & ONCE) != 0;
    s.found |= before;
    return ret == 0 && elems > 1 && isOnce ? -EINVAL : ret;
  } else if ((s.mask & (1 << KPTR)) != 0 && isKptr(btf, type)) {
    kind = KPTR;
  } else {
    return 0;
  }
  if (size != 0 && size != bytesOf(kind) * elems) return 0;
  if (off % alignOf(kind) != 0) return 0;
  if (kind != KPTR && (kindOf(type) != KIND_STRUCT || sizeOrType(type) != bytesOf(kind))) return 0;
  if (s.count + elems > MOST_FIELDS) return -E2BIG;
  if (elems > 1 && (ONCE & (1 << kind)) != 0) return -EINVAL;
  s.found |= 1 << kind;
  for (let i: u32 = 0; i < elems; i++) {
    store<u32>(offAt(s.count), off + i * bytesOf(kind));
    s.kinds |= (<u64>kind) << (KIND_BITS * s.count);
    s.count++;
  }
  return 0;
}

/** A pointer whose type has the tag of one that the kernel manages. */
function isKptr(btf: Btf, type: usize): bool {
  if (kindOf(type) != KIND_PTR) return false;
  const tag = typeAt(btf, sizeOrType(type));
  if (kindOf(tag) != KIND_TYPE_TAG) return false;
  const text = stringAt(btf, nameOff(tag));
  return isText(text, "kptr") || isText(text, "kptr_untrusted") || isText(text, "percpu_kptr") || isText(text, "uptr");
}

/** BPF_BTF_LOAD: whether structs with special fields are sound. Behaves as btf_parse_struct_metas. */
export function checkFieldsOfAll(btf: Btf): i32 {
  if (!findLeads(btf)) return 0;
  for (let id: u32 = 1, n = btf.typeCount; id < n; id++) {
    const type = typeAt(btf, id);
    if (kindOf(type) != KIND_STRUCT || !hasLead(type)) continue;
    const ret = findFields(btf, type, AT_LOAD);
    if (ret < 0) return ret;
    if (search().count == 0) return -EFAULT;
  }
  return 0;
}

/** Where the id of the first struct with a kind's name is noted, behind the search. */
// @ts-ignore: decorator
@inline
function leadAt(kind: u32): usize {
  return offAt(MOST_FIELDS + kind);
}

/** Notes the structs that are special fields by their names. Returns whether there are any. */
function findLeads(btf: Btf): bool {
  memory.fill(leadAt(0), 0, 4 * (KPTR + 1));
  let isAny = false;
  for (let id: u32 = 1, n = btf.typeCount; id < n; id++) {
    const type = typeAt(btf, id);
    if (kindOf(type) != KIND_STRUCT) continue;
    const kind = kindOfName(stringAt(btf, nameOff(type)));
    if (kind == NONE || (LEADS & (1 << kind)) == 0 || load<u32>(leadAt(kind)) != 0) continue;
    store<u32>(leadAt(kind), id);
    isAny = true;
  }
  return isAny;
}

function hasLead(type: usize): bool {
  for (let i: u32 = 0, n = vlen(type); i < n; i++) {
    const id = load<u32>(memberAt(type, i), 4);
    for (let kind: u32 = 0; kind < KPTR; kind++) {
      if (load<u32>(leadAt(kind)) == id) return true;
    }
  }
  return false;
}

/** The types whose values may have a kind of field, a bit each. */
function mayHave(mapType: u32): u32 {
  const locks: u32 = (1 << SPIN_LOCK) | (1 << RES_SPIN_LOCK);
  const work: u32 = (1 << TIMER) | (1 << WORKQUEUE) | (1 << TASK_WORK);
  if (mapType == BPF_MAP_TYPE_HASH || mapType == BPF_MAP_TYPE_ARRAY) return locks | work;
  return mapType == BPF_MAP_TYPE_LRU_HASH ? work : 0;
}

/** Notes the special fields of a map's values, which are of this type. 0, -EACCES, -EOPNOTSUPP or -ENOMEM. */
export function noteFields(map: BpfMap, btf: Btf, valueType: usize): i32 {
  // What cannot be is as if it was not there.
  if (findFields(btf, valueType, IN_VALUES) < 0 || search().count == 0) return 0;
  if ((map.mapFlags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) != 0) return -EACCES;
  const found = search().found;
  if ((found & ~mayHave(map.type)) != 0) return -EOPNOTSUPP;
  memory.copy(fieldOffAt(map, 0), offAt(0), 4 * MOST_FIELDS);
  map.fieldKinds = search().kinds;
  map.fieldCount = search().count;
  map.fields = found;
  return (found & (1 << TIMER)) == 0 || allocTimers(map, placesOf(map)) ? 0 : -ENOMEM;
}

/** Where in a value its timer lies; of maps with timers. */
export function timerOffset(map: BpfMap): u32 {
  let i: u32 = 0;
  while (kindIn(map.fieldKinds, i) != TIMER) i++;
  return load<u32>(fieldOffAt(map, i));
}

// @ts-ignore: decorator
@inline
function fieldOffAt(map: BpfMap, i: u32): usize {
  return changetype<usize>(map) + offsetof<BpfMap>("fieldOff0") + 4 * <usize>i;
}

/**
 * Whether values have a bpf_spin_lock: what BPF_F_LOCK wants. Nobody holds it here: values are read and written whole with and
 * without (maps/_value.ts).
 */
// @ts-ignore: decorator
@inline
export function hasSpinLock(map: BpfMap): bool {
  return (map.fields & (1 << SPIN_LOCK)) != 0;
}

/** A word that is the same for maps whose values have the same fields at the same places. */
export function fieldsMark(map: BpfMap): u32 {
  if (map.fields == 0) return 0;
  return hashBytes(changetype<usize>(map) + offsetof<BpfMap>("fields"), FIELDS_BYTES, 1) | 1;
}

/**
 * A value as an update takes it: without what the caller has in special fields. The value itself where there are none; 0 when
 * memory is out. Give it to `dropValue` afterwards.
 */
// @ts-ignore: decorator
@inline
export function takeValue(map: BpfMap, value: usize, flags: u64): usize {
  return map.fields == 0 ? value : clearedCopy(map, value, flags);
}

// @ts-ignore: decorator
@inline
export function dropValue(map: BpfMap, taken: usize): void {
  if (map.fields == 0) return;
  me().keepsTimer = 0;
  freePages(taken);
}

function clearedCopy(map: BpfMap, value: usize, flags: u64): usize {
  const to = allocKernel(map.valueSize, true);
  if (to == 0) return 0;
  // As Linux: under its lock a hash's value is overwritten, and not exchanged for another.
  me().keepsTimer = (flags & BPF_F_LOCK) != 0 && map.type == BPF_MAP_TYPE_HASH ? 1 : 0;
  memory.copy(to, value, map.valueSize);
  for (let i: u32 = 0; i < map.fieldCount; i++) {
    memory.fill(to + load<u32>(fieldOffAt(map, i)), 0, bytesOf(kindIn(map.fieldKinds, i)));
  }
  return to;
}

/** Whether BPF_F_LOCK, which these flags may have and nothing else, is for this map. */
// @ts-ignore: decorator
@inline
export function mayLock(map: BpfMap, flags: u64): bool {
  return flags == 0 || (flags == <u64>BPF_F_LOCK && hasSpinLock(map));
}

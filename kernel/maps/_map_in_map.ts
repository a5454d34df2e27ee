/**
 * Maps of maps: what ARRAY_OF_MAPS and HASH_OF_MAPS have in common. Behaves as kernel/bpf/map_in_map.c.
 *
 * They are an array and a hash with values of four bytes: an elem is the id of its inner map, and 0 in an array stands for none. A
 * map keeps its id for as long as something holds it, and no other gets it meanwhile: so the id is as good as the address, and
 * lookups, which return it, take no more locks than those of any word.
 *
 * Threads: elems change under the tables lock, then the line's of a hash. An elem holds one reference of its inner map. The
 * elem's word is the truth: after a death `rebuildTables` counts the references of all elems anew.
 *
 * The template, which tells what maps may go in, is a copy: the map that it was taken from may go.
 */
import {
  BPF_F_INNER_MAP,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
} from "../../src/uapi/bpf";
import { EINVAL, ENOTSUPP } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { endUse, fdEntry, mapOf, noMap, useFd } from "../fd";
import { BpfMap, addRef, looseRef, mapAt, mapById } from "../map";
import { fieldsMark } from "../_btf_fields";
import { isMapInMap } from "../map_types";
import { ArrayMap } from "./_array";

@unmanaged
export class Template {
  type: u32;
  keySize: u32;
  valueSize: u32;
  maxEntries: u32;
  mapFlags: u32;
  /** What tells its special fields from others: fieldsMark. */
  fields: u32;
}

/** Why the map of inner_map_fd cannot be a template: 0, or a negative errno. */
export function checkTemplate(attr: CreateAttr): i32 {
  const fd = useFd(attr.innerMapFd);
  if (fd == 0) return noMap(attr.innerMapFd);
  const type = mapOf(fd).type;
  const isExclusive = mapOf(fd).exclusive != 0;
  endUse();
  if (isMapInMap(type)) return -EINVAL;
  return type == BPF_MAP_TYPE_PROG_ARRAY || isExclusive ? -ENOTSUPP : 0;
}

/** Copies the template of a map that is nobody else's yet. The fd may be another one's by now: so it is looked at again. */
export function copyTemplate(to: Template, attr: CreateAttr): i32 {
  const ret = checkTemplate(attr);
  if (ret != 0) return ret;
  const fd = useFd(attr.innerMapFd);
  if (fd == 0) return noMap(attr.innerMapFd);
  const map = mapOf(fd);
  to.type = map.type;
  to.keySize = map.keySize;
  to.valueSize = map.valueSize;
  to.maxEntries = map.maxEntries;
  to.mapFlags = map.mapFlags;
  to.fields = fieldsMark(map);
  endUse();
  return 0;
}

/** Whether a map may go in: bpf_map_meta_equal, and array_map_meta_equal. */
function fits(template: Template, map: BpfMap): bool {
  if (template.type != map.type || template.keySize != map.keySize || template.valueSize != map.valueSize) return false;
  if (template.mapFlags != map.mapFlags || template.fields != fieldsMark(map)) return false;
  const isFixed = template.type == BPF_MAP_TYPE_ARRAY && (template.mapFlags & BPF_F_INNER_MAP) == 0;
  return !isFixed || template.maxEntries == map.maxEntries;
}

/** The address of the map of an fd that may go in, as an unsigned number below -4095; or a negative errno. Under the tables lock. */
export function innerOf(template: Template, fd: u32): i32 {
  const word = fdEntry(fd);
  if (<u32>word == 0) return noMap(fd);
  const map = mapOf(word);
  if (map.exclusive != 0) return -ENOTSUPP;
  return fits(template, map) ? <i32>changetype<usize>(map) : -EINVAL;
}

// @ts-ignore: decorator
@inline
export function isErrno(address: i32): bool {
  return <u32>address > <u32>-4096;
}

/** An elem holds another map from now on: `was` is the old id, or 0. The caller holds the tables lock. */
export function exchangeRefs(now: usize, was: u32): void {
  if (now != 0) addRef(mapAt(now));
  const old = mapById(was);
  if (old != 0) looseRef(mapAt(old));
}

/** Changes the references of the inner map of an elem by 1 or -1: part of counting those of all. */
// @ts-ignore: decorator
@inline
export function changeRefs(id: u32, by: i32): void {
  const map = mapById(id);
  if (map != 0) mapAt(map).refs += by;
}

// Of arrays whose elems begin with an id, as ARRAY_OF_MAPS and PERF_EVENT_ARRAY have them.

// @ts-ignore: decorator
@inline
export function elemAt(map: ArrayMap, index: u32): usize {
  return <usize>map.values + <usize>index * map.slotSize;
}

/** The id of the map that an index has, which is in range; or 0. */
// @ts-ignore: decorator
@inline
export function idAt(map: ArrayMap, index: u32): u32 {
  return atomic.load<u32>(elemAt(map, index));
}

/** How many elems hold the map of an id; any map if it is 0. */
export function countArrayRefs(map: ArrayMap, id: u32): u32 {
  let held: u32 = 0;
  for (let index: u32 = 0; index < map.maxEntries; index++) {
    const has = idAt(map, index);
    if (has != 0 && (id == 0 || has == id)) held++;
  }
  return held;
}

export function addArrayRefs(map: ArrayMap, by: i32): void {
  for (let index: u32 = 0; index < map.maxEntries; index++) changeRefs(idAt(map, index), by);
}

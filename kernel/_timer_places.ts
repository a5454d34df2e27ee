/**
 * Places of elems: a number for each place where an elem of a map may lie, and where its timer is told by (timers.ts). Of maps whose values
 * may have a timer: ARRAY, HASH and LRU_HASH, whose elems do not move.
 *
 *      array          the index
 *      hash, in lines    the number of the line times 8, plus that of the cell
 *      hash, in slots    the number of the slot
 */
import { BPF_MAP_TYPE_ARRAY } from "../src/uapi/bpf";
import { timerOffset } from "./_btf_fields";
import { BpfMap } from "./map";
import { ArrayMap } from "./maps/_array";
import {
  Htab,
  TAGS_OFF,
  fullCells,
  keyAt,
  lineAt,
  nextLine,
  overflowOf,
  slotOf,
  slotsOf,
  valueAt,
} from "./maps/_htab";
import { chunkSize, hasChunk, homeOf, indexOf, slotAt } from "./maps/_slots";
import { freeTimer } from "./timers";

const CELLS: u32 = 8;
export const NO_PLACE: u32 = u32.MAX_VALUE;

/** How many places a map has. */
export function placesOf(map: BpfMap): u32 {
  if (map.type == BPF_MAP_TYPE_ARRAY) return map.maxEntries;
  const htab = changetype<Htab>(map);
  return htab.slotted == 0 ? CELLS * (htab.lineCount + overflowOf(htab).count) : slotsOf(htab).count;
}

/** The place of the elem whose value lies here: one that is the map's. */
export function placeOfValue(map: BpfMap, value: usize): u32 {
  if (map.type == BPF_MAP_TYPE_ARRAY) {
    const array = changetype<ArrayMap>(map);
    return <u32>((value - array.values) / array.slotSize);
  }
  const htab = changetype<Htab>(map);
  if (htab.slotted != 0) return indexOf(slotsOf(htab), value - htab.valueOff);
  const line = <u32>((value - htab.lines) / htab.lineSize);
  return CELLS * line + <u32>((value - lineAt(htab, line) - htab.valuesOff) / htab.valueStride);
}

/** Where the value of a place lies. */
export function valueOfPlace(map: BpfMap, place: u32): usize {
  if (map.type == BPF_MAP_TYPE_ARRAY) {
    const array = changetype<ArrayMap>(map);
    return <usize>array.values + <usize>place * array.slotSize;
  }
  const htab = changetype<Htab>(map);
  if (htab.slotted != 0) return slotAt(slotsOf(htab), place) + htab.valueOff;
  return valueAt(htab, lineAt(htab, place / CELLS), place % CELLS);
}

/** Copies the key of a place. False where there is no elem. */
export function copyKeyOfPlace(map: BpfMap, place: u32, to: usize): bool {
  if (map.type == BPF_MAP_TYPE_ARRAY) {
    store<u32>(to, place);
    return true;
  }
  const htab = changetype<Htab>(map);
  if (htab.slotted != 0) {
    const slot = slotAt(slotsOf(htab), place);
    memory.copy(to, slot + 8, htab.keySize);
    return homeOf(slotsOf(htab), slot) != 0;
  }
  const line = lineAt(htab, place / CELLS);
  memory.copy(to, keyAt(htab, line, place % CELLS), htab.keySize);
  return load<u8>(line + TAGS_OFF + (place % CELLS)) != 0;
}

/** The place of the timer that lies at an address, or NO_PLACE for what is none of the map's. */
export function placeOfTimerField(map: BpfMap, address: u64): u32 {
  const off = timerOffset(map);
  const value = <usize>address - off;
  if (address >> 32 != 0 || address < off) return NO_PLACE;
  const place = map.type == BPF_MAP_TYPE_ARRAY ? placeInArray(map, value) : placeInHash(changetype<Htab>(map), value);
  // One that is not the begin of a value leads to another one's.
  return place != NO_PLACE && valueOfPlace(map, place) == value ? place : NO_PLACE;
}

function placeInArray(map: BpfMap, value: usize): u32 {
  const array = changetype<ArrayMap>(map);
  const isIn = value >= <usize>array.values && (value - array.values) / array.slotSize < array.maxEntries;
  return isIn ? placeOfValue(map, value) : NO_PLACE;
}

function placeInHash(map: Htab, value: usize): u32 {
  if (map.slotted == 0) {
    if (value < <usize>map.lines) return NO_PLACE;
    const line = (value - map.lines) / map.lineSize;
    if (line >= <usize>(map.lineCount + overflowOf(map).count)) return NO_PLACE;
    const off = (value - map.lines) % map.lineSize;
    const isIn = off >= map.valuesOff && (off - map.valuesOff) / map.valueStride < map.cells;
    return isIn ? placeOfValue(map, value) : NO_PLACE;
  }
  const slots = slotsOf(map);
  for (let index: u32 = 0; index < slots.count; index += chunkSize(slots, index)) {
    if (!hasChunk(slots, index)) continue;
    const first = slotAt(slots, index) + map.valueOff;
    if (value < first || (value - first) / slots.stride >= chunkSize(slots, index)) continue;
    return index + <u32>((value - first) / slots.stride);
  }
  return NO_PLACE;
}

/** Cancels and frees the timer of the value that lies here, if it has one. */
export function freeTimerOf(map: BpfMap, value: usize): void {
  freeTimer(map, placeOfValue(map, value));
}

/** Frees the timers of elems that are in a bucket no more: in lines. */
export function freeTimersOfGone(map: Htab, home: usize): void {
  for (let line = home; line != 0; line = nextLine(line)) {
    const full = fullCells(map, line);
    for (let i: u32 = 0; i < map.cells; i++) {
      if ((full & (1 << i)) == 0) freeTimerOf(map, valueAt(map, line, i));
    }
  }
}

/**
 * What `check` looks at in a hash table: that each elem lies in the line of its key, under its tag; that no key is there twice;
 * that every overflow line and every slot is led to by the line that it says, and by no other, or is free.
 */
import { finding } from "../finding";
import { countOf } from "./_count";
import {
  Htab,
  KeyBytes,
  TAGS_OFF,
  countWord,
  fullCells,
  hasKey,
  hashOf,
  keyAt,
  lineAt,
  lineOf,
  nextLine,
  overflowOf,
  slotOf,
  slotsOf,
  tagOf,
} from "./_htab";
import { checkExact, isExact } from "./_lru_exact";
import { Slots, homeOf, isSlot, slotsTaken } from "./_slots";

const NO_SLOT: u32 = 64;
const ELEM_IN_WRONG_BUCKET: u32 = 65;
const KEY_TWICE: u32 = 66;
const COUNT: u32 = 67;
const LINES_LOST: u32 = 68;
const SLOTS_LOST: u32 = 69;
const MORE_THAN_MAX: u32 = 70;
const LINE_SEQ_ODD: u32 = 71;
const LINE_EMPTY: u32 = 72;
const WRONG_HOME: u32 = 73;
const LINE_LOOPS: u32 = 74;

export function checkHtab(map: Htab): void {
  if (map.keySize == 4) checkLines<u32>(map);
  else if (map.keySize == 8) checkLines<u64>(map);
  else checkLines<KeyBytes>(map);
}

function checkLines<K>(map: Htab): void {
  const at = <u32>changetype<usize>(map);
  const overflow = overflowOf(map);
  let held: u32 = 0;
  let linked: u32 = 0;
  for (let index: u32 = 0; index < map.lineCount; index++) {
    const home = lineAt(map, index);
    if (load<u32>(home, 4) & 1) finding(LINE_SEQ_ODD, <u32>home, load<u32>(home, 4), 0);
    const more = checkChain(map, home, index);
    if (more < 0) return;
    linked += more;
    for (let line = home; line != 0; line = nextLine(line)) held += checkCells<K>(map, home, line, index);
  }
  if (isExact(map)) checkExact(map);
  const count = countOf(countWord(map));
  if (held != count) finding(COUNT, at, count, held);
  if (held > map.maxEntries) finding(MORE_THAN_MAX, at, held, map.maxEntries);
  if (slotsTaken(overflow) != linked) finding(LINES_LOST, at, slotsTaken(overflow), linked);
  if (map.slotted != 0 && slotsTaken(slotsOf(map)) != held) finding(SLOTS_LOST, at, slotsTaken(slotsOf(map)), held);
}

/** Returns how many overflow lines a bucket has; -1 if it leads elsewhere, or goes in circles: then no more can be said. */
function checkChain(map: Htab, home: usize, index: u32): i32 {
  const at = <u32>changetype<usize>(map);
  const overflow = overflowOf(map);
  let linked: i32 = 0;
  for (let line = nextLine(home); line != 0; line = nextLine(line)) {
    if (!isPart(overflow, line, index, at)) return -1;
    if (<u32>++linked > overflow.count) {
      finding(LINE_LOOPS, at, <u32>line, index);
      return -1;
    }
    if (load<u64>(line + TAGS_OFF) == 0) finding(LINE_EMPTY, at, <u32>line, index);
  }
  return linked;
}

/** Whether an address that a bucket leads to is one of these slots, and says so. */
function isPart(slots: Slots, slot: usize, index: u32, at: u32): bool {
  if (!isSlot(slots, slot)) {
    finding(NO_SLOT, at, <u32>slot, index);
    return false;
  }
  if (homeOf(slots, slot) != index + 1) finding(WRONG_HOME, at, <u32>slot, index);
  return true;
}

// @ts-ignore: decorator
@inline
function keyOf<K>(map: Htab, line: usize, i: u32): K {
  if (isInteger<K>()) return load<K>(keyAt(map, line, i));
  return changetype<K>(keyAt(map, line, i));
}

/** Returns how many elems a line has. */
function checkCells<K>(map: Htab, home: usize, line: usize, index: u32): u32 {
  const at = <u32>changetype<usize>(map);
  let held: u32 = 0;
  for (let full = fullCells(map, line); full != 0; full &= full - 1) {
    const cell = <u32>ctz<u32>(full);
    held++;
    if (map.slotted != 0 && !isPart(slotsOf(map), slotOf(line, cell), index, at)) continue;
    const key = keyOf<K>(map, line, cell);
    const hash = hashOf<K>(map, key);
    if (lineOf(map, hash) != index) finding(ELEM_IN_WRONG_BUCKET, at, index, lineOf(map, hash));
    if (<u32>load<u8>(line + TAGS_OFF + cell) != tagOf(hash)) finding(ELEM_IN_WRONG_BUCKET, at, index, index);
    if (timesThere<K>(map, home, key) != 1) finding(KEY_TWICE, at, <u32>line, cell);
  }
  return held;
}

function timesThere<K>(map: Htab, home: usize, key: K): u32 {
  let times: u32 = 0;
  for (let line = home; line != 0; line = nextLine(line)) {
    for (let full = fullCells(map, line); full != 0; full &= full - 1) {
      if (hasKey<K>(map, line, <u32>ctz<u32>(full), key)) times++;
    }
  }
  return times;
}

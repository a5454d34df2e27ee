/**
 * Operations on hash tables, for every kind of key and of value. See _htab.ts for the structure and who may do what when.
 *
 * The type argument K is the key: u32, u64, Key16, or KeyBytes for all other sizes. A key of bytes must not change during an
 * update: the caller has copied it out of user memory. Of a value, `0` for its address stands for "do not copy".
 */
import { BPF_EXIST, BPF_F_NO_PREALLOC, BPF_NOEXIST } from "../../src/uapi/bpf";
import { E2BIG, EEXIST, EINVAL, ENOENT, ENOMEM } from "../../src/uapi/errno";
import { freeTimerOf, freeTimersOfGone } from "../_timer_places";
import { awaitMore, isLocked, unlock } from "../lock";
import { fence, keepOrder, storeInOrder } from "../order";
import { sb } from "../super";
import { Task, currentCpu, me, taskOf } from "../task";
import { beginDown, countDown, countOf, countUp, endCount, settleCount } from "./_count";
import {
  Htab,
  KEYS_OFF,
  Key16,
  KeyBytes,
  NEXT_OFF,
  PAIR_BYTES,
  PAIR_VALUE_OFF,
  TAGS_OFF,
  cellOfTag,
  cellsWith,
  countWord,
  findTag,
  fullCells,
  hasPairs,
  hashOf,
  keyStrideOf,
  lineAt,
  lineOf,
  lineOfTag,
  nextLine,
  overflowOf,
  putKey,
  slotOf,
  slotsOf,
  tagOf,
  valueAt,
  valueOfTag,
  valueStrideOf,
} from "./_htab";
import { coldestOf, homeOfTag, isLru, mayGo, nextToGo, noteGone, noteNew, noteUse } from "./_lru";
import { forgetQueue } from "./_lru_exact";
import {
  NO_MEMORY,
  NO_SLOT,
  chunkSize,
  extraAt,
  giveSlot,
  homeOf,
  indexInChunk,
  indexOf,
  takeSlot,
} from "./_slots";
import { awaitWriter, bumpSeq, loadSeq, lockStripe, slotStripeOf } from "./_stripe";
import {
  Lanes,
  addInPlace,
  addLanes,
  addWord,
  copy,
  copyWord,
  isWord,
  overwrite,
  readSlot,
  settleWrite,
  writeSlot,
} from "./_value";

/** Tries without a lock before a lookup takes it: writers that never pause must not starve it. */
const OPTIMISTIC_LOOKUPS: i32 = 64;

// @ts-ignore: decorator
@inline
export function isPerCpuTable(map: Htab): bool {
  return map.slotSize != 0;
}

/** Copies a value out: of a per-CPU table those of all CPUs, one behind the other. `index` is the home line's number. */
// @ts-ignore: decorator
@inline
export function readValue(map: Htab, value: usize, index: u32, to: usize): void {
  if (isPerCpuTable(map)) readSlots(map, value, index, to);
  else copy(to, value, map.valueSize);
}

/** From a CPU's values to the next CPU's. */
// @ts-ignore: decorator
@inline
function valuesSize(map: Htab, slot: usize): usize {
  const slots = slotsOf(map);
  return <usize>chunkSize(slots, indexOf(slots, slot)) * map.slotSize;
}

function readSlots(map: Htab, value: usize, index: u32, to: usize): void {
  const bytes = map.slotSize;
  const step = valuesSize(map, value - map.valueOff);
  let from: usize = load<u32>(value);
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    readSlot(map, slotStripeOf(map, index, cpu), to, from, bytes);
    from += step;
    to += bytes;
  }
}

function writeSlots(map: Htab, value: usize, index: u32, from: usize): i32 {
  const bytes = map.slotSize;
  const step = valuesSize(map, value - map.valueOff);
  let to: usize = load<u32>(value);
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    const ret = writeSlot(map, slotStripeOf(map, index, cpu), to, from, bytes);
    if (ret != 0) return ret;
    to += step;
    from += bytes;
  }
  return 0;
}

/**
 * Writes the first value of an elem that no reader looks at yet: what is at `from`, or zeroes with its lanes added. Of a
 * per-CPU table the values of all CPUs, or zeroes with the lanes added to that of this thread's CPU.
 */
function fillValue(map: Htab, value: usize, from: usize, lanes: Lanes | null): void {
  if (isPerCpuTable(map)) {
    fillSlots(map, value, from, lanes);
  } else if (lanes == null) {
    copy(value, from, map.valueSize);
  } else {
    memory.fill(value, 0, map.valueSize);
    addLanes(value, from, lanes);
  }
}

function fillSlots(map: Htab, value: usize, from: usize, lanes: Lanes | null): void {
  const slots = slotsOf(map);
  const index = indexOf(slots, value - map.valueOff);
  const step = valuesSize(map, value - map.valueOff);
  let at = extraAt(slots, index) + <usize>indexInChunk(slots, index) * map.slotSize;
  store<u32>(value, <u32>at);
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    if (lanes != null) {
      memory.fill(at, 0, map.slotSize);
      if (cpu + 1 == me().cpu) addLanes(at, from, lanes);
    } else {
      copy(at, from, map.slotSize);
      from += map.slotSize;
    }
    at += step;
  }
}

/**
 * Copies the value of a key to `to`, unless that is 0.
 *
 * @param isUse Whether an LRU table is to note it: as Linux has it, lookups of programs are uses, system calls' are not.
 */
// @ts-ignore: decorator
@inline
export function lookup<K>(map: Htab, key: K, to: usize, isUse: bool): i32 {
  return lookupHashed<K>(map, key, hashOf<K>(map, key), to, isUse);
}

// @ts-ignore: decorator
@inline
export function lookupHashed<K>(map: Htab, key: K, hash: u32, to: usize, isUse: bool): i32 {
  const index = lineOf(map, hash);
  const line = lineAt(map, index);
  for (let tries = 0; tries < OPTIMISTIC_LOOKUPS; tries++) {
    const seq = loadSeq(line);
    const tag = findTag<K>(map, line, key, hash, seq);
    if (tag != 0 && to != 0) readValue(map, valueOfTag(map, tag), index, to);
    keepOrder();
    if (loadSeq(line) == seq && (seq & 1) == 0) {
      if (isUse && tag != 0) noteUse(map, tag);
      return tag != 0 ? 0 : -ENOENT;
    }
    if (seq & 1) awaitWriter(map, line);
  }
  return lookupLocked<K>(map, key, hash, to, isUse);
}

/** Where the value of a key lies, of a per-CPU table that of a CPU; or 0. A use, of an LRU table. */
// @ts-ignore: decorator
@inline
export function find<K>(map: Htab, key: K, cpu: u32): usize {
  const hash = hashOf<K>(map, key);
  const line = lineAt(map, lineOf(map, hash));
  while (true) {
    const seq = loadSeq(line);
    const tag = findTag<K>(map, line, key, hash, seq);
    keepOrder();
    if (loadSeq(line) != seq) continue;
    if (tag == 0) return 0;
    if (isLru(map)) noteUse(map, tag);
    return cellValue(map, lineOfTag(tag), cellOfTag(tag), cpu);
  }
}

/** Where the value of a line's cell lies, of a per-CPU table that of a CPU. */
// @ts-ignore: decorator
@inline
export function cellValue(map: Htab, line: usize, i: u32, cpu: u32): usize {
  const value = valueAt(map, line, i);
  return isPerCpuTable(map) ? <usize>load<u32>(value) + <usize>cpu * valuesSize(map, value - map.valueOff) : value;
}

/**
 * The same on a table whose elems lie in lines, with keys and values of 4 or 8 bytes (`valueWord`): what is asked of the map
 * elsewhere is known here, which saves 2 of 12 ns. What is not the common hit goes the long way.
 */
// @ts-ignore: decorator
@inline
export function lookupWord<K, V>(map: Htab, key: K, hash: u32, to: usize, isUse: bool): i32 {
  const line = lineAt(map, lineOf(map, hash));
  const seq = loadSeq(line);
  const found = cellsWith(line, tagOf(hash));
  keepOrder();
  const i = <usize>ctz<u32>(found);
  let ret: i32 = 0;
  if (found == 0 && nextLine(line) == 0) ret = -ENOENT;
  else if (found == 0 || load<K>(line + i * keyStrideOf<K, V>(), KEYS_OFF) != key) return lookupHashed<K>(map, key, hash, to, isUse);
  else if (to != 0) store<V>(to, load<V>(line + map.valuesOff + i * valueStrideOf<K, V>()));
  keepOrder();
  if (loadSeq(line) != seq || (seq & 1) != 0) return lookupHashed<K>(map, key, hash, to, isUse);
  if (isUse && ret == 0) noteUse(map, line + TAGS_OFF + i);
  return ret;
}

function lookupLocked<K>(map: Htab, key: K, hash: u32, to: usize, isUse: bool): i32 {
  const index = lineOf(map, hash);
  const line = lineAt(map, index);
  lockStripe(map, line);
  const tag = findTag<K>(map, line, key, hash, load<u32>(line, 4));
  if (tag != 0 && to != 0) readValue(map, valueOfTag(map, tag), index, to);
  if (tag != 0 && isUse) noteUse(map, tag);
  unlock(line);
  return tag != 0 ? 0 : -ENOENT;
}

/** BPF_MAP_UPDATE_ELEM, with the value at `value`. */
// @ts-ignore: decorator
@inline
export function update<K>(map: Htab, key: K, value: usize, flags: u64): i32 {
  if (flags > <u64>BPF_EXIST) return -EINVAL;
  return updateHashed<K>(map, key, hashOf<K>(map, key), value, flags);
}

/** The same with flags that are known to be BPF_ANY, BPF_NOEXIST or BPF_EXIST. */
// @ts-ignore: decorator
@inline
export function updateHashed<K>(map: Htab, key: K, hash: u32, value: usize, flags: u64): i32 {
  const index = lineOf(map, hash);
  const line = lineAt(map, index);
  if (isInteger<K>() && sizeof<K>() == 4 && hasPairs(map)) {
    if (flags != <u64>BPF_NOEXIST && replacePair(map, <u32>key, hash, line, load<u32>(value))) return 0;
    if (flags != <u64>BPF_EXIST && isFullWithout(map, <u32>key, hash, line)) return -E2BIG;
  }
  while (true) {
    lockStripe(map, line);
    const ret = updateUnder<K>(map, key, hash, index, value, flags);
    unlock(line);
    if (ret != -E2BIG || !isLru(map)) return ret;
    makeRoom(map);
  }
}

/** The same for a caller that holds the line's lock. */
function updateUnder<K>(map: Htab, key: K, hash: u32, index: u32, value: usize, flags: u64): i32 {
  const line = lineAt(map, index);
  const tag = findTag<K>(map, line, key, hash, load<u32>(line, 4));
  if (tag == 0) return flags == <u64>BPF_EXIST ? -ENOENT : insert<K>(map, key, hash, line, value, null);
  if (flags == <u64>BPF_NOEXIST) return -EEXIST;
  if (isLru(map)) noteUse(map, tag);
  return replace(map, valueOfTag(map, tag), index, line, value);
}

/**
 * Whether a key is not there, and the map full; false where that takes the lock to tell.
 *
 * Who inserts counts the elem first, then stores its tag; who deletes takes the tag first: both with the lock, and who deletes has
 * raised seq when it is given back. So nobody was at it when the count was read, nor when the key was looked for, nor in between.
 * (Model: test/models/full.pml.)
 */
// @ts-ignore: decorator
@inline
function isFullWithout(map: Htab, key: u32, hash: u32, line: usize): bool {
  if (isLru(map)) return false;
  const seq = loadSeq(line);
  if (isLocked(line) || countOf(countWord(map)) < map.maxEntries || isLocked(line)) return false;
  keepOrder();
  const tag = findTag<u32>(map, line, key, hash, seq);
  keepOrder();
  return tag == 0 && !isLocked(line) && loadSeq(line) == seq;
}

/**
 * Replaces the value of a pair without a lock: by a compare-and-swap of key and value. False for what is not the common hit.
 *
 * That seq is the same before and after says that the elem was there as it was read. From then on another thread may delete it: then
 * this update counts as made before. Who deletes an elem to return its value makes the word another key's when it is gone, and
 * returns what was in there (`removeElem`): so it returns this value, or the swap fails.
 */
// @ts-ignore: decorator
@inline
function replacePair(map: Htab, key: u32, hash: u32, line: usize, value: u32): bool {
  const seq = loadSeq(line);
  const found = cellsWith(line, tagOf(hash));
  keepOrder();
  const i = <usize>ctz<u32>(found);
  const pair = line + KEYS_OFF + i * PAIR_BYTES;
  const old = found != 0 ? load<u64>(pair) : 0;
  keepOrder();
  if (found == 0 || <u32>old != key || loadSeq(line) != seq) return false;
  if (atomic.cmpxchg<u64>(pair, old, pairOf(key, value)) != old) return false;
  if (isLru(map)) noteUse(map, line + TAGS_OFF + i);
  return true;
}

// @ts-ignore: decorator
@inline
function pairOf(key: u32, value: u32): u64 {
  return key | (<u64>value << 32);
}

/** Makes the pair of an elem that is gone one that no thread can take for its own any more. Returns the value that it had. */
function takePair(map: Htab, pair: usize, index: u32): u32 {
  let key = ~load<u32>(pair);
  // A key of another line's was never in this one.
  while (lineOf(map, hashOf<u32>(map, key)) == index) key++;
  return <u32>(atomic.xchg<u64>(pair, key) >> 32);
}

/** The same on a table as `lookupWord` is for. */
// @ts-ignore: decorator
@inline
export function updateWord<K, V>(map: Htab, key: K, hash: u32, value: usize, flags: u64): i32 {
  if (sizeof<K>() != 4 || sizeof<V>() != 4) return updateWordLocked<K, V>(map, key, hash, value, flags);
  const line = lineAt(map, lineOf(map, hash));
  if (flags != <u64>BPF_NOEXIST && replacePair(map, <u32>key, hash, line, load<u32>(value))) return 0;
  return insertPair(map, <u32>key, hash, value, flags);
}

/** The rest of it for pairs, in two: whatever lives on behind a call is written to the stack at the start of a function (2 ns, measured). */
function insertPair(map: Htab, key: u32, hash: u32, value: usize, flags: u64): i32 {
  const line = lineAt(map, lineOf(map, hash));
  if (flags != <u64>BPF_EXIST && isFullWithout(map, key, hash, line)) return -E2BIG;
  return updatePairLocked(map, key, hash, value, flags);
}

function updatePairLocked(map: Htab, key: u32, hash: u32, value: usize, flags: u64): i32 {
  return updateWordLocked<u32, u32>(map, key, hash, value, flags);
}

// @ts-ignore: decorator
@inline
function updateWordLocked<K, V>(map: Htab, key: K, hash: u32, value: usize, flags: u64): i32 {
  const index = lineOf(map, hash);
  const line = lineAt(map, index);
  lockStripe(map, line);
  const found = cellsWith(line, tagOf(hash));
  const i = <usize>ctz<u32>(found);
  const isHit = found != 0 && load<K>(line + i * keyStrideOf<K, V>(), KEYS_OFF) == key && flags != <u64>BPF_NOEXIST;
  let ret: i32 = 0;
  if (isHit) {
    store<V>(line + map.valuesOff + i * valueStrideOf<K, V>(), load<V>(value));
    if (isLru(map)) noteUse(map, line + TAGS_OFF + i);
  } else if (found == 0 && nextLine(line) == 0 && flags != <u64>BPF_EXIST) ret = insert<K>(map, key, hash, line, value, null);
  else ret = updateUnder<K>(map, key, hash, index, value, flags);
  unlock(line);
  if (ret != -E2BIG || !isLru(map)) return ret;
  makeRoom(map);
  return updateHashed<K>(map, key, hash, value, flags);
}

// @ts-ignore: decorator
@inline
function replace(map: Htab, at: usize, index: u32, line: usize, value: usize): i32 {
  if (isPerCpuTable(map)) return writeSlots(map, at, index, value);
  if (isWord(map.valueSize)) {
    copyWord(at, value, map.valueSize);
    return 0;
  }
  return overwrite(line, at, value, map.valueSize);
}

/** Makes an elem in an empty cell. The caller holds the line's lock. */
function insert<K>(map: Htab, key: K, hash: u32, line: usize, value: usize, lanes: Lanes | null): i32 {
  if (countOf(countWord(map)) >= map.maxEntries) return -E2BIG;
  let last = line;
  let tag = emptyTag(map, line);
  for (let next = nextLine(line); tag == 0 && next != 0; next = nextLine(next)) {
    last = next;
    tag = emptyTag(map, next);
  }
  let fresh: usize = 0;
  if (tag == 0) {
    fresh = takeLine(map, line);
    if (fresh != NO_SLOT) {
      tag = fresh + TAGS_OFF;
    } else {
      // An LRU table never is without room: it makes some in this bucket, and -E2BIG has the caller try again.
      if (!isLru(map)) return -ENOMEM;
      dropOut(map, line, coldestOf(map, line));
      return -E2BIG;
    }
  }
  // Slots that come on demand may not come at all: so first the slot, then the count, which cannot fail afterwards.
  const onDemand = map.slotted != 0 && (map.mapFlags & BPF_F_NO_PREALLOC) != 0;
  let ret: i32 = onDemand && !takeElem(map, line, tag) ? -ENOMEM : 0;
  if (ret == 0 && !countUp(countWord(map), map.maxEntries, tag)) {
    ret = -E2BIG;
    if (onDemand) dropElem(map);
  }
  if (ret != 0) {
    if (fresh != 0) dropLine(map, fresh, me());
    return ret;
  }
  if (map.slotted != 0 && !onDemand) takeElem(map, line, tag);
  putKey<K>(map, lineOfTag(tag), cellOfTag(tag), key);
  fillValue(map, valueOfTag(map, tag), value, lanes);
  if (isLru(map)) noteNew(map, line, tag, hash);
  // A program may have inited one after the elem that was here had gone.
  if (map.timers != 0) freeTimerOf(map, valueOfTag(map, tag));
  // Until the tag is stored it is an empty line.
  if (fresh != 0) storeInOrder<u32>(last + NEXT_OFF, <u32>fresh);
  storeInOrder<u8>(tag, <u8>tagOf(hash));
  const task = me();
  task.spareLine = 0;
  task.spareSlot = 0;
  endCount();
  return 0;
}

/** Where the tag of a line's first empty cell lies, or 0. */
// @ts-ignore: decorator
@inline
function emptyTag(map: Htab, line: usize): usize {
  const i = <u32>ctz<u32>(cellsWith(line, 0));
  return i < map.cells ? line + TAGS_OFF + i : 0;
}

/** The number of a line of the map's own, plus 1: what an overflow line or a slot of its is marked with. */
// @ts-ignore: decorator
@inline
function homeNumber(map: Htab, line: usize): u32 {
  return <u32>((line - map.lines) / map.lineSize) + 1;
}

/** An overflow line for a line, or NO_SLOT. */
function takeLine(map: Htab, line: usize): usize {
  const fresh = takeSlot(overflowOf(map), homeNumber(map, line), spareLineOf(me()));
  if (fresh == NO_SLOT) me().spareLine = 0;
  return fresh;
}

// @ts-ignore: decorator
@inline
function spareLineOf(task: Task): usize {
  return changetype<usize>(task) + offsetof<Task>("spareLine");
}

/** Gives back an overflow line that no line leads to. `task` has noted it. */
function dropLine(map: Htab, line: usize, task: Task): void {
  store<u32>(line + NEXT_OFF, 0);
  giveSlot(overflowOf(map), line, indexOf(overflowOf(map), line));
  task.spareLine = 0;
}

/** Takes a slot for a cell that is about to be filled. False when memory is out. */
function takeElem(map: Htab, line: usize, tag: usize): bool {
  const home = homeNumber(map, line);
  const spare = changetype<usize>(me()) + offsetof<Task>("spareSlot");
  let slot = NO_SLOT;
  // There is one for each elem that was counted (or may be taken first); but another thread may be about to give it back.
  for (let tries = 0; slot == NO_SLOT; tries++) {
    slot = takeSlot(slotsOf(map), home, spare);
    if (slot == NO_SLOT) awaitMore(line, tries);
  }
  if (slot == NO_MEMORY) {
    me().spareSlot = 0;
    return false;
  }
  store<u32>(lineOfTag(tag) + 4 * <usize>cellOfTag(tag), <u32>slot, KEYS_OFF);
  return true;
}

/** Gives back the slot that this task took last. */
function dropElem(map: Htab): void {
  const slot: usize = me().spareSlot;
  giveSlot(slotsOf(map), slot, indexOf(slotsOf(map), slot));
  me().spareSlot = 0;
}

/** BPF_MAP_DELETE_ELEM. */
// @ts-ignore: decorator
@inline
export function remove<K>(map: Htab, key: K): i32 {
  const hash = hashOf<K>(map, key);
  const line = lineAt(map, lineOf(map, hash));
  lockStripe(map, line);
  const tag = findTag<K>(map, line, key, hash, load<u32>(line, 4));
  if (tag != 0) removeElem(map, line, tag, 0, 0);
  unlock(line);
  return tag != 0 ? 0 : -ENOENT;
}

/** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
function lookupAndRemove<K>(map: Htab, key: K, to: usize): i32 {
  const hash = hashOf<K>(map, key);
  const index = lineOf(map, hash);
  const line = lineAt(map, index);
  lockStripe(map, line);
  const tag = findTag<K>(map, line, key, hash, load<u32>(line, 4));
  if (tag != 0) removeElem(map, line, tag, index, to);
  unlock(line);
  return tag != 0 ? 0 : -ENOENT;
}

/**
 * Deletes the elem of a tag, whose value is copied to `to`, unless that is 0: all that was ever added to it is in there. The
 * caller holds the lock of the home line, which is the one of number `index`.
 */
export function removeElem(map: Htab, line: usize, tag: usize, index: u32, to: usize): void {
  const value = to == 0 ? 0 : valueOfTag(map, tag);
  // Of a per-CPU table others may be adding to it still: it is read when they have done.
  if (value != 0 && !isPerCpuTable(map) && !hasPairs(map)) readValue(map, value, index, to);
  const slot = map.slotted != 0 ? slotOf(lineOfTag(tag), cellOfTag(tag)) : 0;
  const task = me();
  task.spareSlot = <u32>slot;
  beginDown(countWord(map), tag);
  storeInOrder<u8>(tag, 0);
  bumpSeq(line);
  if (value != 0 && hasPairs(map)) store<u32>(to, takePair(map, value - PAIR_VALUE_OFF, index));
  if (map.timers != 0) freeTimerOf(map, valueOfTag(map, tag));
  const at = lineOfTag(tag);
  if (at != line && load<u64>(at + TAGS_OFF) == 0) unlinkLine(map, line, at, task);
  if (slot != 0) {
    awaitAdders(map, line);
    if (value != 0 && isPerCpuTable(map)) readValue(map, value, index, to);
    dropElem(map);
  }
  countDown(countWord(map));
}

/** Takes an empty overflow line out of its list, for the task that holds the home line's lock. */
function unlinkLine(map: Htab, home: usize, line: usize, task: Task): void {
  let before = home;
  while (load<u32>(before + NEXT_OFF) != <u32>line) before = load<u32>(before + NEXT_OFF);
  task.spareLine = <u32>line;
  storeInOrder<u32>(before + NEXT_OFF, load<u32>(line + NEXT_OFF));
  bumpSeq(home);
  dropLine(map, line, task);
}

/** Deletes an elem of a full LRU table. The caller holds no lock: there is room for one more, if no other thread takes it. */
function makeRoom(map: Htab): void {
  for (let tries = 0; countOf(countWord(map)) >= map.maxEntries; tries++) {
    // That there is none can only be because of those who are about to insert one: they hold locks.
    const tag = nextToGo(map, tries != 0);
    if (tag == 0) continue;
    const home = homeOfTag(map, tag);
    if (home == 0) continue;
    lockStripe(map, home);
    if (mayGo(map, home, tag) && countOf(countWord(map)) >= map.maxEntries) dropOut(map, home, tag);
    unlock(home);
  }
}

/** Deletes an elem to make room. The caller holds the lock of its home line. */
function dropOut(map: Htab, home: usize, tag: usize): void {
  noteGone(map, home, tag);
  removeElem(map, home, tag, 0, 0);
}

/** Adds to the value of a key, lane by lane; an absent one starts at zero. Of a per-CPU table, to this thread's CPU. */
// @ts-ignore: decorator
@inline
export function add<K>(map: Htab, key: K, delta: usize, lanes: Lanes): i32 {
  const hash = hashOf<K>(map, key);
  const index = lineOf(map, hash);
  const line = lineAt(map, index);
  if (isPerCpuTable(map)) return addToSlot<K>(map, key, hash, index, delta, lanes);
  while (true) {
    lockStripe(map, line);
    const ret = addUnder<K>(map, key, hash, line, delta, lanes);
    unlock(line);
    if (ret != -E2BIG || !isLru(map)) return ret;
    makeRoom(map);
  }
}

/** The same for a caller that holds the line's lock. */
function addUnder<K>(map: Htab, key: K, hash: u32, line: usize, delta: usize, lanes: Lanes): i32 {
  const tag = findTag<K>(map, line, key, hash, load<u32>(line, 4));
  if (tag == 0) return insert<K>(map, key, hash, line, delta, lanes);
  if (isLru(map)) noteUse(map, tag);
  const value = valueOfTag(map, tag);
  if (!isWord(map.valueSize)) return addInPlace(line, value, delta, map.valueSize, lanes);
  addWord(value, delta, map.valueSize, lanes);
  return 0;
}

/**
 * The same on a per-CPU table. What keeps the elem there is the stripe of the CPU's own slot: whoever deletes an elem takes the
 * stripes of all CPUs before its slot can be another's (`awaitAdders`). So threads that add on one key meet nowhere.
 */
function addToSlot<K>(map: Htab, key: K, hash: u32, index: u32, delta: usize, lanes: Lanes): i32 {
  const cpu = currentCpu();
  if (cpu < 0) return cpu;
  const line = lineAt(map, index);
  const stripe = slotStripeOf(map, index, cpu);
  while (true) {
    lockStripe(map, stripe);
    const seq = loadSeq(line);
    const tag = findTag<K>(map, line, key, hash, seq);
    const value = tag != 0 ? valueOfTag(map, tag) : 0;
    keepOrder();
    let ret: i32 = 0;
    const isSame = loadSeq(line) == seq;
    if (isSame && tag != 0) {
      const at = <usize>load<u32>(value) + valuesSize(map, value - map.valueOff) * cpu;
      if (isWord(map.slotSize)) addWord(at, delta, map.slotSize, lanes);
      else ret = addInPlace(stripe, at, delta, map.slotSize, lanes);
    }
    unlock(stripe);
    if (isSame && tag != 0) {
      if (isLru(map)) noteUse(map, tag);
      return ret;
    }
    if (isSame) {
      ret = insertAdded<K>(map, key, hash, line, delta, lanes);
      if (ret == -E2BIG && isLru(map)) makeRoom(map);
      else if (ret != -EEXIST) return ret;
    }
  }
}

/** Makes an elem of zeroes, with the delta added for this thread's CPU; or -EEXIST, when another thread was faster. */
function insertAdded<K>(map: Htab, key: K, hash: u32, line: usize, delta: usize, lanes: Lanes): i32 {
  lockStripe(map, line);
  const isThere = findTag<K>(map, line, key, hash, load<u32>(line, 4)) != 0;
  const ret = isThere ? -EEXIST : insert<K>(map, key, hash, line, delta, lanes);
  unlock(line);
  return ret;
}

/** Waits for those who have found an elem that is gone now, and are adding to their CPU's value of it. */
function awaitAdders(map: Htab, line: usize): void {
  if (!isPerCpuTable(map)) return;
  const index = homeNumber(map, line) - 1;
  // Between the new seq and the look at who is adding: an adder does the two the other way round.
  fence();
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    const stripe = slotStripeOf(map, index, cpu);
    if (atomic.load<u32>(stripe) != 0) awaitWriter(map, stripe);
  }
}

/** Finishes or undoes what a task that has ended did under the lock of a line, or of a CPU's slot. */
export function htabRepair(map: Htab, word: usize, id: u32): void {
  settleWrite(word, id);
  if (word == map.exact) forgetQueue(map);
  const isLine = word >= <usize>map.lines && word - map.lines < <usize>map.lineSize * map.lineCount;
  if (!isLine) return;
  settleSpares(map, word, taskOf(id));
  settleCount(id);
}

/** What a task has taken, or was about to give back, for a line that does not lead to it, is free; an empty line goes. */
function settleSpares(map: Htab, home: usize, task: Task): void {
  const number = homeNumber(map, home);
  if (map.timers != 0 && map.slotted == 0) freeTimersOfGone(map, home);
  const line: usize = task.spareLine;
  if (line != 0 && homeOf(overflowOf(map), line) == number && !leadsTo(home, line)) dropLine(map, line, task);
  for (let at = nextLine(home); at != 0; ) {
    const next = nextLine(at);
    if (load<u64>(at + TAGS_OFF) == 0) unlinkLine(map, home, at, task);
    at = next;
  }
  const slot: usize = task.spareSlot;
  const slots = slotsOf(map);
  if (slot != 0 && homeOf(slots, slot) == number && !hasSlot(map, home, slot)) {
    if (map.timers != 0) freeTimerOf(map, slot + map.valueOff);
    giveSlot(slots, slot, indexOf(slots, slot));
  }
  task.spareLine = 0;
  task.spareSlot = 0;
}

function leadsTo(home: usize, line: usize): bool {
  let at = nextLine(home);
  while (at != 0 && at != line) at = nextLine(at);
  return at != 0;
}

function hasSlot(map: Htab, home: usize, slot: usize): bool {
  for (let line = home; line != 0; line = nextLine(line)) {
    for (let full = fullCells(map, line); full != 0; full &= full - 1) {
      if (slotOf(line, <u32>ctz<u32>(full)) == slot) return true;
    }
  }
  return false;
}

// By the key's address: what system calls have.

export function htabLookupElem(map: Htab, key: usize, to: usize): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return lookup<u32>(map, load<u32>(key), to, false);
  if (bytes == 8) return lookup<u64>(map, load<u64>(key), to, false);
  if (bytes == 16) return lookup<Key16>(map, changetype<Key16>(key), to, false);
  return lookup<KeyBytes>(map, changetype<KeyBytes>(key), to, false);
}

/** The same as a program does it: a use, of an LRU table. */
export function htabUseElem(map: Htab, key: usize, to: usize): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return lookup<u32>(map, load<u32>(key), to, true);
  if (bytes == 8) return lookup<u64>(map, load<u64>(key), to, true);
  if (bytes == 16) return lookup<Key16>(map, changetype<Key16>(key), to, true);
  return lookup<KeyBytes>(map, changetype<KeyBytes>(key), to, true);
}

/** `find`, by the key's address. */
export function htabFindElem(map: Htab, key: usize, cpu: u32): usize {
  const bytes = map.keySize;
  if (bytes == 4) return find<u32>(map, load<u32>(key), cpu);
  if (bytes == 8) return find<u64>(map, load<u64>(key), cpu);
  if (bytes == 16) return find<Key16>(map, changetype<Key16>(key), cpu);
  return find<KeyBytes>(map, changetype<KeyBytes>(key), cpu);
}

export function htabUpdateElem(map: Htab, key: usize, value: usize, flags: u64): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return update<u32>(map, load<u32>(key), value, flags);
  if (bytes == 8) return update<u64>(map, load<u64>(key), value, flags);
  if (bytes == 16) return update<Key16>(map, changetype<Key16>(key), value, flags);
  return update<KeyBytes>(map, changetype<KeyBytes>(key), value, flags);
}

export function htabDeleteElem(map: Htab, key: usize): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return remove<u32>(map, load<u32>(key));
  if (bytes == 8) return remove<u64>(map, load<u64>(key));
  if (bytes == 16) return remove<Key16>(map, changetype<Key16>(key));
  return remove<KeyBytes>(map, changetype<KeyBytes>(key));
}

export function htabLookupAndDeleteElem(map: Htab, key: usize, to: usize): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return lookupAndRemove<u32>(map, load<u32>(key), to);
  if (bytes == 8) return lookupAndRemove<u64>(map, load<u64>(key), to);
  if (bytes == 16) return lookupAndRemove<Key16>(map, changetype<Key16>(key), to);
  return lookupAndRemove<KeyBytes>(map, changetype<KeyBytes>(key), to);
}

export function htabAddElem(map: Htab, key: usize, delta: usize, lanes: Lanes): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return add<u32>(map, load<u32>(key), delta, lanes);
  if (bytes == 8) return add<u64>(map, load<u64>(key), delta, lanes);
  if (bytes == 16) return add<Key16>(map, changetype<Key16>(key), delta, lanes);
  return add<KeyBytes>(map, changetype<KeyBytes>(key), delta, lanes);
}

/**
 * LRU in true order: of a hash table of which that was asked for, the elem that goes is the one whose last use is the longest ago.
 *
 *      state    lock, seq, clock, queue's length, place and room, address of the stamps: at `exact` of the map's head; 64 bytes
 *      queue    elems that were the oldest when it was made, oldest first: { stamp, address of the tag, 0 }, 16 bytes each
 *      stamps   eight u64 a line, one a cell: the clock as it was at the elem's last use
 *
 * The clock goes on with each use, by one atomic step. Stamps only rise: so the first of the queue whose stamp is still the one that
 * it was queued with is the oldest of all. When none is left, all stamps are looked at, for the oldest eighth.
 *
 * Costs: a use is an atomic step on a word that all threads share, and a store. Making the queue takes a look at 8 stamps for each
 * elem that goes.
 *
 * Threads: uses take no lock; two at the same moment may be told to be in either order. The queue is under its lock, which is
 * taken while no other is held. Whoever ends inside leaves a queue that is made anew.
 */
import { EBUSY, EINVAL, ENOMEM } from "../../src/uapi/errno";
import { finding } from "../finding";
import { unlock } from "../lock";
import { allocKernel, freePages } from "../mem/pages";
import { countOf } from "./_count";
import { Htab, TAGS_OFF, cellOfTag, countWord, fullCells, lineAt, lineOfTag, linesInAll, overflowOf } from "./_htab";
import { awaitWriter, lockStripe } from "./_stripe";

@unmanaged
export class ExactLru {
  lock: u32;
  seq: u32;
  clock: u64;
  length: u32;
  /** The first of the queue that is not known to be gone, or used again. */
  next: u32;
  room: u32;
  stamps: u32;
}

const QUEUE_AT: usize = 64;
const ENTRY: usize = 16;
const STAMPS_OF_LINE: u32 = 64;
/** Of all elems, so many are queued at a time; and never fewer than some. */
const QUEUED_SHARE: u32 = 8;
const LEAST_QUEUED: u32 = 16;

/** Findings of `check`. */
const STAMP_OF_FUTURE: u32 = 75;
const QUEUE_TOO_LONG: u32 = 76;

// @ts-ignore: decorator
@inline
export function isExact(map: Htab): bool {
  return map.exact != 0;
}

// @ts-ignore: decorator
@inline
function stateOf(map: Htab): ExactLru {
  return changetype<ExactLru>(<usize>map.exact);
}

/** Asks for the true order. Returns 0; -EINVAL if it is no LRU table, or was asked before; -EBUSY if it has elems; -ENOMEM. */
export function setExact(map: Htab): i32 {
  if (map.heatOff == 0 || isExact(map)) return -EINVAL;
  if (countOf(countWord(map)) != 0) return -EBUSY;
  const room = map.maxEntries / QUEUED_SHARE + LEAST_QUEUED;
  const stampsAt = QUEUE_AT + ENTRY * <usize>room;
  const lines = <u64>map.lineCount + overflowOf(map).count;
  const run = allocKernel(<u64>stampsAt + lines * STAMPS_OF_LINE);
  if (run == 0) return -ENOMEM;
  const state = changetype<ExactLru>(run);
  state.room = room;
  state.stamps = <u32>(run + stampsAt);
  // Another thread may have been faster.
  if (atomic.cmpxchg<u32>(changetype<usize>(map) + offsetof<Htab>("exact"), 0, <u32>run) == 0) return 0;
  freePages(run);
  return -EINVAL;
}

// @ts-ignore: decorator
@inline
function stampAt(map: Htab, tag: usize): usize {
  const line = <u32>((lineOfTag(tag) - map.lines) / map.lineSize);
  return <usize>stateOf(map).stamps + <usize>line * STAMPS_OF_LINE + 8 * <usize>cellOfTag(tag);
}

/** When an elem was used last, by the map's clock. */
export function stampOf(map: Htab, tag: usize): u64 {
  return atomic.load<u64>(stampAt(map, tag));
}

/** Notes that an elem was used, or is new. */
export function stamp(map: Htab, tag: usize): void {
  const now = atomic.add<u64>(<usize>map.exact + offsetof<ExactLru>("clock"), 1) + 1;
  atomic.store<u64>(stampAt(map, tag), now);
}

/** The tag of the oldest elem, or 0 if there is none. The caller holds no lock; the elem may be used, or gone, the next moment. */
export function oldest(map: Htab): usize {
  lockStripe(map, map.exact);
  let tag = firstOfQueue(map);
  if (tag == 0) {
    makeQueue(map);
    tag = firstOfQueue(map);
  }
  unlock(map.exact);
  return tag;
}

/** Whether that elem is the oldest still. */
export function isOldest(map: Htab, tag: usize): bool {
  const state = stateOf(map);
  if (state.next >= state.length) return false;
  const entry = entryAt(map, state.next);
  return <usize>load<u32>(entry, 8) == tag && load<u64>(entry) == stampOf(map, tag);
}

/** Waits for those who are about to insert: they have counted elems that nobody sees yet. */
export function awaitInserts(map: Htab): void {
  for (let n: u32 = 0; n < map.lineCount; n++) {
    if (atomic.load<u32>(lineAt(map, n)) != 0) awaitWriter(map, lineAt(map, n));
  }
}

// @ts-ignore: decorator
@inline
function entryAt(map: Htab, i: u32): usize {
  return <usize>map.exact + QUEUE_AT + ENTRY * <usize>i;
}

function firstOfQueue(map: Htab): usize {
  const state = stateOf(map);
  for (; state.next < state.length; state.next++) {
    const entry = entryAt(map, state.next);
    const tag = <usize>load<u32>(entry, 8);
    if (load<u8>(tag) != 0 && stampOf(map, tag) == load<u64>(entry)) return tag;
  }
  return 0;
}

/** Queues the oldest elems, as many as have room: a heap of the oldest so far, its youngest at the top, that is sorted in the end. */
function makeQueue(map: Htab): void {
  const state = stateOf(map);
  state.length = 0;
  state.next = 0;
  let n: u32 = 0;
  for (let index: u32 = 0, lines = linesInAll(map); index < lines; index++) {
    const line = lineAt(map, index);
    for (let full = fullCells(map, line); full != 0; full &= full - 1) {
      const tag = line + TAGS_OFF + ctz<u32>(full);
      const at = stampOf(map, tag);
      if (n < state.room) rise(map, n++, at, tag);
      else if (at < load<u64>(entryAt(map, 0))) sink(map, n, at, tag);
    }
  }
  for (let end = n; end > 1; ) {
    end--;
    const entry = entryAt(map, end);
    const at = load<u64>(entry);
    const tag = <usize>load<u32>(entry, 8);
    putEntry(entry, load<u64>(entryAt(map, 0)), load<u32>(entryAt(map, 0), 8));
    sink(map, end, at, tag);
  }
  state.length = n;
}

// @ts-ignore: decorator
@inline
function putEntry(entry: usize, at: u64, tag: usize): void {
  store<u64>(entry, at);
  store<u32>(entry, <u32>tag, 8);
}

/** Puts an entry into a heap of i entries. */
function rise(map: Htab, i: u32, at: u64, tag: usize): void {
  while (i != 0) {
    const up = entryAt(map, (i - 1) >> 1);
    if (load<u64>(up) >= at) break;
    putEntry(entryAt(map, i), load<u64>(up), load<u32>(up, 8));
    i = (i - 1) >> 1;
  }
  putEntry(entryAt(map, i), at, tag);
}

/** Puts an entry in place of the top of a heap of n entries. */
function sink(map: Htab, n: u32, at: u64, tag: usize): void {
  let i: u32 = 0;
  while (true) {
    let down: u32 = 2 * i + 1;
    if (down >= n) break;
    if (down + 1 < n && load<u64>(entryAt(map, down + 1)) > load<u64>(entryAt(map, down))) down++;
    const entry = entryAt(map, down);
    if (load<u64>(entry) <= at) break;
    putEntry(entryAt(map, i), load<u64>(entry), load<u32>(entry, 8));
    i = down;
  }
  putEntry(entryAt(map, i), at, tag);
}

/** Forgets the queue: a task that has ended may have been making it. */
export function forgetQueue(map: Htab): void {
  stateOf(map).length = 0;
  stateOf(map).next = 0;
}

export function checkExact(map: Htab): void {
  const state = stateOf(map);
  if (state.length > state.room || state.next > state.length) {
    finding(QUEUE_TOO_LONG, <u32>changetype<usize>(map), state.next, state.length);
  }
  for (let index: u32 = 0, lines = linesInAll(map); index < lines; index++) {
    const line = lineAt(map, index);
    for (let full = fullCells(map, line); full != 0; full &= full - 1) {
      const at = stampOf(map, line + TAGS_OFF + ctz<u32>(full));
      if (at > state.clock) finding(STAMP_OF_FUTURE, <u32>line, <u32>at, <u32>state.clock);
    }
  }
}

/**
 * Values: how their bytes are copied, so that no reader sees half of one, and no thread that ends leaves half of one.
 *
 * A value of 1, 2, 4 or 8 bytes (a "word") lies aligned to its size and is read and written in one access. Larger ones
 * are read between two looks at a stripe's seq; in place they are written with the stripe's seq odd.
 *
 * Whoever writes in place first copies the new value where it stays, and notes in its record what it is about to copy where.
 * If it ends in the middle, who reaps it does the copy again.
 *
 * Differs from Linux: array and per-CPU values of more than 8 bytes do not tear there either without BPF_F_LOCK here.
 */
import { ENOMEM } from "../../src/uapi/errno";
import { awaitWriter, beginWrite, endWrite, loadSeq, lockStripe, oddSeq, settleSeq } from "./_stripe";
import { freeTimerOf } from "../_timer_places";
import { unlock } from "../lock";
import { BpfMap } from "../map";
import { allocKernel, freePages } from "../mem/pages";
import { keepOrder } from "../order";
import { SHADOW_BYTES, Task, me, shadow, taskOf } from "../task";

/** From here on memory.copy is faster than single words. */
const BLOCK_BYTES: u32 = 128;
/** Tries without a lock before a reader takes it: writers that never pause must not starve it. */
const OPTIMISTIC_READS: i32 = 64;

// @ts-ignore: decorator
@inline
export function isWord(bytes: u32): bool {
  return bytes == 4 || bytes == 8 || bytes == 1 || bytes == 2;
}

// @ts-ignore: decorator
@inline
export function roundUp8(bytes: u32): u32 {
  return (bytes + 7) & ~7;
}

/** Copies a word: one load, one store. */
// @ts-ignore: decorator
@inline
export function copyWord(to: usize, from: usize, bytes: u32): void {
  if (bytes == 4) store<u32>(to, load<u32>(from));
  else if (bytes == 8) store<u64>(to, load<u64>(from));
  else if (bytes == 1) store<u8>(to, load<u8>(from));
  else store<u16>(to, load<u16>(from));
}

/** Copies bytes, eight at a time: a word in one access, if it is aligned on both sides. */
// @ts-ignore: decorator
@inline
export function copy(to: usize, from: usize, bytes: u32): void {
  if (bytes == 4) store<u32>(to, load<u32>(from));
  else if (bytes == 8) store<u64>(to, load<u64>(from));
  else copyMore(to, from, bytes);
}

function copyMore(to: usize, from: usize, bytes: u32): void {
  if (bytes > BLOCK_BYTES) {
    memory.copy(to, from, bytes);
    return;
  }
  while (bytes >= 8) {
    store<u64>(to, load<u64>(from));
    to += 8;
    from += 8;
    bytes -= 8;
  }
  if (bytes & 4) {
    store<u32>(to, load<u32>(from));
    to += 4;
    from += 4;
  }
  if (bytes & 2) {
    store<u16>(to, load<u16>(from));
    to += 2;
    from += 2;
  }
  if (bytes & 1) store<u8>(to, load<u8>(from));
}

/** Reads a value that is written in place. */
export function readSlot(map: BpfMap, stripe: usize, to: usize, from: usize, bytes: u32): void {
  if (isWord(bytes)) {
    copyWord(to, from, bytes);
    return;
  }
  for (let tries = 0; tries < OPTIMISTIC_READS; tries++) {
    const seq = loadSeq(stripe);
    if (seq & 1) {
      awaitWriter(map, stripe);
      continue;
    }
    copy(to, from, bytes);
    keepOrder();
    if (loadSeq(stripe) == seq) return;
  }
  lockStripe(map, stripe);
  copy(to, from, bytes);
  unlock(stripe);
}

/** Writes a value in place. Returns 0 or -ENOMEM. */
export function writeSlot(map: BpfMap, stripe: usize, to: usize, from: usize, bytes: u32): i32 {
  if (isWord(bytes)) {
    copyWord(to, from, bytes);
    return 0;
  }
  lockStripe(map, stripe);
  const ret = overwrite(stripe, to, from, bytes);
  unlock(stripe);
  return ret;
}

/** The same for a caller that holds the stripe, and a value that is no word. */
export function overwrite(stripe: usize, to: usize, from: usize, bytes: u32): i32 {
  const isLarge = bytes > SHADOW_BYTES;
  const copied = isLarge ? allocKernel(bytes, true) : shadow();
  if (copied == 0) return -ENOMEM;
  copy(copied, from, bytes);
  copyNoted(stripe, to, copied, bytes);
  if (isLarge) freePages(copied);
  return 0;
}

/** Copies a value that stays over one in place. */
function copyNoted(stripe: usize, to: usize, from: usize, bytes: u32): void {
  const task = me();
  task.redoFrom = <u32>from;
  task.redoBytes = bytes;
  task.redoTo = <u32>to;
  beginWrite(stripe);
  copy(to, from, bytes);
  endWrite(stripe);
  endTimerOf(task, to);
  task.redoTo = 0;
}

/** A timer does not outlive the value that it was in. */
function endTimerOf(task: Task, value: usize): void {
  const map = changetype<BpfMap>(<usize>task.map);
  if (map.timers != 0 && task.keepsTimer == 0) freeTimerOf(map, value);
}

/** Finishes what a task that has ended was writing under a stripe. */
export function settleWrite(stripe: usize, id: u32): void {
  const task = taskOf(id);
  if (task.redoTo != 0) {
    // It may have ended before it made seq odd: readers must not see the copy being made.
    oddSeq(stripe);
    copy(task.redoTo, task.redoFrom, task.redoBytes);
    endTimerOf(task, task.redoTo);
  }
  settleSeq(stripe);
  task.redoTo = 0;
}

/** Integers inside a value: a list of u32, each the byte offset shifted left by 8, and the width. */
@unmanaged
export class Lanes {
  count: u32;
}

// @ts-ignore: decorator
@inline
function laneAt(lanes: Lanes, i: u32): u32 {
  return load<u32>(changetype<usize>(lanes) + 4 + 4 * <usize>i);
}

/** Whether all lanes lie in the value, aligned. */
export function lanesFit(lanes: Lanes, valueSize: u32): bool {
  for (let i: u32 = 0, n = lanes.count; i < n; i++) {
    const lane = laneAt(lanes, i);
    const width = lane & 0xff;
    const offset = lane >> 8;
    if (!isWord(width) || (offset & (width - 1)) != 0 || offset + width > valueSize) return false;
  }
  return true;
}

/** Adds lane by lane, to bytes that no reader looks at yet, or that readers see are being written. */
export function addLanes(to: usize, delta: usize, lanes: Lanes): void {
  for (let i: u32 = 0, n = lanes.count; i < n; i++) {
    const lane = laneAt(lanes, i);
    const at = to + (lane >> 8);
    const by = delta + (lane >> 8);
    const width = lane & 0xff;
    if (width == 8) store<u64>(at, load<u64>(at) + load<u64>(by));
    else if (width == 4) store<u32>(at, load<u32>(at) + load<u32>(by));
    else if (width == 2) store<u16>(at, load<u16>(at) + load<u16>(by));
    else store<u8>(at, load<u8>(at) + load<u8>(by));
  }
}

/** Adds to a word that others may add to as well, lanes and all: one atomic step. */
export function addWord(to: usize, delta: usize, bytes: u32, lanes: Lanes): void {
  if (lanes.count == 1 && laneAt(lanes, 0) == bytes) {
    if (bytes == 8) atomic.add<u64>(to, load<u64>(delta));
    else if (bytes == 4) atomic.add<u32>(to, load<u32>(delta));
    else if (bytes == 2) atomic.add<u16>(to, load<u16>(delta));
    else atomic.add<u8>(to, load<u8>(delta));
  } else if (bytes == 8) addLanesAtomically<u64>(to, delta, lanes);
  else if (bytes == 4) addLanesAtomically<u32>(to, delta, lanes);
  else if (bytes == 2) addLanesAtomically<u16>(to, delta, lanes);
  else addLanesAtomically<u8>(to, delta, lanes);
}

function addLanesAtomically<W>(to: usize, delta: usize, lanes: Lanes): void {
  while (true) {
    const old = atomic.load<W>(to);
    let sum = <u64>old;
    for (let i: u32 = 0, n = lanes.count; i < n; i++) {
      const lane = laneAt(lanes, i);
      const shift = (lane >> 8) * 8;
      const mask = (<u64>-1 >> (64 - (lane & 0xff) * 8)) << shift;
      sum = (sum & ~mask) | ((sum + (<u64>load<W>(delta) & mask)) & mask);
    }
    if (atomic.cmpxchg<W>(to, old, <W>sum) == old) return;
  }
}

/** Adds to a value that others may add to as well: one atomic step. Returns 0 or -ENOMEM. */
export function addSlot(map: BpfMap, stripe: usize, to: usize, delta: usize, bytes: u32, lanes: Lanes): i32 {
  if (isWord(bytes)) {
    addWord(to, delta, bytes, lanes);
    return 0;
  }
  lockStripe(map, stripe);
  const ret = addInPlace(stripe, to, delta, bytes, lanes);
  unlock(stripe);
  return ret;
}

/** The same for a caller that holds the stripe, and a value that is no word. */
export function addInPlace(stripe: usize, to: usize, delta: usize, bytes: u32, lanes: Lanes): i32 {
  const isLarge = bytes > SHADOW_BYTES;
  const sum = isLarge ? allocKernel(bytes, true) : shadow();
  if (sum == 0) return -ENOMEM;
  copy(sum, to, bytes);
  addLanes(sum, delta, lanes);
  copyNoted(stripe, to, sum, bytes);
  if (isLarge) freePages(sum);
  return 0;
}

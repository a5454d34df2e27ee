/**
 * Stripes: a lock, and a counter by which readers without a lock notice a change.
 *
 *      0  lock  see lock.ts
 *      4  seq   rises with each change that could mislead a reader; odd while a value is being written in place
 *
 * A hash has one in each of its lines (_htab.ts). An array has a power of two of them (at most 1024: few enough for the cache,
 * many enough that two threads seldom meet) for its elems. Per-CPU maps have a row of as many for each CPU: a slot's stripe is
 * in its CPU's row, so that threads that add to their own CPU's slots share no cache line.
 *
 * A reader loads seq, reads what it wants, keeps the order, loads seq again, and starts over when it differs or was odd.
 */
import { BpfMap } from "../map";
import { lock, unlock } from "../lock";
import { keepOrder, storeInOrder } from "../order";
import { me } from "../task";

const STRIPE: u32 = 8;
const MAX_STRIPES: u32 = 1024;
const CACHE_LINE: u32 = 64;

/** How many stripes n elems get: a power of two. */
export function stripesFor(n: u32): u32 {
  return n >= MAX_STRIPES ? MAX_STRIPES : n <= 1 ? 1 : 1 << (32 - clz<u32>(n - 1));
}

/** Bytes from one row to the next. */
export function rowBytes(stripes: u32): u32 {
  return (stripes * STRIPE + CACHE_LINE - 1) & ~(CACHE_LINE - 1);
}

export function initStripes(map: BpfMap, at: usize, stripes: u32, rows: u32): void {
  map.stripes = <u32>at;
  map.stripeMask = stripes - 1;
  map.stripeRow = rowBytes(stripes);
  map.stripeRows = rows;
}

// @ts-ignore: decorator
@inline
export function stripeOf(map: BpfMap, index: u32): usize {
  return <usize>map.stripes + (index & map.stripeMask) * STRIPE;
}

/** The stripe of index's slot of a CPU. */
// @ts-ignore: decorator
@inline
export function slotStripeOf(map: BpfMap, index: u32, cpu: u32): usize {
  return stripeOf(map, index) + cpu * map.stripeRow;
}

// @ts-ignore: decorator
@inline
export function loadSeq(stripe: usize): u32 {
  return atomic.load<u32>(stripe, 4);
}

/** Tells readers that what they saw may not be so any more. The caller holds the stripe. */
// @ts-ignore: decorator
@inline
export function bumpSeq(stripe: usize): void {
  storeInOrder<u32>(stripe + 4, load<u32>(stripe, 4) + 2);
  keepOrder();
}

/** Makes seq odd: until `endWrite` readers wait. The caller holds the stripe. */
// @ts-ignore: decorator
@inline
export function beginWrite(stripe: usize): void {
  store<u32>(stripe, load<u32>(stripe, 4) + 1, 4);
  keepOrder();
}

// @ts-ignore: decorator
@inline
export function endWrite(stripe: usize): void {
  storeInOrder<u32>(stripe + 4, load<u32>(stripe, 4) + 1);
}

/** Makes seq odd, if it is not, in place of a task that has ended. */
export function oddSeq(stripe: usize): void {
  atomic.store<u32>(stripe, load<u32>(stripe, 4) | 1, 4);
  keepOrder();
}

/** Makes seq even, and another one than it was, in place of a task that has ended. */
export function settleSeq(stripe: usize): void {
  atomic.store<u32>(stripe, (load<u32>(stripe, 4) | 1) + 1, 4);
}

/** Takes a stripe of a map: who reaps this task asks the map to repair what it guards. */
// @ts-ignore: decorator
@inline
export function lockStripe(map: BpfMap, stripe: usize): void {
  me().map = <u32>changetype<usize>(map);
  lock(stripe);
}

/** Waits for whoever is writing in place. */
export function awaitWriter(map: BpfMap, stripe: usize): void {
  lockStripe(map, stripe);
  unlock(stripe);
}

/** Frees all locks. No other thread is there. */
export function clearStripes(map: BpfMap): void {
  for (let row: u32 = 0; row < map.stripeRows; row++) {
    for (let i: u32 = 0; i <= map.stripeMask; i++) store<u32>(slotStripeOf(map, i, row), 0);
  }
}

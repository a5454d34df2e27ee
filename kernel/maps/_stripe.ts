/**
 * Stripes: the locks of a map's buckets or elems, and the counters by which readers without a lock notice a change.
 *
 *      0  lock  see lock.ts
 *      4  seq   rises with each change that could mislead a reader; odd while a value is being written in place
 *
 * A map has a power of two of them (at most 1024: few enough for the cache, many enough that two threads seldom meet) in
 * a row. Per-CPU maps have one row more for each CPU: a slot's stripe is in its CPU's row, so that threads that add to
 * their own CPU's slots share no cache line.
 *
 * A reader loads seq, reads what it wants, loads seq again, and starts over when it differs or was odd. All loads that
 * matter in between are atomic (or followed by a fence), so that none can be moved behind the second look at seq.
 */
import { BpfMap } from "../map";
import { fence, lock, unlock } from "../lock";

const STRIPE: u32 = 8;
const MAX_STRIPES: u32 = 1024;
const CACHE_LINE: u32 = 64;

/** How many stripes n buckets or elems get: a power of two. */
export function stripesFor(n: u32): u32 {
  return n >= MAX_STRIPES ? MAX_STRIPES : n <= 1 ? 1 : 1 << (32 - clz<u32>(n - 1));
}

/** Bytes from one row to the next. */
export function rowBytes(stripes: u32): u32 {
  return (stripes * STRIPE + CACHE_LINE - 1) & ~(CACHE_LINE - 1);
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
  return stripeOf(map, index) + (cpu + 1) * map.stripeRow;
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
  atomic.store<u32>(stripe, load<u32>(stripe, 4) + 2, 4);
}

/** Takes the stripe and makes seq odd: until `endWrite` readers wait. The fence keeps the writes behind the odd seq. */
export function beginWrite(stripe: usize): void {
  lock(stripe);
  atomic.store<u32>(stripe, load<u32>(stripe, 4) + 1, 4);
  fence();
}

export function endWrite(stripe: usize): void {
  atomic.store<u32>(stripe, load<u32>(stripe, 4) + 1, 4);
  unlock(stripe);
}

/** Waits for whoever is writing in place. */
export function awaitWriter(stripe: usize): void {
  lock(stripe);
  unlock(stripe);
}

/**
 * Clocks: the host's, since a module has none.
 */

/** Nanoseconds of a clock below, as a number: to some nanoseconds, the real one's to 256. */
// @ts-ignore: decorator
@external("env", "clock")
declare function clock(which: u32): f64;

/** Since some moment before this process began: all its threads' clocks, but for a fraction of a millisecond. */
const MONOTONIC: u32 = 0;
/** Since 1970. */
const REAL: u32 = 1;

/** Since this thread began: for times that something takes. */
const THREAD: u32 = 2;

export function threadNs(): u64 {
  return <u64>clock(THREAD);
}

export function bootNs(): u64 {
  return <u64>clock(MONOTONIC);
}

export function realNs(): u64 {
  return <u64>clock(REAL);
}

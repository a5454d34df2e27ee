/**
 * Clocks: the host's, since a module has none.
 */

/** Nanoseconds of a clock below. A number: exact for a hundred days of a clock that began at boot. */
// @ts-ignore: decorator
@external("env", "clock")
declare function clock(which: u32): f64;

/** Since some moment before this process began; the same for all its threads. */
const MONOTONIC: u32 = 0;
/** Since 1970. */
const REAL: u32 = 1;

export function bootNs(): u64 {
  return <u64>clock(MONOTONIC);
}

export function realNs(): u64 {
  return <u64>clock(REAL);
}

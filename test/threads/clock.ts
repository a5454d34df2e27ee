/**
 * What the jobs have in common: how long they work, and random numbers.
 */

/** A function that says whether the time is not over yet; it looks at the clock now and then. */
export function forMs(ms: number): () => boolean {
  const end = performance.now() + ms;
  let calls = 0;
  let goOn = true;
  return () => {
    if (++calls % 64 === 0) goOn = performance.now() < end;
    return goOn;
  };
}

/** Random integers from 0 to `below - 1`: xorshift32, so that a seed gives the same numbers again. */
export function randomFrom(seed: number): (below: number) => number {
  let state = (seed * 0x9e3779b1 + 0x7f4a7c15) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

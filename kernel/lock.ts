/**
 * Locks: one word each. The word holds the owner's task, so that whoever waits can tell for whom.
 *
 *      0                     free
 *      task                  held
 *      task | WAITERS        held, and somebody sleeps on the word
 *
 * Lock order, outermost first: tables (fds, ids, pins) - bucket or elem stripe - slot stripe of a CPU - pool of elems -
 * pages. A thread holds at most one lock of a kind, except `lockAll` (host.ts), which takes stripes in rising order.
 */
import { ME, Task, me } from "./task";

const WAITERS: u32 = 0x80000000;
/** Looks at the word before sleeping: a holder that runs is gone in well under a microsecond. */
const SPINS: i32 = 200;

/**
 * Sleeps on a word while it holds `held`, but not for long without looking again: the store that frees and the notify that
 * follows are two steps.
 *
 * The host's Atomics.wait, since memory.atomic.wait cannot be used: the baseline compiler of Node 20's V8 keeps its address as
 * eight bytes in a stack slot of four, and so overwrites a local of the function (test/threads/baseline.test.ts).
 */
// @ts-ignore: decorator
@external("env", "wait")
declare function wait(word: usize, held: u32): void;

// @ts-ignore: decorator
@inline
export function lock(word: usize): void {
  if (atomic.cmpxchg<u32>(word, 0, ME) != 0) lockSlow(word);
}

function lockSlow(word: usize): void {
  let mine = ME;
  const mayBlock = me().mayBlock != 0;
  for (let spins = 0; ; spins++) {
    let held = atomic.load<u32>(word);
    if (held == 0) {
      if (atomic.cmpxchg<u32>(word, 0, mine) == 0) return;
      continue;
    }
    if (!mayBlock || spins < SPINS) continue;
    if ((held & WAITERS) == 0) {
      if (atomic.cmpxchg<u32>(word, held, held | WAITERS) != held) continue;
      held |= WAITERS;
    }
    wait(word, held);
    // Others may sleep too: whoever has slept takes the lock with the mark set, so that its unlock wakes the next.
    mine = ME | WAITERS;
    spins = 0;
  }
}

// @ts-ignore: decorator
@inline
export function unlock(word: usize): void {
  if (atomic.xchg<u32>(word, 0) & WAITERS) atomic.notify(word, 1);
}

/**
 * Keeps what stands before it before what stands behind it, given that one of the two neighbours in question is atomic.
 *
 * A read-modify-write on a word of this thread's own: on x86-64 a full barrier, and cheaper than mfence; on AArch64 its
 * release half orders what came before, its acquire half what follows. (asc 0.28.20 cannot emit atomic.fence.)
 */
// @ts-ignore: decorator
@inline
export function fence(): void {
  atomic.add<u32>(changetype<usize>(me()) + offsetof<Task>("barrier"), 0);
}

/**
 * Locks: one word each. The word holds the owner's task, so that whoever waits can tell for whom; and so that a lock survives
 * its owner.
 *
 *      0                     free
 *      task                  held
 *      task | WAITERS        held, and somebody sleeps on the word
 *
 * Lock order, outermost first: tables (fds, ids, pins) - line of a hash, or stripe of an elem - stripe of a CPU's slot, or timers -
 * pages.
 *
 * A task notes a lock in its record before it takes it, and strikes it out after it has let go: so whoever reaps the task
 * (reap.ts) knows where to look, and the word itself says whether the task had it. A map whose lock is noted stays: the
 * task uses it, or holds it.
 *
 * Standing still: `still` in the superblock names a task that wants nobody to change anything (to save the memory, to check
 * it). Who takes a first lock looks at it afterwards, lets go and waits. Who stands everything still writes it, and then
 * waits for all who have noted a lock. Taking a lock and writing `still` are read-modify-writes, between the store of what the
 * other looks for and the look at what the other stores: so one of the two sees the other.
 */
import { MAX_TASKS, SUPER, SuperBlock } from "./super";
import { fence, storeInOrder } from "./order";
import { FREE_SLOT, MAX_HELD, ME, Task, me, taskOf, taskPtr } from "./task";

export const WAITERS: u32 = 0x80000000;
/** Looks at the word before sleeping: a holder that runs is gone in well under a microsecond. */
const SPINS: i32 = 16;
/**
 * Pauses between two looks, in fences of some 7 ns: the first, and the longest. Each look takes the line from the holder, who
 * then waits for it: with some hundred nanoseconds between, two threads that want one lock all the time get bursts of their own
 * instead of a handoff each time (0.15 -> 0.6 of one thread's rate, bench/threads.ts "add on one key").
 */
const FIRST_PAUSE: i32 = 32;
const LONGEST_PAUSE: i32 = 256;

/**
 * Sleeps on a word while it holds `held`, but not for long without looking again: the store that frees and the notify that
 * follows are two steps. After a second of that (`round` counts, from 0 on) it gives up: see the host's side.
 *
 * The host's Atomics.wait, since memory.atomic.wait cannot be used: the baseline compiler of Node 20's V8 keeps its address as
 * eight bytes in a stack slot of four, and so overwrites a local of the function (test/threads/baseline.test.ts).
 */
// @ts-ignore: decorator
@external("env", "wait")
declare function wait(word: usize, held: u32, round: i32): void;

/** Waits a moment, and gives up after a second, for what another task will do soon. The caller holds the lock at `word`. */
export function awaitMore(word: usize, tries: i32): void {
  if (tries >= SPINS) wait(word, atomic.load<u32>(word), tries - SPINS);
}

/** Where a task notes its nth lock. */
// @ts-ignore: decorator
@inline
export function heldAt(task: usize, n: u32): usize {
  return task + offsetof<Task>("lock0") + 4 * <usize>n;
}

// @ts-ignore: decorator
@inline
export function stillWord(): usize {
  return SUPER + offsetof<SuperBlock>("still");
}

// @ts-ignore: decorator
@inline
export function lock(word: usize): void {
  const task = me();
  const depth = task.depth;
  store<u32>(heldAt(changetype<usize>(task), depth), <u32>word);
  task.depth = depth + 1;
  if (atomic.cmpxchg<u32>(word, 0, ME) != 0) lockSlow(word);
  if (depth == 0 && atomic.load<u32>(stillWord()) != 0) standBack(word);
}

function lockSlow(word: usize): void {
  let mine = ME;
  const mayBlock = me().mayBlock != 0;
  let round = 0;
  let pause = FIRST_PAUSE;
  for (let spins = 0; ; spins++) {
    for (let i = 0; i < pause; i++) fence();
    pause = min(2 * pause, LONGEST_PAUSE);
    let held = atomic.load<u32>(word);
    if (held == 0) {
      if (atomic.cmpxchg<u32>(word, 0, mine) == 0) return;
      continue;
    }
    if (spins < SPINS) continue;
    if (mayBlock && (held & WAITERS) == 0) {
      if (atomic.cmpxchg<u32>(word, held, held | WAITERS) != held) continue;
      held |= WAITERS;
    }
    wait(word, held, round++);
    // Others may sleep too: whoever has slept takes the lock with the mark set, so that its unlock wakes the next.
    if (mayBlock) mine = ME | WAITERS;
    pause = FIRST_PAUSE;
    spins = 0;
  }
}

/** Lets go of a first lock while somebody else has everything stand still. */
function standBack(word: usize): void {
  for (let still = atomic.load<u32>(stillWord()); still != 0 && still != ME; still = atomic.load<u32>(stillWord())) {
    release(word);
    for (let round = 0; atomic.load<u32>(stillWord()) == still; round++) wait(stillWord(), still, round);
    if (atomic.cmpxchg<u32>(word, 0, ME) != 0) lockSlow(word);
  }
}

// @ts-ignore: decorator
@inline
export function unlock(word: usize): void {
  release(word);
  const task = me();
  const depth = task.depth - 1;
  task.depth = depth;
  storeInOrder<u32>(heldAt(changetype<usize>(task), depth), 0);
}

/** Frees a lock word, and wakes one who waits for it. */
// @ts-ignore: decorator
@inline
export function release(word: usize): void {
  if (atomic.xchg<u32>(word, 0) & WAITERS) atomic.notify(word, 1);
}

// @ts-ignore: decorator
@inline
export function isLocked(word: usize): bool {
  return atomic.load<u32>(word) != 0;
}

// @ts-ignore: decorator
@inline
export function isHeldBy(word: usize, id: u32): bool {
  return (atomic.load<u32>(word) & ~WAITERS) == id;
}

/** Waits until no other task holds a lock, and has them wait. The caller holds the tables lock, and no other. */
export function standStill(): void {
  atomic.xchg<u32>(stillWord(), ME);
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (id == ME || taskOf(id).state == FREE_SLOT) continue;
    for (let n: u32 = 0; n < MAX_HELD; n++) awaitOwner(heldAt(taskPtr(id), n), id);
  }
}

/** Waits until the lock that a task has noted is not its own. Whoever is about to take it sees `still` when it has it. */
function awaitOwner(noted: usize, id: u32): void {
  for (let spins = 0, round = 0; ; spins++) {
    for (let i = 0; i < FIRST_PAUSE; i++) fence();
    const word: usize = atomic.load<u32>(noted);
    if (word == 0) return;
    const held = atomic.load<u32>(word);
    if ((held & ~WAITERS) != id) return;
    if (spins >= SPINS) wait(word, held, round++);
  }
}

export function goOn(): void {
  endStillnessOf(ME);
}

/** Ends the standing still that a task has begun, if it has. */
export function endStillnessOf(id: u32): void {
  if (atomic.cmpxchg<u32>(stillWord(), id, 0) == id) atomic.notify(stillWord(), -1);
}

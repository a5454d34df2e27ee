/**
 * Reaping: what becomes of a thread's things when it has ended, wherever it was.
 *
 * A thread that leaves in good order, and one that was ended at any instruction, are treated alike. In this order:
 *
 *  1. Locks that it held, innermost first: what it did under them is finished or undone, then they are free.
 *  2. What the task was reaping itself is reaped on: its own locks, which it took for that, are inside of those.
 *  3. Its CPU, the map that it was using, the maps that it held are let go; its timers are others'.
 *  4. Memory: runs of pages that it owns, and that no map and no name leads to, are freed. (Buffers of user memory are among
 *     them; what it was making, too, or destroying.)
 *  5. Its slot is free.
 *
 * Fds and names stay: they are the kernel's, as those of a process are not its threads'.
 *
 * Each step can be done again from its start: who reaps may end as well. Threads: any may reap any other, once it knows that
 * the other will never run again.
 */
import { MAX_TASKS, TASK_SIZE, sb, tables } from "./super";
import { FREE_SLOT, MAX_HELD, ME, Task, me, releaseCpuOf, taskOf, taskPtr } from "./task";
import { endStillnessOf, heldAt, isHeldBy, lock, release, unlock } from "./lock";
import { LOST, freeRunsOf, ownAllRuns, ownRun, pagesLock, rebuild } from "./mem/pages";
import { HOLDS_BYTES, mapAt, putAllOf, rebuildTables, tablesLock } from "./map";
import { CLEAR_LOCKS, LET_GO, OWN_RUNS, REPAIR, callOp } from "./map_types";
import { nextName } from "./bpffs";
import { ownBtfs } from "./btf";
import { dropLoading, ownProgs } from "./prog";
import { settleUndo } from "./maps/_count";
import { endFiring, leaveTimers, rebuildTimers, reviveTimers, timersLock } from "./timers";

/**
 * Declares a task dead, first half: the locks that it holds are free afterwards. It must be dead, or it would go on in memory that
 * is others'. A slot that is free stays so.
 *
 * @returns Whether this task reaps it: then `reapRest` is to follow. Else another does.
 */
export function reapLocks(id: u32): bool {
  if (id == ME || id == 0 || id > MAX_TASKS || atomic.load<u32>(taskPtr(id)) == FREE_SLOT) return false;
  me().reaping = id;
  const was = atomic.cmpxchg<u32>(reaperWord(id), 0, ME);
  if (was != 0 && was != ME) return false;
  settleUndo(id);
  unwind(id);
  takeOver(taskOf(id).reaping, id);
  return true;
}

/** Second half: all else of a task that `reapLocks` gave to this one. */
export function reapRest(id: u32): void {
  const other = taskOf(id).reaping;
  if (other != 0 && isReapedByMe(other)) finish(other);
  finish(id);
  me().reaping = 0;
}

// @ts-ignore: decorator
@inline
function reaperWord(id: u32): usize {
  return taskPtr(id) + offsetof<Task>("reaper");
}

function isReapedByMe(id: u32): bool {
  return atomic.load<u32>(taskPtr(id)) != FREE_SLOT && atomic.load<u32>(reaperWord(id)) == ME;
}

/** Reaps what a dead task has left half reaped. */
function takeOver(id: u32, from: u32): void {
  if (id == 0 || id == ME) return;
  atomic.cmpxchg<u32>(reaperWord(id), from, ME);
  if (!isReapedByMe(id)) return;
  settleUndo(id);
  unwind(id);
  takeOver(taskOf(id).reaping, id);
}

/** Whatever a task has, but its locks. */
function finish(id: u32): void {
  const other = taskOf(id).reaping;
  if (other != 0 && other != id && isReapedByMe(other)) finish(other);
  letGo(id);
  clear(id);
  // State and reaper in one store: a slot is never free and in somebody's hands.
  atomic.store<u64>(taskPtr(id), FREE_SLOT);
}

/** Clears a task's record, but for what goes on with its slot. */
function clear(id: u32): void {
  const from = offsetof<Task>("mayBlock");
  memory.fill(taskPtr(id) + from, 0, TASK_SIZE - <u32>from);
}

/** This thread leaves in good order. The host frees the slot. */
export function leave(): void {
  letGo(ME);
  clear(ME);
}

/** Gives up the system call, or other operation, that this thread is in the middle of, as if it had ended there. */
export function giveUp(): void {
  unwind(ME);
  endFiring(ME);
  const task = me();
  task.using = 0;
  task.depth = 0;
  task.firingUntil = 0;
  atomic.store<u32>(changetype<usize>(task) + offsetof<Task>("running"), 0);
}

/** Finishes or undoes what a task did under the locks that it holds, and frees them. */
function unwind(id: u32): void {
  const task = taskPtr(id);
  endStillnessOf(id);
  for (let n: i32 = MAX_HELD - 1; n >= 0; n--) {
    const word: usize = load<u32>(heldAt(task, n));
    if (word == 0) continue;
    if (isHeldBy(word, id)) {
      repair(word, id);
      release(word);
    }
    // It may have ended when it had freed the word, and had woken nobody yet; or when it was woken itself.
    atomic.notify(word, 1);
    store<u32>(heldAt(task, n), 0);
  }
}

function repair(word: usize, id: u32): void {
  if (word == pagesLock()) {
    rebuild();
  } else if (word == timersLock()) {
    rebuildTimers();
  } else if (word == tablesLock()) {
    rebuildTables();
  } else {
    // It holds the map, or uses it: so the map is there.
    const map = taskOf(id).map;
    callOp(mapAt(map).type, REPAIR, map, word, id, 0);
  }
}

/** Lets go of CPU, maps and memory of a task. */
function letGo(id: u32): void {
  releaseCpuOf(id);
  atomic.store<u32>(taskPtr(id) + offsetof<Task>("using"), 0);
  leaveTimers(id);
  atomic.store<u32>(taskPtr(id) + offsetof<Task>("running"), 0);
  lock(tablesLock());
  dropLoading(id);
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) callOp(mapAt(at).type, LET_GO, at, id, 0, 0);
  putAllOf(id);
  disownReachable();
  freeRunsOf(id);
  unlock(tablesLock());
}

/** What a map or a name leads to belongs to nobody else. The caller holds the tables lock. */
function disownReachable(): void {
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) callOp(mapAt(at).type, OWN_RUNS, at, 0, 0, 0);
  for (let node = nextName(0); node != 0; node = nextName(node)) ownRun(node, 0);
  ownBtfs(0);
  ownProgs(0);
}

/**
 * Makes a memory that was copied while it stood still one that runs. The threads of then are not here, and of their tasks nothing
 * was copied: while all stands still no task is in the middle of anything that must be finished or undone.
 */
export function revive(): void {
  sb().still = 0;
  store<u32>(tablesLock(), 0);
  store<u32>(pagesLock(), 0);
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) {
    // A task may have been about to take a lock, only to see that it had to wait.
    callOp(mapAt(at).type, CLEAR_LOCKS, at, 0, 0, 0);
    memory.fill(mapAt(at).holds, 0, HOLDS_BYTES);
  }
  reviveTimers();
  rebuildTables();
  // UserBuffers are not in the image, but in its page table; and so is what was being made.
  ownAllRuns(LOST);
  disownReachable();
  freeRunsOf(LOST);
}

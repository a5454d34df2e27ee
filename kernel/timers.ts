/**
 * Timers: bpf_timer fields of values. Behaves as bpf_timer_init and what follows it in kernel/bpf/helpers.c.
 *
 * Nothing of a timer stands in the value, which programs write to: it is found by where its value lies, in a run of pages that its map
 * has beside its elems. So what a program writes over the field's bytes is without effect.
 *
 *      map.timers  ->   0  next      of the maps whose timers were ever inited, or 0
 *                       4  map
 *                       8  isListed
 *                      12  userless  1 while neither an fd nor a name holds the map: no timer can be inited then
 *                      16  count     how many places there are
 *                      64  timers    48 bytes for each place of an elem (_timer_places.ts): class Timer
 *
 * Of the timers that are armed each thread has a heap (a pairing heap, root in its task's record): the next is the one to fire first.
 * The heap of a thread that has left is nobody's (`orphans`), until the next thread takes its timers (`adoptTimers`). Firing:
 * timer_run.ts.
 *
 * A timer holds its program: one with timers keeps its id when the last reference was given back (prog.ts asks `endProg`).
 *
 * Threads: all under the timers lock, between locks of elems and that of the pages. State, task and program of each timer are the truth,
 * and change by one store: heaps are made again from them after a thread ended in the middle (`rebuildTimers`).
 */
import { EBUSY, EDEADLK, EINVAL, ENOENT, EPERM } from "../src/uapi/errno";
import { awaitMore, lock, unlock } from "./lock";
import { BpfMap, mapAt, namesAndFds } from "./map";
import { allocKernel } from "./mem/pages";
import { progAt } from "./prog";
import { MAX_TASKS, TIMERS, TimerTable, tables, timerTable } from "./super";
import { ME, Task, me, taskOf, taskPtr } from "./task";

@unmanaged
export class Timers {
  next: u32;
  map: u32;
  isListed: u32;
  userless: u32;
  count: u32;
}

/** States: not inited; inited; armed. */
export const FREE: u32 = 0;
export const IDLE: u32 = 1;
export const ARMED: u32 = 2;

@unmanaged
export class Timer {
  state: u32;
  /** In whose heap it is, of an armed one; 0 for that of the orphans. */
  task: u32;
  /** When it fires, in nanoseconds of clock.ts `bootNs`. */
  expiry: u64;
  /** The program that it holds, or 0; and the function, as a pointer. Both change by one store. */
  prog: u32;
  func: u32;
  /** In the heap: the first below it, the next of those below the same, and the one before, or the one that it is the first below of. */
  child: u32;
  next: u32;
  prev: u32;
  /** The task that runs its function, or 0. */
  running: u32;
  map: u32;
}

const HEAD_BYTES: u32 = 64;

// @ts-ignore: decorator
@inline
function timersOf(map: BpfMap): Timers {
  return changetype<Timers>(<usize>map.timers);
}

// @ts-ignore: decorator
@inline
function nthTimer(timers: usize, place: u32): Timer {
  return changetype<Timer>(timers + HEAD_BYTES + <usize>place * offsetof<Timer>());
}

/** The timer of a place of a map with timers. */
export function timerAt(map: BpfMap, place: u32): Timer {
  return nthTimer(map.timers, place);
}

/** The place of a timer in its map. */
export function placeOfTimer(timer: Timer): u32 {
  const first = <usize>mapAt(timer.map).timers + HEAD_BYTES;
  return <u32>((changetype<usize>(timer) - first) / offsetof<Timer>());
}

// @ts-ignore: decorator
@inline
export function timersLock(): usize {
  return TIMERS + offsetof<TimerTable>("timersLock");
}

// @ts-ignore: decorator
@inline
export function runningWord(timer: Timer): usize {
  return changetype<usize>(timer) + offsetof<Timer>("running");
}

// @ts-ignore: decorator
@inline
function setCall(timer: Timer, prog: u32, func: u32): void {
  store<u64>(changetype<usize>(timer) + offsetof<Timer>("prog"), (<u64>func << 32) | prog);
}

/** Gives a map, which is being made, room for timers at so many places. False when memory is out. */
export function allocTimers(map: BpfMap, places: u32): bool {
  const at = allocKernel(HEAD_BYTES + <u64>places * offsetof<Timer>());
  if (at == 0) return false;
  const timers = changetype<Timers>(at);
  timers.map = <u32>changetype<usize>(map);
  timers.count = places;
  map.timers = <u32>at;
  return true;
}

// Heaps.

/** Where the root of a task's heap stands; of 0, that of the orphans. */
// @ts-ignore: decorator
@inline
function rootOf(task: u32): usize {
  return task == 0 ? TIMERS + offsetof<TimerTable>("orphans") : taskPtr(task) + offsetof<Task>("timers");
}

// @ts-ignore: decorator
@inline
function at(timer: u32): Timer {
  return changetype<Timer>(<usize>timer);
}

/** Joins two heaps, of which one may be empty. Returns the root. */
function meld(a: u32, b: u32): u32 {
  if (a == 0) return b;
  if (b == 0) return a;
  let top = a;
  let below = b;
  if (at(b).expiry < at(a).expiry) {
    top = b;
    below = a;
  }
  const first = at(top).child;
  at(below).next = first;
  at(below).prev = top;
  if (first != 0) at(first).prev = below;
  at(top).child = below;
  return top;
}

/** Joins all heaps of a list of siblings: in pairs, and then the pairs from the last to the first. */
function meldAll(first: u32): u32 {
  let pairs: u32 = 0;
  for (let one = first; one != 0; ) {
    const two = at(one).next;
    const rest = two != 0 ? at(two).next : 0;
    at(one).next = 0;
    at(one).prev = 0;
    if (two != 0) {
      at(two).next = 0;
      at(two).prev = 0;
    }
    const both = meld(one, two);
    at(both).next = pairs;
    pairs = both;
    one = rest;
  }
  let root: u32 = 0;
  while (pairs != 0) {
    const next = at(pairs).next;
    at(pairs).next = 0;
    root = meld(root, pairs);
    pairs = next;
  }
  return root;
}

/** Puts an armed timer into its task's heap. */
function enqueue(timer: Timer): void {
  timer.child = 0;
  timer.next = 0;
  timer.prev = 0;
  const root = rootOf(timer.task);
  store<u32>(root, meld(load<u32>(root), <u32>changetype<usize>(timer)));
}

/** Takes an armed timer out of its heap. */
function dequeue(timer: Timer): void {
  const root = rootOf(timer.task);
  const below = meldAll(timer.child);
  const prev = timer.prev;
  const next = timer.next;
  if (prev == 0) {
    store<u32>(root, below);
    return;
  }
  if (at(prev).child == <u32>changetype<usize>(timer)) at(prev).child = next;
  else at(prev).next = next;
  if (next != 0) at(next).prev = prev;
  store<u32>(root, meld(load<u32>(root), below));
}

// What programs ask for.

/** bpf_timer_init, with a clock that there is. */
export function initTimer(map: BpfMap, place: u32): i32 {
  const timers = timersOf(map);
  const timer = timerAt(map, place);
  lock(timersLock());
  let ret: i32 = 0;
  if (timer.state != FREE) {
    ret = -EBUSY;
  } else if (timers.userless != 0) {
    ret = -EPERM;
  } else {
    if (timers.isListed == 0) {
      timers.next = timerTable().mapsHead;
      timerTable().mapsHead = map.timers;
      timers.isListed = 1;
    }
    timer.map = timers.map;
    setCall(timer, 0, 0);
    timer.running = 0;
    timer.state = IDLE;
  }
  unlock(timersLock());
  return ret;
}

/** bpf_timer_set_callback, with a function of the program's. */
export function setTimerFunc(timer: Timer, prog: u32, func: u32): i32 {
  lock(timersLock());
  let ret: i32 = 0;
  if (timer.state == FREE) {
    ret = -EINVAL;
  } else if (timersOf(mapAt(timer.map)).userless != 0) {
    ret = -EPERM;
  } else if (timer.prog != prog && progAt(prog).id == 0) {
    ret = -ENOENT;
  } else {
    if (timer.prog != 0 && timer.prog != prog) timerTable().dropped = 1;
    setCall(timer, prog, func);
  }
  unlock(timersLock());
  return ret;
}

/**
 * bpf_timer_start: it fires at `expiry`.
 *
 * @returns 0 or -EINVAL
 */
export function startTimer(timer: Timer, expiry: u64): i32 {
  lock(timersLock());
  const ret = timer.state == FREE || timer.prog == 0 ? -EINVAL : 0;
  if (ret == 0) {
    if (timer.state == ARMED) dequeue(timer);
    // Whose function runs now fires there again: never twice at a time.
    timer.task = timer.running != 0 ? timer.running : ME;
    timer.expiry = expiry;
    timer.state = ARMED;
    enqueue(timer);
  }
  unlock(timersLock());
  return ret;
}

/**
 * bpf_timer_cancel. Where its function runs in another thread, that is waited for.
 *
 * Differs from Linux: who is called by a timer does not wait for another one's function. (Linux waits, unless two wait for each other.)
 *
 * @returns 1 if it was armed, 0, or a negative errno
 */
export function cancelTimer(timer: Timer): i32 {
  let ret = disarm(timer);
  const runner = atomic.load<u32>(runningWord(timer));
  if (ret < 0 || runner == 0 || me().firing != 0) return ret;
  for (let tries = 0; atomic.load<u32>(runningWord(timer)) == runner; tries++) awaitMore(runningWord(timer), tries);
  // It may have started it again.
  ret = disarm(timer);
  return ret == 1 ? 1 : 0;
}

function disarm(timer: Timer): i32 {
  lock(timersLock());
  let ret: i32 = 0;
  if (timer.state == FREE) {
    ret = -EINVAL;
  } else if (timer.running == ME) {
    ret = -EDEADLK;
  } else {
    ret = timer.state == ARMED ? 1 : 0;
    stop(timer);
    timer.state = IDLE;
  }
  unlock(timersLock());
  return ret;
}

/** Takes a timer out of its heap, if it is in one, and its program from it. Its state is to follow. */
function stop(timer: Timer): void {
  if (timer.prog != 0) timerTable().dropped = 1;
  const isArmed = timer.state == ARMED;
  // From here on it is not armed: see `rebuildTimers`.
  setCall(timer, 0, 0);
  if (isArmed) dequeue(timer);
}

/** Cancels and frees the timer of a place, if it was inited: its elem goes, or has got another value. */
export function freeTimer(map: BpfMap, place: u32): void {
  const timer = timerAt(map, place);
  if (atomic.load<u32>(changetype<usize>(timer)) == FREE) return;
  lock(timersLock());
  end(timer);
  unlock(timersLock());
}

function end(timer: Timer): void {
  if (timer.state == FREE) return;
  stop(timer);
  timer.state = FREE;
  release(timer);
}

/** Nobody runs its function any more, as far as others are to know. */
function release(timer: Timer): void {
  atomic.store<u32>(runningWord(timer), 0);
  atomic.notify(runningWord(timer), -1);
}

// Maps and programs that they belong to.

/** A map has an fd again. The caller holds the tables lock. */
export function allowTimers(map: BpfMap): void {
  if (map.timers == 0 || timersOf(map).userless == 0) return;
  lock(timersLock());
  timersOf(map).userless = 0;
  unlock(timersLock());
}

/** A map has lost its last fd or name: its timers end. The caller holds the tables lock. */
export function endTimers(map: BpfMap): void {
  lock(timersLock());
  const timers = timersOf(map);
  timers.userless = 1;
  if (timers.isListed != 0) {
    for (let i: u32 = 0; i < timers.count; i++) end(timerAt(map, i));
  }
  unlock(timersLock());
}

/** A map is about to be freed. The caller holds the tables lock. */
export function dropTimers(map: BpfMap): void {
  if (map.timers == 0) return;
  endTimers(map);
  lock(timersLock());
  let link = TIMERS + offsetof<TimerTable>("mapsHead");
  while (load<u32>(link) != 0 && load<u32>(link) != map.timers) link = load<u32>(link) + offsetof<Timers>("next");
  if (load<u32>(link) != 0) store<u32>(link, timersOf(map).next);
  unlock(timersLock());
}

/** What follows from fds and names, after a task ended while it held the tables lock. */
export function settleTimers(): void {
  for (let map: usize = tables().mapsHead; map != 0; map = mapAt(map).next) {
    if (mapAt(map).timers == 0) continue;
    if (namesAndFds(<u32>map) == 0) endTimers(mapAt(map));
    else allowTimers(mapAt(map));
  }
}

/** Whether a timer holds a program. The caller holds the timers lock, or all stands still. */
export function isHeldByTimer(prog: u32): bool {
  for (let run = timerTable().mapsHead; run != 0; run = changetype<Timers>(<usize>run).next) {
    for (let i: u32 = 0, n = changetype<Timers>(<usize>run).count; i < n; i++) {
      const timer = nthTimer(run, i);
      if (timer.prog == prog && timer.state != FREE) return true;
    }
  }
  return false;
}

/** Takes the id of a program without references, unless a timer holds it. The caller holds the tables lock. */
export function endProg(prog: usize): bool {
  lock(timersLock());
  const ends = !isHeldByTimer(<u32>prog);
  if (ends) progAt(prog).id = 0;
  unlock(timersLock());
  return ends;
}

/** Whether timers have let go of programs since it was asked last. The caller holds the tables lock. */
export function haveDropped(): bool {
  const dropped = TIMERS + offsetof<TimerTable>("dropped");
  return load<u32>(dropped) != 0 && atomic.xchg<u32>(dropped, 0) != 0;
}

// Threads.

/**
 * Takes this thread's first timer, if it is due: then `endFiring` is to follow. Where its function is stands in the task's record.
 *
 * @returns The timer, or null.
 */
export function takeDue(now: u64): Timer | null {
  const task = me();
  lock(timersLock());
  const root = load<u32>(rootOf(ME));
  let due: Timer | null = null;
  if (root != 0 && at(root).expiry <= now) {
    const timer = at(root);
    task.firingProg = timer.prog;
    task.firingFunc = timer.func;
    task.firing = root;
    timer.running = ME;
    dequeue(timer);
    timer.state = IDLE;
    due = timer;
  }
  unlock(timersLock());
  return due;
}

/** The function of the timer that a task fires has returned, or the task has ended. */
export function endFiring(id: u32): void {
  const firing = taskOf(id).firing;
  if (firing == 0) return;
  lock(timersLock());
  // It may have been freed, and inited again, meanwhile.
  if (at(firing).running == id) release(at(firing));
  unlock(timersLock());
  taskOf(id).firing = 0;
}

/** When this thread's first timer is due: nanoseconds of bootNs, or u64.MAX_VALUE. */
export function nextExpiry(): u64 {
  if (me().timers == 0) return u64.MAX_VALUE;
  lock(timersLock());
  const root = me().timers;
  const expiry = root != 0 ? at(root).expiry : u64.MAX_VALUE;
  unlock(timersLock());
  return expiry;
}

/** Leaves a task's timers to others. */
export function leaveTimers(id: u32): void {
  endFiring(id);
  if (taskOf(id).timers == 0) return;
  lock(timersLock());
  moveAll(id, 0);
  unlock(timersLock());
}

/** Takes the timers that threads have left. */
export function adoptOrphans(): void {
  if (timerTable().orphans == 0) return;
  lock(timersLock());
  moveAll(0, ME);
  unlock(timersLock());
}

function moveAll(from: u32, to: u32): void {
  for (let root = load<u32>(rootOf(from)); root != 0; root = load<u32>(rootOf(from))) {
    dequeue(at(root));
    at(root).task = to;
    enqueue(at(root));
  }
}

/** Makes the heaps again, after a task ended while it held the timers lock. */
export function rebuildTimers(): void {
  timerTable().orphans = 0;
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    // Those of tasks that are not there are zero, and stay untouched.
    if (taskOf(id).timers != 0) taskOf(id).timers = 0;
  }
  for (let run = timerTable().mapsHead; run != 0; run = changetype<Timers>(<usize>run).next) {
    changetype<Timers>(<usize>run).isListed = 1;
    for (let i: u32 = 0, n = changetype<Timers>(<usize>run).count; i < n; i++) {
      const timer = nthTimer(run, i);
      if (timer.state == FREE && timer.running != 0) release(timer);
      if (timer.state == ARMED && timer.prog == 0) timer.state = IDLE;
      if (timer.state == ARMED) enqueue(timer);
    }
  }
}

/** Makes timers of a memory that was copied nobody's. No other thread is there. */
export function reviveTimers(): void {
  store<u32>(timersLock(), 0);
  for (let run = timerTable().mapsHead; run != 0; run = changetype<Timers>(<usize>run).next) {
    for (let i: u32 = 0, n = changetype<Timers>(<usize>run).count; i < n; i++) {
      const timer = nthTimer(run, i);
      if (timer.state == FREE) continue;
      timer.task = 0;
      timer.running = 0;
    }
  }
  rebuildTimers();
}

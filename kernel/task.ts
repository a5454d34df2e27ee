/**
 * Tasks: the threads that have attached to this memory, and the CPUs that some of them own.
 *
 * The host gives a thread its task slot before it instantiates the module, and passes it in as the import `env.me`. A task's
 * record is written by its own thread, but for `state`, `reaper` and `ack`; and by whoever reaps it (reap.ts).
 *
 * A thread may end at any instruction. What it was in the middle of stands in its record before it begins, so that whoever
 * reaps it can finish or undo it: which locks it takes (lock.ts), what it copies over a value (maps/_value.ts), what it
 * takes out of a map's reserve (maps/_slots.ts), what it counts (maps/_count.ts).
 */
import { CPUS, TASKS, TASK_SIZE, sb } from "./super";
import { ENXIO } from "../src/uapi/errno";

/** This thread's task: its slot's index plus 1. Lock words hold it. */
// @ts-ignore: decorator
@external("env", "me")
export declare const ME: u32;

/** `state` of a slot that no thread has. */
export const FREE_SLOT: u32 = 0;

/** How many locks a task holds at a time, at the most. */
export const MAX_HELD: u32 = 4;

@unmanaged
export class Task {
  /**
   * FREE_SLOT, or what tells the host whose it is (tasks.ts of src/kernels/embedded, which takes slots). Whoever reaps frees it
   * together with `reaper`.
   */
  state: u32;
  /** The task that reaps this one. */
  reaper: u32;

  /** The number of its last change of a count, and of one that others have seen done (maps/_count.ts; they write it). */
  countSeq: u32;
  ack: u32;

  /** From here on a free slot is zero. 1 where this thread may sleep in Atomics.wait (not on a browser's main thread). */
  mayBlock: u32;
  /** The map that the running system call uses: it is not freed while it stands here. Pairs with the scan in map.ts. */
  using: u32;
  /** The CPU this thread owns plus 1, or 0. */
  cpu: u32;
  /** Always 0: the word of order.ts `fence`. */
  barrier: u32;
  /** The task that this one reaps. */
  reaping: u32;

  /** What it does, for who waits for it in vain: a bpf command plus 1, or SHORT_WAY and an operation of map_types.ts. */
  doing: u32;
  /** The map whose locks it takes. */
  map: u32;
  /** Locks that it holds, or is about to take: the words' addresses, outermost first. See lock.ts. */
  depth: u32;
  lock0: u32;
  lock1: u32;
  lock2: u32;
  lock3: u32;

  /** A value that is being written in place: where, from where, how many bytes. `redoTo` is stored last, and cleared first. */
  redoTo: u32;
  redoFrom: u32;
  redoBytes: u32;

  /** An overflow line, and a slot, that is in no bucket yet or not any more (maps/_slots.ts). */
  spareLine: u32;
  spareSlot: u32;

  /** A change of a count that is not finished (maps/_count.ts). `countKind` is stored last. */
  countKind: u32;
  countWord: u32;
  countTag: u32;

  /** The line that a walk has come to (maps/_htab_walk.ts): a second result. */
  walked: u32;

  /** Where check.ts writes what it finds, in how many bytes, and how much it was. */
  findingsAt: u32;
  findingsRoom: u32;
  findings: u32;

  /** Not 0 while it runs a program: nothing that a program could have come to is freed. Pairs with the scans in prog.ts and map.ts. */
  running: u32;
  /** The program that it is loading (prog.ts). */
  loading: u32;
  /** Where its programs run (prog_run.ts), or 0. */
  run: u32;
  /** Root of the heap of timers that it has armed (timers.ts); the one whose function it runs, or 0; that function, and its program. */
  timers: u32;
  firing: u32;
  firingProg: u32;
  firingFunc: u32;
  /** 1 while it writes a value whose timer stays (_btf_fields.ts). */
  keepsTimer: u32;
  /** Up to when it fires what is due; 0 while it fires none. */
  firingUntil: u64;
  /** How many jumps back a program may take, less what is in `DEFAULT_BUDGET`: so that 0 is the start. */
  budget: i64;
  /** The fd by which it updates a map, of one that minds (maps/perf_event_array.ts). */
  updating: u32;
  /** The number that the system has for its thread; 0 where that is not known. */
  thread: u32;
}

export const SHORT_WAY: u32 = 0x100;

/** Room in a task's record for a copy of attr, of a key (what user memory holds may change while we look at it), of a value. */
const ATTR_OFF: usize = 192;
const KEY_OFF: usize = 384;
export const TASK_KEY_BYTES: u32 = 256;
const SHADOW_OFF: usize = KEY_OFF + TASK_KEY_BYTES;
export const SHADOW_BYTES: u32 = TASK_SIZE - <u32>SHADOW_OFF;

// @ts-ignore: decorator
@inline
export function taskPtr(id: u32): usize {
  return TASKS + (id - 1) * TASK_SIZE;
}

// @ts-ignore: decorator
@inline
export function taskOf(id: u32): Task {
  return changetype<Task>(taskPtr(id));
}

// @ts-ignore: decorator
@inline
export function me(): Task {
  return changetype<Task>(taskPtr(ME));
}

// @ts-ignore: decorator
@inline
export function attrCopy(): usize {
  return taskPtr(ME) + ATTR_OFF;
}

// @ts-ignore: decorator
@inline
export function keyCopy(): usize {
  return taskPtr(ME) + KEY_OFF;
}

/** Room for a value that is about to be written in place. */
// @ts-ignore: decorator
@inline
export function shadow(): usize {
  return taskPtr(ME) + SHADOW_OFF;
}

/** The CPU that this thread owns, taking a free one if it has none; or -ENXIO. */
export function currentCpu(): i32 {
  const task = me();
  return task.cpu != 0 ? <i32>(task.cpu - 1) : takeCpu();
}

function takeCpu(): i32 {
  const cpus = sb().possibleCpus;
  for (let cpu: u32 = 0; cpu < cpus; cpu++) {
    if (atomic.cmpxchg<u32>(CPUS + 4 * cpu, 0, ME) == 0) {
      me().cpu = cpu + 1;
      return cpu;
    }
  }
  return -ENXIO;
}

/** Gives a task's CPU back. */
export function releaseCpuOf(id: u32): void {
  // Not by what the task says: it may have ended between taking a CPU and writing that down.
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    atomic.cmpxchg<u32>(CPUS + 4 * cpu, id, 0);
  }
  taskOf(id).cpu = 0;
}

/**
 * Tasks: the threads that have attached to this memory, and the CPUs that some of them own.
 *
 * The host gives a thread its task slot before it instantiates the module, and passes it in as the import `env.me`.
 * A task's record is written by its own thread, but for `state`.
 */
import { CPUS, TASKS, TASK_SIZE, sb } from "./super";
import { ENXIO } from "../src/uapi/errno";

/** This thread's task: its slot's index plus 1. Lock words hold it. */
// @ts-ignore: decorator
@external("env", "me")
export declare const ME: u32;

@unmanaged
export class Task {
  /** 0 free, 1 taken. Written by the host (tasks.ts of src/kernels/embedded). */
  state: u32;
  /** 1 where this thread may sleep in Atomics.wait (not on a browser's main thread). */
  mayBlock: u32;
  /** The map that the running system call uses: it is not freed while it stands here. Pairs with the scan in map.ts. */
  using: u32;
  /** The CPU this thread owns plus 1, or 0. */
  cpu: u32;
  /** Always 0: the word of lock.ts `fence`. */
  barrier: u32;
  /** Where check.ts writes what it finds, in how many bytes, and how much it was. */
  findingsAt: u32;
  findingsRoom: u32;
  findings: u32;
}

/** Room in a task's record for a copy of attr, and of a key: what user memory holds may change while we look at it. */
const ATTR_OFF: usize = 64;
const KEY_OFF: usize = 256;
export const TASK_KEY_BYTES: u32 = 256;

// @ts-ignore: decorator
@inline
export function taskPtr(id: u32): usize {
  return TASKS + (id - 1) * TASK_SIZE;
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

/** Gives the CPU back. */
export function releaseCpu(): void {
  const task = me();
  if (task.cpu == 0) return;
  atomic.store<u32>(CPUS + 4 * (task.cpu - 1), 0);
  task.cpu = 0;
}

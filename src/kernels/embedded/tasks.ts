/**
 * Task slots: a thread takes one before it has an instance of the engine, since the instance is told its task.
 *
 * The addresses are those of kernel/super.ts. A slot's first word is 0 if it is free, else the number of its thread plus 1:
 * so that what a thread had is found when the thread has ended.
 */

const TASKS = 0x2000;
const TASK_WORDS = 1024 / 4;
const MAX_TASKS = 256;

const wordsOf = (memory: WebAssembly.Memory): Int32Array =>
  new Int32Array(memory.buffer, TASKS, MAX_TASKS * TASK_WORDS);

/** Takes a free slot for this thread: its index plus 1. */
export function takeTask(memory: WebAssembly.Memory): number {
  const words = wordsOf(memory);
  for (let i = 0; i < MAX_TASKS; i++) {
    if (Atomics.compareExchange(words, i * TASK_WORDS, 0, threadId() + 1) === 0) return i + 1;
  }
  throw new RangeError(
    `Cannot attach: ${MAX_TASKS} threads are attached to this kernel already, and it has room for no more`,
  );
}

/** Gives a slot back. */
export function giveTask(memory: WebAssembly.Memory, task: number): void {
  Atomics.store(wordsOf(memory), (task - 1) * TASK_WORDS, 0);
}

/** The slots that a thread has. */
export function tasksOf(memory: WebAssembly.Memory, thread: number): number[] {
  const words = wordsOf(memory);
  return Array.from({ length: MAX_TASKS }, (_, i) => i + 1).filter(
    (task) => Atomics.load(words, (task - 1) * TASK_WORDS) === thread + 1,
  );
}

interface NodeModules {
  readonly "node:worker_threads": { readonly threadId: number };
  readonly "node:fs": { existsSync(path: string): boolean; readlinkSync(path: string): string };
}

/** A module of Node.js; undefined elsewhere. */
function nodeModule<M extends keyof NodeModules>(name: M): NodeModules[M] | undefined {
  const node = (globalThis as Readonly<Record<string, unknown>>)["process"] as
    | { getBuiltinModule?(name: M): NodeModules[M] }
    | undefined;
  return node?.getBuiltinModule?.(name);
}

/** The number by which Node.js knows this thread; 0 elsewhere. */
function threadId(): number {
  return nodeModule("node:worker_threads")?.threadId ?? 0;
}

/** The number by which Linux knows this thread; 0 elsewhere, and where there is no /proc. */
export function systemThread(): number {
  try {
    // PROCESS/task/THREAD
    return Number(nodeModule("node:fs")?.readlinkSync("/proc/thread-self").split("/").at(-1) ?? 0);
  } catch {
    return 0;
  }
}

/** Whether a thread of this process that Linux knew by a number has ended. False where that can't be told, or it is another's number now. */
export function hasEnded(thread: number): boolean {
  const fs = nodeModule("node:fs");
  const isThere = (number: number): boolean => fs?.existsSync(`/proc/self/task/${number}`) === true;
  return thread !== 0 && !isThere(thread) && isThere(systemThread());
}

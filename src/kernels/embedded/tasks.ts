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

interface NodeProcess {
  getBuiltinModule?(name: "node:worker_threads"): { readonly threadId: number };
}

/** The number by which Node.js knows this thread; 0 elsewhere. */
function threadId(): number {
  const node = (globalThis as unknown as Readonly<Record<string, NodeProcess | undefined>>)["process"];
  return node?.getBuiltinModule?.("node:worker_threads").threadId ?? 0;
}

/**
 * Task slots: a thread takes one before it has an instance of the engine, since the instance is told its task.
 *
 * The addresses are those of kernel/super.ts.
 */

const TASKS = 0x2000;
const TASK_SIZE = 512;
const MAX_TASKS = 256;

/** Takes a free slot: its index plus 1. */
export function takeTask(memory: WebAssembly.Memory): number {
  const words = new Int32Array(memory.buffer, TASKS, (MAX_TASKS * TASK_SIZE) / 4);
  for (let i = 0; i < MAX_TASKS; i++) {
    if (Atomics.compareExchange(words, (i * TASK_SIZE) / 4, 0, 1) === 0) return i + 1;
  }
  throw new RangeError(
    `Cannot attach: ${MAX_TASKS} threads are attached to this kernel already, and it has room for no more`,
  );
}

/** Gives a slot back. */
export function giveTask(memory: WebAssembly.Memory, task: number): void {
  const words = new Int32Array(memory.buffer, TASKS, (MAX_TASKS * TASK_SIZE) / 4);
  Atomics.store(words, ((task - 1) * TASK_SIZE) / 4, 0);
}

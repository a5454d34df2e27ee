/**
 * The crew: worker threads that attach to a kernel and do the same job at the same time, each with an argument of its own.
 */
import { Worker } from "node:worker_threads";
import type { EmbeddedKernel, KernelHandle } from "tsbpf";
import type { Jobs } from "./worker.js";

export const crewSize = 4;

/** What a worker is started with. */
export interface Orders {
  readonly handle: KernelHandle;
  readonly job: keyof Jobs;
  readonly arg: unknown;
  /** The words of the crew's Barrier, and how many meet there. */
  readonly barrier: SharedArrayBuffer;
  readonly parties: number;
}

/** Where all of a crew wait for each other. Words: how many are here, which round it is. */
export class Barrier {
  readonly #words: Int32Array;
  readonly #parties: number;

  constructor(words: SharedArrayBuffer, parties: number) {
    this.#words = new Int32Array(words);
    this.#parties = parties;
  }

  wait(): void {
    const words = this.#words;
    const round = Atomics.load(words, 1);
    if (Atomics.add(words, 0, 1) + 1 === this.#parties) {
      Atomics.store(words, 0, 0);
      Atomics.add(words, 1, 1);
      Atomics.notify(words, 1);
    }
    while (Atomics.load(words, 1) === round) Atomics.wait(words, 1, round);
  }
}

/**
 * Has one worker for each argument do a job, beginning together.
 *
 * @param signal Gives up on them: rejects with its reason.
 * @returns What the job returned in each. Rejects with the first error of a worker; all are gone afterwards.
 */
export async function run<J extends keyof Jobs>(
  kernel: EmbeddedKernel,
  job: J,
  args: Parameters<Jobs[J]>[1][],
  signal?: AbortSignal,
): Promise<Awaited<ReturnType<Jobs[J]>>[]> {
  const barrier = new SharedArrayBuffer(8);
  const workers: Worker[] = [];
  try {
    return await Promise.all(
      args.map((arg) => {
        const orders: Orders = { handle: kernel.share(), job, arg, barrier, parties: args.length };
        const worker = new Worker(new URL("../../build/test/threads/worker.js", import.meta.url), {
          workerData: orders,
        });
        workers.push(worker);
        return new Promise<Awaited<ReturnType<Jobs[J]>>>((resolve, reject) => {
          worker.once("message", resolve);
          worker.once("error", reject);
          signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
          worker.once("exit", (code) => reject(new Error(`A worker ended with ${code} without an answer`)));
        });
      }),
    );
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** The same argument for each of the crew but for its number. */
export function each<T>(make: (index: number) => T): T[] {
  return Array.from({ length: crewSize }, (_, index) => make(index));
}

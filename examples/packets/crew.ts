/**
 * The worker threads of a count: starts them, lets them begin together, waits for their end.
 */
import { Worker } from "node:worker_threads";
import { type Job, makeWords, type Message, openGate, takeAllChunks, type Tally } from "./job.js";

/** How long the others may go on with their chunk when a worker has failed. */
const GRACE_MS = 2000;

/** What the workers say at their end. */
export interface CrewResult {
  readonly tallies: readonly Tally[];
  /** From when all were ready, until the last one had counted. */
  readonly seconds: number;
}

/**
 * Runs a job on so many worker threads. None is left when it settles.
 *
 * @throws The first error that a worker ended with. The others end with their chunk, or are terminated.
 */
export async function runCrew(job: Omit<Job, "words" | "worker">, workers: number): Promise<CrewResult> {
  const words = makeWords();
  const tallies: Tally[] = [];
  let ready = 0;
  let start = 0;
  let end = 0;
  const hear = (message: Message): void => {
    if (message !== "ready") {
      tallies.push(message);
      end = performance.now();
    } else if (++ready === workers) {
      start = performance.now();
      openGate(words);
    }
  };

  let failure: unknown;
  const threads: Worker[] = [];
  const fail = (error: unknown): void => {
    failure ??= error;
    takeAllChunks(words, job.capture);
    openGate(words);
    setTimeout(() => threads.forEach((thread) => void thread.terminate()), GRACE_MS).unref();
  };
  for (let worker = 0; worker < workers; worker++) {
    threads.push(new Worker(new URL("worker.js", import.meta.url), { workerData: { ...job, words, worker } }));
  }
  await Promise.all(
    threads.map(
      (thread) =>
        new Promise<void>((resolve) => {
          thread
            .on("message", hear)
            .on("error", fail)
            .on("exit", () => resolve());
        }),
    ),
  );
  if (failure !== undefined) throw failure;
  return { tallies, seconds: (end - start) / 1000 };
}

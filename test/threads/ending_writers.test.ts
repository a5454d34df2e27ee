/**
 * Writers are terminated at random moments while the main thread reads: each record and each value that was written comes, whole, once
 * and in order; one whose writer was terminated in the middle comes or does not; and the reader never waits in vain.
 *
 * TSBPF_TERMINATIONS says how many (a tenth of it; 2,000 unless told), TEST_SEED repeats a run (as far as threads can be repeated).
 */
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, KernelBug, QueueMap, RingBuffer } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { randomFrom } from "./clock.js";
import { type EndingOrders, JOURNAL_WORDS, QUEUE, RING, lastOf, places, recordWords, value } from "./ending_writers.js";

const terminations = Math.ceil(Number(process.env["TSBPF_TERMINATIONS"] ?? 2000) / 10);
const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 31);
const MAX_LIFE_MS = 5;
const file = new URL("../../build/test/threads/ending_writers_worker.js", import.meta.url);

/** What came of one place, to the ring or to the queue. */
class Arrivals {
  last = 0;
  /** Numbers that did not come, so far. */
  readonly missing: number[] = [];

  come(n: number): void {
    if (n <= this.last) throw new Error(`Number ${n} came after ${this.last}`);
    for (let i = this.last + 1; i < n; i++) this.missing.push(i);
    this.last = n;
  }
}

it(`${terminations} writers are terminated`, { timeout: 60_000 + 600 * terminations }, async () => {
  console.log(`TEST_SEED=${seed}`);
  const random = randomFrom(seed);
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  const checkLeaks = watchLeaks(kernel);
  const ring = RingBuffer.create(kernel, { name: "ring", size: 8192 });
  const queue = QueueMap.create(kernel, { name: "queue", value, maxEntries: 16 });
  const journal = new SharedArrayBuffer(4 * JOURNAL_WORDS * places);
  const arrivals = Array.from({ length: places }, () => ({ [RING]: new Arrivals(), [QUEUE]: new Arrivals() }));
  /** Numbers whose writer was terminated before it knew that they were written. */
  const unsure = Array.from({ length: places }, () => ({ [RING]: new Set<number>(), [QUEUE]: new Set<number>() }));

  const popAll = (): void => {
    for (let job = queue.pop(); job !== undefined; job = queue.pop()) {
      if (job.n !== job.twin) throw new Error(`A value is torn: ${job.n} and ${job.twin}`);
      arrivals[job.place]![QUEUE].come(job.n);
    }
  };
  let vain = 0;
  /** Where this thread cannot tell that a writer has ended, one that has the queue's lock is reaped when it comes back to its event loop. */
  const pop = (): void => {
    try {
      popAll();
    } catch (error) {
      if (!(error instanceof KernelBug) || process.platform === "linux") throw error;
      vain++;
    }
  };
  const read = (record: Uint8Array): void => {
    const words = new Uint32Array(record.buffer, record.byteOffset, record.byteLength / 4);
    const [place, n] = words as unknown as [number, number];
    if (words.length !== recordWords(n) || words.subarray(1).some((word) => word !== n)) {
      throw new Error(`Record ${n} of writer ${place} is torn: ${words.join(" ")}`);
    }
    arrivals[place]![RING].come(n);
  };
  const reader = (async () => {
    for await (const batch of ring.batches()) {
      for (const record of batch) read(record);
      pop();
    }
  })();

  const liveAndDie = async (place: number): Promise<void> => {
    const ids = { ringId: ring.id, queueId: queue.id };
    const orders = { handle: kernel.share(), ...ids, journal, place, seed: 1 + random(2 ** 30) };
    const worker = new Worker(file, { workerData: orders satisfies EndingOrders });
    kernel.attachWorker(worker);
    const gone = new Promise<void>((resolve, reject) => {
      worker.once("exit", () => resolve());
      worker.once("error", reject);
    });
    worker.once("message", () => setTimeout(() => void worker.terminate(), random(1000 * MAX_LIFE_MS) / 1000));
    await gone;
    for (const to of [RING, QUEUE] as const) {
      const { intended, done } = lastOf(journal, place, to);
      if (intended !== done) unsure[place]![to].add(intended);
    }
  };
  const livesOf = async (place: number): Promise<void> => {
    for (let i = 0; i < terminations / places; i++) await liveAndDie(place);
  };
  const popping = setInterval(pop, 1);
  try {
    await Promise.race([reader, Promise.all(Array.from({ length: places }, (_, place) => livesOf(place)))]);
    // The reader still reads, and nothing is left behind by those that are dead.
    await expect.poll(() => ring.pending, { timeout: 10_000, interval: 5 }).toBe(0);
    popAll();
  } finally {
    clearInterval(popping);
  }
  expect(kernel.check()).toEqual([]);
  let inTheMiddle = 0;
  for (let place = 0; place < places; place++) {
    for (const to of [RING, QUEUE] as const) {
      const { last, missing } = arrivals[place]![to];
      const doubtful = unsure[place]![to];
      inTheMiddle += doubtful.size;
      expect(missing.filter((n) => !doubtful.has(n))).toEqual([]);
      const { intended, done } = lastOf(journal, place, to);
      expect([intended, done, done - 1].includes(last) || doubtful.has(done)).toBe(true);
      for (let n = last + 1; n <= intended; n++) expect(doubtful).toContain(n);
    }
  }
  console.log(
    `${inTheMiddle} were terminated in the middle of writing; ${vain} had the lock that the reader waited for`,
  );
  const written = arrivals.map((of) => `${of[RING].last} records, ${of[QUEUE].last} values`);
  console.log(written.join("; "));
  for (const fd of [...Array(4000).keys()].filter((fd) => fd !== ring.fd && fd !== queue.fd)) kernel.close(fd);
  ring.close();
  queue.close();
  await reader;
  checkLeaks();
});

/**
 * Worker threads on one map of the embedded kernel: how much more two get done than one. With one thread too the work is
 * done by a worker (thread.ts), so that both have the same overhead.
 */
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, HashMap, PerCpuHashMap, u32, u64 } from "tsbpf";
import { KEYS, loadOf } from "./keys.js";
import type { Ops, Suite } from "./measure.js";

/** What the threads agree on: words of a shared array. */
export const TURN = 0;
export const BUSY = 1;
export const ROW = 2;
export const FROM = 3;
export const COUNT = 4;
const WORDS = 5;

export const ROWS = ["lookup", "update, each its own keys", "add on one key", "add on one key, percpu_hash"] as const;

/** What a thread is started with. */
export interface ThreadData {
  readonly handle: ReturnType<EmbeddedKernel["share"]>;
  readonly words: Int32Array;
  readonly hashId: number;
  readonly perCpuId: number;
  readonly thread: number;
  readonly threads: number;
}

async function open(contender: string): Promise<Ops> {
  const threads = Number(contender);
  const kernel = await EmbeddedKernel.create({ possibleCpus: threads });
  const hash = HashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: 2 * KEYS });
  const perCpu = PerCpuHashMap.create(kernel, { name: "percpu", key: u32, value: u64, maxEntries: 16 });
  const { present, values } = loadOf(
    (n) => n,
    (n) => BigInt(n),
  );
  for (let i = 0; i < KEYS; i++) hash.set(present[i]!, values[i]!);
  const words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  const file = new URL("thread.js", import.meta.url);
  const workers = Array.from({ length: threads }, (_, thread) => {
    const handle = kernel.share();
    const workerData: ThreadData = { handle, words, hashId: hash.id, perCpuId: perCpu.id, thread, threads };
    return new Worker(file, { workerData });
  });
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));

  const take = (row: number) => (from: number, n: number) => {
    words[ROW] = row;
    words[FROM] = from;
    words[COUNT] = n;
    Atomics.store(words, BUSY, threads);
    Atomics.add(words, TURN, 1);
    Atomics.notify(words, TURN);
    for (let busy = threads; busy > 0; busy = Atomics.load(words, BUSY)) Atomics.wait(words, BUSY, busy);
    return n;
  };
  return Object.fromEntries(ROWS.map((row, i) => [row, take(i)]));
}

export const threadsSuite: Suite = {
  name: "threads on one map, hash u32 -> u64",
  rows: ROWS,
  contenders: ["1", "2"],
  open,
};

/**
 * A thread of threads.ts: does its share of each turn.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel, HashMap, PerCpuHashMap, u32, u64 } from "tsbpf";
import { kept, loadOf } from "./keys.js";
import { BUSY, COUNT, FROM, ROW, type ThreadData, TURN } from "./threads.js";

const { handle, words, hashId, perCpuId, thread, threads } = workerData as ThreadData;
const kernel = await EmbeddedKernel.attach(handle);
const hash = HashMap.fromId(kernel, hashId, { key: u32, value: u64 });
const perCpu = PerCpuHashMap.fromId(kernel, perCpuId, { key: u32, value: u64 });
const { mask, hits, values } = loadOf(
  (n) => n,
  (n) => BigInt(n),
);

/** In the order of threads.ts's ROWS. */
const rows: readonly ((from: number, n: number) => void)[] = [
  (from, n) => {
    for (let i = from; i < from + n; i++) kept.value = hash.get(hits[i & mask]!);
  },
  (from, n) => {
    for (let i = from; i < from + n; i++) {
      const own = (i * threads + thread) & mask;
      hash.set(hits[own]!, values[own]!);
    }
  },
  (_, n) => {
    for (let i = 0; i < n; i++) hash.add(hits[0]!, 1n);
  },
  (_, n) => {
    for (let i = 0; i < n; i++) perCpu.add(7, 1n);
  },
];

parentPort!.postMessage("ready");
for (let turn = 0; ; turn++) {
  Atomics.wait(words, TURN, turn);
  // Threads start at different places, so that they do not read the same cache lines at the same time.
  rows[words[ROW]!]!(words[FROM]! + (thread << 15), Math.ceil(words[COUNT]! / threads));
  Atomics.sub(words, BUSY, 1);
  Atomics.notify(words, BUSY);
}

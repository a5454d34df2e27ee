/**
 * A thread of threads.ts: does its share of each turn.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel, HashMap, PerCpuHashMap, u32, u64 } from "tsbpf";
import { kept, loadOf } from "./keys.js";
import { BATON, BUSY, COUNT, FROM, HANDED, ROW, type ThreadData, TURN, makeMaps } from "./threads.js";

const { shared, words, thread, threads } = workerData as ThreadData;
const { hash, perCpu } = await maps();
const { mask, hits, values } = loadOf(
  (n) => n,
  (n) => BigInt(n),
);

async function maps(): Promise<ReturnType<typeof makeMaps>> {
  if (shared === undefined) return makeMaps(await EmbeddedKernel.create({ possibleCpus: 1 }));
  const kernel = await EmbeddedKernel.attach(shared.handle);
  return {
    hash: HashMap.fromId(kernel, shared.hashId, { key: u32, value: u64 }),
    perCpu: PerCpuHashMap.fromId(kernel, shared.perCpuId, { key: u32, value: u64 }),
  };
}

/** Longer than that a round does not last: where threads share a core, a handoff takes as long as the scheduler likes. */
const MOST_MS = 50;
const CLOCK_EVERY = 256;
const DROPPED = -1;

/** Hands the baton to and fro: this thread counts on from even numbers, or from odd ones. */
function handOver(most: number): void {
  const end = performance.now() + MOST_MS;
  while (true) {
    let baton = Atomics.load(words, BATON);
    while (baton !== DROPPED && (baton & 1) !== thread) baton = Atomics.load(words, BATON);
    if (baton === DROPPED) return;
    if (baton >= most || (baton % CLOCK_EVERY === 0 && baton > 0 && performance.now() > end)) {
      words[HANDED] = baton;
      Atomics.store(words, BATON, DROPPED);
      return;
    }
    Atomics.store(words, BATON, baton + 1);
  }
}

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
  (_, n) => handOver(2 * n),
];

parentPort!.postMessage("ready");
for (let turn = 0; ; turn++) {
  Atomics.wait(words, TURN, turn);
  // Threads start at different places, so that they do not read the same cache lines at the same time.
  rows[words[ROW]!]!(words[FROM]! + (thread << 15), Math.ceil(words[COUNT]! / threads));
  Atomics.sub(words, BUSY, 1);
  Atomics.notify(words, BUSY);
}

/**
 * Worker threads on one map of the embedded kernel: how much more several get done than one. With one thread too the work
 * is done by a worker (thread.ts), so that all have the same overhead.
 */
import { cpus } from "node:os";
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, HashMap, PerCpuHashMap, u32, u64 } from "tsbpf";
import { KEYS, loadOf, roomFor } from "./keys.js";
import type { Ops, Suite } from "./measure.js";

/** What the threads agree on: words of a shared array. */
export const TURN = 0;
export const BUSY = 1;
export const ROW = 2;
export const FROM = 3;
export const COUNT = 4;
/** How many handoffs there were. */
export const HANDED = 5;
/** On cache lines of its own: what goes from hand to hand, a number that each counts on. */
export const BATON = 64;
const WORDS = 128;

/** A row that only two threads have. */
export const HANDOFF = "handoff of a cache line";
export const SHARED_ROWS = [
  "lookup",
  "update, each its own keys",
  "add on one key",
  "add on one key, percpu_hash",
] as const;
/** Those of thread.ts, in its order. */
export const ROWS: readonly string[] = [...SHARED_ROWS, HANDOFF];

/** What a thread is started with. */
export interface ThreadData {
  /** The kernel that all share, and its maps; without, a thread makes a kernel of its own. */
  readonly shared?: {
    readonly handle: ReturnType<EmbeddedKernel["share"]>;
    readonly hashId: number;
    readonly perCpuId: number;
  };
  readonly words: Int32Array;
  readonly thread: number;
  readonly threads: number;
}

/** The maps that threads work on, filled. */
export function makeMaps(kernel: EmbeddedKernel): {
  hash: HashMap<number, bigint>;
  perCpu: PerCpuHashMap<number, bigint>;
} {
  const hash = HashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: roomFor(KEYS) });
  const perCpu = PerCpuHashMap.create(kernel, { name: "percpu", key: u32, value: u64, maxEntries: 16 });
  const { present, values } = loadOf(
    (n) => n,
    (n) => BigInt(n),
  );
  for (let i = 0; i < KEYS; i++) hash.set(present[i]!, values[i]!);
  return { hash, perCpu };
}

async function open(contender: string, isShared: boolean): Promise<Ops> {
  const threads = Number(contender);
  const kernel = isShared ? await EmbeddedKernel.create({ possibleCpus: threads }) : undefined;
  const maps = kernel === undefined ? undefined : makeMaps(kernel);
  const words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  const file = new URL("thread.js", import.meta.url);
  const workers = Array.from({ length: threads }, (_, thread) => {
    const shared =
      kernel === undefined || maps === undefined
        ? {}
        : { shared: { handle: kernel.share(), hashId: maps.hash.id, perCpuId: maps.perCpu.id } };
    const workerData: ThreadData = { ...shared, words, thread, threads };
    return new Worker(file, { workerData });
  });
  await Promise.all(
    workers.map(
      (worker) =>
        new Promise((resolve, reject) => {
          worker.once("message", resolve);
          worker.once("error", reject);
        }),
    ),
  );

  const take = (row: number) => (from: number, n: number) => {
    words[ROW] = row;
    words[FROM] = from;
    words[COUNT] = n;
    words[BATON] = 0;
    Atomics.store(words, BUSY, threads);
    Atomics.add(words, TURN, 1);
    Atomics.notify(words, TURN);
    for (let busy = threads; busy > 0; busy = Atomics.load(words, BUSY)) Atomics.wait(words, BUSY, busy);
    return ROWS[row] === HANDOFF ? words[HANDED]! : n;
  };
  const rows = ROWS.map((row, i) => [row, take(i)] as const);
  return Object.fromEntries(rows.filter(([row]) => row !== HANDOFF || threads === 2));
}

/** 1, 2, 4 and so on, as many as run at once. */
const CONTENDERS: readonly string[] = Array.from({ length: Math.floor(Math.log2(cpus().length)) + 1 }, (_, i) =>
  String(2 ** i),
);

/** So long that the scheduler has time to find each thread a core of its own. */
const ROUND_MS = 30;

const titles: Readonly<Record<string, string>> = Object.fromEntries(
  CONTENDERS.map((threads) => [threads, threads === "1" ? "1 thread" : `${threads} threads`]),
);

export const threadsSuite: Suite = {
  name: "threads on one map, hash u32 -> u64",
  titles,
  note: "The time of all threads' operations together, an operation; a handoff is of a cache line from core to core, one way",
  rows: ROWS,
  contenders: CONTENDERS,
  roundMs: ROUND_MS,
  open: (contender) => open(contender, true),
};

/** The same with nothing shared: what the machine gives, so that what sharing takes can be told from it. */
export const apartSuite: Suite = {
  name: "threads on a map each",
  titles,
  note: "Nothing is shared here but the machine: the most that threads on one map can reach",
  rows: ["lookup", "update, each its own keys"],
  contenders: CONTENDERS,
  roundMs: ROUND_MS,
  open: (contender) => open(contender, false),
};

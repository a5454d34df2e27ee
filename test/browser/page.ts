/**
 * The module of the page: what the tests have it do, as functions of the window.
 */
import { ArrayMap, EmbeddedKernel, HashMap, PerCpuArray, RingBuffer, u32, u64 } from "../../dist/index.js";
import { type Writing, record, records, sumOf } from "./ringing.js";
import { type Done, type Orders, closeMaps, createMaps, idsOf, keys, work } from "./sharing.js";

/** What `shareMaps` found. */
export interface Shared {
  readonly threads: Done[];
  /** What the maps have for each key in the end. */
  readonly counts: number[];
  readonly cells: number[];
  readonly sums: number[];
  readonly damage: string[];
  readonly maxMemory: number;
  readonly left: { readonly fds: number; readonly maps: number; readonly bytes: number };
}

/** The main thread makes a kernel and maps, two workers attach, and all three work on them. */
async function shareMaps(): Promise<Shared> {
  const kernel = await EmbeddedKernel.create({ possibleCpus: 3 });
  const maps = createMaps(kernel);
  const progress = new SharedArrayBuffer(3 * 4);
  const orders = { handle: kernel.share(), ids: idsOf(maps), progress };
  const workers = await Promise.all([1, 2].map((index) => startWorker({ ...orders, index })));
  const answers = workers.map((worker) => {
    worker.postMessage("go");
    return nextMessage<Done>(worker);
  });
  const own = work(kernel, maps, { progress, index: 0 });
  const threads = [own, ...(await Promise.all(answers))];
  for (const worker of workers) worker.terminate();

  const numbers = (get: (key: number) => bigint | undefined): number[] =>
    Array.from({ length: keys }, (_, key) => Number(get(key)));
  const counts = numbers((key) => maps.counts.get(key));
  const cells = numbers((key) => maps.cells.get(key));
  const sums = numbers((key) => maps.sums.get(key)?.sum());
  closeMaps(maps);
  const found = {
    threads,
    counts,
    cells,
    sums,
    damage: kernel.check(),
    maxMemory: kernel.maxMemory,
    left: kernel.usage(),
  };
  kernel[Symbol.dispose]();
  return found;
}

/** A worker that has attached. */
async function startWorker(orders: Orders): Promise<Worker> {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.postMessage(orders);
  await nextMessage(worker);
  return worker;
}

function nextMessage<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.addEventListener("message", (event: MessageEvent<T>) => resolve(event.data), { once: true });
    worker.addEventListener("error", (event) => reject(new Error(`A worker failed: ${event.message}`)), { once: true });
  });
}

/** What `readRing` found. */
export interface Read {
  readonly isolated: boolean;
  /** Of each writer, how many of its records came. */
  readonly came: number[];
  /** Records that were torn, or out of their writer's order. */
  readonly wrong: string[];
  /** Whether the page was idle while the loop waited. */
  readonly waited: boolean;
  readonly pending: number;
  readonly damage: string[];
  readonly left: { readonly fds: number; readonly maps: number; readonly bytes: number };
}

/** Three workers write to a ring, and the main thread reads it with `for await`. */
async function readRing(): Promise<Read> {
  const writers = 3;
  const kernel = await EmbeddedKernel.create();
  const ring = RingBuffer.create(kernel, { name: "events", size: 16384, record });
  const workers = Array.from({ length: writers }, (_, writer) => {
    const worker = new Worker(new URL("ring_worker.js", import.meta.url), { type: "module" });
    worker.postMessage({ handle: kernel.share(), id: ring.id, writer } satisfies Writing);
    return worker;
  });
  const ends = workers.map((worker) => nextMessage<number>(worker));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const came = workers.map(() => 0);
  const wrong: string[] = [];
  let left = writers * records;
  for await (const { writer, n, sum } of ring) {
    if (n !== came[writer] || sum !== sumOf(writer, n)) wrong.push(`${writer}: ${n} for ${came[writer]}, sum ${sum}`);
    came[writer] = n + 1;
    if (--left === 0) break;
  }
  clearInterval(timer);
  await Promise.all(ends);
  for (const worker of workers) worker.terminate();
  const { pending } = ring;
  ring.close();
  const found = { isolated: globalThis.crossOriginIsolated, came, wrong, waited: ticks > 0, pending };
  const rest = { damage: kernel.check(), left: kernel.usage() };
  kernel[Symbol.dispose]();
  return { ...found, ...rest };
}

/** What `useAlone` found. */
export interface Alone {
  readonly isolated: boolean;
  readonly shared: boolean;
  readonly maxMemory: number;
  readonly refusal: string;
  readonly elems: [number, number][];
  readonly sum: number;
  readonly loaded: [number, number][];
  readonly cells: number[];
  readonly damage: string[];
}

/** Kernels where memory cannot be shared: maps, and an image of them that becomes a second kernel. */
async function useAlone(): Promise<Alone> {
  const kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
  const hash = HashMap.create(kernel, { name: "hash", key: u32, value: u64, maxEntries: 100 });
  for (let i = 0; i < 100; i++) hash.set(i, BigInt(i));
  for (let i = 4; i < 100; i++) hash.delete(i);
  hash.add(0, 10n);
  const sums = PerCpuArray.create(kernel, { name: "sums", value: u64, maxEntries: 1 });
  for (const n of [1n, 2n, 3n]) sums.add(0, n);
  const cells = ArrayMap.create(kernel, { name: "cells", value: u64, maxEntries: 3 });
  cells.set(1, 2n);
  cells.pin("/sys/fs/bpf/cells");

  const loaded = await EmbeddedKernel.load(kernel.save());
  const again = HashMap.fromId(loaded, hash.id, { key: u32, value: u64 });
  again.set(0, 5n);
  const pinned = ArrayMap.open(loaded, "/sys/fs/bpf/cells", { value: u64 });
  return {
    isolated: globalThis.crossOriginIsolated,
    shared: kernel.shared,
    maxMemory: kernel.maxMemory,
    refusal: messageOf(() => kernel.share()),
    elems: asNumbers(hash),
    sum: Number(sums.get(0)?.sum()),
    loaded: asNumbers(again),
    cells: [...pinned.values()].map(Number),
    damage: [...kernel.check(), ...loaded.check()],
  };
}

function asNumbers(map: HashMap<number, bigint>): [number, number][] {
  return [...map].map(([key, value]): [number, number] => [key, Number(value)]).sort(([a], [b]) => a - b);
}

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return "nothing was thrown";
}

/** The page's functions, and what each finds. */
export interface Jobs {
  readonly shareMaps: Shared;
  readonly readRing: Read;
  readonly useAlone: Alone;
}

Object.assign(globalThis, { shareMaps, readRing, useAlone } satisfies { [J in keyof Jobs]: () => Promise<Jobs[J]> });

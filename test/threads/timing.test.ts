/**
 * Timers fire in the thread that has started them; when it has ended, in another. Who cancels one waits for its function. Threads that
 * start, cancel and fire timers of the same elems, and are terminated in the middle, leave nothing that is wrong.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { Program } from "tsbpf/program";
import { afterEach, beforeEach, expect, it } from "vitest";
import { randomFrom } from "./clock.js";
import { ARM, CANCEL, type Orders, type Timed, ZERO, act, create, load } from "./timing.js";

const MS = 1_000_000n;
const KEYS = [0, 1, 2, 3, 4, 5, 6, 7];

let kernel: EmbeddedKernel;
let map: Timed;
let program: Program;

beforeEach(async () => {
  kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 26 });
  map = create(kernel, KEYS.length);
  program = load(kernel, map);
  for (const key of KEYS) map.set(key, ZERO);
});

afterEach(() => {
  program.close();
  map.close();
  expect(kernel.check()).toEqual([]);
  expect(kernel.usage()).toMatchObject({ fds: 0, maps: 0 });
  kernel[Symbol.dispose]();
});

async function start(
  afterwards: Orders["afterwards"],
  nsecs: bigint,
  keys: readonly number[] = KEYS,
  seed = 0,
): Promise<{ worker: Worker; fds: number[] }> {
  const orders: Orders = { handle: kernel.share(), map: map.id, program: program.id, keys, nsecs, afterwards, seed };
  const worker = new Worker(new URL("../../build/test/threads/timing_worker.js", import.meta.url), {
    workerData: orders,
  });
  kernel.attachWorker(worker);
  const [fds] = (await once(worker, "message")) as [number[]];
  return { worker, fds };
}

async function until(is: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!is() && performance.now() < end) await sleep(1);
  expect(is(), String(is)).toBe(true);
}

const rang = (): bigint[] => KEYS.map((key) => map.get(key)!.rang);
const once1 = KEYS.map(() => 1n);
const never = KEYS.map(() => 0n);

it("in the thread that has started them", async () => {
  act(program, ARM, 0);
  kernel.runTimers();
  const mine = map.get(0)!.cpu;
  map.set(0, ZERO);
  const { worker } = await start("idle", 5n * MS);
  await until(() => rang().every((n) => n === 1n));
  expect(KEYS.filter((key) => map.get(key)!.cpu === mine)).toEqual([]);
  await worker.terminate();
  expect(rang()).toEqual(once1);
});

it("when that has ended, in one that reaps it", async () => {
  const { worker } = await start("block", 0n);
  await sleep(20);
  // It does not come back to its event loop, and no other thread fires what is its.
  expect(kernel.runTimers()).toBe(0);
  expect(rang()).toEqual(never);
  await worker.terminate();
  await until(() => rang().every((n) => n === 1n));
  await sleep(5);
  expect(rang()).toEqual(once1);
});

it("when that has left, in one that watches it", async () => {
  const { worker } = await start("leave", 20n * MS);
  await once(worker, "exit");
  await until(() => rang().every((n) => n === 1n));
});

it("a thread that runs a program takes what another has left", async () => {
  const other = await EmbeddedKernel.attach(kernel.share());
  const theirs = Program.fromId(other, program.id);
  for (const key of [1, 2]) act(theirs, ARM, key, key === 1 ? 0n : 3_600_000n * MS);
  theirs.close();
  other[Symbol.dispose]();
  await sleep(5);
  expect(rang()).toEqual(never);
  expect(act(program, CANCEL, 2)).toBe(1);
  await until(() => map.get(1)!.rang === 1n);
});

it("cancel waits for the function of a timer that fires in another thread", async () => {
  for (const key of KEYS) map.set(key, { ...ZERO, rounds: 20_000_000n });
  const { worker } = await start("idle", 0n);
  let waited = 0;
  for (const key of KEYS) {
    await until(() => map.get(key)!.rang === 1n);
    const wasDone = map.get(key)!.done === 1n;
    expect(act(program, CANCEL, key)).toBe(0);
    expect(map.get(key)!.done).toBe(1n);
    if (!wasDone) waited++;
  }
  expect(waited).toBeGreaterThan(0);
  await worker.terminate();
});

it("threads that are terminated while they change timers leave them in order", { timeout: 120_000 }, async () => {
  const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 31);
  const random = randomFrom(seed);
  for (let round = 0; round < 12; round++) {
    const crew = await Promise.all([0, 1, 2].map((i) => start("churn", 0n, KEYS, random(2 ** 31) + i)));
    await sleep(5 + random(40));
    await Promise.all(crew.map(({ worker }) => worker.terminate()));
    for (const { fds } of crew) for (const fd of fds) kernel.close(fd);
    expect(kernel.check(), `TEST_SEED=${seed}, round ${round}`).toEqual([]);
    for (const key of KEYS) map.set(key, ZERO);
    kernel.runTimers();
    expect(rang()).toEqual(never);
    for (const key of KEYS) expect(act(program, ARM, key), `TEST_SEED=${seed}, round ${round}`).toBe(0);
    expect(kernel.runTimers()).toBe(KEYS.length);
    expect(rang()).toEqual(once1);
  }
});

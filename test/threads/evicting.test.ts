/**
 * LRU hashes that are full, with four threads that write: no update fails, no value is torn or another key's, and there are never
 * more than max_entries. Then threads are terminated at random moments meanwhile.
 */
import { Worker } from "node:worker_threads";
import { EmbeddedKernel } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { randomFrom } from "./clock.js";
import { type Orders, crewSize, each, run } from "./crew.js";
import { type Kind, kinds, maxEntries } from "./evicting.js";

const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 31);
const TERMINATIONS = 40;
const MAX_LIFE_MS = 20;
const names = Object.keys(kinds) as Kind[];

/** All of its capacity is there, and not more. */
function expectWhole(map: ReturnType<(typeof kinds)[Kind]["create"]>): void {
  for (let key = 0; key < 3 * maxEntries; key++) {
    map.set(90_000_000 + key, key);
    expect(map.get(90_000_000 + key)).toBe(key);
    expect(map.count()).toBeLessThanOrEqual(maxEntries);
  }
  expect(map.count()).toBe(maxEntries);
}

it.each(names)("%s: four threads write", async (kind) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
  const check = watchLeaks(kernel);
  const map = kinds[kind].create(kernel);
  const workers = await run(
    kernel,
    "evict",
    each((index) => ({ kind, id: map.id, index, seed: seed + index, ms: 800 })),
  );
  for (const { found, gone } of workers) {
    expect(found, `seed ${seed}`).toBeGreaterThan(0);
    expect(gone, `seed ${seed}`).toBeGreaterThan(0);
  }
  expectWhole(map);
  map.close();
  check();
});

const file = new URL("../../build/test/threads/worker.js", import.meta.url);

it.each(names)("%s: threads are terminated", async (kind) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
  const check = watchLeaks(kernel);
  const map = kinds[kind].create(kernel);
  const { fds } = kernel.usage();
  const random = randomFrom(seed);
  const failures: Error[] = [];
  const liveAndDie = (index: number): Promise<void> => {
    const arg = { kind, id: map.id, index, seed: 1 + random(2 ** 30), ms: 60_000 };
    const orders: Orders = { handle: kernel.share(), job: "evict", arg, barrier: new SharedArrayBuffer(8), parties: 1 };
    const worker = new Worker(file, { workerData: orders });
    kernel.attachWorker(worker);
    worker.on("error", (error: Error) => failures.push(error));
    const life = setInterval(() => {
      // It works as soon as it has opened the map.
      if (kernel.usage().fds === fds) return;
      clearInterval(life);
      setTimeout(() => void worker.terminate(), random(1000 * MAX_LIFE_MS) / 1000);
    }, 1);
    return new Promise((resolve) => worker.once("exit", () => resolve()));
  };
  for (let done = 0; done < TERMINATIONS; done += crewSize) {
    await Promise.all(each(liveAndDie));
    if (failures[0] !== undefined) throw failures[0];
    // Fds are of all threads: those of the dead stay open.
    for (let fd = 0, open = kernel.usage().fds; open > fds; fd++) {
      if (fd === 1000) throw new Error("Too many fds");
      if (map.id !== Number(/map_id:\t(\d+)/.exec(kernel.fdinfo(fd) ?? "")?.[1]) || fd === map.fd) continue;
      expect(kernel.close(fd)).toBe(0);
      open--;
    }
    expect(kernel.check(), `seed ${seed}`).toEqual([]);
    expectWhole(map);
  }
  map.close();
  check();
});

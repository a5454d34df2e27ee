/**
 * A thread that waits for a lock finds out by itself that the one who has it has ended, and takes over: the thread that would hear of
 * it may be the one that waits.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, HashMap, KernelBug, u32 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { GO, type TakingOverOrders } from "./taking_over.js";

const file = new URL("../../build/test/threads/taking_over_worker.js", import.meta.url);

interface Holder {
  readonly worker: Worker;
  /** Has it end, while this thread does something else. */
  end(): void;
}

async function holderOf(kernel: EmbeddedKernel): Promise<Holder> {
  const words = new Int32Array(new SharedArrayBuffer(4));
  const workerData: TakingOverOrders = { handle: kernel.share(), words };
  const worker = new Worker(file, { workerData });
  await once(worker, "message");
  return {
    worker,
    end: () => {
      Atomics.store(words, GO, 1);
      Atomics.notify(words, GO);
    },
  };
}

const create = (kernel: EmbeddedKernel): HashMap<number, number> =>
  HashMap.create(kernel, { key: u32, value: u32, maxEntries: 10 });

it.skipIf(process.platform !== "linux")("the main thread, which workers were given to", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  const check = watchLeaks(kernel);
  const { worker, end } = await holderOf(kernel);
  kernel.attachWorker(worker);
  const exit = once(worker, "exit");
  end();
  create(kernel).close();
  // All of the thread was reaped: what was its is free before anybody has told of its end.
  check();
  expect(kernel.check()).toEqual([]);
  await exit;
  check();
});

it.skipIf(process.platform !== "linux")("any thread, of one that nobody watches", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  const check = watchLeaks(kernel);
  for (let i = 0; i < 20; i++) {
    const { worker, end } = await holderOf(kernel);
    const exit = once(worker, "exit");
    end();
    create(kernel).close();
    await exit;
  }
  check();
});

it("not of one that lives", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  const { worker } = await holderOf(kernel);
  kernel.attachWorker(worker);
  expect(() => create(kernel)).toThrow(KernelBug);
  await worker.terminate();
  create(kernel).close();
  expect(kernel.check()).toEqual([]);
});

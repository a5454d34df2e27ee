/**
 * How the host learns of the death of a thread: from the worker that was given to it, or because it is told.
 */
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, type KernelHandle, PerCpuHashMap, u32, u64 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import type { Ending, Orders } from "./victim.js";

const file = new URL("../../build/test/death/victim.js", import.meta.url);

/** A kernel with few CPUs, so that one that is not given back is missed; and a map whose values need them. */
async function start(
  possibleCpus = 1,
): Promise<{ kernel: EmbeddedKernel; map: PerCpuHashMap<number, bigint>; check: () => void }> {
  const kernel = await EmbeddedKernel.create({ possibleCpus });
  const check = watchLeaks(kernel);
  return { kernel, map: PerCpuHashMap.create(kernel, { key: u32, value: u64, maxEntries: 4 }), check };
}

/** A worker, when it has attached and taken what it can; and the fd it has opened. */
async function victim(
  orders: Orders,
  watch?: (worker: Worker) => void,
): Promise<{ worker: Worker; fd: number; slot: number; ended: Promise<unknown> }> {
  const worker = new Worker(file, { workerData: orders });
  watch?.(worker);
  worker.on("error", () => {});
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  // Not events.once: that rejects when the error of a worker that throws comes before what it has said.
  const { fd, slot } = await new Promise<{ fd: number; slot: number }>((resolve) => worker.once("message", resolve));
  return { worker, fd, slot, ended };
}

const endings: readonly Ending[] = ["stays until it is terminated", "exits", "throws", "leaves, and ends"];

it.each(endings)("a worker that was given to the kernel: it %s", async (ending) => {
  const { kernel, map, check } = await start();
  const handle = kernel.share();
  const { worker, fd, slot, ended } = await victim({ handle, id: map.id, ending }, (worker) => {
    kernel.attachWorker(worker);
  });
  if (ending === "stays until it is terminated") void worker.terminate();
  await ended;
  // Its fd stays, as a thread's fds do in a process. Its place and its CPU are free, its memory is given back.
  if (ending !== "leaves, and ends") expect(kernel.close(fd)).toBe(0);
  using next = await EmbeddedKernel.attach(kernel.share());
  expect(next.slot).toBe(slot);
  using same = PerCpuHashMap.fromId(next, map.id, { key: u32, value: u64 });
  same.add(1, 1n);
  expect(map.get(1)!.sum()).toBeGreaterThanOrEqual(2n);
  same.close();
  map.close();
  check();
  next[Symbol.dispose]();
  kernel[Symbol.dispose]();
});

it("a worker that was not given to the kernel, until its slot is", async () => {
  const { kernel, map, check } = await start();
  const ending = "stays until it is terminated";
  const { worker, fd, slot } = await victim({ handle: kernel.share(), id: map.id, ending });
  await worker.terminate();
  expect(() => map.add(1, 1n)).toThrow(expect.objectContaining({ code: "ENXIO" }));
  kernel.reap(slot);
  map.add(1, 1n);
  expect(kernel.close(fd)).toBe(0);
  map.close();
  check();
  kernel[Symbol.dispose]();
});

it("a worker that ends takes no other with it", async () => {
  const { kernel, map, check } = await start(2);
  const handles = [kernel.share(), kernel.share()] as const;
  const watched = (handle: KernelHandle, ending: Ending): ReturnType<typeof victim> =>
    victim({ handle, id: map.id, ending }, (worker) => kernel.attachWorker(worker));
  const stays = await watched(handles[0], "stays until it is terminated");
  const ends = await watched(handles[1], "exits");
  await ends.ended;
  expect(kernel.close(ends.fd)).toBe(0);
  // There is a free CPU again, but one only: the other worker has its own still.
  map.add(1, 1n);
  const third = await EmbeddedKernel.attach(kernel.share());
  expect(third.slot).toBe(ends.slot);
  const same = PerCpuHashMap.fromId(third, map.id, { key: u32, value: u64 });
  expect(() => same.add(1, 1n)).toThrow(expect.objectContaining({ code: "ENXIO" }));
  await stays.worker.terminate();
  await stays.ended;
  same.add(1, 1n);
  same.close();
  third[Symbol.dispose]();
  expect(kernel.close(stays.fd)).toBe(0);
  map.close();
  check();
  kernel[Symbol.dispose]();
});

it("refuses to reap who asks, and what is no slot; a slot that is free is left alone", async () => {
  using kernel = await EmbeddedKernel.create();
  for (const slot of [kernel.slot, 0, -1, 257, 1.5, NaN]) expect(() => kernel.reap(slot)).toThrow(RangeError);
  const other = await EmbeddedKernel.attach(kernel.share());
  expect(other.slot).not.toBe(kernel.slot);
  other[Symbol.dispose]();
  kernel.reap(other.slot);
  expect(kernel.check()).toEqual([]);
  using again = await EmbeddedKernel.attach(kernel.share());
  expect(again.slot).toBe(other.slot);
});

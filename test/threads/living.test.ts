/**
 * Maps' lives: created, closed and pinned by several workers at once, and used while they end. Nothing is left.
 */
import { EmbeddedKernel } from "tsbpf";
import { expect, it } from "vitest";
import { each, run } from "./crew.js";

const nothing = { fds: 0, maps: 0, bytes: 0 };

it("maps created and closed by several workers are new, and have ids of their own", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 3, maxMemory: 2 ** 26 });
  const ids = await run(
    kernel,
    "createAndClose",
    each((index) => ({ ms: 1500, seed: index + 1 })),
  );
  for (const worker of ids) expect(worker.length).toBeGreaterThan(100);
  expect(new Set(ids.flat()).size).toBe(ids.flat().length);
  expect(kernel.usage()).toEqual(nothing);
});

it("maps that other threads close answer right, or EBADF", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 3, maxMemory: 2 ** 26 });
  const fds = new SharedArrayBuffer(8);
  new Int32Array(fds).fill(-1);
  const roles = ["make", "make", "use", "use"] as const;
  const counts = await run(
    kernel,
    "share",
    each((index) => ({ fds, role: roles[index]!, index, ms: 1500 })),
  );
  for (const count of counts) expect(count).toBeGreaterThan(100);
  expect(kernel.usage()).toEqual(nothing);
});

it("a name that is given while the last fd is closed leads to a map that is alive, or is not given", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 3, maxMemory: 2 ** 26 });
  const fds = new SharedArrayBuffer(8);
  new Int32Array(fds).fill(-1);
  const roles = ["make", "make", "pin", "pin"] as const;
  const counts = await run(
    kernel,
    "share",
    each((index) => ({ fds, role: roles[index]!, index, ms: 1500 })),
  );
  for (const count of counts) expect(count).toBeGreaterThan(10);
  expect(kernel.usage()).toEqual(nothing);
});

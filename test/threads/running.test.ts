/**
 * Threads run one program at the same time: its atomic additions are exact, per-CPU values are each thread's own; and threads that
 * are terminated in the middle of it leave nothing locked.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { ArrayMap, EmbeddedKernel, HashMap, PerCpuArray, u32, u64 } from "tsbpf";
import { Program, assemble } from "tsbpf/program";
import { BPF_PROG_TYPE_XDP } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { type Orders, crewSize, each, run } from "./crew.js";

const CALLS = 200;
const REPEAT = 500;

/** Adds 1 to the first elem of each map: atomically, and in the per-CPU one plainly. */
function counting(shared: number, hash: number, perCpu: number): string {
  const lookup = (fd: number): string => `r2 = r10\nr2 += -4\nr1 = map[fd:${fd}]\ncall 1\nif r0 == 0 goto +`;
  return [
    "*(u32 *)(r10 - 4) = 0",
    `${lookup(shared)}2\nr1 = 1\nlock *(u64 *)(r0 + 0) += r1`,
    `${lookup(hash)}2\nr1 = 1\nlock *(u64 *)(r0 + 0) += r1`,
    `${lookup(perCpu)}3\nr1 = *(u64 *)(r0 + 0)\nr1 += 1\n*(u64 *)(r0 + 0) = r1`,
    "r0 = 2\nexit",
  ].join("\n");
}

function setUp(kernel: EmbeddedKernel): { maps: Disposable[]; counts: () => bigint[]; program: Program } {
  const shared = ArrayMap.create(kernel, { value: u64, maxEntries: 1 });
  const hash = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 4 });
  const perCpu = PerCpuArray.create(kernel, { value: u64, maxEntries: 1 });
  hash.set(0, 0n);
  const insns = assemble(counting(shared.fd, hash.fd, perCpu.fd));
  const program = Program.load(kernel, { name: "counting", type: BPF_PROG_TYPE_XDP, license: "GPL", insns });
  const sum = (): bigint => perCpu.get(0)!.reduce((all, each) => all + each, 0n);
  return { maps: [shared, hash, perCpu], counts: () => [shared.get(0)!, hash.get(0)!, sum()], program };
}

it("lose nothing", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: crewSize });
  const check = watchLeaks(kernel);
  const { maps, counts, program } = setUp(kernel);
  const returned = await run(
    kernel,
    "runProgram",
    each(() => ({ id: program.id, calls: CALLS, repeat: REPEAT })),
  );
  expect(returned).toEqual(Array(crewSize).fill(2));
  expect(counts()).toEqual(Array(3).fill(BigInt(crewSize * CALLS * REPEAT)));
  program.close();
  for (const map of maps) map[Symbol.dispose]();
  check();
});

it("may be terminated in the middle", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: crewSize });
  const check = watchLeaks(kernel);
  const { maps, counts, program } = setUp(kernel);
  for (let n = 0; n < 20; n++) {
    const orders: Orders = {
      handle: kernel.share(),
      job: "runProgram",
      arg: { id: program.id, calls: 1_000_000, repeat: REPEAT },
      barrier: new SharedArrayBuffer(8),
      parties: 1,
    };
    const before = counts()[0]!;
    const worker = new Worker(new URL("../../build/test/threads/worker.js", import.meta.url), { workerData: orders });
    kernel.attachWorker(worker);
    const exit = once(worker, "exit");
    await expect.poll(() => counts()[0]! > before, { timeout: 10_000, interval: 1 }).toBe(true);
    await worker.terminate();
    await exit;
    expect(kernel.check()).toEqual([]);
  }
  // It still runs, here too; and what the others had open is closed.
  expect(program.run({ data: new Uint8Array(64) }).retval).toBe(2);
  program.close();
  for (const map of maps) map[Symbol.dispose]();
  for (let fd = 3; fd < 100; fd++) kernel.close(fd);
  check();
}, 60_000);

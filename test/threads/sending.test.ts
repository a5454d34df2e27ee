/**
 * Threads send by one perf_event_array while another reads: each CPU's events come in its order, whole, and those that do not are counted;
 * also when threads are terminated in the middle of it.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, PerCpuArray, type PerfEvent, PerfEventArray, struct, u32, u64 } from "tsbpf";
import { Program, assemble } from "tsbpf/program";
import { BPF_PROG_TYPE_XDP } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { type Orders, crewSize, each, run } from "./crew.js";

const CALLS = 100;
const REPEAT = 200;

const record = struct({ n: u64, again: u64, cpu: u32, none: u32 });

/** Counts in a per-CPU value, and sends the count, twice, and the CPU's number. */
const text = (counts: number, events: number): string => `
  r6 = r1
  *(u32 *)(r10 - 4) = 0
  r2 = r10
  r2 += -4
  r1 = map[fd:${counts}]
  call 1
  r7 = r0
  if r7 == 0 goto out
  call 8 // bpf_get_smp_processor_id
  *(u32 *)(r10 - 16) = r0
  *(u32 *)(r10 - 12) = 0
  r1 = *(u64 *)(r7 + 0)
  r1 += 1
  *(u64 *)(r7 + 0) = r1
  *(u64 *)(r10 - 32) = r1
  *(u64 *)(r10 - 24) = r1
  r1 = r6
  r2 = map[fd:${events}]
  r3 = 0xffffffff ll
  r4 = r10
  r4 += -32
  r5 = 24
  call 25 // bpf_perf_event_output
  out: r0 = 2
  exit`;

type Seen = PerfEvent<{ n: bigint; again: bigint; cpu: number; none: number }>;

/** Each CPU's counts rise: what is missing was lost. */
function expectInOrder(seen: readonly Seen[]): void {
  const last = new Map<number, bigint>();
  for (const { cpu, data } of seen) {
    if (data.n !== data.again || data.cpu !== cpu || data.none !== 0) throw new Error(`torn: ${String(data.n)}`);
    if (data.n <= (last.get(cpu) ?? 0n)) throw new Error(`CPU ${cpu}: ${data.n} after ${last.get(cpu)}`);
    last.set(cpu, data.n);
  }
}

function setUp(kernel: EmbeddedKernel): {
  array: PerfEventArray<Seen["data"]>;
  total: () => number;
  program: Program;
  close: () => void;
} {
  const array = PerfEventArray.create(kernel, { record });
  const counts = PerCpuArray.create(kernel, { value: u64, maxEntries: 1 });
  const insns = assemble(text(counts.fd, array.fd));
  const program = Program.load(kernel, { name: "sending", type: BPF_PROG_TYPE_XDP, license: "GPL", insns });
  const close = (): void => {
    for (const each of [program, array, counts]) each.close();
  };
  return { array, total: () => Number(counts.get(0)!.reduce((all, one) => all + one, 0n)), program, close };
}

/** Reads until it is told to stop, and then what is left. */
async function readAll(array: PerfEventArray<Seen["data"]>, until: Promise<unknown>): Promise<[Seen[], number]> {
  using events = array.events({ pages: 4 });
  const ends = new AbortController();
  const seen: Seen[] = [];
  const loop = (async () => {
    for await (const batch of events.batches({ signal: ends.signal })) seen.push(...batch);
  })();
  await until;
  ends.abort(new Error("over"));
  await expect(loop).rejects.toThrow("over");
  seen.push(...events.poll());
  return [seen, events.lost];
}

it("nothing is torn, or lost uncounted", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: crewSize + 1 });
  const check = watchLeaks(kernel);
  const { array, total, program, close } = setUp(kernel);
  const [seen, lost] = await readAll(
    array,
    run(
      kernel,
      "runProgram",
      each(() => ({ id: program.id, calls: CALLS, repeat: REPEAT })),
    ),
  );
  expectInOrder(seen);
  expect(total()).toBe(crewSize * CALLS * REPEAT);
  expect(seen.length + lost).toBe(total());
  expect(seen.length).toBeGreaterThan(0);
  close();
  check();
});

it("threads may be terminated in the middle", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: crewSize });
  const check = watchLeaks(kernel);
  const { array, total, program, close } = setUp(kernel);
  const ending = async (): Promise<void> => {
    for (let n = 0; n < 15; n++) {
      const arg = { id: program.id, calls: 1_000_000, repeat: 1000 };
      const orders: Orders = {
        handle: kernel.share(),
        job: "runProgram",
        arg,
        barrier: new SharedArrayBuffer(8),
        parties: 1,
      };
      const worker = new Worker(new URL("../../build/test/threads/worker.js", import.meta.url), { workerData: orders });
      kernel.attachWorker(worker);
      const before = total();
      await once(worker, "online");
      // On a busy machine a worker takes its time until it sends.
      while (total() === before) await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise((resolve) => setTimeout(resolve, n * 7));
      await worker.terminate();
    }
  };
  const [seen] = await readAll(array, ending());
  expectInOrder(seen);
  expect(seen.length).toBeGreaterThan(0);
  expect(kernel.check()).toEqual([]);
  close();
  // Their programs' fds are the kernel's.
  for (let fd = 3; fd < 100; fd++) kernel.close(fd);
  check();
}, 60_000);

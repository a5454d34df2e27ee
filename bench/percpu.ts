/**
 * Per-CPU maps: `lookup` and `update` carry the values of all CPUs, `add` adds to this thread's own.
 *
 * Only programs add on Linux. npm's bpf makes no room for more than one CPU's value, and takes no part.
 */
import { cpus } from "node:os";
import { PerCpu, PerCpuArray, PerCpuHashMap, u32, u64 } from "tsbpf";
import { BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH } from "tsbpf/uapi";
import { KEYS, type Load, indicesOf, kept, loadOf, roomFor } from "./keys.js";
import { syscallLoop } from "./linux_c.js";
import type { Ops, Suite } from "./measure.js";
import { addOp, openKernel, typedOps } from "./typed.js";

const ROWS = ["lookup", "update", "add", "iterate in batches"];
const CONTENDERS = ["embedded", "mixed", "js", "linux", "c"];

/** The values of all CPUs: of as many as the kernel at hand has. */
const slots = (possibleCpus: number) => (n: number) =>
  PerCpu.from(Array.from({ length: possibleCpus }, () => BigInt(n)));

/** What JavaScript has for it: a Map of lists. */
function jsOps({ mask, present, hits, values }: Load<number, PerCpu<bigint>>): Ops {
  const map = new Map(present.map((key, i) => [key, values[i]!]));
  return {
    lookup: (from, n) => {
      for (let i = from; i < from + n; i++) kept.value = map.get(hits[i & mask]!);
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) map.set(hits[i & mask]!, values[i & mask]!);
      return n;
    },
    add: (from, n) => {
      for (let i = from; i < from + n; i++) map.get(hits[i & mask]!)![0]! += 1n;
      return n;
    },
    "iterate in batches": () => {
      for (const entry of map) kept.value = entry;
      return map.size;
    },
  };
}

const hash: Suite = {
  name: "percpu_hash u32 -> u64",
  titles: { js: "JS Map of lists" },
  rows: ROWS,
  contenders: CONTENDERS,
  program: (contender) => (contender === "c" ? syscallLoop(BPF_MAP_TYPE_PERCPU_HASH, 4, 8) : undefined),
  async open(contender) {
    const load = (possibleCpus: number) => loadOf((n) => n, slots(possibleCpus));
    if (contender === "js") return jsOps(load(cpus().length));
    const kernel = await openKernel(contender);
    const map = PerCpuHashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: roomFor(KEYS) });
    const work = load(kernel.possibleCpus);
    const rows = typedOps(map, work);
    return kernel.name === "linux" ? rows : { ...rows, add: addOp(map, work, 1n) };
  },
};

const array: Suite = {
  name: "percpu_array u64",
  titles: { js: "JS Map of lists" },
  rows: ROWS,
  contenders: CONTENDERS,
  program: (contender) => (contender === "c" ? syscallLoop(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8) : undefined),
  async open(contender) {
    const load = (possibleCpus: number) => indicesOf(slots(possibleCpus));
    if (contender === "js") return jsOps(load(cpus().length));
    const kernel = await openKernel(contender);
    const map = PerCpuArray.create(kernel, { name: "bench", value: u64, maxEntries: KEYS });
    const work = load(kernel.possibleCpus);
    const rows = typedOps(map, work);
    return kernel.name === "linux" ? rows : { ...rows, add: addOp(map, work, 1n) };
  },
};

export const percpuSuites: readonly Suite[] = [hash, array];

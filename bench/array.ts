/**
 * Array maps against a JavaScript array, npm's bpf, and C.
 */
import { ArrayMap, u64 } from "tsbpf";
import { BPF_MAP_TYPE_ARRAY } from "tsbpf/uapi";
import { KEYS, type Load, indicesOf, kept } from "./keys.js";
import { syscallLoop } from "./linux_c.js";
import type { Op, Ops, Suite } from "./measure.js";
import { npmArrayOps } from "./npm_bpf.js";
import { addOp, openKernel, typedOps } from "./typed.js";

const load = (): Load<number, bigint> => indicesOf((n) => BigInt(n));

/** A JavaScript array of bigints. */
function jsOps({ mask, hits, values }: Load<number, bigint>): Ops {
  const array = [...values];
  const iterate: Op = () => {
    let count = 0;
    for (const entry of array.entries()) {
      kept.value = entry;
      count++;
    }
    return count;
  };
  return {
    lookup: (from, n) => {
      for (let i = from; i < from + n; i++) kept.value = array[hits[i & mask]!];
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) array[hits[i & mask]!] = values[i & mask]!;
      return n;
    },
    add: (from, n) => {
      for (let i = from; i < from + n; i++) array[hits[i & mask]!]! += 1n;
      return n;
    },
    iterate,
    "iterate in batches": iterate,
  };
}

export const arraySuite: Suite = {
  name: "array u64",
  titles: { js: "JS array", mapped: "Linux, mapped" },
  note: "mapped: an ArrayMap with mmap: true, whose get, set and add are no system calls",
  rows: ["lookup", "update", "add", "iterate", "iterate in batches"],
  contenders: ["embedded", "mixed", "js", "linux", "mapped", "npm", "c"],
  program: (contender) => (contender === "c" ? syscallLoop(BPF_MAP_TYPE_ARRAY, 4, 8) : undefined),
  async open(contender) {
    if (contender === "js") return jsOps(load());
    if (contender === "npm") return npmArrayOps(load());
    const mmap = contender === "mapped";
    const kernel = await openKernel(mmap ? "linux" : contender);
    const map = ArrayMap.create(kernel, { name: "bench", value: u64, maxEntries: KEYS, mmap });
    const work = load();
    return { ...typedOps(map, work), add: addOp(map, work, 1n) };
  },
};

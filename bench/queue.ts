/**
 * Queues and stacks against JavaScript arrays, bloom filters against a Set.
 *
 * "push + pop" pushes some values and pops as many, so that the map holds a hundred or so; a nanosecond there is that of one of each.
 */
import { BloomFilter, QueueMap, StackMap, u64 } from "tsbpf";
import { KEYS, indicesOf, kept } from "./keys.js";
import type { Op, Ops, Suite } from "./measure.js";
import { openKernel } from "./typed.js";

/** Values that are pushed before they are popped. */
const BURST = 128;

/** What all contenders of a queue or stack offer. */
interface Pushable {
  push(value: bigint): unknown;
  pop(): bigint | undefined;
  peek(): bigint | undefined;
}

function keylessOps(map: Pushable): Ops {
  const { mask, values } = indicesOf((n) => BigInt(n));
  const pushAndPop: Op = (from, n) => {
    let done = 0;
    for (; done < n; done += BURST) {
      for (let i = from + done; i < from + done + BURST; i++) map.push(values[i & mask]!);
      for (let i = 0; i < BURST; i++) {
        const value = map.pop();
        if (value === undefined) throw new Error("A value that was pushed is not there");
        kept.value = value;
      }
    }
    return done;
  };
  const peek: Op = (_, n) => {
    for (let i = 0; i < n; i++) kept.value = map.peek();
    return n;
  };
  map.push(0n);
  return { "push + pop": pushAndPop, peek };
}

/** The best that an array can do: V8 moves its start as long as it is short. */
function jsQueue(): Pushable {
  const list: bigint[] = [];
  return { push: (value) => list.push(value), pop: () => list.shift(), peek: () => list[0] };
}

function jsStack(): Pushable {
  const list: bigint[] = [];
  return { push: (value) => list.push(value), pop: () => list.pop(), peek: () => list.at(-1) };
}

/** A filter holds half of the keys; those that are looked up and absent are the other half. */
function filterOps(filter: { add(value: bigint): unknown; has(value: bigint): boolean }): Ops {
  const { mask, hits } = indicesOf((n) => BigInt(n));
  const present = hits.map((n) => BigInt(n));
  for (const value of present) filter.add(value);
  return {
    add: (from, n) => {
      for (let i = from; i < from + n; i++) filter.add(present[i & mask]!);
      return n;
    },
    has: (from, n) => {
      for (let i = from; i < from + n; i++) {
        if (!filter.has(present[i & mask]!)) throw new Error("A value that was added is not there");
      }
      return n;
    },
    "has not": (from, n) => {
      let found = 0;
      for (let i = from; i < from + n; i++) if (filter.has(present[i & mask]! + BigInt(KEYS))) found++;
      // By mistake, now and then.
      if (found > n / 10) throw new Error(`${found} of ${n} values are there that were never added`);
      return n;
    },
  };
}

const rows = ["push + pop", "peek"];
const contenders = ["embedded", "js", "linux"];

export const keylessSuites: readonly Suite[] = [
  {
    name: "queue u64",
    titles: { js: "JS array, shift" },
    rows,
    contenders,
    async open(contender) {
      if (contender === "js") return keylessOps(jsQueue());
      const kernel = await openKernel(contender);
      return keylessOps(QueueMap.create(kernel, { name: "bench", value: u64, maxEntries: 2 * BURST }));
    },
  },
  {
    name: "stack u64",
    titles: { js: "JS array, pop" },
    rows,
    contenders,
    async open(contender) {
      if (contender === "js") return keylessOps(jsStack());
      const kernel = await openKernel(contender);
      return keylessOps(StackMap.create(kernel, { name: "bench", value: u64, maxEntries: 2 * BURST }));
    },
  },
  {
    name: "bloom filter u64",
    titles: { js: "JS Set" },
    note: "A Set makes no mistakes, and takes some twenty times the memory",
    rows: ["add", "has", "has not"],
    contenders,
    async open(contender) {
      if (contender === "js") return filterOps(new Set<bigint>());
      const kernel = await openKernel(contender);
      return filterOps(BloomFilter.create(kernel, { name: "bench", value: u64, maxEntries: KEYS }));
    },
  },
];

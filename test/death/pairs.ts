/**
 * Two threads that die on the same map, one after the other, before anybody was reaped: the second may find a lock that the first
 * holds, and dies while it waits for it.
 */
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { type ElemOp, bindCall, contentsAfter, contentsBetween, nameOf } from "./elems.js";
import { BPF_NOEXIST } from "../../src/uapi/index.js";
import { type Content, Hands, type Shape, difference, expectReturned } from "./hands.js";
import type { Scenario, Second } from "./harness.js";
import { arrays, hashes, perCpuHashes } from "./shapes.js";

interface State {
  readonly hands: Hands;
  readonly before: Content;
  readonly call: () => number;
}

export interface Pair {
  readonly name: string;
  readonly scenario: Scenario<State>;
  readonly second: Second<State>;
}

/** Versions of the values that the two write. */
const FIRST = 2;
const SECOND = 3;

/** What a map may hold after a death in an operation. */
function allowedAfter(hands: Hands, before: Content, op: ElemOp, version: number): Content[] {
  const value = hands.value(op.key, version);
  return [before, ...contentsAfter(hands, before, op, value), ...contentsBetween(hands, before, op, value)];
}

function pair(shape: Shape, first: ElemOp, then: Omit<ElemOp, "before">): Pair {
  const second: ElemOp = { ...then, before: first.before };
  return {
    name: `${nameOf(shape, first, "bpf")}; and ${second.op} of key ${second.key}`,
    scenario: {
      name: nameOf(shape, first, "bpf"),
      setUp({ survivor }, victim) {
        const hands = new Hands(survivor, shape);
        const before = hands.putAll(first.before, 1);
        return { hands, before, ...bindCall(victim, hands, wayOf(first), first, hands.value(first.key, FIRST)) };
      },
      act: (_, { call }) => call(),
      verify(_, { hands, before }) {
        const found = hands.read(shape.maxEntries + 2);
        const bothDied = allowedAfter(hands, before, first, FIRST).flatMap((content) =>
          allowedAfter(hands, content, second, SECOND),
        );
        const differences = bothDied.map((content) => difference(found, content));
        if (!differences.includes(undefined)) {
          throw new Error(`The map is none of ${differences.length} that it may be: ${differences.join("; ")}`);
        }
        hands.useFully(found);
        hands.close();
      },
    },
    second: {
      name: `${second.op} of key ${second.key}`,
      act(victim: EmbeddedKernel, _, { hands }) {
        return bindCall(victim, hands, wayOf(second), second, hands.value(second.key, SECOND)).call();
      },
    },
  };
}

/**
 * A first that dies, and a second that deletes and inserts all other keys, as they were: before the first was reaped, others
 * have changed the count of elems, and lines, and free memory many times.
 */
function churn(shape: Shape, first: ElemOp): Pair {
  const others = first.before.filter((key) => key !== first.key);
  return {
    name: `${nameOf(shape, first, wayOf(first))}; and others come and go`,
    scenario: {
      name: nameOf(shape, first, wayOf(first)),
      setUp({ survivor }, victim) {
        const hands = new Hands(survivor, shape);
        const before = hands.putAll(first.before, 1);
        return { hands, before, ...bindCall(victim, hands, wayOf(first), first, hands.value(first.key, FIRST)) };
      },
      act: (_, { call }) => call(),
      verify(_, { hands, before }) {
        const found = new Map(hands.read(shape.maxEntries + 2));
        // The one at which the second had to wait for memory that the first was about to take or to give back.
        const gone = others.filter((key) => !found.has(key));
        if (gone.length > 1) throw new Error(`The keys ${gone.join()} are gone`);
        for (const key of gone) found.set(key, hands.value(key, 1));
        const allowed = allowedAfter(hands, before, first, FIRST);
        const differences = allowed.map((content) => difference(found, content));
        if (!differences.includes(undefined)) throw new Error(`The map is neither: ${differences.join("; ")}`);
        for (const key of gone) found.delete(key);
        hands.useFully(found);
        hands.close();
      },
    },
    second: {
      name: "others come and go",
      livesOn: true,
      act(victim, _, { hands }) {
        for (const key of others) {
          expectReturned(`A deletion of key ${key}`, hands.remove(victim, key), 0);
          expectReturned(`An insert of key ${key}`, hands.update(victim, key, hands.value(key, 1), BPF_NOEXIST), 0);
        }
      },
    },
  };
}

const wayOf = ({ op }: ElemOp): "bpf" | "direct" => (op === "add" ? "direct" : "bpf");

const keysBelow = (n: number): number[] => [...Array(n).keys()];
const named = (shapes: readonly Shape[], name: string): Shape => shapes.find((shape) => shape.name === name)!;

/** A map that is all but full: two more fit. */
function pairsOf(shape: Shape): Pair[] {
  const few = keysBelow(shape.maxEntries - 2);
  const [fresh, other] = [shape.maxEntries - 2, shape.maxEntries - 1] as const;
  return [
    pair(shape, { op: "update", before: few, key: 0 }, { op: "update", key: 0 }),
    pair(shape, { op: "update", before: few, key: 0 }, { op: "delete", key: 0 }),
    pair(shape, { op: "update", before: few, key: 0 }, { op: "lookup", key: 0 }),
    pair(shape, { op: "update", before: few, key: fresh }, { op: "update", key: fresh }),
    pair(shape, { op: "update", before: few, key: fresh }, { op: "update", key: other }),
    pair(shape, { op: "delete", before: few, key: 0 }, { op: "update", key: fresh }),
    pair(shape, { op: "delete", before: few, key: 0 }, { op: "delete", key: 1 }),
    pair(shape, { op: "add", before: few, key: fresh }, { op: "add", key: other }),
  ];
}

/** All keys that are inserted or deleted: on lines that have room, and on those that have not. */
function churnsOf(shape: Shape): Pair[] {
  const all = keysBelow(shape.maxEntries);
  return [0, 1, shape.maxEntries >> 1, shape.maxEntries - 1].flatMap((key) => [
    churn(shape, { op: "update", before: all.filter((other) => other !== key), key }),
    churn(shape, { op: "delete", before: all, key }),
    churn(shape, { op: "update", before: all, key }),
  ]);
}

const arrayOf12 = named(arrays, "array, values of 12");

export const churns: readonly Pair[] = [
  ...churnsOf(named(hashes, "hash of 21, keys of 4, values of 4")),
  ...churnsOf(named(hashes, "hash of 21, keys of 4, values of 48")),
  ...churnsOf(named(hashes, "hash of 21, keys of 16, values of 48, not preallocated")),
  ...churnsOf(named(perCpuHashes, "per-CPU hash of 21, keys of 4, values of 12, not preallocated")),
];

export const pairs: readonly Pair[] = [
  ...pairsOf(named(hashes, "hash of 21, keys of 4, values of 4")),
  ...pairsOf(named(hashes, "hash of 21, keys of 16, values of 48, not preallocated")),
  pair(arrayOf12, { op: "update", before: keysBelow(5), key: 0 }, { op: "update", key: 0 }),
  pair(arrayOf12, { op: "update", before: keysBelow(5), key: 0 }, { op: "update", key: 1 }),
  pair(arrayOf12, { op: "update", before: keysBelow(5), key: 0 }, { op: "add", key: 0 }),
];

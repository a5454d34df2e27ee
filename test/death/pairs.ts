/**
 * Two threads that die on the same map, one after the other, before anybody was reaped: the second may find a lock that the first
 * holds, and dies while it waits for it.
 */
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { type ElemOp, bindCall, contentsAfter, nameOf } from "./elems.js";
import { type Content, Hands, type Shape, difference } from "./hands.js";
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
        const oneDied = [before, ...contentsAfter(hands, before, first, hands.value(first.key, FIRST))];
        const bothDied = oneDied.flatMap((content) => [
          content,
          ...contentsAfter(hands, content, second, hands.value(second.key, SECOND)),
        ]);
        const differences = bothDied.map((content) => difference(found, content));
        if (!differences.includes(undefined)) {
          throw new Error(`The map is none of ${differences.length} that it may be: ${differences.join("; ")}`);
        }
        hands.useFully();
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

const arrayOf12 = named(arrays, "array, values of 12");

export const pairs: readonly Pair[] = [
  ...pairsOf(named(hashes, "hash of 21, keys of 4, values of 4")),
  ...pairsOf(named(hashes, "hash of 21, keys of 16, values of 48, not preallocated")),
  ...pairsOf(named(perCpuHashes, "per-CPU hash of 21, keys of 16, values of 48")),
  pair(arrayOf12, { op: "update", before: keysBelow(5), key: 0 }, { op: "update", key: 0 }),
  pair(arrayOf12, { op: "update", before: keysBelow(5), key: 0 }, { op: "update", key: 1 }),
  pair(arrayOf12, { op: "update", before: keysBelow(5), key: 0 }, { op: "add", key: 0 }),
];

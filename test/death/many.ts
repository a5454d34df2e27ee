/**
 * Operations on many keys in one call to die in: whenever the thread dies, a first part of the keys is done, and no other.
 */
import { fillAttr } from "../../src/kernels/syscalls.js";
import { BPF_ATTR_SIZE, BPF_MAP_DELETE_BATCH, BPF_MAP_UPDATE_BATCH, bpfAttr } from "../../src/uapi/index.js";
import { contentsAfter, contentsBetween } from "./elems.js";
import { type Content, Hands, type Shape, difference, isHash } from "./hands.js";
import type { Scenario } from "./harness.js";

/** By the short way; those that end in Batch by bpf(2). */
export type ManyOp = "update" | "delete" | "lookup" | "updateBatch" | "deleteBatch";

interface State {
  readonly hands: Hands;
  readonly before: Content;
  readonly call: () => number;
  readonly end: () => void;
}

const align8 = (size: number): number => (size + 7) & ~7;

/** Keys that are there and keys that are not, by turns. */
const KEYS = [0, 5, 1, 6, 2, 7, 3];
const BEFORE = [0, 1, 2, 3, 4];

/** @param shape Of 8 elems or more. */
export function manyScenario(shape: Shape, op: ManyOp): Scenario<State> {
  const before = isHash(shape) ? BEFORE : [...Array(shape.maxEntries).keys()];
  // A batch ends at the first key that is not there.
  const keys = isHash(shape) && op !== "deleteBatch" ? KEYS : before;
  const isBatch = op === "updateBatch" || op === "deleteBatch";
  return {
    name: `${shape.name}: ${op} of keys ${keys.join()} in one call`,
    setUp({ survivor }, victim) {
      const hands = new Hands(survivor, shape);
      const content = hands.putAll(before, 1);
      const keyStep = isBatch ? shape.keySize : align8(shape.keySize);
      const valueStep = isBatch ? hands.valueBytes : align8(hands.valueBytes);
      const valuesOff = align8(keys.length * keyStep);
      const buffer = survivor.alloc(valuesOff + keys.length * (valueStep + 4));
      const values = buffer.address + valuesOff;
      const rets = values + keys.length * valueStep;
      keys.forEach((key, i) => {
        buffer.bytes.set(hands.keyBytes(key), i * keyStep);
        buffer.bytes.set(hands.value(key, 2), valuesOff + i * valueStep);
      });
      hands.alsoClose(buffer);
      if (isBatch) {
        const attr = survivor.alloc(BPF_ATTR_SIZE);
        hands.alsoClose(attr);
        const cmd = op === "updateBatch" ? BPF_MAP_UPDATE_BATCH : BPF_MAP_DELETE_BATCH;
        const about = { keys: buffer.address, count: keys.length, map_fd: hands.fd };
        fillAttr(attr, bpfAttr.batch, op === "updateBatch" ? { ...about, values } : about);
        return { hands, before: content, call: () => victim.bpf(cmd, attr), end: () => {} };
      }
      const direct = victim.direct(hands.fd)!;
      const call = {
        update: () => direct.updateMany(buffer.address, values, rets, keys.length, 0),
        delete: () => direct.deleteMany(buffer.address, rets, keys.length),
        lookup: () => direct.lookupMany(buffer.address, values, rets, keys.length),
      }[op];
      return { hands, before: content, call, end: () => direct[Symbol.dispose]() };
    },
    act: (_, { call }) => call(),
    end: ({ end }) => end(),
    verify(_, { hands, before }, died) {
      const found = hands.read(shape.maxEntries + 2);
      const allowed = statesOf(hands, before, op, keys);
      const differences = (died ? allowed : allowed.slice(-1)).map((content) => difference(found, content));
      if (!differences.includes(undefined)) {
        throw new Error(`The map is none of ${differences.length} that it may be: ${differences.join("; ")}`);
      }
      hands.useFully(found);
      hands.close();
    },
  };
}

/** What the map holds after each key; the last is what it holds in the end. */
function statesOf(hands: Hands, before: Content, op: ManyOp, keys: readonly number[]): Content[] {
  const states = [before];
  let content = before;
  for (const key of keys) {
    const one = {
      op: op === "updateBatch" ? "update" : op === "deleteBatch" ? "delete" : op,
      before: [],
      key,
    } as const;
    const value = hands.value(key, 2);
    states.push(...contentsBetween(hands, content, one, value));
    [content] = contentsAfter(hands, content, one, value) as [Content];
    states.push(content);
  }
  return states;
}

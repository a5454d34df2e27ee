/**
 * Jobs on queues and stacks that all workers push to and pop from.
 */
import { type EmbeddedKernel, QueueMap, StackMap, struct, u32 } from "tsbpf";

/** A value: whose it is, and how many its producer pushed before. `twin` is `n` again: a torn value has two. */
export const job = struct({ worker: u32, n: u32, pad: u32, twin: u32 });

export interface QueueingArg {
  readonly id: number;
  readonly isStack: boolean;
  readonly index: number;
  /** How many values to push. */
  readonly count: number;
}

/** Values that a worker has popped: worker and number, in the order in which they came. */
export type Popped = readonly (readonly [worker: number, n: number])[];

/** Pushes its values, and pops what comes meanwhile; a full map is popped from instead. */
export function pushAndPop(kernel: EmbeddedKernel, { id, isStack, index, count }: QueueingArg): Popped {
  using map = isStack ? StackMap.fromId(kernel, id, { value: job }) : QueueMap.fromId(kernel, id, { value: job });
  const popped: [number, number][] = [];
  const popOne = (): boolean => {
    const value = map.pop();
    if (value === undefined) return false;
    if (value.n !== value.twin) throw new Error(`A value is torn: ${value.n} and ${value.twin}`);
    popped.push([value.worker, value.n]);
    return true;
  };
  for (let n = 0; n < count; n++) {
    for (;;) {
      try {
        map.push({ worker: index, n, pad: 0, twin: n });
        break;
      } catch (error) {
        if ((error as { code?: string }).code !== "E2BIG") throw error;
        popOne();
      }
    }
    if (n % 3 === 0) popOne();
  }
  return popped;
}

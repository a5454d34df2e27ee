/**
 * The job of refusing: some workers set one key, others delete it, in a map with room for one elem. No other key is ever there: so
 * the map is full only while the key is in it, and no `set` may be refused.
 */
import { type EmbeddedKernel, HashMap, u32 } from "tsbpf";
import type { Barrier } from "./crew.js";

export interface RefusingArg {
  readonly id: number;
  readonly sets: boolean;
  readonly count: number;
}

/** How many sets were refused. */
export function setOrDelete(kernel: EmbeddedKernel, { id, sets, count }: RefusingArg, barrier: Barrier): number {
  using map = HashMap.fromId(kernel, id, { key: u32, value: u32 });
  let refused = 0;
  barrier.wait();
  for (let i = 0; i < count; i++) {
    if (!sets) {
      map.delete(7);
      continue;
    }
    try {
      map.set(7, i);
    } catch (error) {
      if ((error as { code?: string }).code !== "E2BIG") throw error;
      refused++;
    }
  }
  return refused;
}

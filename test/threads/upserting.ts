/**
 * The job of upserting: all workers ask for the same keys, each with a value of its own, while one deletes them now and then.
 */
import { type EmbeddedKernel, HashMap, u32, u64 } from "tsbpf";
import type { Barrier } from "./crew.js";

export interface UpsertingArg {
  readonly id: number;
  readonly index: number;
  readonly keys: number;
}

/** What `getOrInsert` returned for each key, and how often a value was worked out. */
export function upsert(
  kernel: EmbeddedKernel,
  { id, index, keys }: UpsertingArg,
  barrier: Barrier,
): { readonly returned: readonly bigint[]; readonly computed: number } {
  using map = HashMap.fromId(kernel, id, { key: u32, value: u64 });
  const returned: bigint[] = [];
  let computed = 0;
  barrier.wait();
  for (let key = 0; key < keys; key++) {
    returned.push(
      map.getOrInsertComputed(key, () => {
        computed++;
        return BigInt(key * 10 + index);
      }),
    );
    // Keys beyond those that are asked for come and go: what is returned is somebody's all the same.
    const fleeting = keys + (key % 8);
    const found = map.getOrInsert(fleeting, BigInt(fleeting * 10 + index));
    if (found / 10n !== BigInt(fleeting)) throw new Error(`Key ${fleeting} has the value ${found}`);
    map.delete(fleeting);
  }
  return { returned, computed };
}

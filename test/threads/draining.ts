/**
 * The job of draining: all workers insert keys of their own, and take out whatever is there, until all have inserted theirs.
 */
import { type EmbeddedKernel, HashMap, LruHashMap, PerCpuHashMap, struct, u32 } from "tsbpf";
import type { Barrier } from "./crew.js";

/** Two numbers that belong together, with more between them than one store writes. */
export const twin = struct({ n: u32, pad: u32, m: u32, twin: u32 });

export type DrainingKind = "hash" | "percpu_hash" | "lru_hash";

export interface DrainingArg {
  readonly id: number;
  readonly kind: DrainingKind;
  readonly index: number;
  /** How many keys to insert. */
  readonly count: number;
}

/** Keys that a worker has taken out, one by one or by batches. */
export function insertAndDrain(
  kernel: EmbeddedKernel,
  { id, kind, index, count }: DrainingArg,
  barrier: Barrier,
): readonly number[] {
  const codecs = { key: u32, value: twin };
  const slots = kind === "percpu_hash" ? kernel.possibleCpus : 0;
  using map = (kind === "hash" ? HashMap : kind === "lru_hash" ? LruHashMap : PerCpuHashMap).fromId(
    kernel,
    id,
    codecs,
  ) as HashMap<number, unknown>;
  const taken: number[] = [];
  const took = (key: number, value: unknown): void => {
    for (const { n, twin: other } of (slots > 0 ? value : [value]) as { n: number; twin: number }[])
      if (n !== key || other !== key) throw new Error(`The value of key ${key} is torn: ${n} and ${other}`);
    taken.push(key);
  };
  const drain = (): void => {
    for (const batch of map.drain()) for (const [key, value] of batch) took(key, value);
  };
  for (let i = 0; i < count; i++) {
    const key = index * count + i;
    const value = { n: key, pad: 0, m: 0, twin: key };
    while (true) {
      try {
        map.set(key, slots > 0 ? Array.from({ length: slots }, () => value) : value, { mode: "create" });
        break;
      } catch (error) {
        if ((error as { code?: string }).code !== "E2BIG") throw error;
        drain();
      }
    }
    if (i % 97 === 0) drain();
    if (i % 5 === 0) {
      // One of anybody's, by its key.
      const other = (key * 7919) % (4 * count);
      const found = map.take(other);
      if (found !== undefined) took(other, found);
    }
  }
  barrier.wait();
  drain();
  return taken;
}

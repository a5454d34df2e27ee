/**
 * The job of filling: in each round all workers insert until the map is full, and then delete what they inserted.
 */
import type { EmbeddedKernel } from "tsbpf";
import { BPF_NOEXIST, E2BIG, EEXIST, ENOENT } from "tsbpf/uapi";
import { RawMap } from "../raw_map.js";
import type { Barrier } from "./crew.js";
import { expectOneOf } from "./tearing.js";

export interface FillArg {
  /** The fds of the maps, a new one for each round: elems that were never used are taken in each. */
  readonly fds: readonly number[];
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly index: number;
}

/** What became of a worker's tries, over all rounds. */
export interface Filled {
  inserted: number;
  full: number;
  exists: number;
}

export function fill(kernel: EmbeddedKernel, arg: FillArg, barrier: Barrier): Filled {
  const { fds, keySize, valueSize, maxEntries, index } = arg;
  const filled: Filled = { inserted: 0, full: 0, exists: 0 };
  const raw = new RawMap(kernel, -1, keySize, valueSize);
  for (const [round, fd] of fds.entries()) {
    raw.fd = fd;
    const direct = kernel.direct(fd)!;
    // In even rounds all workers have the same keys, exactly as many as there is room for; in odd ones each its own. Twice: elems that
    // were deleted are taken again.
    for (let again = 0; again < 2; again++) {
      const same = round % 2 === 0;
      const mine: number[] = [];
      barrier.wait();
      for (let i = 0; i < maxEntries; i++) {
        const key = same ? i : index * 1_000_000 + i;
        raw.key.setUint32(0, key, true);
        raw.value.setUint32(0, key, true);
        const ret = expectOneOf(raw.update(BPF_NOEXIST), 0, same ? -EEXIST : -E2BIG);
        if (ret === 0) mine.push(key);
        else if (ret === -EEXIST) filled.exists++;
        else filled.full++;
        const count = direct.count();
        if (count > maxEntries) throw new Error(`The map holds ${count} of ${maxEntries} elems`);
      }
      filled.inserted += mine.length;
      barrier.wait();
      if (direct.count() !== maxEntries) throw new Error(`Round ${round}: ${direct.count()} of ${maxEntries} elems`);
      barrier.wait();
      for (const key of mine) {
        raw.key.setUint32(0, key, true);
        expectOneOf(raw.lookup(), 0);
        if (raw.value.getUint32(0, true) !== key) throw new Error(`Key ${key} has ${raw.value.getUint32(0, true)}`);
        expectOneOf(raw.remove(), 0);
        expectOneOf(raw.lookup(), -ENOENT);
      }
      barrier.wait();
      if (direct.count() !== 0) throw new Error(`Round ${round}: ${direct.count()} elems after all were deleted`);
      expectOneOf(raw.nextKey(), -ENOENT);
    }
    direct[Symbol.dispose]();
  }
  raw[Symbol.dispose]();
  return filled;
}

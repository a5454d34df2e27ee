/**
 * Keys where nobody else changes them: a copy in this thread's task, or, of a large one, in pages of its own.
 */
import { BpfMap } from "./map";
import { allocKernel, freePages } from "./mem/pages";
import { TASK_KEY_BYTES, keyCopy } from "./task";

/** Room for a key: this thread's own where it is enough. 0 when memory is out. Give it to `dropKey` afterwards. */
export function allocKey(bytes: u32): usize {
  return bytes <= TASK_KEY_BYTES ? keyCopy() : allocKernel(bytes, true);
}

/** The key where it cannot change any more, or 0 when memory is out. Give it to `dropKey` afterwards. */
export function takeKey(map: BpfMap, key: u64): usize {
  const to = allocKey(map.keySize);
  if (to != 0) memory.copy(to, <usize>key, map.keySize);
  return to;
}

// @ts-ignore: decorator
@inline
export function dropKey(key: usize): void {
  if (key != keyCopy()) freePages(key);
}

/**
 * What a worker of taking_over.test.ts does: takes the lock of the tables and has all stand still, and ends in the middle of it.
 */
import type { KernelHandle } from "tsbpf";

/** The worker's words: GO is set to have it end. */
export const GO = 0;

export interface TakingOverOrders {
  readonly handle: KernelHandle;
  readonly words: Int32Array;
}

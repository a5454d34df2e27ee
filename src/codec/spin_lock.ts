/**
 * The lock in a value: struct bpf_spin_lock.
 */
import { kernelField } from "./_kernel_field.js";
import type { Codec } from "./codec.js";

/** What its codec's type is called, and its struct in BTF. */
export const SPIN_LOCK_TYPE = "struct bpf_spin_lock";

/**
 * A lock by which programs, and `get` and `set` with `lock: true`, keep a value whole: one field of a value's struct. It is the
 * kernel's: it reads as 0, and 0 is what is written.
 *
 * Kernel name: struct bpf_spin_lock. Since Linux 5.1.
 *
 * @example
 * const account = struct({ lock: spinLock, credit: u64, debit: u64 });
 */
export const spinLock: Codec<0> = kernelField(SPIN_LOCK_TYPE, 4, 4);

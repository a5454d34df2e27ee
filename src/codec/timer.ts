/**
 * The timer in a value: struct bpf_timer.
 */
import { kernelField } from "./_kernel_field.js";
import type { Codec } from "./codec.js";

/** What its codec's type is called, and its struct in BTF. */
export const TIMER_TYPE = "struct bpf_timer";

/**
 * A timer of programs': one field of a value's struct. It is the kernel's: it reads as 0, and 0 is what is written, which ends the timer.
 *
 * Kernel name: struct bpf_timer. Since Linux 5.15.
 *
 * @example
 * const session = struct({ packets: u64, expiry: timer });
 */
export const timer: Codec<0> = kernelField(TIMER_TYPE, 16, 8);

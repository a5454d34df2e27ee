/**
 * The timer in a value: struct bpf_timer.
 */
import { checkOf, make } from "./_make.js";
import type { Codec } from "./codec.js";

/** What its codec's type is called, and its struct in BTF. */
export const TIMER_TYPE = "struct bpf_timer";

const isTimer = (value: unknown): boolean => value === 0;

/**
 * A timer of programs': one field of a value's struct. It is the kernel's: it reads as 0, and 0 is what is written, which ends the timer.
 *
 * Kernel name: struct bpf_timer. Since Linux 5.15.
 *
 * @example
 * const session = struct({ packets: u64, expiry: timer });
 */
export const timer: Codec<0> = make<0>({
  type: TIMER_TYPE,
  size: 16,
  align: 8,
  fits: isTimer,
  write(view, offset, value, at = "value") {
    if (!isTimer(value)) checkTimer(value, at);
    view.setBigUint64(offset, 0n, true);
    view.setBigUint64(offset + 8, 0n, true);
  },
  read: () => 0,
  check: (value, at) => checkTimer(value, at),
});

const checkTimer = checkOf(isTimer, (value) => typeof value === "number", "0: a bpf_timer is the kernel's");

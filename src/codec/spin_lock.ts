/**
 * The lock in a value: struct bpf_spin_lock.
 */
import { checkOf, make } from "./_make.js";
import type { Codec } from "./codec.js";

/** What its codec's type is called, and its struct in BTF. */
export const SPIN_LOCK_TYPE = "struct bpf_spin_lock";

const isLock = (value: unknown): boolean => value === 0;

/**
 * A lock by which programs, and `get` and `set` with `lock: true`, keep a value whole: one field of a value's struct. It is the
 * kernel's: it reads as 0, and 0 is what is written.
 *
 * Kernel name: struct bpf_spin_lock. Since Linux 5.1.
 *
 * @example
 * const account = struct({ lock: spinLock, credit: u64, debit: u64 });
 */
export const spinLock: Codec<0> = make<0>({
  type: SPIN_LOCK_TYPE,
  size: 4,
  align: 4,
  fits: isLock,
  write(view, offset, value, at = "value") {
    if (!isLock(value)) checkLock(value, at);
    view.setUint32(offset, 0, true);
  },
  read: () => 0,
  check: (value, at) => checkLock(value, at),
});

const checkLock = checkOf(isLock, (value) => typeof value === "number", "0: a bpf_spin_lock is the kernel's");

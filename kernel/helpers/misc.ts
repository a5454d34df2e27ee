/**
 * Helpers that know something of the thread, and memory.
 */
import { EFAULT, EINVAL } from "../../src/uapi/errno";
import { nextRandom } from "../super";
import { ME } from "../task";
import { mayWrite, result } from "./_arguments";
import { isReadable, myRun } from "../run";

/** xorshift64*, a state for each thread: the kernel's own is shared, which would cost ten times as much. */
export function prandom(): u64 {
  const run = myRun();
  let x = run.random;
  while (x == 0) x = nextRandom();
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  run.random = x;
  return (x * 0x2545f4914f6cdd1d) >> 32;
}

/** There are no processes here: all threads are of process 1, and a thread is its task. */
export function currentPidTgid(): u64 {
  return ((<u64>1) << 32) | ME;
}

export function currentComm(insn: u32, to: u64, size: u64): u64 {
  if (!mayWrite(insn, to, <u32>size)) return 0;
  const text = "tsbpf";
  if (<u32>size == 0) return result(-EINVAL);
  memory.fill(<usize>to, 0, <u32>size);
  for (let i: u32 = 0; i < <u32>text.length && i + 1 < <u32>size; i++) store<u8>(<usize>to + i, <u8>text.charCodeAt(i));
  return 0;
}

/** The same up to a NUL: how many bytes that is, with it. What does not fit is cut. */
export function probeReadText(insn: u32, to: u64, size: u64, from: u64): u64 {
  const room = <u32>size;
  if (!mayWrite(insn, to, room)) return 0;
  if (room == 0) return 0;
  for (let i: u32 = 0; i < room; i++) {
    if (!isReadable(from + i, 1)) {
      memory.fill(<usize>to, 0, room);
      return result(-EFAULT);
    }
    const c = load<u8>(<usize>from + i);
    store<u8>(<usize>to + i, i + 1 == room ? 0 : c);
    if (c == 0) return i + 1;
  }
  return room;
}

/** Reads program memory; what is not gives zeroes and -EFAULT. */
export function probeRead(insn: u32, to: u64, size: u64, from: u64): u64 {
  const bytes = <u32>size;
  if (!mayWrite(insn, to, bytes)) return 0;
  if (bytes == 0) return 0;
  if (isReadable(from, bytes)) {
    memory.copy(<usize>to, <usize>from, bytes);
    return 0;
  }
  memory.fill(<usize>to, 0, bytes);
  return result(-EFAULT);
}

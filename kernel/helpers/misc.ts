/**
 * Helpers that know something of the thread, and memory.
 */
import { EFAULT, EINVAL } from "../../src/uapi/errno";
import { nextRandom } from "../super";
import { ME } from "../task";
import { mayWrite, result } from "./_arguments";
import { isReadable } from "../run";

export function prandom(): u64 {
  return <u32>nextRandom();
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

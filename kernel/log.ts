/**
 * The log of BPF_PROG_LOAD: text for people, in user memory. Behaves as kernel/bpf/log.c.
 */
import { EFAULT, ENOSPC } from "../src/uapi/errno";
import { ProgLoadAttr } from "./attr";
import { isUser } from "./mem/pages";
import { shadow } from "./task";

/** Where a log is written: in the task's record, where no value is being written meanwhile. */
@unmanaged
export class Log {
  at: u64;
  room: u32;
  /** What all of it has: more than room, if it did not fit. */
  length: u32;
  level: u32;
}

export function startLog(at: u64, room: u32, level: u32): Log {
  const log = changetype<Log>(shadow());
  log.at = at;
  log.room = at == 0 ? 0 : room;
  log.length = 0;
  log.level = level;
  return log;
}

function put(log: Log, byte: u8): void {
  // The last byte is the NUL's. What is not there to write to is found out at the end.
  if (log.length + 1 < log.room && isUser(log.at + log.length, 1)) store<u8>(<usize>log.at + log.length, byte);
  log.length++;
}

export function logText(log: Log, text: string): void {
  if (log.level == 0) return;
  for (let i = 0, n = text.length; i < n; i++) put(log, <u8>text.charCodeAt(i));
}

export function logNumber(log: Log, value: i32): void {
  if (log.level == 0) return;
  if (value < 0) put(log, 0x2d);
  let rest: u32 = value < 0 ? <u32>-value : <u32>value;
  let unit: u32 = 1;
  while (rest / unit >= 10) unit *= 10;
  for (; unit != 0; unit /= 10) put(log, 0x30 + <u8>((rest / unit) % 10));
}

/** Two hexadecimal digits. */
export function logByte(log: Log, value: u32): void {
  if (log.level == 0) return;
  for (let shift: i32 = 4; shift >= 0; shift -= 4) {
    const digit = <u8>((value >> shift) & 15);
    put(log, digit < 10 ? 0x30 + digit : 0x57 + digit);
  }
}

/** Ends the log, and writes how long it is. 0; -ENOSPC where it was cut; -EFAULT. */
export function endLog(log: Log, user: usize, size: u32): i32 {
  let ret = 0;
  if (log.room != 0) {
    const last = min<u32>(log.length, log.room - 1);
    if (!isUser(log.at, last + 1)) return -EFAULT;
    store<u8>(<usize>log.at + last, 0);
    if (log.length >= log.room) ret = -ENOSPC;
  }
  const trueSize = <u32>offsetof<ProgLoadAttr>("logTrueSize");
  if (size >= trueSize + 4) {
    if (!isUser(user + trueSize, 4)) return -EFAULT;
    store<u32>(user + trueSize, log.level == 0 ? 0 : log.length + 1);
  }
  return ret;
}

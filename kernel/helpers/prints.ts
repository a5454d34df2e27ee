/**
 * bpf_snprintf, bpf_trace_printk and bpf_trace_vprintk: formats as bpf_bprintf_prepare takes them. Traces go to the host, a line a call.
 */
import { EINVAL } from "../../src/uapi/errno";
import { isReadable, myRun, progAccess, scratchArea } from "../run";
import { mayRead, mayWrite, refuse, result } from "./_arguments";

/** MAX_BPRINTF_BUF, MAX_BPRINTF_VARARGS, and what trace_printk takes. */
const MAX_TEXT: u32 = 1024;
const MAX_ARGS: u32 = 12;
const PRINTK_ARGS: u32 = 3;

/** A line of a trace, of so many bytes. */
// @ts-ignore: decorator
@external("env", "print")
declare function print(at: usize, bytes: u32): void;

/** Text that is being made: what does not fit is counted. */
@unmanaged
class Text {
  at: u32;
  room: u32;
  length: u32;
  /** Arguments: where they lie, how many there are, how many were taken. */
  args: u32;
  count: u32;
  used: u32;
}

function put(text: Text, c: u32): void {
  if (text.length + 1 < text.room) store<u8>(<usize>text.at + text.length, <u8>c);
  text.length++;
}

function pad(text: Text, c: u32, count: i32): void {
  for (let i = 0; i < count; i++) put(text, c);
}

/** How a value is shown: the flags of a format, and its width. */
@unmanaged
class Spec {
  zero: u32;
  left: u32;
  plus: u32;
  space: u32;
  width: u32;
}

function isPrintable(c: u32): bool {
  return (c >= 0x20 && c < 0x7f) || (c >= 9 && c <= 13);
}

function isDigit(c: u32): bool {
  return c >= 0x30 && c <= 0x39;
}

/** Shows a number in a base; `sign` is the character before it, or 0. */
function putNumber(text: Text, spec: Spec, value: u64, base: u32, upper: bool, sign: u32): void {
  let digits: i32 = 1;
  for (let rest = value / base; rest != 0; rest /= base) digits++;
  const missing = <i32>spec.width - digits - (sign != 0 ? 1 : 0);
  if (spec.left == 0 && spec.zero == 0) pad(text, 0x20, missing);
  if (sign != 0) put(text, sign);
  if (spec.left == 0 && spec.zero != 0) pad(text, 0x30, missing);
  for (let n = digits - 1; n >= 0; n--) {
    let unit: u64 = 1;
    for (let i = 0; i < n; i++) unit *= base;
    const d = <u32>((value / unit) % base);
    put(text, d < 10 ? 0x30 + d : (upper ? 0x37 : 0x57) + d);
  }
  if (spec.left != 0) pad(text, 0x20, missing);
}

/** An address as it is: a program's own, which hides nothing. */
function putPointer(text: Text, spec: Spec, value: u64): void {
  spec.zero = 1;
  spec.width = 16;
  putNumber(text, spec, value, 16, false, 0);
}

/** Text of the program's memory, or of nothing: that is shown as "". */
function putText(text: Text, spec: Spec, at: u64): void {
  let length: u32 = 0;
  while (length < MAX_TEXT && isReadable(at + length, 1) && load<u8>(<usize>at + length) != 0) length++;
  const missing = <i32>spec.width - <i32>length;
  if (spec.left == 0) pad(text, 0x20, missing);
  for (let i: u32 = 0; i < length; i++) put(text, load<u8>(<usize>at + i));
  if (spec.left != 0) pad(text, 0x20, missing);
}

function putIpv4(text: Text, at: u64): void {
  for (let i: u32 = 0; i < 4; i++) {
    if (i != 0) put(text, 0x2e);
    let value: u32 = isReadable(at + i, 1) ? load<u8>(<usize>at + i) : 0;
    if (value >= 100) put(text, 0x30 + value / 100);
    if (value >= 10) put(text, 0x30 + (value / 10) % 10);
    put(text, 0x30 + (value % 10));
  }
}

/** Makes the text of a format that ends with a NUL. Returns 0, or -EINVAL. */
function format(insn: u32, fmt: u64, text: Text, spec: Spec): i32 {
  let i: u32 = <u32>-1;
  while (true) {
    i++;
    if (!progAccess(fmt + i, 1, false, insn)) return -EINVAL;
    let c: u32 = load<u8>(<usize>fmt + i);
    if (c == 0) return 0;
    if (!isPrintable(c)) return -EINVAL;
    if (c != 0x25) {
      put(text, c);
      continue;
    }
    memory.fill(changetype<usize>(spec), 0, offsetof<Spec>());
    i++;
    c = at(fmt, i);
    if (c == 0x25) {
      put(text, c);
      continue;
    }
    for (; c == 0x30 || c == 0x2b || c == 0x2d || c == 0x20; i++, c = at(fmt, i)) {
      if (c == 0x30) spec.zero = 1;
      else if (c == 0x2b) spec.plus = 1;
      else if (c == 0x2d) spec.left = 1;
      else spec.space = 1;
    }
    for (; isDigit(c); i++, c = at(fmt, i)) spec.width = min<u32>(spec.width * 10 + c - 0x30, MAX_TEXT);
    if (text.used >= text.count) return -EINVAL;
    const value = load<u64>(<usize>text.args + 8 * <usize>text.used);
    text.used++;
    if (c == 0x70) {
      const next = at(fmt, i + 1);
      const family = at(fmt, i + 2);
      if ((next == 0x69 || next == 0x49) && family == 0x34) {
        putIpv4(text, value);
        i += 2;
      } else if (next == 0 || next == 0x20 || (isPrintable(next) && !isLetter(next) && !isDigit(next))) {
        putPointer(text, spec, value);
      } else if (next == 0x78 || next == 0x4b || next == 0x53 || next == 0x73 || next == 0x42) {
        putPointer(text, spec, value);
        i++;
      } else {
        return -EINVAL;
      }
      continue;
    }
    if (c == 0x73) {
      putText(text, spec, value);
      continue;
    }
    if (c == 0x63) {
      if (spec.left == 0) pad(text, 0x20, <i32>spec.width - 1);
      put(text, <u32>value & 0xff);
      if (spec.left != 0) pad(text, 0x20, <i32>spec.width - 1);
      continue;
    }
    const isLong = c == 0x6c;
    if (isLong) c = at(fmt, ++i);
    if (isLong && c == 0x6c) c = at(fmt, ++i);
    if (c == 0x64 || c == 0x69) {
      const signed = isLong ? <i64>value : <i64>(<i32>value);
      const sign: u32 = signed < 0 ? 0x2d : spec.plus != 0 ? 0x2b : spec.space != 0 ? 0x20 : 0;
      putNumber(text, spec, signed < 0 ? <u64>(0 - signed) : <u64>signed, 10, false, sign);
    } else if (c == 0x75 || c == 0x78 || c == 0x58) {
      putNumber(text, spec, isLong ? value : <u64>(<u32>value), c == 0x75 ? 10 : 16, c == 0x58, 0);
    } else {
      return -EINVAL;
    }
  }
}

/** A character of a format that has been found to be readable so far. */
function at(fmt: u64, i: u32): u32 {
  return isReadable(fmt + i, 1) ? load<u8>(<usize>fmt + i) : 0;
}

function isLetter(c: u32): bool {
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Text, spec, and copies of arguments: behind what programs have of the scratch area. */
function begin(to: usize, room: u32, args: usize, count: u32): Text {
  const text = changetype<Text>(scratchArea(myRun()));
  text.at = <u32>to;
  text.room = room;
  text.length = 0;
  text.args = <u32>args;
  text.count = count;
  text.used = 0;
  return text;
}

function specOf(text: Text): Spec {
  return changetype<Spec>(changetype<usize>(text) + 64);
}

function endText(text: Text): void {
  if (text.room != 0) store<u8>(<usize>text.at + min<u32>(text.length, text.room - 1), 0);
}

/** bpf_snprintf: how many bytes the text has, or would have, with its NUL. */
export function snprintf(insn: u32, to: u64, size: u64, fmt: u64, args: u64, bytes: u64): u64 {
  const length = <u32>bytes;
  if (!mayWrite(insn, to, <u32>size) || !mayRead(insn, args, length)) return 0;
  if (length % 8 != 0 || length > 8 * MAX_ARGS) return result(-EINVAL);
  const text = begin(<usize>to, <u32>size, <usize>args, length / 8);
  const ret = format(insn, fmt, text, specOf(text));
  if (ret != 0) return result(ret);
  endText(text);
  return text.length + 1;
}

/** bpf_trace_vprintk; and, with its arguments in registers, bpf_trace_printk. Returns how long the line is. */
export function vprintk(insn: u32, fmt: u64, fmtSize: u64, args: u64, bytes: u64): u64 {
  const length = <u32>bytes;
  if (!mayRead(insn, fmt, <u32>fmtSize) || !mayRead(insn, args, length)) return 0;
  if (length % 8 != 0 || length > 8 * MAX_ARGS || !hasEnd(fmt, <u32>fmtSize)) return result(-EINVAL);
  return trace(insn, fmt, <usize>args, length / 8);
}

export function printk(insn: u32, fmt: u64, fmtSize: u64, a: u64, b: u64, c: u64): u64 {
  if (<u32>fmtSize == 0) return refuse(insn, fmtSize);
  if (!mayRead(insn, fmt, <u32>fmtSize)) return 0;
  if (!hasEnd(fmt, <u32>fmtSize)) return result(-EINVAL);
  const args = scratchArea(myRun()) + 128;
  store<u64>(args, a);
  store<u64>(args, b, 8);
  store<u64>(args, c, 16);
  return trace(insn, fmt, args, PRINTK_ARGS);
}

function hasEnd(fmt: u64, size: u32): bool {
  for (let i: u32 = 0; i < size; i++) {
    if (load<u8>(<usize>fmt + i) == 0) return true;
  }
  return false;
}

function trace(insn: u32, fmt: u64, args: usize, count: u32): u64 {
  const to = scratchArea(myRun()) + 256;
  const text = begin(to, MAX_TEXT, args, count);
  const ret = format(insn, fmt, text, specOf(text));
  if (ret != 0) return result(ret);
  endText(text);
  const shown = min<u32>(text.length, MAX_TEXT - 1);
  print(to, shown);
  return shown;
}

/**
 * Helpers on text: numbers, comparison. Behaves as kernel/bpf/helpers.c.
 */
import { EINVAL, ERANGE } from "../../src/uapi/errno";
import { progAccess } from "../run";
import { mayRead, mayWrite, result } from "./_arguments";

const BASE_MASK: u64 = 0x1f;
/** Digits that are looked at, at the most. */
const MAX_DIGITS: u32 = 63;

function isSpace(c: u32): bool {
  return c == 0x20 || (c >= 9 && c <= 13) || c == 0xa0;
}

/** The value of a digit; 255 for what is none. */
function digit(c: u32): u32 {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : 255;
}

/** Reads a number at `res`, without its sign, which `sign` says. Returns how many bytes it has taken, or an errno. */
function parse(at: usize, bytes: u32, flags: u64, res: usize, mayBeNegative: bool): i32 {
  let base = <u32>(flags & BASE_MASK);
  if (bytes == 0 || (flags & ~BASE_MASK) != 0 || (base != 0 && base != 8 && base != 10 && base != 16)) return -EINVAL;
  let i: u32 = 0;
  while (i < bytes && isSpace(load<u8>(at + i))) i++;
  const isNegative = i < bytes && load<u8>(at + i) == 0x2d;
  if (isNegative) i++;
  if (i == bytes) return -EINVAL;
  const end = min<u32>(bytes, i + MAX_DIGITS);
  const startsHex = i + 1 < end && load<u8>(at + i) == 0x30 && (load<u8>(at + i + 1) | 0x20) == 0x78;
  if (base == 0) {
    if (load<u8>(at + i) != 0x30) base = 10;
    else base = startsHex && i + 2 < end && digit(load<u8>(at + i + 2)) < 16 ? 16 : 8;
  }
  if (base == 16 && startsHex) i += 2;
  const first = i;
  let value: u64 = 0;
  let overflows = false;
  for (; i < end && digit(load<u8>(at + i)) < base; i++) {
    const d = digit(load<u8>(at + i));
    if (value > (u64.MAX_VALUE - d) / base) overflows = true;
    value = value * base + d;
  }
  if (overflows) return -ERANGE;
  if (i == first) return -EINVAL;
  if (mayBeNegative) {
    if (isNegative ? <i64>(0 - value) > 0 : <i64>value < 0) return -ERANGE;
    store<u64>(res, isNegative ? 0 - value : value);
  } else {
    if (isNegative) return -EINVAL;
    store<u64>(res, value);
  }
  return <i32>i;
}

/** bpf_strtol and bpf_strtoul. */
export function toNumber(insn: u32, at: u64, bytes: u64, flags: u64, res: u64, signed: bool): u64 {
  if (!mayRead(insn, at, <u32>bytes) || !mayWrite(insn, res, 8)) return 0;
  store<u64>(<usize>res, 0);
  return result(parse(<usize>at, <u32>bytes, flags, <usize>res, signed));
}

/** bpf_strncmp: the second text ends somewhere in what the program may read. */
export function compare(insn: u32, a: u64, bytes: u64, b: u64): u64 {
  if (!mayRead(insn, a, <u32>bytes)) return 0;
  for (let i: u32 = 0; i < <u32>bytes; i++) {
    if (!progAccess(b + i, 1, false, insn)) return 0;
    const one = load<u8>(<usize>a + i);
    const other = load<u8>(<usize>b + i);
    if (one != other) return result(one < other ? -1 : 1);
    if (one == 0) return 0;
  }
  return 0;
}

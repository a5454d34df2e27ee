/**
 * Helpers on packets. Behaves as net/core/filter.c. A packet is in one piece here, and may be written to at any time.
 */
import {
  BPF_F_BROADCAST,
  BPF_F_EXCLUDE_INGRESS,
  BPF_F_HDR_FIELD_MASK,
  BPF_F_INGRESS,
  BPF_F_INVALIDATE_HASH,
  BPF_F_MARK_ENFORCE,
  BPF_F_MARK_MANGLED_0,
  BPF_F_PSEUDO_HDR,
  BPF_F_RECOMPUTE_CSUM,
  BPF_PROG_TYPE_XDP,
} from "../../src/uapi/bpf";
import { EACCES, EFAULT, EINVAL, ENOMEM, ENOTSUPP } from "../../src/uapi/errno";
import { progAt } from "../prog";
import { writeSkb, writeXdp } from "../prog_run";
import { Run, myRun } from "../run";
import { hasDevice } from "../maps/devmap";
import { isDevmap } from "../map_types";
import { isNoMap, mapArg, mayRead, mayWrite, refuse, result } from "./_arguments";

const ETH_HLEN: i64 = 14;
/** What Linux keeps of a packet's headroom: struct xdp_frame. */
const FRAME_HEAD: i64 = 40;
const MAX_META: i64 = 255;
const MAX_OFF: u64 = 0xffff;
/** Of l4_csum_replace, since Linux 6.16. */
const BPF_F_IPV6: u64 = 0x80;
const XDP_ABORTED: u64 = 0;
/** The largest of those that a program may ask for: a mask of them. */
const XDP_TX: u64 = 3;
const XDP_REDIRECT: u64 = 4;
const TC_ACT_SHOT: u64 = 2;
const TC_ACT_REDIRECT: u64 = 7;
/** A checksum that is 0 and means something: CSUM_MANGLED_0. */
const MANGLED_0: u16 = 0xffff;

/** Whether an argument is the program's context; else it is ended. */
export function isContext(insn: u32, ctx: u64): bool {
  if (ctx == <u64>myRun().ctx) return true;
  refuse(insn, ctx);
  return false;
}

export function xdpAdjustHead(insn: u32, ctx: u64, delta: u64): u64 {
  if (!isContext(insn, ctx)) return 0;
  const run = myRun();
  const by = <i64>(<i32>delta);
  const meta = run.packet - run.data;
  const at = <i64>run.packet + by;
  if (at < <i64>run.bufferStart + FRAME_HEAD + meta || at > <i64>run.dataEnd - ETH_HLEN) return result(-EINVAL);
  if (meta != 0) memory.copy(run.data + <u32>by, run.data, meta);
  run.data += <u32>by;
  run.packet = <u32>at;
  writeXdp(run);
  return 0;
}

export function xdpAdjustMeta(insn: u32, ctx: u64, delta: u64): u64 {
  if (!isContext(insn, ctx)) return 0;
  const run = myRun();
  const at = <i64>run.data + <i32>delta;
  const meta = <i64>run.packet - at;
  if (at < <i64>run.bufferStart + FRAME_HEAD || meta < 0) return result(-EINVAL);
  if ((meta & 3) != 0 || meta > MAX_META) return result(-EACCES);
  run.data = <u32>at;
  writeXdp(run);
  return 0;
}

export function xdpAdjustTail(insn: u32, ctx: u64, delta: u64): u64 {
  if (!isContext(insn, ctx)) return 0;
  const run = myRun();
  const end = <i64>run.dataEnd + <i32>delta;
  if (end > <i64>run.bufferEnd || end < <i64>run.packet + ETH_HLEN) return result(-EINVAL);
  if (end > <i64>run.dataEnd) memory.fill(run.dataEnd, 0, <u32>end - run.dataEnd);
  run.dataEnd = <u32>end;
  writeXdp(run);
  return 0;
}

export function xdpBuffLen(insn: u32, ctx: u64): u64 {
  return isContext(insn, ctx) ? myRun().dataEnd - myRun().packet : 0;
}

/** Where these bytes of an XDP packet lie, or an errno. */
function xdpBytes(run: Run, off: u64, bytes: u64): i64 {
  if (<u32>off > <u32>MAX_OFF || <u32>bytes > <u32>MAX_OFF) return -EFAULT;
  return <u32>off + <u32>bytes > run.dataEnd - run.packet ? -EINVAL : <i64>run.packet + <u32>off;
}

export function xdpLoadBytes(insn: u32, ctx: u64, off: u64, to: u64, bytes: u64): u64 {
  if (!isContext(insn, ctx) || !mayWrite(insn, to, <u32>bytes)) return 0;
  const from = xdpBytes(myRun(), off, bytes);
  if (from < 0) return from;
  memory.copy(<usize>to, <usize>from, <u32>bytes);
  return 0;
}

export function xdpStoreBytes(insn: u32, ctx: u64, off: u64, from: u64, bytes: u64): u64 {
  if (!isContext(insn, ctx) || !mayRead(insn, from, <u32>bytes)) return 0;
  const to = xdpBytes(myRun(), off, bytes);
  if (to < 0) return to;
  memory.copy(<usize>to, <usize>from, <u32>bytes);
  return 0;
}

/** Where these bytes of an skb lie, or 0. */
function skbBytes(run: Run, off: u64, bytes: u64): usize {
  const all = run.dataEnd - run.data;
  return <u32>off > all || <u32>bytes > all - <u32>off ? 0 : run.data + <u32>off;
}

export function skbLoadBytes(insn: u32, ctx: u64, off: u64, to: u64, bytes: u64): u64 {
  if (!isContext(insn, ctx) || !mayWrite(insn, to, <u32>bytes)) return 0;
  const from = skbBytes(myRun(), off, bytes);
  if (<u32>off <= <u32>i32.MAX_VALUE && from != 0) {
    memory.copy(<usize>to, from, <u32>bytes);
    return 0;
  }
  memory.fill(<usize>to, 0, <u32>bytes);
  return result(-EFAULT);
}

export function skbStoreBytes(insn: u32, ctx: u64, off: u64, from: u64, bytes: u64, flags: u64): u64 {
  if (!isContext(insn, ctx) || !mayRead(insn, from, <u32>bytes)) return 0;
  if ((flags & ~(<u64>BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH)) != 0) return result(-EINVAL);
  const to = skbBytes(myRun(), off, bytes);
  if (<u32>off > <u32>i32.MAX_VALUE || to == 0) return result(-EFAULT);
  memory.copy(to, <usize>from, <u32>bytes);
  return 0;
}

/** All of a packet is where it can be read: so it is only looked at whether there is as much. */
export function skbPullData(insn: u32, ctx: u64, bytes: u64): u64 {
  if (!isContext(insn, ctx)) return 0;
  return skbBytes(myRun(), 0, bytes) == 0 ? result(-ENOMEM) : 0;
}

/** The packet gets longer, with zeroes, or shorter. */
export function skbChangeTail(insn: u32, ctx: u64, length: u64, flags: u64): u64 {
  if (!isContext(insn, ctx)) return 0;
  const run = myRun();
  const wanted = <u32>length;
  const room = run.bufferEnd - run.data;
  if (flags != 0 || wanted > room || wanted < <u32>ETH_HLEN) return result(-EINVAL);
  const end = run.data + wanted;
  if (end > run.dataEnd) memory.fill(run.dataEnd, 0, end - run.dataEnd);
  run.dataEnd = end;
  writeSkb(run);
  return 0;
}

// Checksums: sums of 16-bit words in ones' complement, as they lie in memory.

// @ts-ignore: decorator
@inline
function addWithCarry(a: u32, b: u32): u32 {
  const sum = a + b;
  return sum + (sum < b ? 1 : 0);
}

// @ts-ignore: decorator
@inline
function folded(sum: u32): u16 {
  const once = (sum & 0xffff) + (sum >> 16);
  return <u16>((once & 0xffff) + (once >> 16));
}

/** csum_partial: of a multiple of four bytes. */
function sumOf(at: usize, bytes: u32, seed: u32): u32 {
  let sum = seed;
  for (let i: u32 = 0; i < bytes; i += 4) sum = addWithCarry(sum, load<u32>(at + i));
  return sum;
}

export function csumDiff(insn: u32, from: u64, fromBytes: u64, to: u64, toBytes: u64, seed: u64): u64 {
  const old = <u32>fromBytes;
  const now = <u32>toBytes;
  if (!mayRead(insn, from, old) || !mayRead(insn, to, now)) return 0;
  if (((old | now) & 3) != 0) return result(-EINVAL);
  let sum = <u32>seed;
  if (old != 0 && now != 0) sum = addWithCarry(sumOf(<usize>to, now, sum), ~sumOf(<usize>from, old, 0));
  else if (now != 0) sum = sumOf(<usize>to, now, sum);
  else if (old != 0) sum = ~sumOf(<usize>from, old, ~sum);
  return folded(sum);
}

/** There is no checksum of the whole packet here. */
export function csumUpdate(insn: u32, ctx: u64): u64 {
  return isContext(insn, ctx) ? result(-ENOTSUPP) : 0;
}

// @ts-ignore: decorator
@inline
function replaceByDiff(sum: usize, diff: u32): void {
  store<u16>(sum, ~folded(addWithCarry(diff, ~<u32>load<u16>(sum))));
}

/** csum_replace4, and of two bytes: what a checksum is when a word that it covers becomes another. */
function replaceWord(sum: usize, from: u32, to: u32): void {
  const without = addWithCarry(~<u32>load<u16>(sum), ~from);
  store<u16>(sum, ~folded(addWithCarry(without, to)));
}

/** csum_replace2 works on sixteen bits. */
function replaceHalf(sum: usize, from: u16, to: u16): void {
  const without = add16(~load<u16>(sum), ~from);
  store<u16>(sum, ~add16(without, to));
}

function add16(a: u16, b: u16): u16 {
  const sum = <u32>a + b;
  return <u16>(sum + (sum >> 16));
}

export function l3CsumReplace(insn: u32, ctx: u64, off: u64, from: u64, to: u64, flags: u64): u64 {
  if (!isContext(insn, ctx)) return 0;
  if ((flags & ~(<u64>BPF_F_HDR_FIELD_MASK)) != 0) return result(-EINVAL);
  const sum = checksumAt(off);
  if (sum == 0) return result(-EFAULT);
  return replaceSum(sum, from, to, flags);
}

/** Where a checksum lies, or 0. */
function checksumAt(off: u64): usize {
  return <u32>off > <u32>MAX_OFF || (off & 1) != 0 ? 0 : skbBytes(myRun(), off, 2);
}

function replaceSum(sum: usize, from: u64, to: u64, flags: u64): u64 {
  const size = flags & BPF_F_HDR_FIELD_MASK;
  if (size == 0) {
    if (from != 0) return result(-EINVAL);
    replaceByDiff(sum, <u32>to);
  } else if (size == 2) {
    replaceHalf(sum, <u16>from, <u16>to);
  } else if (size == 4) {
    replaceWord(sum, <u32>from, <u32>to);
  } else {
    return result(-EINVAL);
  }
  return 0;
}

export function l4CsumReplace(insn: u32, ctx: u64, off: u64, from: u64, to: u64, flags: u64): u64 {
  if (!isContext(insn, ctx)) return 0;
  const known: u64 = BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR | BPF_F_HDR_FIELD_MASK | BPF_F_IPV6;
  if ((flags & ~known) != 0) return result(-EINVAL);
  const sum = checksumAt(off);
  if (sum == 0) return result(-EFAULT);
  const isMarked = (flags & BPF_F_MARK_MANGLED_0) != 0;
  if (isMarked && (flags & BPF_F_MARK_ENFORCE) == 0 && load<u16>(sum) == 0) return 0;
  const size = flags & BPF_F_HDR_FIELD_MASK;
  // Of two bytes too it is done with four here: inet_proto_csum_replace2.
  if (size == 2) replaceWord(sum, <u16>from, <u16>to);
  else if (size == 0 || size == 4) {
    const ret = replaceSum(sum, from, to, flags & BPF_F_HDR_FIELD_MASK);
    if (ret != 0) return ret;
  } else return result(-EINVAL);
  if (isMarked && load<u16>(sum) == 0) store<u16>(sum, MANGLED_0);
  return 0;
}

/** bpf_redirect: nothing is sent from here, so that what is returned is all of it. */
export function redirect(flags: u64): u64 {
  if (progAt(myRun().prog).type == BPF_PROG_TYPE_XDP) return flags != 0 ? 0 : XDP_REDIRECT;
  return (flags & ~(<u64>BPF_F_INGRESS)) != 0 ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

/** bpf_redirect_map, of maps of devices: __bpf_xdp_redirect_map. */
export function redirectMap(insn: u32, r1: u64, key: u64, flags: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map)) return 0;
  if (!isDevmap(map.type)) return refuse(insn, r1);
  const known: u64 = XDP_TX | BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS;
  if ((flags & ~known) != 0) return XDP_ABORTED;
  return (flags & BPF_F_BROADCAST) != 0 || hasDevice(map, <u32>key) ? XDP_REDIRECT : flags & XDP_TX;
}

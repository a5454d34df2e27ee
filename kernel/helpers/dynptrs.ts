/**
 * Dynptrs: pieces of memory whose size is known when the program runs. A program sees 16 bytes:
 *
 *      0  at     address, or 0: none
 *      4  size
 *      8  kind   LOCAL or RECORD
 *
 * A program can write there what it likes; so what a dynptr leads to is looked at again each time.
 */
import { BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_MAP_TYPE_USER_RINGBUF } from "../../src/uapi/bpf";
import { E2BIG, EAGAIN, EINVAL } from "../../src/uapi/errno";
import { Ringbuf, ringDrain } from "../maps/ringbuf";
import { endScratch, myRun, takeScratch } from "../run";
import { isNoMap, mapArg, mayRead, mayWrite, refuse, result } from "./_arguments";
import { callFunc } from "./callbacks";
import { release, reserve } from "./rings";

const DYNPTR_BYTES: u64 = 16;
const MAX_SIZE: u64 = 0xffffff;
const LOCAL: u32 = 1;
const RECORD: u32 = 2;
/** As Linux: BPF_MAX_USER_RINGBUF_SAMPLES. */
const MAX_SAMPLES: u32 = 128 * 1024;
/** What a sample may have here: what fits the program's scratch memory. */
const MAX_SAMPLE: u32 = 16384;

@unmanaged
class Dynptr {
  at: u32;
  size: u32;
  kind: u32;
  pad: u32;
}

function dynptrAt(at: u64): Dynptr {
  return changetype<Dynptr>(<usize>at);
}

function setDynptr(ptr: Dynptr, at: u32, size: u32, kind: u32): void {
  ptr.at = at;
  ptr.size = size;
  ptr.kind = kind;
  ptr.pad = 0;
}

export function dynptrFromMem(insn: u32, data: u64, size: u64, flags: u64, ptr: u64): u64 {
  if (!mayWrite(insn, ptr, DYNPTR_BYTES)) return 0;
  setDynptr(dynptrAt(ptr), 0, 0, 0);
  if (!mayWrite(insn, data, <u32>size)) return 0;
  if (<u64>(<u32>size) > MAX_SIZE) return result(-E2BIG);
  if (flags != 0) return result(-EINVAL);
  setDynptr(dynptrAt(ptr), <u32>data, <u32>size, LOCAL);
  return 0;
}

export function reserveDynptr(insn: u32, map: u64, size: u64, flags: u64, ptr: u64): u64 {
  if (!mayWrite(insn, ptr, DYNPTR_BYTES)) return 0;
  setDynptr(dynptrAt(ptr), 0, 0, 0);
  if (<u64>(<u32>size) > MAX_SIZE) return result(-E2BIG);
  const at = reserve(insn, map, <u32>size, flags);
  if (at == 0) return result(-EINVAL);
  setDynptr(dynptrAt(ptr), <u32>at, <u32>size, RECORD);
  return 0;
}

export function releaseDynptr(insn: u32, ptr: u64, flags: u64, submits: bool): u64 {
  if (!mayWrite(insn, ptr, DYNPTR_BYTES)) return 0;
  const at = dynptrAt(ptr).at;
  if (at == 0) return 0;
  setDynptr(dynptrAt(ptr), 0, 0, 0);
  return release(insn, at, flags, submits);
}

/** Whether these bytes are a dynptr's: 0, or an errno. */
function checkRange(ptr: Dynptr, off: u64, bytes: u64): i32 {
  if (ptr.at == 0) return -EINVAL;
  return <u32>bytes > ptr.size || <u32>off > ptr.size - <u32>bytes ? -E2BIG : 0;
}

export function dynptrRead(insn: u32, to: u64, bytes: u64, ptr: u64, off: u64, flags: u64): u64 {
  if (!mayRead(insn, ptr, DYNPTR_BYTES) || !mayWrite(insn, to, <u32>bytes)) return 0;
  const from = dynptrAt(ptr);
  const ret = flags != 0 ? -EINVAL : checkRange(from, off, bytes);
  if (ret != 0) return result(ret);
  const at = <u64>from.at + <u32>off;
  if (!mayRead(insn, at, <u32>bytes)) return 0;
  memory.copy(<usize>to, <usize>at, <u32>bytes);
  return 0;
}

export function dynptrWrite(insn: u32, ptr: u64, off: u64, data: u64, bytes: u64, flags: u64): u64 {
  if (!mayRead(insn, ptr, DYNPTR_BYTES) || !mayRead(insn, data, <u32>bytes)) return 0;
  const to = dynptrAt(ptr);
  let ret = checkRange(to, off, bytes);
  if (ret == 0 && flags != 0) ret = -EINVAL;
  if (ret != 0) return result(ret);
  const at = <u64>to.at + <u32>off;
  if (!mayWrite(insn, at, <u32>bytes)) return 0;
  memory.copy(<usize>at, <usize>data, <u32>bytes);
  return 0;
}

export function dynptrData(insn: u32, ptr: u64, off: u64, bytes: u64): u64 {
  if (!mayRead(insn, ptr, DYNPTR_BYTES)) return 0;
  const it = dynptrAt(ptr);
  return checkRange(it, off, bytes) != 0 ? 0 : <u64>it.at + <u32>off;
}

/** bpf_user_ringbuf_drain: how many samples there were; a callback that returns 1 has the last. */
export function drain(insn: u32, r1: u64, callback: u64, ctx: u64, flags: u64): u64 {
  const map = mapArg(insn, r1);
  if (isNoMap(map)) return 0;
  if (map.type != BPF_MAP_TYPE_USER_RINGBUF) return refuse(insn, r1);
  if ((flags & ~(<u64>BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) != 0) return result(-EINVAL);
  const run = myRun();
  const ptr = takeScratch(<u32>DYNPTR_BYTES + MAX_SAMPLE);
  if (ptr == 0) return refuse(insn, ctx);
  const sample = ptr + <usize>DYNPTR_BYTES;
  let samples: u32 = 0;
  let ret: u64 = 0;
  while (samples < MAX_SAMPLES && ret == 0 && run.fault == 0) {
    const length = ringDrain(changetype<Ringbuf>(map), sample, MAX_SAMPLE);
    if (length < 0) {
      if (length != -EAGAIN && samples == 0) samples = <u32>length;
      break;
    }
    setDynptr(dynptrAt(ptr), <u32>sample, <u32>length, LOCAL);
    samples++;
    ret = callFunc(insn, callback, ptr, ctx, 0, 0);
  }
  endScratch(ptr);
  return result(<i32>samples);
}

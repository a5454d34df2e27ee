/**
 * What a thread runs programs in: its frames, context, packet; what a program may touch; and faults.
 *
 * A Run is a run of pages of the thread's own, made when it first runs a program:
 *
 *         0  Run         the class below; its offsets are part of what the compiler knows (src/kernels/embedded/compiler)
 *       512  windows     registers of interpreted functions, 96 bytes each
 *     12288  frames      of 512 bytes, 8 of them, growing down
 *     16384  reached     maps that programs came to through maps of maps, and records that they hold
 *     20480  context     at most 64 KiB
 *     86016  packet      headroom, at most 64 KiB, tailroom
 *    152128  scratch     a page of helpers' own; then what helpers hand out: copies of keys, samples
 *    221760  tries       copies of values of tries (helpers/tries.ts)
 *    254528  compiled    programs that this thread has compiled, and where they are
 *
 * Program memory is its frames, its context, its packet, values of its maps, and records of ring buffers that it holds. Nothing
 * else can be read or written: each access is proven by the compiler or goes through `progAccess`.
 *
 * Threads: a Run is its thread's own.
 */
import {
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_XDP,
} from "../src/uapi/bpf";
import { mapAt } from "./map";
import { HOLDS_VALUE, callOp } from "./map_types";
import { allocKernel } from "./mem/pages";
import { progAt, usedMap } from "./prog";
import { FRAME_BYTES } from "./super";
import { me } from "./task";

/** Faults: what is wrong. */
export const FAULT_ACCESS: u32 = 1;
export const FAULT_WRITE: u32 = 2;
export const FAULT_BUDGET: u32 = 3;
export const FAULT_STACK: u32 = 4;
export const FAULT_HELPER: u32 = 5;
export const FAULT_CALL: u32 = 6;
export const FAULT_ALIGN: u32 = 7;
export const FAULT_INSN: u32 = 8;

@unmanaged
export class Run {
  /** The program that runs. */
  prog: u32;
  /** 0, or what is wrong: from then on everything returns. */
  fault: u32;
  /** Jumps back, and iterations of helpers' loops, that are left. */
  budget: i64;
  faultAt: u64;
  faultInsn: u32;
  /** r10 of the function that calls a helper. */
  frame: u32;
  ctx: u32;
  ctxSize: u32;
  /** Of the packet that may be accessed: its first byte, metadata included, and the one behind its last. */
  data: u32;
  dataEnd: u32;
  /** Of a tail call that was taken. */
  result: u64;
  tail: u32;
  /** The lowest byte of frames, and r10 of the main function. */
  base: u32;
  top: u32;
  /** Of a packet: where its buffer begins and ends, and where its data begins, behind metadata. */
  bufferStart: u32;
  bufferEnd: u32;
  packet: u32;
  /** Interpreted functions that are active, and tail calls that were taken. */
  depth: u32;
  tails: u32;
  /** The program that had the fault. */
  faultProg: u32;
  /** Maps that were reached through maps of maps, and records that are held: how many. */
  reached: u32;
  held: u32;
  /** Where the compiled functions of `prog` are in the table, or 0: "run" there, and "call" behind it. */
  compiled: u32;
  /** The stripe of the spin lock that is held, or 0; and the lock's address. */
  locked: u32;
  lockedAt: u32;
  /** Scratch memory that is handed out, in bytes. */
  scratch: u32;
  /** Copies of values of tries: the newest, or 0; and the bytes that they take. */
  tries: u32;
  trieBytes: u32;
  /** State of get_prandom_u32. */
  random: u64;
}

/** A program that this thread has compiled: while there is one of its number at its address, it is where it was in the table. */
@unmanaged
export class Compiled {
  prog: u32;
  number: u32;
  index: u32;
  pad: u32;
}

const WINDOWS_OFF: usize = 512;
export const WINDOW_BYTES: u32 = 96;
export const MAX_WINDOWS: u32 = 120;
const FRAMES_OFF: usize = 12288;
const FRAMES_BYTES: u32 = 8 * <u32>FRAME_BYTES;
const REACHED_OFF: usize = 16384;
export const MAX_REACHED: u32 = 512;
const HELD_OFF: usize = REACHED_OFF + 4 * MAX_REACHED;
export const MAX_HELD_RECORDS: u32 = 128;
const CTX_OFF: usize = 20480;
export const CTX_BYTES: u32 = 65536;
const BUFFER_OFF: usize = CTX_OFF + CTX_BYTES;
/** XDP_PACKET_HEADROOM, and what Linux keeps behind packets for its own. */
export const HEADROOM: u32 = 256;
export const TAILROOM: u32 = 320;
export const MAX_PACKET: u32 = 65536;
const SCRATCH_OFF: usize = BUFFER_OFF + HEADROOM + MAX_PACKET + TAILROOM;
const OWN_SCRATCH: u32 = 4096;
const SCRATCH_BYTES: u32 = 65536;
const TRIES_OFF: usize = SCRATCH_OFF + OWN_SCRATCH + SCRATCH_BYTES;
const TRIES_BYTES: u32 = 32768;
const COMPILED_OFF: usize = TRIES_OFF + TRIES_BYTES;
export const COMPILED: u32 = 64;
const RUN_BYTES: u32 = <u32>COMPILED_OFF + COMPILED * <u32>offsetof<Compiled>();

/** In the slot that compiled code gives to a helper: that it has proven the map, and memory that other arguments point to. */
export const PROVEN_MAP: u32 = 1 << 31;
export const PROVEN_MEMORY: u32 = 1 << 30;
const INSN_MASK: u32 = PROVEN_MEMORY - 1;

/** How many jumps back a program may take. */
export const DEFAULT_BUDGET: i64 = 1 << 28;

/** This thread's Run, made on first use; 0 when memory is out. */
export function runArea(): usize {
  const task = me();
  if (task.run == 0) {
    const at = allocKernel(RUN_BYTES);
    if (at == 0) return 0;
    const run = changetype<Run>(at);
    run.base = <u32>(at + FRAMES_OFF);
    run.top = run.base + FRAMES_BYTES;
    task.run = <u32>at;
  }
  return task.run;
}

// @ts-ignore: decorator
@inline
export function myRun(): Run {
  return changetype<Run>(<usize>me().run);
}

// @ts-ignore: decorator
@inline
export function windowAt(run: Run, n: u32): usize {
  return changetype<usize>(run) + WINDOWS_OFF + n * WINDOW_BYTES;
}

export function ctxArea(run: Run): usize {
  return changetype<usize>(run) + CTX_OFF;
}

export function bufferArea(run: Run): usize {
  return changetype<usize>(run) + BUFFER_OFF;
}

/** Scratch memory of helpers, which programs cannot reach. */
export function scratchArea(run: Run): usize {
  return changetype<usize>(run) + SCRATCH_OFF;
}

// @ts-ignore: decorator
@inline
function handedOut(run: Run): u32 {
  return <u32>changetype<usize>(run) + <u32>SCRATCH_OFF + OWN_SCRATCH;
}

export function compiledArea(run: Run): usize {
  return changetype<usize>(run) + COMPILED_OFF;
}

/** Where what is compiled of a program is noted. */
export function compiledOf(run: Run, number: u32): Compiled {
  return changetype<Compiled>(compiledArea(run) + offsetof<Compiled>() * <usize>(number % COMPILED));
}

/** So many bytes that the program may touch until it ends, or `endScratch`; 0 when there are no more. */
export function takeScratch(bytes: u32): usize {
  const run = myRun();
  const wanted = (bytes + 7) & ~7;
  if (wanted > SCRATCH_BYTES - run.scratch) return 0;
  const at = <usize>handedOut(run) + run.scratch;
  run.scratch += wanted;
  return at;
}

/** Takes back what was handed out from here on. */
export function endScratch(at: usize): void {
  const run = myRun();
  run.scratch = <u32>at - handedOut(run);
}

/** How many jumps back this thread's programs may take. */
export function setBudget(budget: i64): void {
  me().budget = budget - DEFAULT_BUDGET;
}

/** Notes what is wrong: the first fault counts. */
export function fault(kind: u32, insn: u32, address: u64): void {
  const run = myRun();
  if (run.fault != 0) return;
  run.faultAt = address;
  run.faultInsn = insn & INSN_MASK;
  run.faultProg = run.prog;
  run.fault = kind;
}

// @ts-ignore: decorator
@inline
function isWithin(address: u64, size: u32, from: u32, end: u32): bool {
  return address >= from && address <= end && end - address >= size;
}

/** Whether these bytes are the program's; if not, the fault is noted. */
export function progAccess(address: u64, size: u32, write: bool, insn: u32): bool {
  const run = myRun();
  if (isWithin(address, size, run.base, run.top)) return true;
  if (isWithin(address, size, run.data, run.dataEnd)) {
    if (!write || mayWritePacket()) return true;
    fault(FAULT_WRITE, insn, address);
    return false;
  }
  if (isWithin(address, size, run.ctx, run.ctx + run.ctxSize)) {
    if (!write || mayWriteContext(<u32>address - run.ctx, size)) return true;
    fault(FAULT_WRITE, insn, address);
    return false;
  }
  if (isWithin(address, size, handedOut(run), handedOut(run) + run.scratch)) return true;
  if (address >> 32 == 0) {
    const at = <u32>address;
    if (isHeldRecord(at, size) || isMapValue(at, size, write) || isTrieCopy(at, size, write)) return true;
  }
  fault(FAULT_ACCESS, insn, address);
  return false;
}

/** The same question, without a fault. */
export function isReadable(address: u64, size: u32): bool {
  const run = myRun();
  const was = run.fault;
  const is = progAccess(address, size, false, 0);
  run.fault = was;
  return is;
}

/** bpf_prog_type's may_access_direct_pkt_data: socket filters read packets by helpers alone. */
function mayWritePacket(): bool {
  return progAt(myRun().prog).type != BPF_PROG_TYPE_SOCKET_FILTER;
}

/** What of a context a program may write: of an skb, some fields; of an xdp_md none; of others all. */
function mayWriteContext(off: u32, size: u32): bool {
  const type = progAt(myRun().prog).type;
  if (type == BPF_PROG_TYPE_XDP) return false;
  if (type != BPF_PROG_TYPE_SCHED_CLS && type != BPF_PROG_TYPE_SOCKET_FILTER) return true;
  if (off >= SKB_CB && off + size <= SKB_CB + 20) return true;
  if (type == BPF_PROG_TYPE_SOCKET_FILTER) return false;
  const isWord = off == SKB_MARK || off == SKB_QUEUE_MAPPING || off == SKB_PRIORITY || off == SKB_TC_INDEX || off == SKB_TC_CLASSID;
  return isWord ? size == 4 : off == SKB_TSTAMP && size == 8;
}

/** Of struct __sk_buff. */
export const SKB_LEN: u32 = 0;
export const SKB_PKT_TYPE: u32 = 4;
export const SKB_MARK: u32 = 8;
export const SKB_QUEUE_MAPPING: u32 = 12;
export const SKB_PROTOCOL: u32 = 16;
export const SKB_PRIORITY: u32 = 32;
export const SKB_INGRESS_IFINDEX: u32 = 36;
export const SKB_IFINDEX: u32 = 40;
export const SKB_TC_INDEX: u32 = 44;
export const SKB_CB: u32 = 48;
export const SKB_TC_CLASSID: u32 = 72;
export const SKB_DATA: u32 = 76;
export const SKB_DATA_END: u32 = 80;
export const SKB_DATA_META: u32 = 140;
export const SKB_TSTAMP: u32 = 152;
export const SKB_WIRE_LEN: u32 = 160;
export const SKB_GSO_SEGS: u32 = 164;
export const SKB_GSO_SIZE: u32 = 176;
export const SKB_HWTSTAMP: u32 = 184;
export const SKB_BYTES: u32 = 192;

/** Whether these bytes are one value of a map that the program has, or came to. */
function isMapValue(address: u32, size: u32, write: bool): bool {
  const run = myRun();
  const prog = progAt(run.prog);
  for (let i: u32 = 0; i < prog.mapCount; i++) {
    if (holdsValue(usedMap(prog, i), address, size, write)) return true;
  }
  for (let i: u32 = 0; i < run.reached; i++) {
    if (holdsValue(reachedAt(run, i), address, size, write)) return true;
  }
  return false;
}

function holdsValue(map: u32, address: u32, size: u32, write: bool): bool {
  if (!mayTouch(map, write)) return false;
  return callOp(mapAt(map).type, HOLDS_VALUE, map, address, size, 0) == 1;
}

/** BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG; what is frozen programs still write to. */
export function mayTouch(map: u32, write: bool): bool {
  const flags = mapAt(map).mapFlags;
  return write ? (flags & BPF_F_RDONLY_PROG) == 0 : (flags & BPF_F_WRONLY_PROG) == 0;
}

export function reachedAt(run: Run, n: u32): u32 {
  return load<u32>(changetype<usize>(run) + REACHED_OFF + 4 * <usize>n);
}

/** Notes a map that the program came to through another. False when there are too many. */
export function noteReached(map: u32): bool {
  const run = myRun();
  for (let i: u32 = 0; i < run.reached; i++) {
    if (reachedAt(run, i) == map) return true;
  }
  if (run.reached == MAX_REACHED) return false;
  store<u32>(changetype<usize>(run) + REACHED_OFF + 4 * <usize>run.reached, map);
  run.reached++;
  return true;
}

/** Whether an argument of a helper is a map of the program's. */
export function isProgMap(map: u64): bool {
  const run = myRun();
  const prog = progAt(run.prog);
  for (let i: u32 = 0; i < prog.mapCount; i++) {
    if (<u64>usedMap(prog, i) == map) return true;
  }
  for (let i: u32 = 0; i < run.reached; i++) {
    if (<u64>reachedAt(run, i) == map) return true;
  }
  return false;
}

// Records of ring buffers that were reserved: address, bytes, map, how.

@unmanaged
export class HeldRecord {
  at: u32;
  bytes: u32;
  map: u32;
  /** The dynptr that it was reserved for, or 0. */
  dynptr: u32;
}

export function heldRecord(run: Run, n: u32): HeldRecord {
  return changetype<HeldRecord>(changetype<usize>(run) + HELD_OFF + offsetof<HeldRecord>() * <usize>n);
}

function isHeldRecord(address: u32, size: u32): bool {
  const run = myRun();
  for (let i: u32 = 0; i < run.held; i++) {
    const record = heldRecord(run, i);
    if (isWithin(address, size, record.at, record.at + record.bytes)) return true;
  }
  return false;
}

/** Notes a record that the program has reserved. False when it holds too many. */
export function holdRecord(at: u32, bytes: u32, map: u32, dynptr: u32): bool {
  const run = myRun();
  if (run.held == MAX_HELD_RECORDS) return false;
  const record = heldRecord(run, run.held);
  record.at = at;
  record.bytes = bytes;
  record.map = map;
  record.dynptr = dynptr;
  run.held++;
  return true;
}

/** The map of a record that the program holds and now gives back; 0 for none of its. */
export function releaseRecord(at: u64): u32 {
  const run = myRun();
  for (let i: u32 = 0; i < run.held; i++) {
    const record = heldRecord(run, i);
    if (<u64>record.at != at) continue;
    const map = record.map;
    run.held--;
    memory.copy(changetype<usize>(record), changetype<usize>(heldRecord(run, run.held)), offsetof<HeldRecord>());
    return map;
  }
  return 0;
}

// Copies of values of tries.

/** Of the bytes of a copy, only the value is the program's. */
@unmanaged
export class TrieCopy {
  /** The one that was made before it, or 0. */
  next: u32;
  /** 0 while it is of none. */
  map: u32;
  value: u32;
  pad: u32;
}

/** Room for one more copy, in all so many bytes; 0 when there is no more. */
export function takeTrieCopy(bytes: u32): usize {
  const run = myRun();
  const wanted = (bytes + 7) & ~7;
  if (wanted > TRIES_BYTES - run.trieBytes) return 0;
  const at = changetype<usize>(run) + TRIES_OFF + run.trieBytes;
  run.trieBytes += wanted;
  changetype<TrieCopy>(at).next = run.tries;
  changetype<TrieCopy>(at).map = 0;
  run.tries = <u32>at;
  return at;
}

function isTrieCopy(address: u32, size: u32, write: bool): bool {
  const run = myRun();
  const first = <u32>changetype<usize>(run) + <u32>TRIES_OFF;
  if (!isWithin(address, size, first, first + run.trieBytes)) return false;
  for (let at: usize = run.tries; at != 0; at = changetype<TrieCopy>(at).next) {
    const copy = changetype<TrieCopy>(at);
    if (copy.map == 0 || !isWithin(address, size, copy.value, copy.value + mapAt(copy.map).valueSize)) continue;
    return mayTouch(copy.map, write);
  }
  return false;
}

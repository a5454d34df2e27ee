/**
 * BPF_PROG_TEST_RUN: runs a program on a packet or a context that the caller gives. Behaves as net/bpf/test_run.c and
 * bpf_prog_test_run_syscall.
 *
 * Differs from Linux: a program that does what it must not is ended, and the call answers -EFAULT (the host can ask what it was,
 * `faultOf`); one whose budget is spent, -ETIME. Programs of tracepoints can be run too, with a context of the caller's. A packet is in
 * one piece, and may have up to 64 KiB.
 *
 * Threads: any; each has a Run of its own. `running` is stored before anything of a program is looked at, so that nothing that it can
 * come to is freed meanwhile.
 */
import {
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_XDP,
  BPF_XDP_CPUMAP,
  BPF_XDP_DEVMAP,
} from "../src/uapi/bpf";
import { E2BIG, EFAULT, EINVAL, ENODEV, ENOMEM, ENOSPC, ENXIO, ETIME } from "../src/uapi/errno";
import { copyKeyOfPlace, valueOfPlace } from "./_timer_places";
import { TestAttr } from "./attr";
import { threadNs } from "./clock";
import { fdEntry, notOfKind, progOf } from "./fd";
import { releaseHeld } from "./helpers";
import { funcSlot, interpret } from "./interpreter";
import { lock, unlock } from "./lock";
import { BpfMap, collectDeadMaps, tablesLock } from "./map";
import { isUser } from "./mem/pages";
import { BpfProg, progAt } from "./prog";
import {
  CTX_BYTES,
  DEFAULT_BUDGET,
  FAULT_BUDGET,
  HEADROOM,
  MAX_PACKET,
  Run,
  SKB_BYTES,
  SKB_CB,
  SKB_DATA,
  SKB_DATA_END,
  SKB_DATA_META,
  SKB_GSO_SEGS,
  SKB_GSO_SIZE,
  SKB_HWTSTAMP,
  SKB_IFINDEX,
  SKB_INGRESS_IFINDEX,
  SKB_LEN,
  SKB_MARK,
  SKB_PKT_TYPE,
  SKB_PRIORITY,
  SKB_PROTOCOL,
  SKB_TSTAMP,
  SKB_WIRE_LEN,
  TAILROOM,
  bufferArea,
  compiledOf,
  ctxArea,
  isProgMap,
  myRun,
  noteReached,
  runArea,
  takeScratch,
} from "./run";
import { Task, currentCpu, me } from "./task";
import { deviceCount, tables, timerTable } from "./super";
import { adoptTimers } from "./timer_run";

const ETH_HLEN: u32 = 14;
const XDP_MD_BYTES: u32 = 24;
const MAX_RAW_ARGS: u32 = 12 * 8;
/** Of an skb: Linux's NET_SKB_PAD. */
const SKB_HEADROOM: u32 = 64;
const MAX_META: u32 = 255;
const TEST_RUN_ON_CPU: u32 = 1;
const TEST_SKB_CHECKSUM_COMPLETE: u32 = 4;

/** Has the host compile a program for this thread: where its functions are in the table from then on; 0 to interpret it. */
// @ts-ignore: decorator
@external("env", "compile")
declare function compile(prog: usize): u32;

export function progTestRun(attr: TestAttr, user: usize): i32 {
  if ((attr.ctxSizeIn != 0) != (attr.ctxIn != 0) || (attr.ctxSizeOut != 0) != (attr.ctxOut != 0)) return -EINVAL;
  const running = changetype<usize>(me()) + offsetof<Task>("running");
  atomic.store<u32>(running, 1);
  const at = progOf(fdEntry(attr.progFd));
  let ret: i32;
  if (at == 0) ret = notOfKind(attr.progFd);
  else if (runArea() == 0) ret = -ENOMEM;
  else ret = currentCpu() < 0 ? -ENXIO : runOf(progAt(at), attr, user);
  atomic.store<u32>(running, 0);
  collectAfterRun();
  adoptTimers();
  return ret;
}

/** Frees what has ended, and was not freed because a program was running. */
export function collectAfterRun(): void {
  if (tables().progsDead == 0 && tables().mapsDead == 0 && timerTable().dropped == 0) return;
  lock(tablesLock());
  collectDeadMaps();
  unlock(tablesLock());
}

function runOf(prog: BpfProg, attr: TestAttr, user: usize): i32 {
  switch (prog.type) {
    case BPF_PROG_TYPE_XDP:
      return runXdp(prog, attr, user);
    case BPF_PROG_TYPE_SCHED_CLS:
    case BPF_PROG_TYPE_SOCKET_FILTER:
      return runSkb(prog, attr, user);
    case BPF_PROG_TYPE_SYSCALL:
      return runSyscall(prog, attr, user);
    default:
      return runRaw(prog, attr, user);
  }
}

/** What a program returned, and how long it took; or, where it has failed, -EFAULT or -ETIME. */
@unmanaged
class Outcome {
  retval: u32;
  /** Of one run, in nanoseconds. */
  duration: u32;
}

// @ts-ignore: decorator
@inline
function outcome(): Outcome {
  return changetype<Outcome>(changetype<usize>(myRun()) + 256);
}

/** Runs the program on what stands in the Run, `repeat` times: the context stays as it leaves it. */
function runMany(prog: BpfProg, ctx: usize, repeat: u32): i32 {
  const run = myRun();
  const compiled = compile(changetype<usize>(prog));
  const start = threadNs();
  let ret: u32 = 0;
  for (let i: u32 = 0; i < repeat; i++) {
    ret = <u32>runOnce(run, prog, ctx, compiled);
    if (run.fault != 0) break;
  }
  if (run.fault != 0) return run.fault == FAULT_BUDGET ? -ETIME : -EFAULT;
  outcome().retval = ret;
  outcome().duration = <u32>((threadNs() - start) / repeat);
  return 0;
}

// @ts-ignore: decorator
@inline
function begin(run: Run, prog: BpfProg, compiled: u32): void {
  run.prog = <u32>changetype<usize>(prog);
  run.compiled = compiled;
  run.fault = 0;
  run.budget = DEFAULT_BUDGET + me().budget;
  run.frame = run.top;
  run.tail = 0;
  run.tails = 0;
  run.depth = 0;
  run.reached = 0;
  run.scratch = 0;
}

// @ts-ignore: decorator
@inline
function runOnce(run: Run, prog: BpfProg, ctx: usize, compiled: u32): u64 {
  begin(run, prog, compiled);
  const ret = compiled != 0 ? call_indirect<u64>(compiled, <u64>ctx) : interpret(0, ctx, 0, 0, 0, 0, run.top);
  if ((run.held | run.locked | run.tries) != 0) releaseHeld(run);
  return ret;
}

/** The same, but for what this thread has noted that the host has compiled. */
function compileOnce(run: Run, prog: usize): u32 {
  const number = progAt(prog).number;
  const known = compiledOf(run, number);
  if (known.prog == <u32>prog && known.number == number) return known.index;
  const index = compile(prog);
  if (index != 0) {
    known.prog = <u32>prog;
    known.number = number;
    known.index = index;
  }
  return index;
}

/** Has compiled code go over to a program itself: where its main function is in the table; 0 if it has been run. */
export function beginTail(run: Run, prog: usize, ctx: u64): u32 {
  const index = compileOnce(run, prog);
  if (index == 0) {
    run.result = runTail(run, prog, ctx);
    run.tail = 1;
    return 0;
  }
  run.prog = <u32>prog;
  run.compiled = index;
  return index;
}

/** Calls a function of a program's with an elem of a map's: nobody runs the program, it has no context, and no packet. */
export function runTimerFunc(prog: BpfProg, func: u32, map: BpfMap, place: u32): void {
  const run = myRun();
  const compiled = compileOnce(run, changetype<usize>(prog));
  begin(run, prog, compiled);
  run.ctx = 0;
  run.ctxSize = 0;
  run.data = 0;
  run.dataEnd = 0;
  run.packet = 0;
  const at = changetype<usize>(map);
  const key = takeScratch(map.keySize);
  const isReached = isProgMap(at) || noteReached(<u32>at);
  // The elem may have gone.
  if (key == 0 || !isReached || !copyKeyOfPlace(map, place, key)) return;
  const value = valueOfPlace(map, place);
  if (compiled != 0) call_indirect<u64>(compiled + 1, func, <u64>at, <u64>key, <u64>value, <u64>0, <u64>0, run.top);
  else interpret(funcSlot(func), at, key, value, 0, 0, run.top);
  if ((run.held | run.locked | run.tries) != 0) releaseHeld(run);
}

/** Goes over to the program of a tail call: in the frame that the caller has. */
export function runTail(run: Run, prog: usize, ctx: u64): u64 {
  const was = run.prog;
  const wasCompiled = run.compiled;
  const frame = run.frame;
  run.prog = <u32>prog;
  run.compiled = compile(prog);
  // Its main function is the first, in the frame of the one that it takes the place of.
  const ret =
    run.compiled != 0
      ? call_indirect<u64>(run.compiled + 1, <u32>1, ctx, <u64>0, <u64>0, <u64>0, <u64>0, frame)
      : interpret(0, ctx, 0, 0, 0, 0, frame);
  run.prog = was;
  run.compiled = wasCompiled;
  return ret;
}

/** Copies a packet in, with room before and behind it: 0, or a negative errno. */
function takePacket(run: Run, attr: TestAttr, headroom: u32, most: u32): i32 {
  const size = attr.dataSizeIn;
  if (size < ETH_HLEN || size > most) return -EINVAL;
  if (!isUser(attr.dataIn, size)) return -EFAULT;
  run.bufferStart = <u32>bufferArea(run);
  run.packet = run.bufferStart + headroom;
  run.data = run.packet;
  run.dataEnd = run.packet + size;
  run.bufferEnd = run.packet + max<u32>(MAX_PACKET_PAGE - headroom, size);
  memory.fill(run.bufferStart, 0, headroom);
  memory.copy(run.packet, <usize>attr.dataIn, size);
  memory.fill(run.dataEnd, 0, run.bufferEnd - run.dataEnd);
  return 0;
}

/** Of a page, what Linux leaves for headroom and data. */
const MAX_PACKET_PAGE: u32 = 4096 - TAILROOM;

/** Copies a context in, with zeroes for what is not given: 0, or a negative errno. bpf_ctx_init. */
function takeContext(run: Run, attr: TestAttr, bytes: u32): i32 {
  const to = ctxArea(run);
  memory.fill(to, 0, bytes);
  run.ctx = <u32>to;
  run.ctxSize = bytes;
  if (attr.ctxIn == 0) return 0;
  if (!isUser(attr.ctxIn, attr.ctxSizeIn)) return -EFAULT;
  for (let i = bytes; i < attr.ctxSizeIn; i++) {
    if (load<u8>(<usize>attr.ctxIn + i) != 0) return -E2BIG;
  }
  memory.copy(to, <usize>attr.ctxIn, min<u32>(bytes, attr.ctxSizeIn));
  return 0;
}

/** Copies packet, context and outcome out: bpf_test_finish, bpf_ctx_finish. */
function finish(run: Run, attr: TestAttr, user: usize, ctxBytes: u32): i32 {
  const size = run.dataEnd - run.data;
  let copied = size;
  let ret = 0;
  if (attr.dataSizeOut != 0 && copied > attr.dataSizeOut) {
    copied = attr.dataSizeOut;
    ret = -ENOSPC;
  }
  if (attr.dataOut != 0) {
    if (!isUser(attr.dataOut, copied)) return -EFAULT;
    memory.copy(<usize>attr.dataOut, run.data, copied);
  }
  if (!isUser(user, offsetof<TestAttr>())) return -EFAULT;
  store<u32>(user, size, offsetof<TestAttr>("dataSizeOut"));
  store<u32>(user, outcome().retval, offsetof<TestAttr>("retval"));
  store<u32>(user, outcome().duration, offsetof<TestAttr>("duration"));
  if (ret != 0) return ret;
  if (attr.ctxIn == 0 && attr.ctxOut == 0) return 0;
  let bytes = ctxBytes;
  if (attr.ctxSizeOut != 0 && bytes > attr.ctxSizeOut) {
    bytes = attr.ctxSizeOut;
    ret = -ENOSPC;
  }
  if (attr.ctxOut != 0) {
    if (!isUser(attr.ctxOut, bytes)) return -EFAULT;
    memory.copy(<usize>attr.ctxOut, run.ctx, bytes);
  }
  store<u32>(user, ctxBytes, offsetof<TestAttr>("ctxSizeOut"));
  return ret;
}

function runXdp(prog: BpfProg, attr: TestAttr, user: usize): i32 {
  // Those run where packets were redirected to. And nothing is sent from here: there are no live frames.
  if (prog.attachType == BPF_XDP_DEVMAP || prog.attachType == BPF_XDP_CPUMAP) return -EINVAL;
  if (attr.flags != 0 || attr.batchSize != 0) return -EINVAL;
  const run = myRun();
  let ret = takeContext(run, attr, XDP_MD_BYTES);
  if (ret != 0) return ret;
  const md = <usize>run.ctx;
  let meta: u32 = 0;
  if (attr.ctxIn != 0) {
    meta = load<u32>(md);
    const isMeta = load<u32>(md, 8) == 0 && load<u32>(md, 4) <= attr.dataSizeIn && meta <= load<u32>(md, 4);
    if (!isMeta || (meta & 3) != 0 || meta > MAX_META) return -EINVAL;
    // Interfaces have one queue.
    if (load<u32>(md, 12) > deviceCount() || load<u32>(md, 16) != 0 || load<u32>(md, 20) != 0) return -EINVAL;
  }
  ret = takePacket(run, attr, HEADROOM - meta, MAX_PACKET);
  if (ret != 0) return ret;
  run.packet = run.data + meta;
  if (load<u32>(md, 12) == 0) store<u32>(md, 1, 12);
  writeXdp(run);
  ret = runMany(prog, md, max<u32>(attr.repeat, 1));
  if (ret != 0) return ret;
  // Offsets, as the caller gives them.
  store<u32>(md, run.packet - run.data);
  store<u32>(md, run.dataEnd - run.data, 4);
  store<u32>(md, 0, 8);
  if (attr.ctxIn == 0 || load<u32>(<usize>attr.ctxIn, 12) == 0) store<u32>(md, 0, 12);
  return finish(run, attr, user, XDP_MD_BYTES);
}

/** Has the context say where the packet is. */
export function writeXdp(run: Run): void {
  store<u32>(run.ctx, run.packet);
  store<u32>(run.ctx, run.dataEnd, 4);
  store<u32>(run.ctx, run.data, 8);
}

export function writeSkb(run: Run): void {
  store<u32>(run.ctx, run.dataEnd - run.data, SKB_LEN);
  store<u32>(run.ctx, run.data, SKB_DATA);
  store<u32>(run.ctx, run.dataEnd, SKB_DATA_END);
  store<u32>(run.ctx, run.data, SKB_DATA_META);
}

function isZero(at: usize, from: u32, to: u32): bool {
  for (let i = from; i < to; i++) {
    if (load<u8>(at + i) != 0) return false;
  }
  return true;
}

/** Whether a context has nothing but what may be given of an skb: convert___skb_to_skb. */
function isSkbSound(ctx: usize): bool {
  return (
    isZero(ctx, 0, SKB_MARK) &&
    isZero(ctx, SKB_MARK + 4, SKB_PRIORITY) &&
    isZero(ctx, SKB_IFINDEX + 4, SKB_CB) &&
    isZero(ctx, SKB_CB + 20, SKB_TSTAMP) &&
    isZero(ctx, SKB_GSO_SEGS + 4, SKB_GSO_SIZE) &&
    isZero(ctx, SKB_GSO_SIZE + 4, SKB_HWTSTAMP) &&
    isZero(ctx, SKB_HWTSTAMP + 8, SKB_BYTES)
  );
}

function runSkb(prog: BpfProg, attr: TestAttr, user: usize): i32 {
  if ((attr.flags & ~TEST_SKB_CHECKSUM_COMPLETE) != 0 || attr.cpu != 0 || attr.batchSize != 0) return -EINVAL;
  const run = myRun();
  let ret = takePacket(run, attr, SKB_HEADROOM, MAX_PACKET);
  if (ret != 0) return ret;
  ret = takeContext(run, attr, SKB_BYTES);
  if (ret != 0) return ret;
  const skb = <usize>run.ctx;
  if (!isSkbSound(skb)) return -EINVAL;
  const ifindex = load<u32>(skb, SKB_IFINDEX);
  if (ifindex > deviceCount()) return -ENODEV;
  const wireLen = load<u32>(skb, SKB_WIRE_LEN);
  if (wireLen != 0 && (wireLen < attr.dataSizeIn || wireLen > 65536)) return -EINVAL;
  if (load<u32>(skb, SKB_GSO_SEGS) > 65535) return -EINVAL;
  const isL2 = prog.type == BPF_PROG_TYPE_SCHED_CLS;
  const protocol = load<u16>(run.data, 12);
  const destination = load<u64>(run.data) & 0xffffffffffff;
  store<u32>(skb, protocol, SKB_PROTOCOL);
  // PACKET_HOST for lo's own address, which is zeroes; PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST.
  const isGroup = (destination & 1) != 0;
  store<u32>(skb, destination == 0 ? 0 : destination == 0xffffffffffff ? 1 : isGroup ? 2 : 3, SKB_PKT_TYPE);
  store<u32>(skb, max<u32>(ifindex, 1), SKB_IFINDEX);
  if (!isL2) run.data += ETH_HLEN;
  // Without a context nobody sets it.
  if (wireLen == 0 && attr.ctxIn != 0) store<u32>(skb, run.dataEnd - run.data, SKB_WIRE_LEN);
  run.packet = run.data;
  writeSkb(run);
  ret = runMany(prog, skb, max<u32>(attr.repeat, 1));
  if (ret != 0) return ret;
  if (!isL2) {
    run.data -= ETH_HLEN;
    memory.fill(run.data, 0, ETH_HLEN);
  }
  giveSkb(skb, wireLen);
  return finish(run, attr, user, SKB_BYTES);
}

/** What of a context the caller gets back: convert_skb_to___skb. */
function giveSkb(skb: usize, wireLen: u32): void {
  const keep = skb + SKB_BYTES;
  memory.copy(keep, skb, SKB_BYTES);
  memory.fill(skb, 0, SKB_BYTES);
  store<u32>(skb, load<u32>(keep, SKB_MARK), SKB_MARK);
  store<u32>(skb, load<u32>(keep, SKB_PRIORITY), SKB_PRIORITY);
  store<u32>(skb, load<u32>(keep, SKB_INGRESS_IFINDEX), SKB_INGRESS_IFINDEX);
  store<u32>(skb, load<u32>(keep, SKB_IFINDEX), SKB_IFINDEX);
  memory.copy(skb + SKB_CB, keep + SKB_CB, 20);
  store<u64>(skb, load<u64>(keep, SKB_TSTAMP), SKB_TSTAMP);
  store<u32>(skb, wireLen != 0 ? wireLen : load<u32>(keep, SKB_WIRE_LEN), SKB_WIRE_LEN);
  store<u32>(skb, load<u32>(keep, SKB_GSO_SEGS), SKB_GSO_SEGS);
  store<u32>(skb, load<u32>(keep, SKB_GSO_SIZE), SKB_GSO_SIZE);
  store<u64>(skb, load<u64>(keep, SKB_HWTSTAMP), SKB_HWTSTAMP);
}

/** Raw tracepoints; and tracepoints, which Linux does not run so. */
function runRaw(prog: BpfProg, attr: TestAttr, user: usize): i32 {
  if (hasExtra(attr) || attr.batchSize != 0 || attr.ctxSizeIn > MAX_RAW_ARGS) return -EINVAL;
  if ((attr.flags & ~TEST_RUN_ON_CPU) != 0 || ((attr.flags & TEST_RUN_ON_CPU) == 0 && attr.cpu != 0)) return -EINVAL;
  return runContext(prog, attr, user, false);
}

function runSyscall(prog: BpfProg, attr: TestAttr, user: usize): i32 {
  if (hasExtra(attr) || attr.flags != 0 || attr.ctxSizeIn > CTX_BYTES - 1) return -EINVAL;
  return runContext(prog, attr, user, true);
}

/** Whether more is given than a context. */
function hasExtra(attr: TestAttr): bool {
  return attr.dataIn != 0 || attr.dataOut != 0 || attr.ctxOut != 0 || attr.duration != 0 || attr.repeat != 0;
}

/** Runs a program on a context alone, once; and writes that back to where it came from, of some. */
function runContext(prog: BpfProg, attr: TestAttr, user: usize, inPlace: bool): i32 {
  const run = myRun();
  run.data = 0;
  run.dataEnd = 0;
  run.packet = 0;
  let ret = takeContext(run, attr, attr.ctxSizeIn);
  if (ret == 0) ret = runMany(prog, run.ctx, 1);
  if (ret != 0) return ret;
  if (inPlace && attr.ctxSizeIn != 0) {
    if (!isUser(attr.ctxIn, attr.ctxSizeIn)) return -EFAULT;
    memory.copy(<usize>attr.ctxIn, run.ctx, attr.ctxSizeIn);
  }
  if (!isUser(user, offsetof<TestAttr>())) return -EFAULT;
  store<u32>(user, outcome().retval, offsetof<TestAttr>("retval"));
  return 0;
}

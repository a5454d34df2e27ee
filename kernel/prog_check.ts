/**
 * What a program must be before it may run: each instruction one that there is, jumps inside of functions, all of it reachable,
 * maps that exist, helpers that this kernel has. Behaves as the passes of kernel/bpf/verifier.c around its simulation.
 *
 * Differs from Linux: what registers hold is not followed. Memory that a program touches is looked at when it does, unless the compiler
 * has proven it to be the program's (prog_run.ts, src/kernels/embedded/compiler); a program that never ends is ended by its budget.
 * What is wrong on every path (a register that nothing has written, a frame's bounds) is refused here as there.
 *
 * Threads: any; maps are resolved under the tables lock.
 */
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_TRACEPOINT,
} from "../src/uapi/bpf";
import { E2BIG, EACCES, EFAULT, EINVAL, ENOMEM, ENOTSUPP } from "../src/uapi/errno";
import { sha256 } from "./_sha256";
import { fdEntry, mapOf, noMap } from "./fd";
import { hasHelper, isGplOnly } from "./helpers";
import { lock, unlock } from "./lock";
import { Log, logByte, logNumber, logText } from "./log";
import { BpfMap, tablesLock } from "./map";
import { allocKernel, freePages, isUser } from "./mem/pages";
import { BpfProg, MAX_USED_MAPS, addUsedMap, usedMap } from "./prog";
import { FRAME_BYTES, INSN_BYTES } from "./super";
import { shadow } from "./task";

const MAX_FRAMES: u32 = 8;
const MAX_FUNCS: u32 = 256;
const MAX_VALUE_OFF: u32 = 1 << 29;

const BPF_LD: u32 = 0;
const BPF_LDX: u32 = 1;
const BPF_ST: u32 = 2;
const BPF_STX: u32 = 3;
const BPF_ALU: u32 = 4;
const BPF_JMP: u32 = 5;
const BPF_JMP32: u32 = 6;
const BPF_ALU64: u32 = 7;
const LDDW: u32 = 0x18;
const CALL: u32 = 0x85;
const CALLX: u32 = 0x8d;
const EXIT: u32 = 0x95;
const JA: u32 = 0x05;
const JA32: u32 = 0x06;
const MAY_GOTO: u32 = 0xe5;

/** What a slot is: bits of its byte in `marks`. */
const FUNC: u8 = 1;
const SECOND: u8 = 2;
const REACHED: u8 = 4;
const QUEUED: u8 = 8;

// @ts-ignore: decorator
@inline
export function codeOf(insn: usize): u32 {
  return load<u8>(insn);
}

// @ts-ignore: decorator
@inline
export function dstOf(insn: usize): u32 {
  return load<u8>(insn, 1) & 15;
}

// @ts-ignore: decorator
@inline
export function srcOf(insn: usize): u32 {
  return load<u8>(insn, 1) >> 4;
}

// @ts-ignore: decorator
@inline
export function offOf(insn: usize): i32 {
  return load<i16>(insn, 2);
}

// @ts-ignore: decorator
@inline
export function immOf(insn: usize): i32 {
  return load<i32>(insn, 4);
}

/** Bytes that a load or store moves. */
// @ts-ignore: decorator
@inline
export function sizeOfAccess(code: u32): u32 {
  const size = code & 0x18;
  return size == 0 ? 4 : size == 0x08 ? 2 : size == 0x10 ? 1 : 8;
}

// @ts-ignore: decorator
@inline
function insnAt(prog: BpfProg, slot: u32): usize {
  return <usize>prog.insns + INSN_BYTES * <usize>slot;
}

/** 0, or what is wrong, which the log says. Instructions that name maps have the maps' numbers afterwards. */
export function checkProg(prog: BpfProg, fdArray: u64, log: Log): i32 {
  prog.tag = tagOf(prog);
  const marks = allocKernel(bytesOf(prog));
  if (marks == 0) return -ENOMEM;
  lock(tablesLock());
  let ret = checkInsns(prog, marks, fdArray, log);
  unlock(tablesLock());
  if (ret == 0) ret = checkJumps(prog, marks, log);
  if (ret == 0) ret = checkDepth(prog, marks, log);
  if (ret == 0) ret = checkFlow(prog, marks, log);
  if (ret == 0) ret = checkFuncInfo(prog, marks, log);
  freePages(marks);
  return ret;
}

// Beside the marks, a byte a slot, lie: what registers may have been written, two bytes a slot; the slots that are to be looked at, four
// each; and where functions begin, and how deep they call, four bytes each.

function bytesOf(prog: BpfProg): u64 {
  return 8 * (<u64>prog.slots + 16) + 8 * MAX_FUNCS;
}

// @ts-ignore: decorator
@inline
function regsAt(prog: BpfProg, marks: usize, slot: u32): usize {
  return marks + <usize>((prog.slots + 7) & ~7) + 2 * <usize>slot;
}

// @ts-ignore: decorator
@inline
function workAt(prog: BpfProg, marks: usize, n: u32): usize {
  return marks + <usize>((3 * (prog.slots + 7) + 7) & ~7) + 4 * <usize>n;
}

// @ts-ignore: decorator
@inline
function funcAt(prog: BpfProg, marks: usize, n: u32): usize {
  return marks + 8 * (<usize>prog.slots + 16) + 8 * <usize>n;
}

/** bpf_prog_calc_tag: of the instructions without the maps' fds. */
function tagOf(prog: BpfProg): u64 {
  const bytes = INSN_BYTES * prog.slots;
  const copy = allocKernel(bytes, true);
  if (copy == 0) return 0;
  memory.copy(copy, prog.insns, bytes);
  for (let slot: u32 = 0; slot + 1 < prog.slots; slot++) {
    const insn = copy + INSN_BYTES * <usize>slot;
    const src = srcOf(insn);
    if (codeOf(insn) != LDDW) continue;
    if (src == BPF_PSEUDO_MAP_FD || src == BPF_PSEUDO_MAP_VALUE) {
      store<i32>(insn, 0, 4);
      store<i32>(insn, 0, 12);
    }
    slot++;
  }
  const to = shadow() + 64;
  sha256(copy, bytes, to);
  freePages(copy);
  return load<u64>(to);
}

function refuse(log: Log, slot: u32, text: string): i32 {
  logNumber(log, slot);
  logText(log, ": ");
  logText(log, text);
  logText(log, "\n");
  return -EINVAL;
}

/** Each instruction by itself. The caller holds the tables lock. */
function checkInsns(prog: BpfProg, marks: usize, fdArray: u64, log: Log): i32 {
  for (let slot: u32 = 0; slot < prog.slots; slot++) {
    const insn = insnAt(prog, slot);
    const code = codeOf(insn);
    if (dstOf(insn) > 10 || srcOf(insn) > 10) return refuse(log, slot, "R11 is invalid");
    const kind = code & 7;
    let ret: i32;
    if (kind == BPF_LD) ret = checkLddw(prog, slot, marks, fdArray, log);
    else if (kind == BPF_ALU || kind == BPF_ALU64) ret = checkAlu(insn, slot, log);
    else if (kind == BPF_JMP || kind == BPF_JMP32) ret = checkJump(prog, insn, slot, log);
    else ret = checkAccess(insn, slot, log);
    if (ret != 0) return ret;
    if (code == LDDW) {
      slot++;
      store<u8>(marks + slot, SECOND);
    }
  }
  return 0;
}

function unknown(code: u32, slot: u32, log: Log): i32 {
  logNumber(log, slot);
  logText(log, ": unknown opcode ");
  logByte(log, code);
  logText(log, "\n");
  return -EINVAL;
}

function checkAlu(insn: usize, slot: u32, log: Log): i32 {
  const code = codeOf(insn);
  const op = code & 0xf0;
  const is64 = (code & 7) == BPF_ALU64;
  const isReg = (code & 8) != 0;
  const src = srcOf(insn);
  const off = offOf(insn);
  const imm = immOf(insn);
  if (op > 0xd0) return unknown(code, slot, log);
  if (dstOf(insn) == 10) return frameIsReadOnly(log, slot);
  if (op == 0x80) {
    return isReg || src != 0 || off != 0 || imm != 0 ? refuse(log, slot, "BPF_NEG uses reserved fields") : 0;
  }
  if (op == 0xd0) {
    const isSize = imm == 16 || imm == 32 || imm == 64;
    return src != 0 || off != 0 || !isSize || (is64 && isReg) ? refuse(log, slot, "BPF_END uses reserved fields") : 0;
  }
  if (op == 0xb0) {
    if (!isReg) return src != 0 || off != 0 ? refuse(log, slot, "BPF_MOV uses reserved fields") : 0;
    const isCast = is64 && off == 1;
    const isSigned = off == 8 || off == 16 || (off == 32 && is64);
    if (isCast) return imm == 1 || imm == 1 << 16 ? 0 : refuse(log, slot, "addr_space_cast insn can only convert between address space 1 and 0");
    return imm != 0 || (off != 0 && !isSigned) ? refuse(log, slot, "BPF_MOV uses reserved fields") : 0;
  }
  const mayBeSigned = op == 0x30 || op == 0x90;
  if (off < 0 || off > 1 || (off == 1 && !mayBeSigned) || (isReg ? imm != 0 : src != 0)) {
    return refuse(log, slot, "BPF_ALU uses reserved fields");
  }
  if (mayBeSigned && !isReg && imm == 0) return refuse(log, slot, "div by zero");
  const isShift = op == 0x60 || op == 0x70 || op == 0xc0;
  if (isShift && !isReg && <u32>imm >= <u32>(is64 ? 64 : 32)) {
    logText(log, "invalid shift ");
    logNumber(log, imm);
    logText(log, "\n");
    return -EINVAL;
  }
  return 0;
}

function frameIsReadOnly(log: Log, slot: u32): i32 {
  refuse(log, slot, "frame pointer is read only");
  return -EACCES;
}

function checkAccess(insn: usize, slot: u32, log: Log): i32 {
  const code = codeOf(insn);
  const kind = code & 7;
  const mode = code & 0xe0;
  const isWide = (code & 0x18) == 0x18;
  if (kind == BPF_LDX) {
    if (mode != 0x60 && (mode != 0x80 || isWide)) return unknown(code, slot, log);
    if (immOf(insn) != 0) return refuse(log, slot, "BPF_LDX uses reserved fields");
    return dstOf(insn) == 10 ? frameIsReadOnly(log, slot) : 0;
  }
  if (kind == BPF_ST) {
    if (mode != 0x60) return unknown(code, slot, log);
    return srcOf(insn) != 0 ? refuse(log, slot, "BPF_ST uses reserved fields") : 0;
  }
  if (mode == 0x60) return immOf(insn) != 0 ? refuse(log, slot, "BPF_STX uses reserved fields") : 0;
  return mode == 0xc0 ? checkAtomic(insn, slot, log) : unknown(code, slot, log);
}

function checkAtomic(insn: usize, slot: u32, log: Log): i32 {
  const imm = immOf(insn);
  const isWord = (codeOf(insn) & 0x18) == 0 || (codeOf(insn) & 0x18) == 0x18;
  if (imm == 0x100) return dstOf(insn) == 10 ? frameIsReadOnly(log, slot) : 0;
  if (imm == 0x110) return 0;
  const op = imm & ~1;
  const isKnown = op == 0 || op == 0x40 || op == 0x50 || op == 0xa0 || imm == 0xe1 || imm == 0xf1;
  if (!isKnown) return refuse(log, slot, "BPF_ATOMIC uses invalid atomic opcode");
  if (!isWord) return refuse(log, slot, "invalid atomic operand size");
  const writesSrc = (imm & 1) != 0 && imm != 0xf1;
  return writesSrc && srcOf(insn) == 10 ? frameIsReadOnly(log, slot) : 0;
}

function checkJump(prog: BpfProg, insn: usize, slot: u32, log: Log): i32 {
  const code = codeOf(insn);
  const op = code & 0xf0;
  const src = srcOf(insn);
  const isReg = (code & 8) != 0;
  if (code == CALL) return checkCall(prog, insn, slot, log);
  if (code == CALLX) return src != 0 || offOf(insn) != 0 || immOf(insn) != 0 ? refuse(log, slot, "BPF_CALL uses reserved fields") : 0;
  if (code == EXIT) {
    const isClean = src == 0 && dstOf(insn) == 0 && offOf(insn) == 0 && immOf(insn) == 0;
    return isClean ? 0 : refuse(log, slot, "BPF_EXIT uses reserved fields");
  }
  if (code == JA || code == JA32) {
    const other = code == JA ? immOf(insn) : offOf(insn);
    return src != 0 || dstOf(insn) != 0 || other != 0 ? refuse(log, slot, "BPF_JA uses reserved fields") : 0;
  }
  if (code == MAY_GOTO) {
    return src != 0 || dstOf(insn) != 0 || immOf(insn) != 0 ? refuse(log, slot, "invalid may_goto imm 0") : 0;
  }
  if (op == 0 || op == 0x80 || op == 0x90 || op > 0xd0) return unknown(code, slot, log);
  return (isReg ? immOf(insn) != 0 : src != 0) ? refuse(log, slot, "BPF_JMP/JMP32 uses reserved fields") : 0;
}

function checkCall(prog: BpfProg, insn: usize, slot: u32, log: Log): i32 {
  const src = srcOf(insn);
  const imm = immOf(insn);
  if (dstOf(insn) != 0 || src > 2 || (src != 2 && offOf(insn) != 0)) return refuse(log, slot, "BPF_CALL uses reserved fields");
  if (src == BPF_PSEUDO_CALL) return 0;
  if (src == 2) return refuse(log, slot, "calling kernel functions is not built in");
  if (!hasHelper(imm, prog.type)) {
    logNumber(log, slot);
    logText(log, ": unknown func ");
    logHelper(log, imm);
    return -EINVAL;
  }
  if (isGplOnly(imm) && prog.gpl == 0) {
    return refuse(log, slot, "cannot call GPL-restricted function from non-GPL compatible program");
  }
  return 0;
}

function logHelper(log: Log, id: i32): void {
  logText(log, "#");
  logNumber(log, id);
  logText(log, ": this kernel has no such helper for programs of this type\n");
}

/** An lddw: what it loads is there, and instructions that name a map by an fd name it by its number afterwards. */
function checkLddw(prog: BpfProg, slot: u32, marks: usize, fdArray: u64, log: Log): i32 {
  const insn = insnAt(prog, slot);
  if (codeOf(insn) != LDDW) return unknown(codeOf(insn), slot, log);
  const src = srcOf(insn);
  if (dstOf(insn) == 10) return frameIsReadOnly(log, slot);
  const isLast = slot + 1 == prog.slots;
  if (isLast || load<u32>(insn, 8) != 0 || offOf(insn) != 0) return refuse(log, slot, "invalid bpf_ld_imm64 insn");
  if (src == 0) return 0;
  if (src == BPF_PSEUDO_FUNC) {
    const target = <i64>slot + 1 + immOf(insn);
    if (target < 0 || target >= <i64>prog.slots || load<i32>(insn, 12) != 0) return refuse(log, slot, "invalid bpf_ld_imm64 insn");
    store<u8>(marks + <usize>target, load<u8>(marks + <usize>target) | FUNC);
    return 0;
  }
  if (src == BPF_PSEUDO_BTF_ID) return refuse(log, slot, "kernel symbols are not built in");
  if (src > <u32>BPF_PSEUDO_MAP_IDX_VALUE) return refuse(log, slot, "unrecognized bpf_ld_imm64 insn");
  const isValue = src == BPF_PSEUDO_MAP_VALUE || src == BPF_PSEUDO_MAP_IDX_VALUE;
  if (!isValue && load<i32>(insn, 12) != 0) return refuse(log, slot, "unrecognized bpf_ld_imm64 insn");
  const isIndex = src == BPF_PSEUDO_MAP_IDX || src == BPF_PSEUDO_MAP_IDX_VALUE;
  let fd = <u32>immOf(insn);
  if (isIndex) {
    if (fdArray == 0) return refuse(log, slot, "fd_idx without fd_array is invalid");
    const at = fdArray + 4 * <u64>fd;
    if (!isUser(at, 4)) return -EFAULT;
    fd = load<u32>(<usize>at);
  }
  const word = fdEntry(fd);
  if (<u32>word == 0) {
    logText(log, "fd ");
    logNumber(log, fd);
    logText(log, " is not pointing to valid bpf_map\n");
    return noMap(fd);
  }
  const map = mapOf(word);
  if (map.timers != 0 && isTracing(prog.type)) return refuse(log, slot, "tracing progs cannot use bpf_timer yet");
  const wrong = isValue ? checkValueOff(map, load<u32>(insn, 12), slot, log) : 0;
  if (wrong != 0) return wrong;
  const index = useMap(prog, map);
  if (index < 0) return index;
  store<u8>(insn, <u8>(dstOf(insn) | ((isValue ? BPF_PSEUDO_MAP_VALUE : BPF_PSEUDO_MAP_FD) << 4)), 1);
  store<i32>(insn, index, 4);
  return 0;
}

/** is_tracing_prog_type, of the types that there are. */
function isTracing(type: u32): bool {
  return type == BPF_PROG_TYPE_TRACEPOINT || type == BPF_PROG_TYPE_RAW_TRACEPOINT;
}

/** Only an array of one elem has a value that can be named. */
function checkValueOff(map: BpfMap, off: u32, slot: u32, log: Log): i32 {
  if (off >= MAX_VALUE_OFF || map.type != BPF_MAP_TYPE_ARRAY) {
    return refuse(log, slot, "no direct value access support for this map type");
  }
  if (map.maxEntries != 1) {
    refuse(log, slot, "no direct value access support for this map type");
    return -ENOTSUPP;
  }
  return off >= map.valueSize ? refuse(log, slot, "invalid direct value access: offset is beyond the value") : 0;
}

/** The number that a map has in the program, or -E2BIG. */
function useMap(prog: BpfProg, map: BpfMap): i32 {
  for (let i: u32 = 0; i < prog.mapCount; i++) {
    if (usedMap(prog, i) == <u32>changetype<usize>(map)) return i;
  }
  if (prog.mapCount == MAX_USED_MAPS) return -E2BIG;
  addUsedMap(prog, map);
  return prog.mapCount - 1;
}

/** The slot that a jump at `slot` leads to. */
export function targetOf(insn: usize, slot: u32): i32 {
  return <i32>slot + 1 + (codeOf(insn) == JA32 ? immOf(insn) : offOf(insn));
}

// @ts-ignore: decorator
@inline
function hasMark(marks: usize, slot: u32, mark: u8): bool {
  return (load<u8>(marks + slot) & mark) != 0;
}

/** Whether control goes somewhere else, or nowhere, behind this instruction. */
function isJump(code: u32): bool {
  return ((code & 7) == BPF_JMP || (code & 7) == BPF_JMP32) && code != CALL && code != CALLX && code != EXIT;
}

/** Functions begin where they may, and end; jumps stay in them. */
function checkJumps(prog: BpfProg, marks: usize, log: Log): i32 {
  store<u8>(marks, load<u8>(marks) | FUNC);
  for (let slot: u32 = 0; slot < prog.slots; slot++) {
    const insn = insnAt(prog, slot);
    if (hasMark(marks, slot, SECOND) || codeOf(insn) != CALL || srcOf(insn) != BPF_PSEUDO_CALL) continue;
    const target = <i64>slot + 1 + immOf(insn);
    if (target < 0 || target >= <i64>prog.slots) return refuse(log, slot, "call to invalid destination");
    store<u8>(marks + <usize>target, load<u8>(marks + <usize>target) | FUNC);
  }
  let funcs: u32 = 0;
  let start: u32 = 0;
  let end: u32 = 0;
  for (let slot: u32 = 0; slot < prog.slots; slot++) {
    if (hasMark(marks, slot, FUNC)) {
      if (hasMark(marks, slot, SECOND)) return refuse(log, slot, "call into the middle of ldimm64 insn");
      if (funcs == MAX_FUNCS) {
        logText(log, "too many subprograms\n");
        return -E2BIG;
      }
      store<u32>(funcAt(prog, marks, funcs), slot);
      funcs++;
      start = slot;
      end = endOf(prog, marks, start);
    }
    if (hasMark(marks, slot, SECOND)) {
      if (slot + 1 == end) return refuse(log, slot, "last insn is not an exit or jmp");
      continue;
    }
    const insn = insnAt(prog, slot);
    const code = codeOf(insn);
    const isEnd = code == EXIT || code == JA || code == JA32;
    if (slot + 1 == end && !isEnd) return refuse(log, slot, "last insn is not an exit or jmp");
    if (!isJump(code)) continue;
    const target = targetOf(insn, slot);
    if (target < <i32>start || target >= <i32>end) return outOfRange(log, slot, target);
    if (hasMark(marks, target, SECOND)) return refuse(log, slot, "jump into the middle of ldimm64 insn");
  }
  prog.funcs = funcs;
  return 0;
}

function outOfRange(log: Log, slot: u32, target: i32): i32 {
  logText(log, "jump out of range from insn ");
  logNumber(log, slot);
  logText(log, " to ");
  logNumber(log, target);
  logText(log, "\n");
  return -EINVAL;
}

/** Where the function that begins at `start` ends. */
function endOf(prog: BpfProg, marks: usize, start: u32): u32 {
  let end = start + 1;
  while (end < prog.slots && !hasMark(marks, end, FUNC)) end++;
  return end;
}

/** How many functions come before the one that begins at `start`. */
function funcNumber(prog: BpfProg, marks: usize, start: u32): u32 {
  let low: u32 = 0;
  let high = prog.funcs - 1;
  while (low < high) {
    const middle = (low + high + 1) / 2;
    if (load<u32>(funcAt(prog, marks, middle)) <= start) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** No function calls others more than eight deep, so none calls itself. */
function checkDepth(prog: BpfProg, marks: usize, log: Log): i32 {
  for (let changed = true; changed; ) {
    changed = false;
    let func: u32 = 0;
    for (let slot: u32 = 0; slot < prog.slots; slot++) {
      if (slot != 0 && hasMark(marks, slot, FUNC)) func++;
      const insn = insnAt(prog, slot);
      if (hasMark(marks, slot, SECOND) || codeOf(insn) != CALL || srcOf(insn) != BPF_PSEUDO_CALL) continue;
      const callee = funcNumber(prog, marks, slot + 1 + immOf(insn));
      const depth = load<u32>(funcAt(prog, marks, callee), 4) + 1;
      if (depth <= load<u32>(funcAt(prog, marks, func), 4)) continue;
      if (depth >= MAX_FRAMES) {
        logText(log, "the call stack of 9 frames is too deep\n");
        return -E2BIG;
      }
      store<u32>(funcAt(prog, marks, func), depth, 4);
      changed = true;
    }
  }
  return 0;
}

/** r1 to r5 and r10: what a function finds when it begins. */
const AT_START: u32 = 0x43e;
const AFTER_CALL: u32 = ~<u32>0x3e;

/** All is reached; and no register is read that nothing can have written, no frame touched outside of it. */
function checkFlow(prog: BpfProg, marks: usize, log: Log): i32 {
  let work = reach(prog, marks, 0, 0, 0x402);
  while (work != 0) {
    work--;
    const slot = load<u32>(workAt(prog, marks, work));
    store<u8>(marks + slot, load<u8>(marks + slot) & ~QUEUED);
    work = follow(prog, marks, slot, work);
  }
  for (let slot: u32 = 0; slot < prog.slots; slot++) {
    if (hasMark(marks, slot, SECOND)) continue;
    if (!hasMark(marks, slot, REACHED)) {
      logText(log, "unreachable insn ");
      logNumber(log, slot);
      logText(log, "\n");
      return -EINVAL;
    }
    const ret = checkReads(prog, marks, slot, log);
    if (ret != 0) return ret;
  }
  return 0;
}

/** Notes that control comes to a slot with these registers written. Returns how much work there is then. */
function reach(prog: BpfProg, marks: usize, work: u32, slot: u32, regs: u32): u32 {
  const at = regsAt(prog, marks, slot);
  const mark = load<u8>(marks + slot);
  const all = load<u16>(at) | regs;
  if ((mark & REACHED) != 0 && all == load<u16>(at)) return work;
  store<u16>(at, <u16>all);
  store<u8>(marks + slot, mark | REACHED | QUEUED);
  if ((mark & QUEUED) != 0) return work;
  store<u32>(workAt(prog, marks, work), slot);
  return work + 1;
}

/** Goes on from a slot to what follows it. */
function follow(prog: BpfProg, marks: usize, slot: u32, work: u32): u32 {
  const insn = insnAt(prog, slot);
  const code = codeOf(insn);
  const regs = (load<u16>(regsAt(prog, marks, slot)) & (isCall(code) ? AFTER_CALL : u32.MAX_VALUE)) | writtenBy(insn);
  if (code == EXIT) return work;
  if (code == CALL && srcOf(insn) == BPF_PSEUDO_CALL) work = reach(prog, marks, work, slot + 1 + immOf(insn), AT_START);
  if (code == LDDW && srcOf(insn) == BPF_PSEUDO_FUNC) work = reach(prog, marks, work, slot + 1 + immOf(insn), AT_START);
  if (isJump(code)) work = reach(prog, marks, work, targetOf(insn, slot), regs);
  if (code == JA || code == JA32) return work;
  return reach(prog, marks, work, slot + (code == LDDW ? 2 : 1), regs);
}

// @ts-ignore: decorator
@inline
function isCall(code: u32): bool {
  return code == CALL || code == CALLX;
}

/** The registers that an instruction writes, a bit each. */
function writtenBy(insn: usize): u32 {
  const code = codeOf(insn);
  const kind = code & 7;
  if (isCall(code)) return 1;
  if (kind == BPF_ALU || kind == BPF_ALU64 || kind == BPF_LDX || kind == BPF_LD) return 1 << dstOf(insn);
  if (kind != BPF_STX || (code & 0xe0) != 0xc0) return 0;
  const imm = immOf(insn);
  if (imm == 0x100) return 1 << dstOf(insn);
  if (imm == 0xf1) return 1;
  return imm != 0x110 && (imm & 1) != 0 ? 1 << srcOf(insn) : 0;
}

/** Those that it reads. */
function readBy(insn: usize, inMain: bool): u32 {
  const code = codeOf(insn);
  const kind = code & 7;
  const dst: u32 = 1 << dstOf(insn);
  const src: u32 = 1 << srcOf(insn);
  if (kind == BPF_LD || code == CALL || code == JA || code == JA32 || code == MAY_GOTO) return 0;
  if (code == EXIT) return inMain ? 1 : 0;
  if (code == CALLX || kind == BPF_ST) return dst;
  if (kind == BPF_LDX) return src;
  if (kind == BPF_STX) {
    const isAtomic = (code & 0xe0) == 0xc0;
    if (isAtomic && immOf(insn) == 0x100) return src;
    return dst | src | (isAtomic && immOf(insn) == 0xf1 ? 1 : 0);
  }
  const isMove = (kind == BPF_ALU || kind == BPF_ALU64) && (code & 0xf0) == 0xb0;
  const isReg = (code & 8) != 0 && (code & 0xf0) != 0xd0;
  return (isMove ? 0 : dst) | (isReg ? src : 0);
}

function checkReads(prog: BpfProg, marks: usize, slot: u32, log: Log): i32 {
  const insn = insnAt(prog, slot);
  const inMain = prog.funcs == 1 || slot < load<u32>(funcAt(prog, marks, 1));
  const missing = readBy(insn, inMain) & ~<u32>load<u16>(regsAt(prog, marks, slot));
  if (missing != 0) {
    logNumber(log, slot);
    logText(log, ": R");
    logNumber(log, <i32>ctz<u32>(missing));
    logText(log, " !read_ok\n");
    return -EACCES;
  }
  const code = codeOf(insn);
  const kind = code & 7;
  if (kind != BPF_LDX && kind != BPF_ST && kind != BPF_STX) return 0;
  const loads = kind == BPF_LDX || ((code & 0xe0) == 0xc0 && immOf(insn) == 0x100 && kind == BPF_STX);
  const base = loads ? srcOf(insn) : dstOf(insn);
  const off = offOf(insn);
  if (base != 10 || (off >= -FRAME_BYTES && off + <i32>sizeOfAccess(code) <= 0)) return 0;
  logNumber(log, slot);
  logText(log, loads ? ": invalid read from stack R10 off=" : ": invalid write to stack R10 off=");
  logNumber(log, off);
  logText(log, " size=");
  logNumber(log, sizeOfAccess(code));
  logText(log, "\n");
  return -EACCES;
}

/** What is said of functions and lines fits the instructions: check_btf_func, check_btf_line. */
function checkFuncInfo(prog: BpfProg, marks: usize, log: Log): i32 {
  if (prog.funcInfoCount != 0) {
    if (prog.funcInfoCount != prog.funcs) {
      logText(log, "number of funcs in func_info doesn't match number of subprogs\n");
      return -EINVAL;
    }
    for (let i: u32 = 0; i < prog.funcs; i++) {
      if (load<u32>(<usize>prog.funcInfo + 8 * <usize>i) == load<u32>(funcAt(prog, marks, i))) continue;
      logText(log, "func_info BTF section doesn't match subprog layout in BPF program\n");
      return -EINVAL;
    }
  }
  let before: i64 = -1;
  for (let i: u32 = 0; i < prog.lineInfoCount; i++) {
    const slot = load<u32>(<usize>prog.lineInfo + 16 * <usize>i);
    if (<i64>slot <= before || slot >= prog.slots) {
      logText(log, "Invalid line_info insn_off\n");
      return -EINVAL;
    }
    before = slot;
  }
  return 0;
}

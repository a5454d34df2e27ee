/**
 * The interpreter: what each instruction does, plainly. The reference that compiled programs are held against.
 *
 * Registers of a function are eleven words in a window of the Run (run.ts); each access to memory goes through `progAccess`. Semantics
 * are RFC 9669's; what it leaves open is as Linux has it.
 */
import { BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE } from "../src/uapi/bpf";
import { callHelper } from "./helpers";
import { ArrayMap } from "./maps/_array";
import { progAt, usedMap } from "./prog";
import { codeOf, dstOf, immOf, offOf, sizeOfAccess, srcOf, targetOf } from "./prog_check";
import { FAULT_ALIGN, FAULT_BUDGET, FAULT_CALL, FAULT_INSN, FAULT_STACK, MAX_WINDOWS, Run, fault, myRun, progAccess, windowAt } from "./run";
import { FRAME_BYTES, INSN_BYTES } from "./super";

const BPF_FUNC_TAIL_CALL: i32 = 12;
/** As Linux: iterations of may_goto. */
const MAX_MAY_GOTO: u32 = 8388608;

// @ts-ignore: decorator
@inline
function reg(window: usize, n: u32): u64 {
  return load<u64>(window + 8 * <usize>n);
}

// @ts-ignore: decorator
@inline
function setReg(window: usize, n: u32, value: u64): void {
  store<u64>(window + 8 * <usize>n, value);
}

/** Runs the function that begins at `start`, with r10 at `frame`. Look at run.fault afterwards. */
export function interpret(start: u32, r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, frame: u32): u64 {
  const run = myRun();
  if (run.depth == MAX_WINDOWS || frame < run.base + FRAME_BYTES) {
    fault(FAULT_STACK, start, frame);
    return 0;
  }
  const window = windowAt(run, run.depth);
  run.depth++;
  memory.fill(<usize>frame - FRAME_BYTES, 0, FRAME_BYTES);
  setReg(window, 0, 0);
  setReg(window, 1, r1);
  setReg(window, 2, r2);
  setReg(window, 3, r3);
  setReg(window, 4, r4);
  setReg(window, 5, r5);
  for (let n: u32 = 6; n < 10; n++) setReg(window, n, 0);
  setReg(window, 10, frame);
  const result = steps(run, start, window, frame);
  run.depth--;
  return run.fault == 0 ? result : 0;
}

function steps(run: Run, start: u32, window: usize, frame: u32): u64 {
  const prog = progAt(run.prog);
  let mayGotos: u32 = 0;
  for (let slot = start; slot < prog.slots; slot++) {
    const insn = <usize>prog.insns + INSN_BYTES * <usize>slot;
    const code = codeOf(insn);
    const dst = dstOf(insn);
    let jumps = false;
    switch (code & 7) {
      case 0:
        setReg(window, dst, wide(insn, slot, run.prog));
        slot++;
        break;
      case 1:
        if (!loadInsn(insn, slot, window)) return 0;
        break;
      case 2:
      case 3:
        if (!storeInsn(insn, slot, window)) return 0;
        break;
      case 4:
        // le and be stand among the 32-bit ones, and work on all 64.
        if ((code & 0xf0) == 0xd0) setReg(window, dst, ended(insn, reg(window, dst)));
        else setReg(window, dst, alu32(insn, <u32>reg(window, dst), operand(insn, window)));
        break;
      case 7:
        setReg(window, dst, alu64(insn, reg(window, dst), operand(insn, window)));
        break;
      default:
        if (code == 0x95) return reg(window, 0);
        if (code == 0x85 || code == 0x8d) {
          if (code == 0x85 && srcOf(insn) != BPF_PSEUDO_CALL) {
            run.frame = frame;
            const result = callHelper(immOf(insn), slot, reg(window, 1), reg(window, 2), reg(window, 3), reg(window, 4), reg(window, 5));
            if (run.fault != 0) return 0;
            if (immOf(insn) == BPF_FUNC_TAIL_CALL && run.tail != 0) {
              run.tail = 0;
              return run.result;
            }
            setReg(window, 0, result);
          } else {
            let target: u32;
            if (code == 0x85) {
              target = slot + 1 + immOf(insn);
            } else {
              target = funcSlot(reg(window, dst));
              if (target == u32.MAX_VALUE) {
                fault(FAULT_CALL, slot, reg(window, dst));
                return 0;
              }
            }
            setReg(window, 0, interpret(target, reg(window, 1), reg(window, 2), reg(window, 3), reg(window, 4), reg(window, 5), frame - FRAME_BYTES));
            if (run.fault != 0) return 0;
          }
        } else if (code == 0xe5) {
          jumps = ++mayGotos > MAX_MAY_GOTO;
        } else {
          jumps = code == 0x05 || code == 0x06 || isTaken(insn, window);
        }
        if (jumps) {
          const target = targetOf(insn, slot);
          if (target <= <i32>slot && --run.budget < 0) {
            fault(FAULT_BUDGET, slot, 0);
            return 0;
          }
          slot = target - 1;
        }
    }
  }
  fault(FAULT_INSN, prog.slots, 0);
  return 0;
}

/** The slot of the function that a pointer to one means, or u32.MAX_VALUE. */
export function funcSlot(pointer: u64): u32 {
  const prog = progAt(myRun().prog);
  const slot = pointer - 1;
  if (slot >= prog.slots) return u32.MAX_VALUE;
  return isFunc(prog.insns, prog.slots, <u32>slot) ? <u32>slot : u32.MAX_VALUE;
}

/** Whether an instruction calls, or points to, what begins at `target`. */
function isFunc(insns: u32, slots: u32, target: u32): bool {
  for (let slot: u32 = 0; slot < slots; slot++) {
    const insn = <usize>insns + INSN_BYTES * <usize>slot;
    const code = codeOf(insn);
    const isCall = code == 0x85 && srcOf(insn) == BPF_PSEUDO_CALL;
    const isPointer = code == 0x18 && srcOf(insn) == BPF_PSEUDO_FUNC;
    if ((isCall || isPointer) && slot + 1 + immOf(insn) == target) return true;
    if (code == 0x18) slot++;
  }
  return false;
}

/** What an lddw loads. */
function wide(insn: usize, slot: u32, prog: u32): u64 {
  const src = srcOf(insn);
  if (src == BPF_PSEUDO_MAP_FD) return usedMap(progAt(prog), immOf(insn));
  if (src == BPF_PSEUDO_MAP_VALUE) {
    return <u64>changetype<ArrayMap>(<usize>usedMap(progAt(prog), immOf(insn))).values + load<u32>(insn, 12);
  }
  if (src == BPF_PSEUDO_FUNC) return <u64>(slot + 1 + immOf(insn)) + 1;
  return (<u64>load<u32>(insn, 12) << 32) | <u64>load<u32>(insn, 4);
}

// @ts-ignore: decorator
@inline
function operand(insn: usize, window: usize): u64 {
  return (codeOf(insn) & 8) != 0 ? reg(window, srcOf(insn)) : <u64>(<i64>immOf(insn));
}

function loadInsn(insn: usize, slot: u32, window: usize): bool {
  const code = codeOf(insn);
  const address = reg(window, srcOf(insn)) + <u64>(<i64>offOf(insn));
  if (!progAccess(address, sizeOfAccess(code), false, slot)) return false;
  setReg(window, dstOf(insn), loaded(<usize>address, code, (code & 0xe0) == 0x80));
  return true;
}

function loaded(at: usize, code: u32, signed: bool): u64 {
  switch (sizeOfAccess(code)) {
    case 1:
      return signed ? <u64>(<i64>load<i8>(at)) : load<u8>(at);
    case 2:
      return signed ? <u64>(<i64>load<i16>(at)) : load<u16>(at);
    case 4:
      return signed ? <u64>(<i64>load<i32>(at)) : load<u32>(at);
    default:
      return load<u64>(at);
  }
}

function storeInsn(insn: usize, slot: u32, window: usize): bool {
  const code = codeOf(insn);
  const isAtomic = (code & 0xe0) == 0xc0;
  if (isAtomic && immOf(insn) == 0x100) return loadAcquire(insn, slot, window);
  const address = reg(window, dstOf(insn)) + <u64>(<i64>offOf(insn));
  const size = sizeOfAccess(code);
  if (!progAccess(address, size, true, slot)) return false;
  if (isAtomic) {
    if ((address & (size - 1)) != 0) {
      fault(FAULT_ALIGN, slot, address);
      return false;
    }
    if (immOf(insn) == 0x110) storeRelease(<usize>address, size, reg(window, srcOf(insn)));
    else if (size == 4) atomicOn<u32>(insn, <usize>address, window);
    else atomicOn<u64>(insn, <usize>address, window);
    return true;
  }
  const value = (code & 7) == 2 ? <u64>(<i64>immOf(insn)) : reg(window, srcOf(insn));
  if (size == 1) store<u8>(<usize>address, <u8>value);
  else if (size == 2) store<u16>(<usize>address, <u16>value);
  else if (size == 4) store<u32>(<usize>address, <u32>value);
  else store<u64>(<usize>address, value);
  return true;
}

function loadAcquire(insn: usize, slot: u32, window: usize): bool {
  const size = sizeOfAccess(codeOf(insn));
  const address = reg(window, srcOf(insn)) + <u64>(<i64>offOf(insn));
  if (!progAccess(address, size, false, slot)) return false;
  if ((address & (size - 1)) != 0) {
    fault(FAULT_ALIGN, slot, address);
    return false;
  }
  const at = <usize>address;
  let value: u64;
  if (size == 1) value = atomic.load<u8>(at);
  else if (size == 2) value = atomic.load<u16>(at);
  else if (size == 4) value = atomic.load<u32>(at);
  else value = atomic.load<u64>(at);
  setReg(window, dstOf(insn), value);
  return true;
}

function storeRelease(at: usize, size: u32, value: u64): void {
  if (size == 1) atomic.store<u8>(at, <u8>value);
  else if (size == 2) atomic.store<u16>(at, <u16>value);
  else if (size == 4) atomic.store<u32>(at, <u32>value);
  else atomic.store<u64>(at, value);
}

/** An atomic instruction on a word of T: what it fetches of 32 bits has zeroes above. */
function atomicOn<T>(insn: usize, at: usize, window: usize): void {
  const imm = immOf(insn);
  const src = srcOf(insn);
  const value = <T>reg(window, src);
  let was: T;
  switch (imm & ~1) {
    case 0x00:
      was = atomic.add<T>(at, value);
      break;
    case 0x40:
      was = atomic.or<T>(at, value);
      break;
    case 0x50:
      was = atomic.and<T>(at, value);
      break;
    case 0xa0:
      was = atomic.xor<T>(at, value);
      break;
    case 0xe0:
      was = atomic.xchg<T>(at, value);
      break;
    default:
      setReg(window, 0, <u64>atomic.cmpxchg<T>(at, <T>reg(window, 0), value));
      return;
  }
  if ((imm & 1) != 0) setReg(window, src, <u64>was);
}

function alu64(insn: usize, a: u64, b: u64): u64 {
  const code = codeOf(insn);
  const signed = offOf(insn) == 1;
  switch (code & 0xf0) {
    case 0x00:
      return a + b;
    case 0x10:
      return a - b;
    case 0x20:
      return a * b;
    case 0x30:
      if (b == 0) return 0;
      if (!signed) return a / b;
      // -1 has a result that WebAssembly traps on.
      return b == u64.MAX_VALUE ? 0 - a : <u64>(<i64>a / <i64>b);
    case 0x40:
      return a | b;
    case 0x50:
      return a & b;
    case 0x60:
      return a << (b & 63);
    case 0x70:
      return a >> (b & 63);
    case 0x80:
      return 0 - a;
    case 0x90:
      if (b == 0) return a;
      if (!signed) return a % b;
      return b == u64.MAX_VALUE ? 0 : <u64>(<i64>a % <i64>b);
    case 0xa0:
      return a ^ b;
    case 0xb0:
      return moved(insn, b);
    case 0xc0:
      return <u64>(<i64>a >> (b & 63));
    default:
      return swapped(a, immOf(insn));
  }
}

function alu32(insn: usize, a: u32, operand64: u64): u64 {
  const code = codeOf(insn);
  const b = <u32>operand64;
  const signed = offOf(insn) == 1;
  switch (code & 0xf0) {
    case 0x00:
      return a + b;
    case 0x10:
      return a - b;
    case 0x20:
      return a * b;
    case 0x30:
      if (b == 0) return 0;
      if (!signed) return a / b;
      return b == u32.MAX_VALUE ? <u32>(0 - a) : <u32>(<i32>a / <i32>b);
    case 0x40:
      return a | b;
    case 0x50:
      return a & b;
    case 0x60:
      return a << (b & 31);
    case 0x70:
      return a >> (b & 31);
    case 0x80:
      return <u32>(0 - a);
    case 0x90:
      if (b == 0) return a;
      if (!signed) return a % b;
      return b == u32.MAX_VALUE ? 0 : <u32>(<i32>a % <i32>b);
    case 0xa0:
      return a ^ b;
    case 0xb0:
      return <u32>moved(insn, operand64);
    case 0xc0:
      return <u32>(<i32>a >> (b & 31));
    default:
      return 0;
  }
}

/** mov and movsx: off says how many bits are extended. */
function moved(insn: usize, value: u64): u64 {
  switch (offOf(insn)) {
    case 8:
      return <u64>(<i64>(<i8>value));
    case 16:
      return <u64>(<i64>(<i16>value));
    case 32:
      return <u64>(<i64>(<i32>value));
    default:
      return value;
  }
}

function swapped(value: u64, bits: i32): u64 {
  if (bits == 16) return bswap<u16>(<u16>value);
  return bits == 32 ? <u64>bswap<u32>(<u32>value) : bswap<u64>(value);
}

/** le and be of the 32-bit class: this machine is little endian. */
function ended(insn: usize, value: u64): u64 {
  const bits = immOf(insn);
  if ((codeOf(insn) & 8) != 0) return swapped(value, bits);
  return bits == 16 ? value & 0xffff : bits == 32 ? value & 0xffffffff : value;
}

function isTaken(insn: usize, window: usize): bool {
  const code = codeOf(insn);
  const a = reg(window, dstOf(insn));
  const b = operand(insn, window);
  if ((code & 7) == 5) return isTrue(code & 0xf0, a, b, <i64>a, <i64>b);
  return isTrue(code & 0xf0, <u32>a, <u32>b, <i32>a, <i32>b);
}

function isTrue(op: u32, a: u64, b: u64, signedA: i64, signedB: i64): bool {
  switch (op) {
    case 0x10:
      return a == b;
    case 0x20:
      return a > b;
    case 0x30:
      return a >= b;
    case 0x40:
      return (a & b) != 0;
    case 0x50:
      return a != b;
    case 0x60:
      return signedA > signedB;
    case 0x70:
      return signedA >= signedB;
    case 0xa0:
      return a < b;
    case 0xb0:
      return a <= b;
    case 0xc0:
      return signedA < signedB;
    default:
      return signedA <= signedB;
  }
}

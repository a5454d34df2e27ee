/**
 * A machine for compiled programs without an engine: a memory with a Run, frames, a context, a packet and maps, and what programs import.
 * And the plainest interpreter there could be, on a memory of the same layout: the oracle.
 */
import { compileProgram } from "../../src/kernels/embedded/compiler/compile.js";
import { type Insn, encodeInsns, imm64Of, slotsOf } from "../../src/insn/insn.js";

const RUN = 4096;
const FRAMES = 8192;
const TOP = FRAMES + 8 * 512;
export const CTX = 16384;
const CTX_BYTES = 64;
export const PACKET = 20480;
export const PACKET_BYTES = 100;
/** Of the first map, an ARRAY; and where its values are. */
const MAP = 24576;
const VALUES = 28672;
export const VALUE_SIZE = 1024;
const MAX_ENTRIES = 4;
const BYTES = 65536;

export const BUDGET = 10_000n;
const XDP = 6;
const SYSCALL = 31;

/** What came of a run. */
export interface Outcome {
  readonly r0: bigint;
  readonly fault: number;
  readonly faultInsn: number;
  /** The map's values. */
  readonly values: string;
}

function freshMemory(memory: ArrayBufferLike, withPacket: boolean): DataView {
  const view = new DataView(memory);
  view.setBigInt64(RUN + 8, BUDGET, true);
  view.setUint32(RUN + 28, TOP, true);
  view.setUint32(RUN + 32, CTX, true);
  view.setUint32(RUN + 36, CTX_BYTES, true);
  view.setUint32(RUN + 60, FRAMES, true);
  view.setUint32(RUN + 64, TOP, true);
  for (let i = 0; i < CTX_BYTES; i++) view.setUint8(CTX + i, i + 1);
  for (let i = 0; i < 256; i++) view.setUint8(VALUES + i, (i * 37) & 255);
  if (withPacket) {
    view.setUint32(RUN + 40, PACKET, true);
    view.setUint32(RUN + 44, PACKET + PACKET_BYTES, true);
    for (let i = 0; i < PACKET_BYTES; i++) view.setUint8(PACKET + i, 255 - i);
    view.setUint32(CTX, PACKET, true);
    view.setUint32(CTX + 4, PACKET + PACKET_BYTES, true);
    view.setUint32(CTX + 8, PACKET, true);
  }
  return view;
}

/** Whether a program may access memory, by the layout. */
function mayAccess(address: bigint, size: number, isWrite: boolean, withPacket: boolean): boolean {
  const within = (start: number, bytes: number): boolean =>
    address >= BigInt(start) && address + BigInt(size) <= BigInt(start + bytes);
  if (within(FRAMES, TOP - FRAMES)) return true;
  if (!isWrite && within(CTX, CTX_BYTES)) return true;
  if (withPacket && within(PACKET, PACKET_BYTES)) return true;
  for (let i = 0; i < MAX_ENTRIES; i++) if (within(VALUES + i * VALUE_SIZE, VALUE_SIZE)) return true;
  return false;
}

const lookup = (view: DataView, key: number): bigint => {
  const index = view.getUint32(key, true);
  return index < MAX_ENTRIES ? BigInt(VALUES + index * VALUE_SIZE) : 0n;
};

const hex = (view: DataView): string =>
  Buffer.from(new Uint8Array(view.buffer, VALUES, MAX_ENTRIES * VALUE_SIZE)).toString("hex");

/** Compiles a program and runs it. `withPacket`: as of type xdp. */
export function runCompiled(insns: readonly Insn[], withPacket = false): Outcome {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const view = freshMemory(memory.buffer, withPacket);
  const map = { address: MAP, type: 2, keySize: 4, valueSize: VALUE_SIZE, maxEntries: MAX_ENTRIES, flags: 0 };
  const bytes = compileProgram({
    insns: encodeInsns(insns),
    maps: [{ ...map, values: VALUES, slotSize: VALUE_SIZE }],
    type: withPacket ? XDP : SYSCALL,
    address: 0,
    paramsOf: () => undefined,
    run: RUN,
  });
  const progFault = (kind: number, insn: number): void => {
    view.setUint32(RUN + 4, kind, true);
    view.setUint32(RUN + 24, insn, true);
  };
  const k = {
    progFault,
    progAccess: (address: bigint, size: number, isWrite: number, insn: number): number => {
      if (mayAccess(BigInt.asUintN(64, address), size, isWrite !== 0, withPacket)) return 1;
      progFault(1, insn);
      return 0;
    },
    progHelper: (id: number, insn: number, r1: bigint, r2: bigint): bigint => {
      const result = helper(view, id, BigInt.asUintN(64, r1), BigInt.asUintN(64, r2), withPacket);
      if (result === undefined) progFault(5, insn);
      return result ?? 0n;
    },
    findElem: () => 0,
    findHash4: () => 0,
    findHash8: () => 0,
    findHash: () => 0,
    findPerCpu: () => 0,
    nextElem: () => 0n,
    takeScratch: () => 0,
    endScratch: () => undefined,
    tailTarget: () => 0,
    table: new WebAssembly.Table({ initial: 0, element: "anyfunc" }),
  };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory }, k });
  const { run } = instance.exports as { run(r1: bigint): bigint };
  const r0 = BigInt.asUintN(64, run(BigInt(CTX)));
  const [fault, faultInsn] = [view.getUint32(RUN + 4, true), view.getUint32(RUN + 24, true)];
  return { r0: fault === 0 ? r0 : 0n, fault, faultInsn, values: hex(view) };
}

function helper(view: DataView, id: number, r1: bigint, r2: bigint, withPacket: boolean): bigint | undefined {
  if (id === 7) return 12345n;
  if (id !== 1 || r1 !== BigInt(MAP) || !mayAccess(r2, 4, false, withPacket)) return undefined;
  return lookup(view, Number(r2));
}

class Fault extends Error {
  readonly kind: number;

  constructor(kind: number) {
    super(`fault ${kind}`);
    this.kind = kind;
  }
}

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s = (value: bigint, bits: number): bigint => BigInt.asIntN(bits, value);

/** The oracle. */
export function runReference(insns: readonly Insn[], withPacket = false): Outcome {
  const view = freshMemory(new ArrayBuffer(BYTES), withPacket);
  const bySlot: (Insn | undefined)[] = Array.from({ length: slotsOf(insns) });
  let slot = 0;
  for (const insn of insns) {
    bySlot[slot] = insn;
    slot += insn.opcode.slots;
  }
  let budget = BUDGET;
  let at = 0;

  const check = (address: bigint, size: number, isWrite: boolean): number => {
    if (!mayAccess(address, size, isWrite, withPacket)) throw new Fault(1);
    return Number(address);
  };
  const load = (address: bigint, size: number): bigint => {
    const from = check(address, size, false);
    return [1, 2, 4, 8].includes(size) ? bytesAt(view, from, size) : 0n;
  };
  const store = (address: bigint, size: number, value: bigint): void => {
    const to = check(address, size, true);
    for (let i = 0; i < size; i++) view.setUint8(to + i, Number((value >> BigInt(8 * i)) & 255n));
  };

  const call = (start: number, args: readonly bigint[], frame: number): bigint => {
    if (frame - 512 < FRAMES) {
      at = start;
      throw new Fault(4);
    }
    new Uint8Array(view.buffer, frame - 512, 512).fill(0);
    const r = [0n, ...args, 0n, 0n, 0n, 0n, BigInt(frame)];
    let rounds = 8_388_608;
    let pc = start;
    for (;;) {
      at = pc;
      const insn = bySlot[pc];
      if (insn === undefined) throw new Fault(8);
      const { opcode, dst, src, off, imm } = insn;
      const { form, op, is64, size } = opcode;
      pc += opcode.slots;
      const operand = opcode.from === "reg" ? r[src]! : u64(BigInt(imm));
      const jump = (by: number): void => {
        if (by < 0 && --budget < 0n) throw new Fault(3);
        pc += by;
      };
      switch (form) {
        case "alu":
          r[dst] = arithmetic(op, is64 ? 64 : 32, r[dst]!, operand);
          break;
        case "movsx":
          r[dst] = BigInt.asUintN(is64 ? 64 : 32, s(r[src]!, 8 * size));
          break;
        case "end":
          r[dst] = op === "le" ? BigInt.asUintN(8 * size, r[dst]!) : swapped(r[dst]!, size);
          break;
        case "lddw":
          if (op === "imm64") r[dst] = u64(imm64Of(insn));
          else if (op === "map_fd") r[dst] = BigInt(MAP);
          else if (op === "map_value") r[dst] = BigInt(VALUES + insn.next);
          else if (op === "func") r[dst] = BigInt(pc - 1 + imm + 1);
          else throw new Fault(8);
          break;
        case "load": {
          const value = load(u64(r[src]! + BigInt(off)), size);
          r[dst] = op === "loadsx" ? u64(s(value, 8 * size)) : value;
          break;
        }
        case "store":
          store(u64(r[dst]! + BigInt(off)), size, operand);
          break;
        case "atomic":
          atomic(insn, r, load, store);
          break;
        case "jump": {
          const by = op === "ja" && opcode.code === 6 ? imm : off;
          if (op === "ja") jump(by);
          else if (op === "may_goto") {
            if (rounds-- === 0) jump(by);
          } else if (compare(op, is64 ? 64 : 32, r[dst]!, operand)) jump(by);
          break;
        }
        case "call": {
          const given = r.slice(1, 6);
          if (op === "helper") {
            const result = helper(view, imm, r[1]!, r[2]!, withPacket);
            if (result === undefined) throw new Fault(5);
            r[0] = result;
          } else if (op === "local") {
            r[0] = call(pc + imm, given, frame - 512);
          } else if (op === "callx") {
            const target = Number(r[dst]! - 1n);
            if (!pointedIn(insns).has(target)) throw new Fault(6);
            r[0] = call(target, given, frame - 512);
          } else {
            throw new Fault(8);
          }
          break;
        }
        case "exit":
          return r[0]!;
        default:
          throw new Fault(8);
      }
    }
  };

  try {
    const r0 = call(0, [BigInt(CTX), 0n, 0n, 0n, 0n], TOP);
    return { r0, fault: 0, faultInsn: 0, values: hex(view) };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { r0: 0n, fault: error.kind, faultInsn: at, values: hex(view) };
  }
}

/** Slots at which functions begin that have a pointer. */
function pointedIn(insns: readonly Insn[]): Set<number> {
  const starts = new Set<number>();
  let slot = 0;
  for (const { opcode, imm } of insns) {
    if (opcode.op === "func") starts.add(slot + 1 + imm);
    slot += opcode.slots;
  }
  return starts;
}

function bytesAt(view: DataView, from: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(from + i));
  return value;
}

function swapped(value: bigint, size: number): bigint {
  let result = 0n;
  for (let i = 0; i < size; i++) result = (result << 8n) | ((value >> BigInt(8 * i)) & 255n);
  return result;
}

function arithmetic(op: string, bits: number, dst: bigint, src: bigint): bigint {
  const [a, b] = [BigInt.asUintN(bits, dst), BigInt.asUintN(bits, src)];
  const [sa, sb] = [s(a, bits), s(b, bits)];
  const shift = b & BigInt(bits - 1);
  const results: Readonly<Record<string, () => bigint>> = {
    mov: () => b,
    add: () => a + b,
    sub: () => a - b,
    mul: () => a * b,
    or: () => a | b,
    and: () => a & b,
    xor: () => a ^ b,
    lsh: () => a << shift,
    rsh: () => a >> shift,
    arsh: () => sa >> shift,
    neg: () => -a,
    div: () => (b === 0n ? 0n : a / b),
    mod: () => (b === 0n ? a : a % b),
    sdiv: () => (b === 0n ? 0n : sa / sb),
    smod: () => (b === 0n ? a : sa % sb),
  };
  return BigInt.asUintN(bits, results[op]!());
}

function compare(op: string, bits: number, dst: bigint, src: bigint): boolean {
  const [a, b] = [BigInt.asUintN(bits, dst), BigInt.asUintN(bits, src)];
  const [sa, sb] = [s(a, bits), s(b, bits)];
  const results: Readonly<Record<string, boolean>> = {
    jeq: a === b,
    jne: a !== b,
    jgt: a > b,
    jge: a >= b,
    jlt: a < b,
    jle: a <= b,
    jset: (a & b) !== 0n,
    jsgt: sa > sb,
    jsge: sa >= sb,
    jslt: sa < sb,
    jsle: sa <= sb,
  };
  return results[op]!;
}

function atomic(
  { opcode, dst, src, off }: Insn,
  r: bigint[],
  load: (address: bigint, size: number) => bigint,
  store: (address: bigint, size: number, value: bigint) => void,
): void {
  const { op, size } = opcode;
  const bits = 8 * size;
  const address = u64(r[op === "load_acquire" ? src : dst]! + BigInt(off));
  const align = (): void => {
    if (address % BigInt(size) !== 0n) throw new Fault(7);
  };
  if (op === "load_acquire") {
    const value = load(address, size);
    align();
    r[dst] = value;
    return;
  }
  const value = BigInt.asUintN(bits, r[src]!);
  const old = op === "store_release" ? 0n : load(address, size);
  // What cannot be written faults as that first.
  store(address, size, op === "store_release" ? 0n : old);
  align();
  if (op === "store_release") return store(address, size, value);
  if (op === "cmpxchg") {
    if (old === BigInt.asUintN(bits, r[0]!)) store(address, size, value);
    r[0] = old;
    return;
  }
  const name = op.replace("fetch_", "");
  store(address, size, name === "xchg" ? value : arithmetic(name, bits, old, value));
  if (op !== name || op === "xchg") r[src] = old;
}

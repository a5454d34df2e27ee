/**
 * The code of one function: what its blocks hold becomes instructions, with each access to memory proven or checked.
 */
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from "../../../uapi/bpf.js";
import type { Insn } from "../../../insn/insn.js";
import {
  BUDGET,
  COMPILED_AT,
  COMPILED_BYTES,
  COMPILED_INDEX,
  COMPILED_NUMBER,
  COMPILED_PROGS,
  END_SCRATCH,
  FAULT_ACCESS,
  FAULT_ALIGN,
  FAULT_BUDGET,
  FAULT_HELPER,
  FAULT_INSN,
  FAULT_STACK,
  FIND_ELEM,
  FIND_HASH,
  FIND_HASH4,
  FIND_HASH8,
  FIND_PER_CPU,
  FRAME_LOCAL,
  LOW,
  MAX_TAIL_CALLS,
  MAY_GOTO,
  NEXT,
  NEXT_ELEM,
  PACKET_START,
  PROG_ACCESS,
  PROG_FAULT,
  PROG_HELPER,
  PROG_NUMBER,
  PROG_TYPE,
  PROVEN_MAP,
  PROVEN_MEMORY,
  RUN_BASE,
  RUN_BUDGET,
  RUN_COMPILED,
  RUN_CTX_SIZE,
  RUN_DATA,
  RUN_DATA_END,
  RUN_FAULT,
  RUN_FAULT_INSN,
  RUN_FRAME,
  RUN_LOCKED,
  RUN_PROG,
  RUN_RESULT,
  RUN_TAIL,
  RUN_TAILS,
  TAIL_TARGET,
  TAKE_SCRATCH,
  TEMP,
  TEMP32,
  TEMP32B,
  localOf,
  roomOf,
} from "./_run.js";
import { emitAlu, emitCondition, emitEnd, emitImm64, emitMovsx, getReg, getReg32 } from "./alu.js";
import {
  ACCESS_CTX,
  ACCESS_FRAME,
  ACCESS_NULLABLE,
  ACCESS_PACKET,
  ACCESS_PROVEN,
  type Analysed,
  Analysis,
  type Callback,
  type Callees,
  HELPER_LOOKUP,
  HELPER_SPIN_UNLOCK,
  HELPER_TAIL_CALL,
  MAX_LOOPS,
  type Program,
  accessOf,
  isBackJump,
  isFree,
  keepsPacket,
} from "./analysis.js";
import { type Block, NOWHERE } from "./cfg.js";
import { writeGraph } from "./structure.js";
import { FRAME_BYTES, KIND_FRAME, KIND_OUTER, KIND_VALUE, type State, type Value } from "./values.js";
import { Code, type Label, atomic, op } from "./wasm.js";
import { E2BIG, EINVAL } from "../../../uapi/errno.js";

const FRAMES_BYTES = 8 * FRAME_BYTES;
const MAY_GOTO_ROUNDS = 8_388_608;
const PACKET_SIZES = [1, 2, 4, 8] as const;

const LOADS: Readonly<Record<number, number>> = { 1: op.i64Load8U, 2: op.i64Load16U, 4: op.i64Load32U, 8: op.i64Load };
const LOADS_SIGNED: Readonly<Record<number, number>> = { 1: op.i64Load8S, 2: op.i64Load16S, 4: op.i64Load32S };
const STORES: Readonly<Record<number, number>> = {
  1: op.i64Store8,
  2: op.i64Store16,
  4: op.i64Store32,
  8: op.i64Store,
};
const ACQUIRES: Readonly<Record<number, number>> = {
  1: atomic.i64Load8U,
  2: atomic.i64Load16U,
  4: atomic.i64Load32U,
  8: atomic.i64Load,
};
const RELEASES: Readonly<Record<number, number>> = {
  1: atomic.i64Store8,
  2: atomic.i64Store16,
  4: atomic.i64Store32,
  8: atomic.i64Store,
};
const ATOMICS: Readonly<Record<string, readonly [number, number]>> = {
  add: [atomic.i32Add, atomic.i64Add],
  or: [atomic.i32Or, atomic.i64Or],
  and: [atomic.i32And, atomic.i64And],
  xor: [atomic.i32Xor, atomic.i64Xor],
  xchg: [atomic.i32Xchg, atomic.i64Xchg],
  cmpxchg: [atomic.i32Cmpxchg, atomic.i64Cmpxchg],
};
const HASHES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
]);
const log2 = (size: number): number => 31 - Math.clz32(size);

/** What a function's code refers to. */
export interface Surroundings {
  readonly program: Program;
  /** Where the program is. */
  readonly address: number;
  /** Address of Run. */
  readonly run: number;
  /** Numbers of functions by the instruction that they begin with. */
  readonly funcs: ReadonlyMap<number, number>;
  /** Helpers that are called by name: the function's number, and how many params it takes. */
  readonly helpers: ReadonlyMap<number, { readonly func: number; readonly params: number }>;
  /** The number of the one that calls by pointer. */
  readonly dispatch: number;
  /** The number of the one that looks after accesses that are not in the packet. */
  readonly offPacket: number;
  /** Functions that have a pointer. */
  readonly pointed: ReadonlySet<number>;
  /** Whether main is called like any other function. */
  readonly mainIsCalled: boolean;
  readonly callees: Callees;
  readonly hasTailCalls: boolean;
  /** Whether the program takes locks: with one held it may call no helper. */
  readonly mayLock: boolean;
}

/** Where memory is accessed: what is put on the stack before, and the offset that comes with the instruction. */
interface Place {
  readonly push: () => void;
  readonly offset: number;
}

/** A pointer and an offset, and what is known of it. */
interface Target {
  readonly reg: number;
  readonly off: number;
  readonly size: number;
  readonly isWrite: boolean;
}

export class FunctionCode {
  readonly code: Code = new Code();
  readonly #around: Surroundings;
  readonly #analysed: Analysed;
  readonly #analysis: Analysis;
  readonly #callbacks: ReadonlyMap<number, number>;
  readonly #isMain: boolean;
  readonly #fault: Label;
  #state: State;
  /** The lookup that the block's jump tests, if that is the last thing before it. */
  #fused: (() => void) | undefined;

  /**
   * `isMain`: takes its frame from Run; others look whether there is room for one. `callbacks`: the numbers of functions that helpers call
   * back, by the calls of the helpers.
   */
  constructor(around: Surroundings, analysed: Analysed, isMain: boolean, callbacks: ReadonlyMap<number, number>) {
    this.#around = around;
    this.#analysed = analysed;
    this.#callbacks = callbacks;
    this.#isMain = isMain;
    this.#analysis = new Analysis(around.program, analysed.facts, around.callees);
    this.#state = analysed.states[0]!;
    this.#fault = this.code.open(op.block);
    this.#begin(isMain);
    writeGraph(analysed.graph, this);
    this.code.end().i64(0);
  }

  #begin(isMain: boolean): void {
    const { code } = this;
    const { run } = this.#around;
    const { unwritten, countsBudget } = this.#analysed.facts;
    const { insns } = this.#around.program.listing;
    if (isMain) code.i32(run).access(op.i32Load, RUN_FRAME).set(FRAME_LOCAL);
    code.get(FRAME_LOCAL).i32(FRAME_BYTES).op(op.i32Sub).set(LOW);
    if (!isMain) {
      const first = this.#analysed.graph.blocks[0]!.start;
      code.get(LOW).i32(run).access(op.i32Load, RUN_BASE).op(op.i32LtU);
      this.#faultIf(FAULT_STACK, first, () => code.get(FRAME_LOCAL).op(op.i64ExtendI32U));
    }
    for (let at = 0; at < FRAME_BYTES; at += 16) {
      const bits = unwritten[at >> 7]! >>> ((at >> 2) & 31);
      if ((bits & 15) !== 0) code.get(LOW).zero16(at);
    }
    if (countsBudget) this.#loadBudget();
    this.#loadPacket();
    if (this.#analysed.graph.blocks.some(({ end }) => end > 0 && insns[end - 1]!.opcode.op === "may_goto")) {
      code.i32(MAY_GOTO_ROUNDS).set(MAY_GOTO);
    }
  }

  // What writeGraph asks for.

  body(b: number): void {
    const { start, end, taken, next } = this.#analysed.graph.blocks[b]!;
    this.#state = this.#analysed.states[b]!.copy();
    this.#fused = undefined;
    const { insns } = this.#around.program.listing;
    if (start === NOWHERE) return this.#stop(FAULT_INSN, insns.length);
    for (let i = start; i < end; i++) {
      const insn = insns[i]!;
      if (insn.opcode.form !== "jump") {
        if (insn.opcode.form === "call" && i === end - 2 && taken !== undefined && next !== undefined) {
          if (this.#fuseLookup(i, insns[end - 1]!)) {
            this.#analysis.step(this.#state, i);
            continue;
          }
        }
        this.#write(i, insn);
      }
      this.#analysis.step(this.#state, i);
    }
    if (taken === undefined && next === undefined && insns[end - 1]!.opcode.form !== "exit") {
      this.#stop(FAULT_INSN, end);
    }
  }

  condition({ end }: Block): void {
    if (this.#fused !== undefined) return this.#fused();
    const insn = this.#around.program.listing.insns[end - 1]!;
    if (insn.opcode.op !== "may_goto") return emitCondition(this.code, insn);
    // Taken when none are left.
    this.code.get(MAY_GOTO).i32(1).op(op.i32Sub).tee(MAY_GOTO).i32(0).op(op.i32LtS);
    return undefined;
  }

  cost({ end }: Block, write: boolean): boolean {
    const insn = this.#around.program.listing.insns[end - 1]!;
    if (!isBackJump(insn)) return false;
    if (write) {
      const { code } = this;
      code.get(BUDGET).i64(1).op(op.i64Sub).tee(BUDGET).i64(0).op(op.i64LtS);
      this.#faultIf(FAULT_BUDGET, end - 1, () => code.i64(0));
    }
    return true;
  }

  // Instructions.

  #write(i: number, insn: Insn): void {
    const { code } = this;
    switch (insn.opcode.form) {
      case "alu":
        return this.#changes(i, insn.dst) ? emitAlu(code, insn) : undefined;
      case "end":
        return this.#changes(i, insn.dst) ? emitEnd(code, insn) : undefined;
      case "movsx":
        return this.#changes(i, insn.dst) ? emitMovsx(code, insn) : undefined;
      case "cast":
        return this.#stop(FAULT_INSN, i);
      case "lddw":
        return this.#changes(i, insn.dst) ? this.#lddw(i, insn) : undefined;
      case "load":
        return this.#changes(i, insn.dst) ? this.#load(i, insn) : undefined;
      case "store":
        return this.#store(i, insn, STORES[insn.opcode.size]!);
      case "atomic":
        return this.#atomic(i, insn);
      case "call":
        return this.#call(i, insn);
      default:
        return this.#exit();
    }
  }

  /** r10 is for reading only. */
  #changes(i: number, reg: number): boolean {
    if (reg !== 10) return true;
    this.#stop(FAULT_INSN, i);
    return false;
  }

  #exit(): void {
    if (this.#analysed.facts.countsBudget) this.#storeBudget();
    this.code.get(localOf(0)).op(op.return);
  }

  #lddw(i: number, insn: Insn): void {
    const { code } = this;
    const { program } = this.#around;
    const map = program.maps[insn.imm];
    switch (insn.opcode.op) {
      case "imm64":
        return emitImm64(code, insn);
      case "func":
        code.i64(BigInt(program.listing.slots[i]! + 1 + insn.imm + 1)).set(localOf(insn.dst));
        return undefined;
      case "map_fd":
      case "map_idx":
        if (map === undefined) break;
        code.i64(BigInt(map.address)).set(localOf(insn.dst));
        return undefined;
      case "map_value":
      case "map_idx_value":
        if (map?.values === undefined) break;
        code.i64(BigInt(map.values + (insn.next >>> 0))).set(localOf(insn.dst));
        return undefined;
      default:
    }
    return this.#stop(FAULT_INSN, i);
  }

  #load(i: number, { opcode, dst, src, off }: Insn): void {
    const place = this.#place(i, { reg: src, off, size: opcode.size, isWrite: false });
    place.push();
    this.code.access((opcode.op === "loadsx" ? LOADS_SIGNED : LOADS)[opcode.size]!, place.offset).set(localOf(dst));
  }

  #store(i: number, { opcode, dst, src, off, imm }: Insn, instruction: number): void {
    const place = this.#place(i, { reg: dst, off, size: opcode.size, isWrite: true });
    place.push();
    if (opcode.from === "imm") this.code.i64(imm);
    else getReg(this.code, src);
    this.code.access(instruction, place.offset);
  }

  #atomic(i: number, insn: Insn): void {
    const { code } = this;
    const { opcode, dst, src, off } = insn;
    const { op: name, size } = opcode;
    if (name === "load_acquire") {
      if (!this.#changes(i, dst)) return;
      const place = this.#aligned(i, { reg: src, off, size, isWrite: false });
      place.push();
      code.atomic(ACQUIRES[size]!, log2(size), place.offset).set(localOf(dst));
      return;
    }
    const isFetch = name === "xchg" || name.startsWith("fetch");
    if (isFetch && !this.#changes(i, src)) return;
    const place = this.#aligned(i, { reg: dst, off, size, isWrite: true });
    place.push();
    if (name === "store_release") {
      getReg(code, src);
      code.atomic(RELEASES[size]!, log2(size), place.offset);
      return;
    }
    const is64 = size === 8;
    const get = is64 ? getReg : getReg32;
    if (name === "cmpxchg") get(code, 0);
    get(code, src);
    code.atomic(ATOMICS[name.replace("fetch_", "")]![is64 ? 1 : 0], log2(size), place.offset);
    const result = name === "cmpxchg" ? 0 : isFetch ? src : -1;
    if (result < 0) {
      code.op(op.drop);
    } else {
      if (!is64) code.op(op.i64ExtendI32U);
      code.set(localOf(result));
    }
  }

  // Memory.

  /** Sees to it that an access is allowed: writes what checks it, unless it is proven. */
  #place(i: number, { reg, off, size, isWrite }: Target): Place {
    const { code } = this;
    const at = this.#state.reg(reg);
    switch (accessOf(this.#around.program, at, off, size, isWrite)) {
      case ACCESS_FRAME:
        if (at.min === at.max) return { push: () => void code.get(LOW), offset: FRAME_BYTES + at.min + off };
        return this.#plain(reg, off);
      case ACCESS_PROVEN:
        return this.#plain(reg, off);
      case ACCESS_NULLABLE:
        getReg(code, reg);
        code.op(op.i64Eqz);
        this.#faultIf(FAULT_ACCESS, i, () => code.i64(off));
        return this.#plain(reg, off);
      case ACCESS_CTX:
        code
          .i32(this.#around.run)
          .access(op.i32Load, RUN_CTX_SIZE)
          .i32(at.min + off + size)
          .op(op.i32LtU);
        code.open(op.if);
        this.#address(reg, off);
        code.set(TEMP);
        this.#check(i, size, isWrite);
        code.end();
        return this.#plain(reg, off);
      case ACCESS_PACKET:
        this.#address(reg, off);
        code.tee(TEMP).get(PACKET_START).op(op.i64Sub).get(roomOf(size)).op(op.i64GeU);
        code.open(op.if);
        code
          .get(TEMP)
          .i32(size)
          .i32(isWrite ? 1 : 0)
          .i32(this.#slot(i))
          .call(this.#around.offPacket);
        code.op(op.i32Eqz).brIf(this.#fault);
        code.end();
        return this.#atTemp();
      default:
        // Most are pointers to callers' frames.
        this.#address(reg, off);
        code.tee(TEMP).i32(this.#around.run).access(op.i64Load32U, RUN_BASE).op(op.i64Sub);
        code
          .i64(FRAMES_BYTES - size)
          .op(op.i64GtU)
          .open(op.if);
        this.#check(i, size, isWrite);
        code.end();
        return this.#atTemp();
    }
  }

  /** The same, of atomic instructions: WebAssembly traps where the address is not aligned. */
  #aligned(i: number, target: Target): Place {
    const { code } = this;
    const place = this.#place(i, target);
    if (target.size > 1 && !this.#isAligned(target)) {
      place.push();
      if (place.offset !== 0) code.i32(place.offset).op(op.i32Add);
      code
        .tee(TEMP32)
        .i32(target.size - 1)
        .op(op.i32And);
      this.#faultIf(FAULT_ALIGN, i, () => code.get(TEMP32).op(op.i64ExtendI32U));
    }
    return place;
  }

  #isAligned({ reg, off, size }: Target): boolean {
    const at = this.#state.reg(reg);
    if (at.min !== at.max || (at.min + off) % size !== 0) return false;
    if (at.kind === KIND_FRAME || at.kind === KIND_OUTER) return true;
    if (at.kind !== KIND_VALUE) return false;
    const { values, slotSize } = this.#around.program.maps[at.map]!;
    return values !== undefined && slotSize !== undefined && values % size === 0 && slotSize % size === 0;
  }

  #plain(reg: number, off: number): Place {
    const { code } = this;
    const push = (): void => {
      getReg32(code, reg);
      if (off < 0) code.i32(off).op(op.i32Add);
    };
    return { push, offset: Math.max(off, 0) };
  }

  #atTemp(): Place {
    return { push: () => void this.code.get(TEMP).op(op.i32WrapI64), offset: 0 };
  }

  #address(reg: number, off: number): void {
    getReg(this.code, reg);
    if (off !== 0) this.code.i64(off).op(op.i64Add);
  }

  /** Asks the engine whether the address in TEMP may be accessed. */
  #check(i: number, size: number, isWrite: boolean): void {
    const { code } = this;
    code
      .get(TEMP)
      .i32(size)
      .i32(isWrite ? 1 : 0)
      .i32(this.#slot(i))
      .call(PROG_ACCESS);
    code.op(op.i32Eqz).brIf(this.#fault);
  }

  // Faults, and what Run holds.

  #slot(i: number): number {
    const { slots, indexes } = this.#around.program.listing;
    return slots[i] ?? indexes.length;
  }

  #faultIf(kind: number, i: number, address: () => void): void {
    const { code } = this;
    code.open(op.if);
    code.i32(kind).i32(this.#slot(i));
    address();
    code.call(PROG_FAULT).br(this.#fault).end();
  }

  /** What cannot run. */
  #stop(kind: number, i: number): void {
    this.code.i32(kind).i32(this.#slot(i)).i64(0).call(PROG_FAULT).br(this.#fault);
  }

  #loadBudget(): void {
    this.code.i32(this.#around.run).access(op.i64Load, RUN_BUDGET).set(BUDGET);
  }

  #storeBudget(): void {
    this.code.i32(this.#around.run).get(BUDGET).access(op.i64Store, RUN_BUDGET);
  }

  #loadPacket(): void {
    const { code } = this;
    const { run } = this.#around;
    const { packetSizes } = this.#analysed.facts;
    if (packetSizes === 0) return;
    code.i32(run).access(op.i64Load32U, RUN_DATA).set(PACKET_START);
    for (const size of PACKET_SIZES) {
      if ((packetSizes & size) === 0) continue;
      // dataEnd - data - size + 1, or 0 if that is less.
      code.i32(run).access(op.i64Load32U, RUN_DATA_END).get(PACKET_START).op(op.i64Sub);
      code
        .i64(size - 1)
        .op(op.i64Sub)
        .tee(TEMP);
      code.get(TEMP).i64(63).op(op.i64ShrS).i64(-1).op(op.i64Xor, op.i64And).set(roomOf(size));
    }
  }

  #returnOnFault(): void {
    this.code.i32(this.#around.run).access(op.i32Load, RUN_FAULT).brIf(this.#fault);
  }

  // Calls.

  #call(i: number, insn: Insn): void {
    const { code } = this;
    const { facts } = this.#analysed;
    const { op: name } = insn.opcode;
    if (name === "kfunc") return this.#stop(FAULT_INSN, i);
    if (name === "helper" && insn.imm === HELPER_LOOKUP && this.#lookup(i)) return undefined;
    if (this.#callBack(i, insn) || this.#tailCall(i, insn)) return undefined;
    const callee = this.#analysis.calleeAt(this.#state, i);
    const countsOn = facts.countsBudget && (callee?.usesBudget ?? !isFree(insn));
    if (countsOn) this.#storeBudget();
    if (name === "helper") {
      if (this.#callHelper(i, insn)) return undefined;
    } else {
      const func =
        name === "local"
          ? this.#around.funcs.get(this.#around.program.listing.indexes[this.#slot(i) + 1 + insn.imm] ?? NOWHERE)
          : this.#around.dispatch;
      if (func === undefined) return this.#stop(FAULT_INSN, i);
      if (name === "callx") {
        getReg(code, insn.dst);
        code.i32(this.#slot(i));
      }
      for (let reg = 1; reg <= 5; reg++) code.get(localOf(reg));
      code.get(LOW).call(func);
    }
    code.set(localOf(0));
    this.#returnOnFault();
    if (name === "helper" && insn.imm === HELPER_TAIL_CALL) this.#returnIfTaken();
    if (countsOn) this.#loadBudget();
    if (!keepsPacket(insn) && (callee?.movesPacket ?? true)) this.#loadPacket();
    return undefined;
  }

  /** Calls a helper: its result is on the stack. Returns whether it is in r0, and there is no more to do. */
  #callHelper(i: number, insn: Insn): boolean {
    const { code } = this;
    const { run, helpers } = this.#around;
    const helper = helpers.get(insn.imm);
    if (insn.imm !== HELPER_SPIN_UNLOCK) this.#refuseIfLocked(i, insn);
    if (!isFree(insn)) code.i32(run).get(FRAME_LOCAL).access(op.i32Store, RUN_FRAME);
    if (helper === undefined) code.i32(insn.imm);
    const params = helper?.params ?? 6;
    const { map, memory } = this.#analysis.provenOf(this.#state, insn);
    if (params > 0) code.i32(this.#slot(i) | (map ? PROVEN_MAP : 0) | (memory ? PROVEN_MEMORY : 0));
    for (let reg = 1; reg < params; reg++) code.get(localOf(reg));
    code.call(helper?.func ?? PROG_HELPER);
    if (params === 0) code.set(localOf(0));
    return params === 0;
  }

  /** Of a tail call that the engine has made. */
  #returnIfTaken(): void {
    const { code } = this;
    const { run } = this.#around;
    code.i32(run).access(op.i32Load, RUN_TAIL).open(op.if);
    code.i32(run).i32(0).access(op.i32Store, RUN_TAIL);
    code.i32(run).access(op.i64Load, RUN_RESULT).op(op.return).end();
  }

  /**
   * A tail call by a map that is known: the program is called through the table. Where it is there stands in Run, if this thread has come to
   * it before; for the rest the engine is asked. Returns whether it was one.
   */
  #tailCall(i: number, insn: Insn): boolean {
    const map = this.#analysis.tailMapOf(this.#state, insn);
    if (map?.progs === undefined) return false;
    const { code } = this;
    const { run, program } = this.#around;
    // NEXT is for between blocks.
    const [index, prog, known] = [TEMP32, TEMP32B, NEXT];
    this.#refuseIfLocked(i, insn);
    if (this.#analysed.facts.countsBudget) this.#storeBudget();
    code.i32(run).get(FRAME_LOCAL).access(op.i32Store, RUN_FRAME);
    code.i32(run).access(op.i64Load32U, RUN_COMPILED).set(TEMP);
    const asks = code.open(op.block);
    code.get(localOf(3)).op(op.i32WrapI64).tee(index).i32(map.maxEntries).op(op.i32GeU).brIf(asks);
    code.i32(run).access(op.i32Load, RUN_TAILS).i32(MAX_TAIL_CALLS).op(op.i32GeU).brIf(asks);
    code.get(index).i32(3).op(op.i32Shl).i32(map.progs).op(op.i32Add).atomic(atomic.i32Load, 2, 0);
    code.tee(prog).op(op.i32Eqz).brIf(asks);
    code.get(prog).access(op.i32Load, PROG_TYPE).i32(program.type).op(op.i32Ne).brIf(asks);
    code.get(prog).access(op.i32Load, PROG_NUMBER).tee(index);
    code
      .i32(COMPILED_PROGS - 1)
      .op(op.i32And)
      .i32(COMPILED_BYTES)
      .op(op.i32Mul);
    code
      .i32(run + COMPILED_AT)
      .op(op.i32Add)
      .tee(known)
      .access(op.i32Load, 0)
      .get(prog)
      .op(op.i32Ne)
      .brIf(asks);
    code.get(known).access(op.i32Load, COMPILED_NUMBER).get(index).op(op.i32Ne).brIf(asks);
    code.i32(run).i32(run).access(op.i32Load, RUN_TAILS).i32(1).op(op.i32Add).access(op.i32Store, RUN_TAILS);
    code.i32(run).get(prog).access(op.i32Store, RUN_PROG);
    code.i32(run).get(known).access(op.i32Load, COMPILED_INDEX).tee(index).access(op.i32Store, RUN_COMPILED);
    this.#goOver(index);
    code.end();
    code.i32(map.address).get(localOf(3)).op(op.i32WrapI64).call(TAIL_TARGET).tee(index);
    code.i32(0).op(op.i32GtS).open(op.if);
    this.#goOver(index);
    code.end();
    this.#returnIfTaken();
    code.get(index).op(op.i64ExtendI32S).set(localOf(0));
    return true;
  }

  /** Returns what the program returns whose main function is in the table, by a local that has its index. TEMP has `compiled` of Run. */
  #goOver(index: number): void {
    const { code } = this;
    const { run, address, hasTailCalls } = this.#around;
    code.get(localOf(1)).get(index);
    if (this.#isMain && hasTailCalls) {
      code.returnCallTable();
      return;
    }
    code.callTable();
    // Functions that have called this one go on in this program.
    code.i32(run).i32(address).access(op.i32Store, RUN_PROG);
    code.i32(run).get(TEMP).op(op.i32WrapI64).access(op.i32Store, RUN_COMPILED);
    code.op(op.return);
  }

  /** With a lock held a program may call no helper. */
  #refuseIfLocked(i: number, { imm }: Insn): void {
    if (!this.#around.mayLock) return;
    this.code.i32(this.#around.run).access(op.i32Load, RUN_LOCKED);
    this.#faultIf(FAULT_HELPER, i, () => this.code.i64(imm));
  }

  /** A helper that calls a function back which is known. Returns whether it was one. */
  #callBack(i: number, insn: Insn): boolean {
    const func = this.#callbacks.get(i);
    const callback = this.#analysis.callbackOf(this.#state, insn);
    if (func === undefined || callback === undefined) return false;
    const { code } = this;
    this.#refuseIfLocked(i, insn);
    // Flags: there are none.
    code.get(localOf(4)).i64(0).op(op.i64Ne).open(op.if);
    code.i64(-EINVAL).set(localOf(0)).op(op.else);
    if (callback.map === undefined) this.#rounds(i, func, callback);
    else this.#elems(i, func, callback, callback.map);
    code.end();
    if (this.#around.callees(callback.entry)?.movesPacket ?? true) this.#loadPacket();
    return true;
  }

  /** bpf_loop: r1 times with r3. The round is in r4. */
  #rounds(i: number, func: number, callback: Callback): void {
    const { code } = this;
    const [result, count, ctx, round] = [localOf(0), localOf(1), localOf(3), localOf(4)];
    code.get(count).i64(0xffff_ffffn).op(op.i64And).tee(count).i64(MAX_LOOPS).op(op.i64GtU);
    code.open(op.if);
    code.i64(-E2BIG).set(result).op(op.else);
    code.i64(0).set(round);
    const done = code.open(op.block);
    const next = code.open(op.loop);
    code.get(round).get(count).op(op.i64GeU).brIf(done);
    this.#callOnce(i, callback, () => code.get(round).get(ctx).i64(0).i64(0).i64(0).get(LOW).call(func));
    code.get(round).i64(1).op(op.i64Add).set(round);
    code.get(result).op(op.i64Eqz).brIf(next);
    code.end().end().get(round).set(result).end();
  }

  /** bpf_for_each_map_elem. The key's address is in r2; the index, or the cursor, in r4; how many were seen in r5. */
  #elems(i: number, func: number, callback: Callback, index: number): void {
    const { code } = this;
    const { address, type, keySize, maxEntries } = this.#around.program.maps[index]!;
    const [result, key, ctx, at, seen] = [localOf(0), localOf(2), localOf(3), localOf(4), localOf(5)];
    const push32 = (local: number): Code => code.get(local).op(op.i32WrapI64);
    code.i32(keySize).call(TAKE_SCRATCH).op(op.i64ExtendI32U).tee(key).op(op.i64Eqz);
    this.#faultIf(FAULT_HELPER, i, () => code.i64(BigInt(address)));
    code.i64(0).tee(at).set(seen);
    const done = code.open(op.block);
    const next = code.open(op.loop);
    if (HASHES.has(type)) {
      // The next cursor above, the value's address below.
      push32(at);
      code.set(TEMP32).i32(address).get(TEMP32);
      push32(key).call(NEXT_ELEM).tee(TEMP).i64(32).op(op.i64ShrU).set(at);
      code.get(TEMP).i64(0xffff_ffffn).op(op.i64And).tee(TEMP).op(op.i64Eqz).brIf(done);
    } else {
      push32(at).tee(TEMP32).i32(maxEntries).op(op.i32GeU).brIf(done);
      push32(key).get(TEMP32).access(op.i32Store, 0);
      if (type === BPF_MAP_TYPE_ARRAY) this.#arrayValue(index);
      else code.i32(address).get(TEMP32).call(FIND_PER_CPU).op(op.i64ExtendI32U);
      code.set(TEMP).get(at).i64(1).op(op.i64Add).set(at);
    }
    code.get(seen).i64(1).op(op.i64Add).set(seen);
    this.#callOnce(i, callback, () => code.i64(BigInt(address)).get(key).get(TEMP).get(ctx).i64(0).get(LOW).call(func));
    code.get(result).op(op.i64Eqz).brIf(next);
    code.end().end();
    push32(key).call(END_SCRATCH);
    code.get(seen).set(result);
  }

  /** Calls a function back: that costs, and its result is in r0. */
  #callOnce(i: number, { entry }: Callback, call: () => void): void {
    const { code } = this;
    const uses = this.#around.callees(entry)?.usesBudget ?? true;
    code.get(BUDGET).i64(1).op(op.i64Sub).tee(BUDGET).i64(0).op(op.i64LtS);
    this.#faultIf(FAULT_BUDGET, i, () => code.i64(0));
    if (uses) this.#storeBudget();
    call();
    code.set(localOf(0));
    this.#returnOnFault();
    if (uses) this.#loadBudget();
  }

  /** The key's bytes: proven to be readable. */
  #keyPlace(key: Value): Place {
    if (key.kind === KIND_FRAME && key.min === key.max) {
      return { push: () => void this.code.get(LOW), offset: FRAME_BYTES + key.min };
    }
    return this.#plain(2, 0);
  }

  /** A lookup with what it needs known. Returns whether it was one. */
  #lookup(i: number): boolean {
    const { code } = this;
    const index = this.#analysis.keyIsProven(this.#state);
    if (index < 0) return false;
    const { type, keySize, address, values } = this.#around.program.maps[index]!;
    const key = this.#keyPlace(this.#state.reg(2));
    if (type === BPF_MAP_TYPE_ARRAY && values !== undefined) {
      this.#arrayIndex(index, key);
      code.op(op.if).byte(0x7e);
      this.#arrayValue(index);
      code.op(op.else).i64(0).op(op.end).set(localOf(0));
      return true;
    }
    const isAnyElem = type !== BPF_MAP_TYPE_PERCPU_ARRAY && !HASHES.has(type);
    // Where the program is, if it must not look there: with a lock held.
    if (isAnyElem) code.i32(this.#around.run).i32(this.#slot(i)).access(op.i32Store, RUN_FAULT_INSN);
    code.i32(address);
    key.push();
    if (type === BPF_MAP_TYPE_HASH && keySize === 4) {
      code.access(op.i32Load, key.offset).call(FIND_HASH4);
    } else if (type === BPF_MAP_TYPE_HASH && keySize === 8) {
      code.access(op.i64Load, key.offset).call(FIND_HASH8);
    } else if (type === BPF_MAP_TYPE_PERCPU_ARRAY) {
      code.access(op.i32Load, key.offset).call(FIND_PER_CPU);
    } else {
      if (key.offset !== 0) code.i32(key.offset).op(op.i32Add);
      code.call(isAnyElem ? FIND_ELEM : FIND_HASH);
    }
    code.op(op.i64ExtendI32U).set(localOf(0));
    return true;
  }

  /** Whether there is the index that lies at a key; it is in TEMP32 then. */
  #arrayIndex(map: number, key: Place): void {
    key.push();
    this.code.access(op.i32Load, key.offset).tee(TEMP32).i32(this.#around.program.maps[map]!.maxEntries).op(op.i32LtU);
  }

  /** The address of the value with the index in TEMP32. */
  #arrayValue(map: number): void {
    const { values, slotSize } = this.#around.program.maps[map]!;
    const { code } = this;
    code.get(TEMP32);
    const isShift = (slotSize! & (slotSize! - 1)) === 0;
    if (isShift) code.i32(31 - Math.clz32(slotSize!)).op(op.i32Shl);
    else code.i32(slotSize!).op(op.i32Mul);
    code.i32(values!).op(op.i32Add, op.i64ExtendI32U);
  }

  /** A lookup in an array whose result is tested at once: what is tested is the index. */
  #fuseLookup(i: number, jump: Insn): boolean {
    const { op: test, from } = jump.opcode;
    const insn = this.#around.program.listing.insns[i]!;
    if (insn.opcode.op !== "helper" || insn.imm !== HELPER_LOOKUP) return false;
    if ((test !== "jeq" && test !== "jne") || from !== "imm" || jump.imm !== 0 || jump.dst !== 0) return false;
    const index = this.#analysis.keyIsProven(this.#state);
    if (index < 0) return false;
    const { type, values } = this.#around.program.maps[index]!;
    if (type !== BPF_MAP_TYPE_ARRAY || values === undefined) return false;
    const key = this.#keyPlace(this.#state.reg(2));
    this.#fused = () => {
      const { code } = this;
      this.#arrayIndex(index, key);
      code.op(op.if).byte(0x7f);
      this.#arrayValue(index);
      code
        .set(localOf(0))
        .i32(test === "jne" ? 1 : 0)
        .op(op.else);
      code
        .i64(0)
        .set(localOf(0))
        .i32(test === "jne" ? 0 : 1)
        .op(op.end);
    };
    return true;
  }
}

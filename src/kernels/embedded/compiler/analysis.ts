/**
 * What holds at each block of a function: a dataflow analysis. `step` says what an instruction makes of what was known; the code generator
 * walks each block with it once more.
 */
import {
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_XDP,
} from "../../../uapi/bpf.js";
import { type Insn, imm64Of } from "../../../insn/insn.js";
import { type Graph, type Listing, NOWHERE, calleeOf } from "./cfg.js";
import { type Part, partsOf } from "./helper_memory.js";
import {
  CTX,
  FRAME_BYTES,
  KIND_CTX,
  KIND_FRAME,
  KIND_FUNC,
  KIND_KEY,
  KIND_MAP,
  KIND_OUTER,
  KIND_PACKET,
  KIND_SCALAR,
  KIND_VALUE,
  MAX_U32,
  PACKET,
  State,
  UNKNOWN,
  type Value,
  ZERO,
  funcAt,
  isConst,
  isPointer,
  join,
  keyOf,
  loaded,
  lookedUp,
  mapAt,
  moved,
  outerAt,
  scalar,
  valueOf,
  withoutLookup,
} from "./values.js";

/** What the compiler has to know of a map of the program's. */
export interface MapView {
  /** Of its head. */
  readonly address: number;
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  readonly keySize: number;
  /** Of one CPU's, where values are per CPU. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** BPF_F_*. */
  readonly flags: number;
  /** Of an ARRAY: where its values are, and how far apart. */
  readonly values?: number;
  readonly slotSize?: number;
  /** Of a PROG_ARRAY: where its elems are. */
  readonly progs?: number;
}

/** A program that is compiled. */
export interface Program {
  readonly listing: Listing;
  readonly maps: readonly MapView[];
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
}

export const HELPER_LOOKUP = 1;
export const HELPER_TAIL_CALL = 12;
export const HELPER_SPIN_LOCK = 93;
export const HELPER_SPIN_UNLOCK = 94;
const HELPER_EACH = 164;
const HELPER_LOOP = 181;
const HELPER_DRAIN = 209;
/** As Linux: rounds of bpf_loop. */
export const MAX_LOOPS: number = 2 ** 23;
/** Helpers that run more of the program, or another one: jumps back there cost too. */
const RUNNING_HELPERS: ReadonlySet<number> = new Set([HELPER_TAIL_CALL, HELPER_EACH, HELPER_LOOP, HELPER_DRAIN]);
/** Maps that a program can look up in by a key. */
const TYPES_WITH_LOOKUP: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
]);

/** Of those, where a value stays a value of the map as long as there is the map. */
const TYPES_WITH_VALUES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
]);

/** Contexts that always are there whole, and where in them are addresses of the packet. */
interface Context {
  readonly size: number;
  readonly packet: readonly number[];
}

const skBuff: Context = { size: 192, packet: [76, 80, 140] };
const CONTEXTS: Readonly<Record<number, Context>> = {
  [BPF_PROG_TYPE_XDP]: { size: 24, packet: [0, 4, 8] },
  [BPF_PROG_TYPE_SOCKET_FILTER]: skBuff,
  [BPF_PROG_TYPE_SCHED_CLS]: skBuff,
  [BPF_PROG_TYPE_SCHED_ACT]: skBuff,
};

/** How memory may be accessed. */
export const ACCESS_PROVEN = 0;
/** In this function's frame. */
export const ACCESS_FRAME = 1;
/** Proven, but for null. */
export const ACCESS_NULLABLE = 2;
/** In the context, if that is large enough. */
export const ACCESS_CTX = 3;
export const ACCESS_PACKET = 4;
export const ACCESS_CHECKED = 5;

/** How `size` bytes at a pointer plus `off` may be accessed. */
export function accessOf(program: Program, at: Value, off: number, size: number, isWrite: boolean): number {
  switch (at.kind) {
    case KIND_FRAME:
      return at.min + off >= -FRAME_BYTES && at.max + off + size <= 0 ? ACCESS_FRAME : ACCESS_CHECKED;
    case KIND_VALUE: {
      const { valueSize, flags } = program.maps[at.map]!;
      if ((flags & (isWrite ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG)) !== 0) return ACCESS_CHECKED;
      if (at.min + off < 0 || at.max + off + size > valueSize) return ACCESS_CHECKED;
      return at.isNullable ? ACCESS_NULLABLE : ACCESS_PROVEN;
    }
    case KIND_OUTER:
      return at.min + off >= -FRAME_BYTES && at.max + off + size <= 0 ? ACCESS_PROVEN : ACCESS_CHECKED;
    case KIND_KEY:
      return at.min + off >= 0 && at.max + off + size <= program.maps[at.map]!.keySize ? ACCESS_PROVEN : ACCESS_CHECKED;
    case KIND_CTX:
      if (isWrite || at.min + off < 0) return ACCESS_CHECKED;
      return at.min + off + size <= (CONTEXTS[program.type]?.size ?? 0) ? ACCESS_PROVEN : ACCESS_CTX;
    case KIND_PACKET:
      return isWrite && program.type === BPF_PROG_TYPE_SOCKET_FILTER ? ACCESS_CHECKED : ACCESS_PACKET;
    default:
      return ACCESS_CHECKED;
  }
}

/** What is found out about a function on the way. */
export class Facts {
  /** As State.written: parts of the frame that may be read before they are written. */
  readonly unwritten: Int32Array = new Int32Array(4);
  /** Whether it may read, and write, where its caller does not know of. */
  isNosy = false;
  isWild = false;
  /** Whether it may move the packet. */
  movesPacket = false;
  /** Sizes of accesses to the packet, as bits. */
  packetSizes = 0;
  /** Whether it counts down the budget itself; and whether what it calls may do so, or it. */
  countsBudget = false;
  usesBudget = false;
}

/** What is known of a function that is called. */
export type Callee = Pick<Facts, "isNosy" | "isWild" | "movesPacket" | "usesBudget">;

/** What is known of the function that begins with an instruction. */
export type Callees = (entry: number) => Callee | undefined;

/** A helper's call that calls a known function back: for each round, or for each elem of a map. */
export interface Callback {
  readonly entry: number;
  /** The map's index; undefined of bpf_loop. */
  readonly map: number | undefined;
}

/** A function with what holds where its blocks begin. */
export interface Analysed {
  readonly graph: Graph;
  readonly states: readonly State[];
  readonly facts: Facts;
}

/** Ways into a loop before its ranges are widened. */
const ROUNDS = 3;

/** Analyses a function. `entry` is what it begins with; `callees` knows the functions that it calls. */
export function analyse(program: Program, graph: Graph, entry: State, callees: Callees): Analysed {
  const { blocks } = graph;
  const { listing } = program;
  const facts = new Facts();
  const analysis = new Analysis(program, facts, callees);
  const states: (State | undefined)[] = Array.from({ length: blocks.length });
  states[0] = entry;
  const visits = new Int32Array(blocks.length);
  const isDue = new Uint8Array(blocks.length);
  isDue[0] = 1;
  let b = 0;
  while (b < blocks.length) {
    if (isDue[b] === 0) {
      b++;
      continue;
    }
    isDue[b] = 0;
    let again = b + 1;
    const { start, end, taken, next } = blocks[b]!;
    const state = states[b]!.copy();
    for (let i = start; i < end; i++) analysis.step(state, i);
    const last = end > start ? listing.insns[end - 1]! : undefined;
    for (const [to, isTaken] of [
      [taken, true],
      [next, false],
    ] as const) {
      if (to === undefined) continue;
      const onEdge = taken === next || last?.opcode.form !== "jump" ? state : refined(state, last, isTaken);
      const known = states[to];
      if (known === undefined) states[to] = onEdge.copy();
      else if (!known.mergeIn(onEdge, ++visits[to]! > ROUNDS * 2)) continue;
      isDue[to] = 1;
      if (to <= b) again = Math.min(again, to);
    }
    b = again;
  }
  return { graph, states: states as State[], facts };
}

const comparable = (insn: Insn, of: Value): [number, number] | undefined => {
  const max = insn.opcode.is64 ? Number.MAX_SAFE_INTEGER : MAX_U32;
  return of.kind === KIND_SCALAR && of.max <= max ? [of.min, of.max] : undefined;
};

const NEGATED: Readonly<Record<string, string>> = {
  jeq: "jne",
  jne: "jeq",
  jgt: "jle",
  jle: "jgt",
  jge: "jlt",
  jlt: "jge",
  jsgt: "jsle",
  jsle: "jsgt",
  jsge: "jslt",
  jslt: "jsge",
};
const MIRRORED: Readonly<Record<string, string>> = {
  jeq: "jeq",
  jne: "jne",
  jgt: "jlt",
  jlt: "jgt",
  jge: "jle",
  jle: "jge",
};

/** What is known where a conditional jump was taken or was not. */
export function refined(state: State, insn: Insn, isTaken: boolean): State {
  const { op, from } = insn.opcode;
  if (op === "ja" || op === "may_goto" || op === "jset") return state;
  const holds = isTaken ? op : NEGATED[op]!;
  const [dst, src] = [state.reg(insn.dst), from === "reg" ? state.reg(insn.src) : undefined];
  if (
    dst.kind === KIND_VALUE &&
    dst.isNullable &&
    src === undefined &&
    insn.imm === 0 &&
    (holds === "jeq" || holds === "jne")
  ) {
    // Addresses have no more than 32 bits: comparing the lower half is as good.
    const now = state.copy();
    if (dst.lookup !== 0) now.settle(dst.lookup, holds === "jeq");
    else if (holds === "jne" && insn.dst < 10) now.regs[insn.dst] = moved({ ...dst, isNullable: false }, 0, 0);
    return now;
  }
  const other =
    src ??
    (insn.imm >= 0 ? scalar(insn.imm, insn.imm) : insn.opcode.is64 ? UNKNOWN : scalar(insn.imm >>> 0, insn.imm >>> 0));
  const now = state.copy();
  narrow(now, insn, insn.dst, dst, holds, other);
  if (src !== undefined && holds in MIRRORED) narrow(now, insn, insn.src, src, MIRRORED[holds]!, dst);
  return now;
}

function narrow(state: State, insn: Insn, reg: number, of: Value, holds: string, than: Value): void {
  const bounds = comparable(insn, than);
  if (reg === 10 || isPointer(of) || bounds === undefined) return;
  const { is64 } = insn.opcode;
  let range = comparable(insn, of);
  if (range === undefined) {
    // An unsigned upper bound says something of any number, if all of it is compared.
    if (!is64 || (holds !== "jlt" && holds !== "jle" && holds !== "jeq")) return;
    range = [0, Number.MAX_SAFE_INTEGER];
  }
  let [min, max] = range;
  const [low, high] = bounds;
  const signMax = is64 ? Number.MAX_SAFE_INTEGER : MAX_U32 >>> 1;
  if (holds.startsWith("js") && (max > signMax || high > signMax)) return;
  switch (holds) {
    case "jeq":
      [min, max] = [Math.max(min, low), Math.min(max, high)];
      break;
    case "jlt":
    case "jslt":
      max = Math.min(max, high - 1);
      break;
    case "jle":
    case "jsle":
      max = Math.min(max, high);
      break;
    case "jgt":
    case "jsgt":
      min = Math.max(min, low + 1);
      break;
    case "jge":
    case "jsge":
      min = Math.max(min, low);
      break;
    default:
      return;
  }
  // Otherwise nothing gets here; what is known stays true of nothing.
  if (min <= max) state.regs[reg] = scalar(min, max);
}

/** What instructions make of what is known. */
export class Analysis {
  readonly program: Program;
  readonly facts: Facts;
  readonly #callees: Callees;

  constructor(program: Program, facts: Facts, callees: Callees) {
    this.program = program;
    this.facts = facts;
    this.#callees = callees;
  }

  step(state: State, i: number): void {
    const insn = this.program.listing.insns[i]!;
    const { opcode, dst } = insn;
    switch (opcode.form) {
      case "alu":
        return put(state, dst, alu(state, insn));
      case "end":
        return put(state, dst, loaded(opcode.size));
      case "movsx":
      case "cast":
        return put(state, dst, UNKNOWN);
      case "lddw":
        return put(state, dst, this.#lddw(i, insn));
      case "load":
        return this.#load(state, insn);
      case "store":
        return this.#store(state, insn, opcode.from === "reg" ? state.reg(insn.src) : immOf(insn.imm));
      case "atomic":
        return this.#atomic(state, insn);
      case "jump":
        if (isBackJump(insn)) this.#countBudget();
        return undefined;
      case "call":
        return this.#call(state, i, insn);
      default:
        return undefined;
    }
  }

  /** Whether r2 is a key of the map in r1 that can be read: the map's index, or -1. */
  keyIsProven(state: State): number {
    const [map, key] = [state.reg(1), state.reg(2)];
    if (map.kind !== KIND_MAP) return -1;
    const { type, keySize, flags } = this.program.maps[map.map]!;
    if (!TYPES_WITH_LOOKUP.has(type) || (flags & BPF_F_WRONLY_PROG) !== 0) return -1;
    const access = accessOf(this.program, key, 0, keySize, false);
    return access === ACCESS_FRAME || access === ACCESS_PROVEN ? map.map : -1;
  }

  /** The function that a helper calls back, if it is known. */
  callbackOf(state: State, { opcode, imm }: Insn): Callback | undefined {
    const func = state.reg(2);
    if (opcode.op !== "helper" || func.kind !== KIND_FUNC) return undefined;
    if (imm === HELPER_LOOP) return { entry: func.map, map: undefined };
    const map = state.reg(1);
    if (imm !== HELPER_EACH || map.kind !== KIND_MAP) return undefined;
    return TYPES_WITH_VALUES.has(this.program.maps[map.map]!.type) ? { entry: func.map, map: map.map } : undefined;
  }

  /** The map of a tail call that is given the context, if it is known. */
  tailMapOf(state: State, { opcode, imm }: Insn): MapView | undefined {
    const [ctx, map] = [state.reg(1), state.reg(2)];
    if (opcode.op !== "helper" || imm !== HELPER_TAIL_CALL) return undefined;
    if (map.kind !== KIND_MAP || ctx.kind !== KIND_CTX || ctx.min !== 0 || ctx.max !== 0) return undefined;
    const view = this.program.maps[map.map]!;
    return view.type === BPF_MAP_TYPE_PROG_ARRAY ? view : undefined;
  }

  /** What is known of a function that is called there, by the program or by a helper. */
  calleeAt(state: State, i: number): Callee | undefined {
    const insn = this.program.listing.insns[i]!;
    if (insn.opcode.op === "local") return this.#callees(calleeOf(this.program.listing, i));
    const callback = this.callbackOf(state, insn);
    return callback && this.#callees(callback.entry);
  }

  #lddw(i: number, insn: Insn): Value {
    const { maps } = this.program;
    switch (insn.opcode.op) {
      case "imm64": {
        const number = BigInt.asUintN(64, imm64Of(insn));
        return number <= MAX_U32 ? scalar(Number(number), Number(number)) : UNKNOWN;
      }
      case "map_fd":
      case "map_idx":
        return insn.imm >= 0 && insn.imm < maps.length ? mapAt(insn.imm) : UNKNOWN;
      case "map_value":
      case "map_idx_value":
        return insn.imm >= 0 && insn.imm < maps.length ? valueOf(insn.imm, insn.next >>> 0) : UNKNOWN;
      case "func": {
        const entry = calleeOf(this.program.listing, i);
        return entry === NOWHERE ? UNKNOWN : funcAt(entry);
      }
      default:
        return UNKNOWN;
    }
  }

  #load(state: State, insn: Insn): void {
    const { op, size } = insn.opcode;
    const at = state.reg(insn.src);
    const access = this.#accessed(state, at, insn.off, size, false);
    let what = op === "loadsx" ? UNKNOWN : loaded(size);
    if (access === ACCESS_FRAME && at.min === at.max && size === 8) what = state.read(at.min + insn.off);
    if (at.kind === KIND_CTX && size === 4 && op === "load") {
      if (CONTEXTS[this.program.type]?.packet.includes(at.min + insn.off) === true) what = PACKET;
    }
    put(state, insn.dst, what);
  }

  #store(state: State, insn: Insn, what: Value): void {
    const at = state.reg(insn.dst);
    const { size } = insn.opcode;
    this.#wrote(state, at, insn.off, size, size === 8 ? what : UNKNOWN);
  }

  #atomic(state: State, insn: Insn): void {
    const { op, size } = insn.opcode;
    if (op === "load_acquire") {
      const at = state.reg(insn.src);
      this.#accessed(state, at, insn.off, size, false);
      return put(state, insn.dst, loaded(size));
    }
    if (op === "store_release") return this.#store(state, insn, state.reg(insn.src));
    const at = state.reg(insn.dst);
    this.#accessed(state, at, insn.off, size, false);
    this.#wrote(state, at, insn.off, size, UNKNOWN);
    if (op === "cmpxchg") put(state, 0, loaded(size));
    else if (op === "xchg" || op.startsWith("fetch")) put(state, insn.src, loaded(size));
  }

  #wrote(state: State, at: Value, off: number, size: number, what: Value): void {
    const access = accessOf(this.program, at, off, size, true);
    if (access === ACCESS_PACKET) this.facts.packetSizes |= size;
    if (access === ACCESS_FRAME && at.min === at.max) return state.write(at.min + off, size, what);
    if (access === ACCESS_FRAME) {
      // One of several places: each may hold it now.
      return state.blur(at.min + off, at.max + off + size);
    }
    if (access === ACCESS_CHECKED) this.#forget(state);
    else if (at.kind === KIND_OUTER) this.facts.isWild = true;
  }

  #accessed(state: State, at: Value, off: number, size: number, isWrite: boolean): number {
    const access = accessOf(this.program, at, off, size, isWrite);
    if (access === ACCESS_PACKET) this.facts.packetSizes |= size;
    else if (access === ACCESS_FRAME) this.#read(state, at.min + off, at.max + off + size);
    else if (access === ACCESS_CHECKED) this.#readAll(state);
    else if (at.kind === KIND_OUTER) this.facts.isNosy = true;
    return access;
  }

  /** Bytes of the frame from `start` to `end` are read. */
  #read(state: State, start: number, end: number): void {
    for (let i = (start + FRAME_BYTES) >> 2; i <= (end - 1 + FRAME_BYTES) >> 2; i++) {
      this.facts.unwritten[i >> 5]! |= ~state.written[i >> 5]! & (1 << (i & 31));
    }
  }

  #readAll(state: State): void {
    this.facts.isNosy = true;
    this.#read(state, -FRAME_BYTES, 0);
  }

  #call(state: State, i: number, insn: Insn): void {
    const { op } = insn.opcode;
    let result = UNKNOWN;
    const map = op === "helper" && insn.imm === HELPER_LOOKUP ? this.keyIsProven(state) : -1;
    if (map >= 0) {
      const key = state.reg(2);
      const { type, keySize } = this.program.maps[map]!;
      if (key.kind === KIND_FRAME) this.#read(state, key.min, key.max + keySize);
      else if (key.kind === KIND_OUTER) this.facts.isNosy = true;
      // A lookup is known by its slot.
      state.endLookup(i + 1);
      if (TYPES_WITH_VALUES.has(type)) result = lookedUp(map, i + 1);
    } else {
      const callee = this.calleeAt(state, i);
      if (this.callbackOf(state, insn) !== undefined) this.#countBudget();
      else if (callee?.usesBudget ?? !isFree(insn)) this.facts.usesBudget = true;
      const parts = op === "helper" ? partsOf(insn.imm) : undefined;
      if (parts !== undefined) {
        for (const part of parts) this.#given(state, part);
      } else {
        // A program that is gone over to has the frame for its own, and zeroes it; of others it may read.
        if (op === "helper" && insn.imm === HELPER_TAIL_CALL) this.facts.isNosy = true;
        else if (callee?.isNosy ?? true) this.#readAll(state);
        if (callee?.isWild ?? true) this.#forget(state);
        if (callee?.movesPacket ?? true) this.facts.movesPacket = true;
      }
    }
    for (let reg = 1; reg <= 5; reg++) state.regs[reg] = UNKNOWN;
    state.regs[0] = result;
  }

  /** Whether a helper's call has a map of the program's in r1; and whether all memory that it is given may be accessed. */
  provenOf(state: State, { imm }: Insn): { map: boolean; memory: boolean } {
    const parts = partsOf(imm);
    const isProven = ({ reg, bytes, isWritten = false }: Part): boolean => {
      const size = this.#sizeOf(state, bytes);
      if (size === undefined) return false;
      const access = accessOf(this.program, state.reg(reg), 0, size, isWritten);
      return access === ACCESS_FRAME || access === ACCESS_PROVEN;
    };
    const map = parts !== undefined && state.reg(1).kind === KIND_MAP;
    return { map, memory: parts !== undefined && parts.length > 0 && parts.every(isProven) };
  }

  /** A helper reads, or writes, what an argument points to. */
  #given(state: State, { reg, bytes, isWritten = false }: Part): void {
    const at = state.reg(reg);
    const size = this.#sizeOf(state, bytes);
    const access = size === undefined ? ACCESS_CHECKED : accessOf(this.program, at, 0, size, isWritten);
    if (access === ACCESS_CHECKED || access === ACCESS_PACKET) {
      // It may be in the frame.
      this.#readAll(state);
      if (isWritten) this.#forget(state);
    } else if (access === ACCESS_FRAME) {
      this.#read(state, at.min, at.max + size!);
      if (isWritten) state.blur(at.min, at.max + size!);
    } else if (at.kind === KIND_OUTER) {
      this.facts.isNosy = true;
      if (isWritten) this.facts.isWild = true;
    }
  }

  /** How many bytes at the most; undefined if nobody knows. */
  #sizeOf(state: State, bytes: Part["bytes"]): number | undefined {
    if (typeof bytes === "object") {
      const size = state.reg(bytes.reg);
      return size.kind === KIND_SCALAR ? size.max : undefined;
    }
    const map = state.reg(1);
    if (map.kind !== KIND_MAP) return undefined;
    const { keySize, valueSize } = this.program.maps[map.map]!;
    return bytes === "key" ? keySize : valueSize;
  }

  #forget(state: State): void {
    this.facts.isWild = true;
    state.forgetSlots();
  }

  #countBudget(): void {
    this.facts.countsBudget = true;
    this.facts.usesBudget = true;
  }
}

/** Whether a helper leaves the budget alone. */
export const isFree = (insn: Insn): boolean => insn.opcode.op === "helper" && !RUNNING_HELPERS.has(insn.imm);

/** Whether a helper leaves the packet where it is. */
export const keepsPacket = ({ opcode, imm }: Insn): boolean => opcode.op === "helper" && partsOf(imm) !== undefined;

/** Whether a jump leads back, or to itself: those cost. */
export function isBackJump({ opcode, off, imm }: Insn): boolean {
  return (opcode.op === "ja" && opcode.code === 0x06 ? imm : off) < 0;
}

const immOf = (imm: number): Value => (imm >= 0 ? scalar(imm, imm) : UNKNOWN);

function put(state: State, reg: number, what: Value): void {
  if (reg < 10) state.regs[reg] = what;
}

function alu(state: State, insn: Insn): Value {
  const { op, is64, from } = insn.opcode;
  const a = state.reg(insn.dst);
  if (!is64) return scalar32(op, a, from === "reg" ? state.reg(insn.src) : scalar(insn.imm >>> 0, insn.imm >>> 0));
  const b = from === "reg" ? state.reg(insn.src) : immOf(insn.imm);
  switch (op) {
    case "mov":
      return b;
    case "add":
      if (from === "imm" && (isPointer(a) || (a.kind === KIND_SCALAR && insn.imm < 0))) {
        return isPointer(a) ? moved(a, insn.imm, insn.imm) : scalar(a.min + insn.imm, a.max + insn.imm);
      }
      if (isPointer(a) && b.kind === KIND_SCALAR) return moved(a, b.min, b.max);
      if (isPointer(b) && a.kind === KIND_SCALAR) return moved(b, a.min, a.max);
      break;
    case "sub":
      if (from === "imm" && isPointer(a)) return moved(a, -insn.imm, -insn.imm);
      if (isPointer(a) && b.kind === KIND_SCALAR) return moved(a, -b.max, -b.min);
      break;
    default:
  }
  return numbers(op, a, b, 64);
}

function scalar32(op: string, a: Value, b: Value): Value {
  const low = (of: Value): Value => (of.kind === KIND_SCALAR && of.max <= MAX_U32 ? of : scalar(0, MAX_U32));
  const result = numbers(op, low(a), low(b), 32);
  return result.kind === KIND_SCALAR && result.max <= MAX_U32 ? result : scalar(0, MAX_U32);
}

/** Bounds of an operation on numbers. */
function numbers(op: string, a: Value, b: Value, bits: number): Value {
  const isA = a.kind === KIND_SCALAR;
  const isB = b.kind === KIND_SCALAR;
  const shift = isB && isConst(b) ? b.min & (bits - 1) : -1;
  switch (op) {
    case "mov":
      return isB ? b : UNKNOWN;
    case "and":
      if (isA || isB) return scalar(0, Math.min(isA ? a.max : Infinity, isB ? b.max : Infinity));
      break;
    case "add":
      if (isA && isB) return scalar(a.min + b.min, a.max + b.max);
      break;
    case "sub":
      if (isA && isB) return scalar(a.min - b.max, a.max - b.min);
      break;
    case "mul":
      if (isA && isB) return scalar(a.min * b.min, a.max * b.max);
      break;
    case "div":
      if (isA) return scalar(0, a.max);
      break;
    case "mod":
      if (isB && b.min > 0) return scalar(0, b.max - 1);
      if (isA) return scalar(0, a.max);
      break;
    case "or":
    case "xor":
      if (isA && isB && a.max <= MAX_U32 && b.max <= MAX_U32) {
        return scalar(0, 2 ** (32 - Math.clz32(Math.max(a.max, b.max))) - 1);
      }
      break;
    case "lsh":
      if (isA && shift >= 0) return scalar(a.min * 2 ** shift, a.max * 2 ** shift);
      break;
    case "rsh":
      if (shift >= 0) {
        if (isA) return scalar(Math.floor(a.min / 2 ** shift), Math.floor(a.max / 2 ** shift));
        if (bits - shift <= 53) return scalar(0, 2 ** (bits - shift) - 1);
      }
      break;
    default:
  }
  return UNKNOWN;
}

/** What a function begins with that is called there: what was in r1 to r5; what pointed to the frame is the caller's then. */
export function calledState(states: readonly State[]): State {
  const state = State.atEntry();
  for (let reg = 1; reg <= 5; reg++) {
    const [first, ...rest] = states.map(({ regs }) => argument(regs[reg]!));
    state.regs[reg] = rest.reduce(join, first ?? UNKNOWN);
  }
  return state;
}

/** A value in another function: what pointed to a frame further out may be anywhere. */
function argument(of: Value): Value {
  if (of.kind === KIND_OUTER) return UNKNOWN;
  return of.kind === KIND_FRAME ? outerAt(of.min, of.max) : withoutLookup(of);
}

/** What a function begins with that a helper calls back. */
export function callbackState(state: State, { map }: Callback): State {
  const entry = calledState([state]);
  const ctx = entry.reg(3);
  entry.regs[1] = map === undefined ? scalar(0, MAX_LOOPS - 1) : mapAt(map);
  entry.regs[2] = map === undefined ? ctx : keyOf(map);
  entry.regs[3] = map === undefined ? ZERO : valueOf(map, 0);
  entry.regs[4] = map === undefined ? ZERO : ctx;
  entry.regs[5] = ZERO;
  return entry;
}

/** What main begins with: the context in r1. */
export function mainState(): State {
  const state = State.atEntry();
  state.regs[1] = CTX;
  return state;
}

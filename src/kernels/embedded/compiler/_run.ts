/**
 * What compiled code and the engine agree on: fields of Run (kernel/run.ts), faults, and what is imported.
 */
import { I32, I64, type Import, type Signature } from "./wasm.js";

export const RUN_PROG = 0;
export const RUN_FAULT = 4;
export const RUN_BUDGET = 8;
export const RUN_FAULT_INSN = 24;
export const RUN_FRAME = 28;
export const RUN_CTX = 32;
export const RUN_CTX_SIZE = 36;
export const RUN_DATA = 40;
export const RUN_DATA_END = 44;
export const RUN_RESULT = 48;
export const RUN_TAIL = 56;
export const RUN_BASE = 60;
export const RUN_TOP = 64;
export const RUN_TAILS = 84;
export const RUN_COMPILED = 100;
export const RUN_LOCKED = 104;

/** Programs that this thread has compiled (kernel/run.ts, Compiled), by the lower bits of their numbers. */
export const COMPILED_AT = 254528;
export const COMPILED_PROGS = 64;
export const COMPILED_BYTES = 16;
export const COMPILED_NUMBER = 4;
export const COMPILED_INDEX = 8;
/** Of a program (kernel/prog.ts). */
export const PROG_TYPE = 16;
export const PROG_NUMBER = 112;
/** As Linux: tail calls of a run. */
export const MAX_TAIL_CALLS = 33;

/** With a helper's slot: what is proven of its arguments (kernel/run.ts). */
export const PROVEN_MAP: number = 1 << 31;
export const PROVEN_MEMORY: number = 1 << 30;

export const FAULT_ACCESS = 1;
export const FAULT_BUDGET = 3;
export const FAULT_STACK = 4;
export const FAULT_HELPER = 5;
export const FAULT_CALL = 6;
export const FAULT_ALIGN = 7;
export const FAULT_INSN = 8;

/** Imported functions, by their numbers. */
export const PROG_ACCESS = 0;
export const PROG_FAULT = 1;
export const PROG_HELPER = 2;
export const FIND_ELEM = 3;
export const FIND_HASH4 = 4;
export const FIND_HASH8 = 5;
export const FIND_HASH = 6;
export const FIND_PER_CPU = 7;
export const NEXT_ELEM = 8;
export const TAKE_SCRATCH = 9;
export const END_SCRATCH = 10;
export const TAIL_TARGET = 11;

const k = (name: string, params: number[], results: number[]): Import => ({ module: "k", name, params, results });

export const imports: readonly Import[] = [
  k("progAccess", [I64, I32, I32, I32], [I32]),
  k("progFault", [I32, I32, I64], []),
  k("progHelper", [I32, I32, I64, I64, I64, I64, I64], [I64]),
  k("findElem", [I32, I32], [I32]),
  k("findHash4", [I32, I32], [I32]),
  k("findHash8", [I32, I64], [I32]),
  k("findHash", [I32, I32], [I32]),
  k("findPerCpu", [I32, I32], [I32]),
  k("nextElem", [I32, I32, I32], [I64]),
  k("takeScratch", [I32], [I32]),
  k("endScratch", [I32], []),
  k("tailTarget", [I32, I32], [I32]),
];

/** A helper as the engine exports it (kernel/helpers_by_name.ts): with how many params. The first is the slot, the others are registers. */
export const helperImport = (name: string, params: number): Import =>
  k(name, [I32, I64, I64, I64, I64, I64].slice(0, params), [I64]);

/** Locals of a function. r1 to r5 and r10 are its params; main has r10 from Run, where it is when a program begins and when it takes another's place. */
export const FRAME_LOCAL = 5;
const REG_LOCALS = [6, 0, 1, 2, 3, 4, 7, 8, 9, 10] as const;
export const localOf = (reg: number): number => REG_LOCALS[reg]!;
/** What is left of Run's budget. */
export const BUDGET = 11;
/** For a moment: 64 bits. */
export const TEMP = 12;
export const TEMP2 = 13;
/** Run's data; and by size, how many addresses behind it may be accessed. */
export const PACKET_START = 14;
const PACKET_ROOM = 15;
export const roomOf = (size: number): number => PACKET_ROOM + 31 - Math.clz32(size);
/** The frame's lowest byte. */
export const LOW = 19;
/** For a moment: 32 bits. */
export const TEMP32 = 20;
export const TEMP32B = 21;
/** The block that a dispatch loop runs next. */
export const NEXT = 22;
/** Iterations that may_goto has left. */
export const MAY_GOTO = 23;

export const funcLocals: readonly (readonly [count: number, type: number])[] = [
  [13, I64],
  [5, I32],
];
/** Of main, which has r1 as its only param: the same numbers. */
export const mainLocals: readonly (readonly [count: number, type: number])[] = [[4, I64], [1, I32], ...funcLocals];
/** Of what the table of functions has for a program: main, with the context. */
export const mainSignature: Signature = { params: [I64], results: [I64] };
export const funcParams: readonly number[] = [I64, I64, I64, I64, I64, I32];

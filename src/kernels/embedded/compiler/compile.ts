/**
 * The compiler: a program's instructions become a WebAssembly module that runs in the engine's memory.
 *
 * A module is for one thread: addresses of its Run, and of maps and arrays, are constants in it.
 */
import {
  FAULT_ACCESS,
  FAULT_CALL,
  PROG_ACCESS,
  PROG_FAULT,
  RUN_BASE,
  RUN_CTX,
  RUN_FAULT_INSN,
  RUN_FRAME,
  RUN_TOP,
  funcLocals,
  funcParams,
  imports,
  mainLocals,
} from "./_run.js";
import { type Analysed, type Callee, type MapView, type Program, analyse, mainState } from "./analysis.js";
import { type Listing, NOWHERE, calleeOf, graphOf, listingOf } from "./cfg.js";
import { FunctionCode, type Surroundings } from "./function_code.js";
import { State } from "./values.js";
import { Code, type Func, I32, I64, moduleOf, op } from "./wasm.js";

export type { MapView } from "./analysis.js";

/** What is compiled. */
export interface ProgramView {
  /** As the engine keeps them: in lddw of a map, imm is the index in `maps`. */
  readonly insns: Uint8Array;
  readonly maps: readonly MapView[];
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  /** Address of the thread's Run. */
  readonly run: number;
}

/**
 * Compiles a program: the bytes of a module.
 *
 * @throws {InsnError} The bytes hold what is no instruction
 */
export function compileProgram({ insns, maps, type, run }: ProgramView): Uint8Array<ArrayBuffer> {
  const program: Program = { listing: listingOf(insns), maps, type };
  const { entries, isCalled } = functionsOf(program.listing);
  const analysed = analyseAll(program, entries, isCalled);
  const funcs = new Map(entries.map((entry, n) => [entry, imports.length + n]));
  const around: Surroundings = {
    program,
    run,
    funcs,
    dispatch: imports.length + entries.length,
    offPacket: imports.length + entries.length + 1,
    mainIsCalled: isCalled.has(0),
    calleeAt: (i) => analysed.get(calleeOf(program.listing, i))?.facts,
  };
  const compiled = entries.map((entry): Func => {
    const isMain = entry === 0 && !isCalled.has(0);
    const { code } = new FunctionCode(around, analysed.get(entry)!, isMain);
    const shape = { results: [I64], code };
    if (isMain) return { ...shape, params: [I64], locals: mainLocals, exportAs: "run" };
    return { ...shape, params: funcParams, locals: funcLocals };
  });
  const more = [dispatchFunc(around), offPacketFunc(run), callFunc(around)];
  return moduleOf(imports, [...compiled, ...more, ...(isCalled.has(0) ? [runFunc(around)] : [])]);
}

/** Where functions begin; the first is main. And which of them are called. */
function functionsOf(listing: Listing): { entries: number[]; isCalled: Set<number> } {
  const isCalled = new Set<number>();
  for (const [i, { opcode }] of listing.insns.entries()) {
    if (opcode.op !== "local" && opcode.op !== "func") continue;
    const callee = calleeOf(listing, i);
    if (callee !== NOWHERE) isCalled.add(callee);
  }
  return { entries: [...new Set([0, ...isCalled])], isCalled };
}

/** Analyses callees before their callers, as far as that is possible: of those that are not known yet the worst is taken. */
function analyseAll(
  program: Program,
  entries: readonly number[],
  isCalled: ReadonlySet<number>,
): Map<number, Analysed> {
  const { listing } = program;
  const graphs = new Map(entries.map((entry) => [entry, graphOf(listing, entry)]));
  const callees = (entry: number): number[] => {
    const found: number[] = [];
    for (const { start, end } of graphs.get(entry)!.blocks) {
      for (let i = Math.max(start, 0); i < end; i++) {
        if (listing.insns[i]!.opcode.op === "local") found.push(calleeOf(listing, i));
      }
    }
    return found.filter((callee) => callee !== NOWHERE);
  };
  const analysed = new Map<number, Analysed>();
  const todo = entries.map((entry) => ({ entry, isOpen: false })).toReversed();
  const opened = new Set<number>();
  for (let task = todo.pop(); task !== undefined; task = todo.pop()) {
    const { entry, isOpen } = task;
    if (isOpen) {
      const state = entry === 0 && !isCalled.has(0) ? mainState() : State.atEntry();
      const calleeAt = (i: number): Callee | undefined => analysed.get(calleeOf(listing, i))?.facts;
      analysed.set(entry, analyse(program, graphs.get(entry)!, state, calleeAt));
    } else if (!opened.has(entry)) {
      opened.add(entry);
      todo.push({ entry, isOpen: true }, ...callees(entry).map((callee) => ({ entry: callee, isOpen: false })));
    }
  }
  return analysed;
}

/**
 * Calls the function that a pointer means: (pointer, insn, r1 to r5, frame). A pointer is the slot of its first instruction, plus 1.
 * Main, if nothing else calls it, relies on having the context in r1, and its frame in Run: both are there where the program takes the
 * place of another.
 */
function dispatchFunc({ program, run, funcs, mainIsCalled }: Surroundings): Func {
  const code = new Code();
  const equalsRun = (param: number, field: number): void => {
    code.get(param);
    if (param === 7) code.op(op.i64ExtendI32U);
    code.i32(run).access(op.i64Load32U, field).op(op.i64Eq, op.i32And);
  };
  for (const [entry, func] of funcs) {
    const isMain = entry === 0 && !mainIsCalled;
    code
      .get(0)
      .i64(BigInt(program.listing.slots[entry]! + 1))
      .op(op.i64Eq);
    if (isMain) {
      equalsRun(2, RUN_CTX);
      equalsRun(7, RUN_FRAME);
    }
    code.open(op.if);
    for (let param = 2; param <= (isMain ? 2 : 7); param++) code.get(param);
    code.call(func).op(op.return).end();
  }
  code.i32(FAULT_CALL).get(1).get(0).call(PROG_FAULT).i64(0);
  return { params: [I64, I32, ...funcParams], results: [I64], locals: [], code };
}

/**
 * An access through what was taken for a pointer into the packet, and is not in it: (address, size, write, insn). Not the stack: what is
 * known of the frame could not be relied on.
 */
function offPacketFunc(run: number): Func {
  const code = new Code();
  const bound = (field: number): void => void code.i32(run).access(op.i64Load32U, field);
  code.get(0).i64(8).op(op.i64Add);
  bound(RUN_BASE);
  code.op(op.i64GtU).get(0);
  bound(RUN_TOP);
  code.op(op.i64LtU, op.i32And).open(op.if);
  code.i32(FAULT_ACCESS).get(3).get(0).call(PROG_FAULT).i32(0).op(op.return).end();
  for (let param = 0; param < 4; param++) code.get(param);
  code.call(PROG_ACCESS);
  return { params: [I64, I32, I32, I32], results: [I32], locals: [], code };
}

/** (r1), of a main that is called like other functions. */
function runFunc({ run, funcs }: Surroundings): Func {
  const code = new Code();
  code.get(0);
  for (let reg = 2; reg <= 5; reg++) code.i64(0);
  code.i32(run).access(op.i32Load, RUN_TOP).call(funcs.get(0)!);
  return { params: [I64], results: [I64], locals: [], code, exportAs: "run" };
}

/** (pointer, r1 to r5, frame): for helpers, which leave their insn in Run. */
function callFunc({ run, dispatch }: Surroundings): Func {
  const code = new Code();
  code.get(0).op(op.i64ExtendI32U).i32(run).access(op.i32Load, RUN_FAULT_INSN);
  for (let param = 1; param <= 6; param++) code.get(param);
  code.call(dispatch);
  return { params: [I32, ...funcParams], results: [I64], locals: [], code, exportAs: "call" };
}

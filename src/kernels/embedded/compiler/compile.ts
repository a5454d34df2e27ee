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
  helperImport,
  imports,
  mainLocals,
  mainSignature,
} from "./_run.js";
import {
  type Analysed,
  Analysis,
  type Callees,
  HELPER_SPIN_LOCK,
  type MapView,
  type Program,
  analyse,
  calledState,
  callbackState,
  mainState,
} from "./analysis.js";
import { helperName } from "../../../uapi/helper_name.js";
import { type Graph, type Listing, NOWHERE, calleeOf, graphOf, listingOf } from "./cfg.js";
import { FunctionCode, type Surroundings } from "./function_code.js";
import { State } from "./values.js";
import { Code, type Func, I32, I64, type Import, hasTailCalls, moduleOf, op } from "./wasm.js";

export type { MapView } from "./analysis.js";

/** What is compiled. */
export interface ProgramView {
  /** As the engine keeps them: in lddw of a map, imm is the index in `maps`. */
  readonly insns: Uint8Array;
  readonly maps: readonly MapView[];
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  /** Where the program is. */
  readonly address: number;
  /** Address of the thread's Run. */
  readonly run: number;
  /** Of a helper that the engine exports by its name, how many params that takes; undefined if it does not. */
  readonly paramsOf: (name: string) => number | undefined;
}

/**
 * Compiles a program: the bytes of a module.
 *
 * @throws {InsnError} The bytes hold what is no instruction
 */
export function compileProgram(view: ProgramView): Uint8Array<ArrayBuffer> {
  const { insns, maps, type, address, run } = view;
  const program: Program = { listing: listingOf(insns), maps, type };
  const functions = functionsOf(program.listing);
  const { entries, pointed, mainIsCalled } = functions;
  const { analysed, callees } = analyseAll(program, functions);
  const helpers = helpersOf(program.listing, view);
  const imported = [...imports, ...helpers.values()];
  const funcs = new Map(entries.map((entry, n) => [entry, imported.length + n]));
  const around: Surroundings = {
    program,
    address,
    run,
    funcs,
    dispatch: imported.length + entries.length,
    offPacket: imported.length + entries.length + 1,
    helpers: new Map(
      [...helpers].map(([id, { params }], n) => [id, { func: imports.length + n, params: params.length }]),
    ),
    pointed,
    mainIsCalled,
    callees,
    hasTailCalls: (tailCalls ??= hasTailCalls()),
    mayLock: program.listing.insns.some(({ opcode, imm }) => opcode.op === "helper" && imm === HELPER_SPIN_LOCK),
  };
  const more = (): Func[] => [
    dispatchFunc(around),
    offPacketFunc(run),
    callFunc(around),
    ...(mainIsCalled ? [runFunc(around)] : []),
  ];
  const callbacks = new Callbacks(program, analysed, callees, imported.length + entries.length + more().length);
  const compiled = entries.map((entry): Func => {
    const isMain = entry === 0 && !mainIsCalled;
    const one = analysed.get(entry)!;
    const { code } = new FunctionCode(around, one, isMain, callbacks.of(one));
    const shape = { results: [I64], code };
    if (isMain) return { ...shape, params: [I64], locals: mainLocals, exportAs: "run" };
    return { ...shape, params: funcParams, locals: funcLocals };
  });
  const called: Func[] = [];
  // Callbacks may have some of their own, which then are added to the list.
  for (const one of callbacks.list) {
    const { code } = new FunctionCode(around, one, false, callbacks.of(one));
    called.push({ params: funcParams, results: [I64], locals: funcLocals, code });
  }
  return moduleOf(imported, [...compiled, ...more(), ...called], mainSignature);
}

/** The helpers that a program calls and the engine exports. */
function helpersOf({ insns }: Listing, { paramsOf }: ProgramView): Map<number, Import> {
  const found = new Map<number, Import>();
  for (const { opcode, imm } of insns) {
    if (opcode.op !== "helper" || found.has(imm)) continue;
    const name = `bpf_${helperName(imm)}`;
    const params = paramsOf(name);
    if (params !== undefined) found.set(imm, helperImport(name, params));
  }
  return found;
}

/** Callbacks are compiled once more for each place: so many, and of so many instructions in all. */
const MAX_CALLBACKS = 64;
const MAX_CALLBACK_INSNS = 10_000;

let tailCalls: boolean | undefined;

/**
 * Functions that helpers call back, each compiled for the one call that does so: nobody else calls that code, and so it is known what the
 * function begins with.
 */
class Callbacks {
  readonly list: Analysed[] = [];
  readonly #program: Program;
  readonly #analysed: ReadonlyMap<number, Analysed>;
  readonly #callees: Callees;
  readonly #first: number;
  #insnsLeft = MAX_CALLBACK_INSNS;

  /** `first`: the number of the list's first function. */
  constructor(program: Program, analysed: ReadonlyMap<number, Analysed>, callees: Callees, first: number) {
    this.#program = program;
    this.#analysed = analysed;
    this.#callees = callees;
    this.#first = first;
  }

  /** Numbers of the functions that a function has called back, by the instructions that call the helpers. */
  of(caller: Analysed): Map<number, number> {
    const { insns } = this.#program.listing;
    const found = new Map<number, number>();
    const calls = insnsIn(caller.graph, (i) => insns[i]!.opcode.op === "helper");
    if (!caller.facts.countsBudget) return found;
    const analysis = new Analysis(this.#program, caller.facts, this.#callees);
    for (const [i, state] of statesAt(this.#program, caller, calls, this.#callees)) {
      const callback = analysis.callbackOf(state, insns[i]!);
      const { graph } = this.#analysed.get(callback?.entry ?? NOWHERE) ?? {};
      if (callback === undefined || graph === undefined) continue;
      const size = graph.blocks.reduce((sum, { start, end }) => sum + end - start, 0);
      if (this.list.length === MAX_CALLBACKS || size > this.#insnsLeft) continue;
      this.#insnsLeft -= size;
      found.set(i, this.#first + this.list.length);
      this.list.push(analyse(this.#program, graph, callbackState(state, callback), this.#callees));
    }
    return found;
  }
}

/** A program's functions, by the instructions that they begin with. */
interface Functions {
  /** The first is main. */
  readonly entries: readonly number[];
  /** Those that have a pointer. */
  readonly pointed: ReadonlySet<number>;
  /** What is called locally, by the call's instruction. */
  readonly calls: ReadonlyMap<number, number>;
  readonly mainIsCalled: boolean;
}

function functionsOf(listing: Listing): Functions {
  const pointed = new Set<number>();
  const calls = new Map<number, number>();
  for (const [i, { opcode }] of listing.insns.entries()) {
    if (opcode.op !== "local" && opcode.op !== "func") continue;
    const callee = calleeOf(listing, i);
    if (callee === NOWHERE) continue;
    if (opcode.op === "local") calls.set(i, callee);
    else pointed.add(callee);
  }
  const called = new Set([...pointed, ...calls.values()]);
  return { entries: [...new Set([0, ...called])], pointed, calls, mainIsCalled: called.has(0) };
}

/**
 * Analyses callees before their callers, as far as that is possible, for what they may do: of those that are not known yet the worst is
 * taken. Then once more, callers first, for what functions that have no pointers are called with.
 */
function analyseAll(
  program: Program,
  functions: Functions,
): { analysed: ReadonlyMap<number, Analysed>; callees: Callees } {
  const { entries, pointed, calls, mainIsCalled } = functions;
  const { listing } = program;
  const graphs = new Map(entries.map((entry) => [entry, graphOf(listing, entry)]));
  const callsOf = new Map(entries.map((entry) => [entry, insnsIn(graphs.get(entry)!, (i) => calls.has(i))]));
  const analysed = new Map<number, Analysed>();
  const callees: Callees = (entry) => analysed.get(entry)?.facts;
  const entryState = (entry: number): State => (entry === 0 && !mainIsCalled ? mainState() : State.atEntry());
  const isNamed = (i: number): boolean => calls.has(i) || listing.insns[i]!.opcode.op === "func";
  const namedBy = (entry: number): number[] =>
    insnsIn(graphs.get(entry)!, isNamed)
      .map((i) => calleeOf(listing, i))
      .filter((callee) => callee !== NOWHERE);
  for (const entry of inCallOrder(entries, namedBy)) {
    analysed.set(entry, analyse(program, graphs.get(entry)!, entryState(entry), callees));
  }
  if (calls.size === 0) return { analysed, callees };
  const callersFirst = [...analysed.keys()].toReversed();
  const arguments_ = new Map<number, State[]>();
  const isDone = new Set<number>();
  for (const entry of callersFirst) {
    const isKnown =
      entry !== 0 &&
      !pointed.has(entry) &&
      entries.every((caller) => isDone.has(caller) || !callsOf.get(caller)!.some((i) => calls.get(i) === entry));
    const state = isKnown ? calledState(arguments_.get(entry) ?? []) : entryState(entry);
    const result = analyse(program, graphs.get(entry)!, state, callees);
    analysed.set(entry, result);
    isDone.add(entry);
    for (const [i, at] of statesAt(program, result, callsOf.get(entry)!, callees)) {
      const callee = calls.get(i)!;
      arguments_.set(callee, [...(arguments_.get(callee) ?? []), at]);
    }
  }
  return { analysed, callees };
}

function insnsIn({ blocks }: Graph, isWanted: (i: number) => boolean): number[] {
  const found: number[] = [];
  for (const { start, end } of blocks) {
    for (let i = Math.max(start, 0); i < end; i++) if (isWanted(i)) found.push(i);
  }
  return found;
}

/** Callees first. */
function inCallOrder(entries: readonly number[], calleesOf: (entry: number) => number[]): Set<number> {
  const order = new Set<number>();
  const opened = new Set<number>();
  const todo = entries.map((entry) => ({ entry, isOpen: false })).toReversed();
  for (let task = todo.pop(); task !== undefined; task = todo.pop()) {
    const { entry, isOpen } = task;
    if (isOpen) {
      order.add(entry);
    } else if (!opened.has(entry)) {
      opened.add(entry);
      todo.push({ entry, isOpen: true }, ...calleesOf(entry).map((callee) => ({ entry: callee, isOpen: false })));
    }
  }
  return order;
}

/** What holds where instructions begin. */
function statesAt(
  program: Program,
  { graph, states, facts }: Analysed,
  insns: readonly number[],
  callees: Callees,
): Map<number, State> {
  const found = new Map<number, State>();
  const wanted = new Set(insns);
  const analysis = new Analysis(program, facts, callees);
  for (const [b, { start, end }] of graph.blocks.entries()) {
    const state = states[b]!.copy();
    for (let i = start; i < end; i++) {
      if (wanted.has(i)) found.set(i, state.copy());
      analysis.step(state, i);
    }
  }
  return found;
}

/**
 * Calls the function that a pointer means: (pointer, insn, r1 to r5, frame). A pointer is the slot of its first instruction, plus 1.
 * Main, if nothing else calls it, relies on having the context in r1, and its frame in Run: both are there where the program takes the
 * place of another.
 */
function dispatchFunc({ program, run, funcs, pointed, mainIsCalled }: Surroundings): Func {
  const code = new Code();
  const equalsRun = (param: number, field: number): void => {
    code.get(param);
    if (param === 7) code.op(op.i64ExtendI32U);
    code.i32(run).access(op.i64Load32U, field).op(op.i64Eq, op.i32And);
  };
  for (const [entry, func] of funcs) {
    const isMain = entry === 0 && !mainIsCalled;
    if (!isMain && !pointed.has(entry)) continue;
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
  code.i32(run).access(op.i32Load, RUN_FRAME).call(funcs.get(0)!);
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

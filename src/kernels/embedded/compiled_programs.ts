/**
 * Programs as this thread runs them: compiled on first use, and put into the engine's table of functions.
 */
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PROG_ARRAY } from "../../uapi/bpf.js";
import { INSN_SIZE } from "../../insn/insn.js";
import { type MapView, type ProgramView, compileProgram } from "./compiler/compile.js";
import type { Engine } from "./engine.js";

/** Where a program's functions are in the table: "run" there, and "call" behind it. */
interface Compiled {
  readonly id: number;
  readonly index: number;
}

const INTERPRETED = 0;

/** Tests have programs interpreted. */
export const jit: { isOff: boolean } = { isOff: false };

/**
 * What the engine has programs compiled with, by their address. `adapt` makes a module fit the memory.
 *
 * Where another program is later, its functions take the place of the first one's: a thread has no more of them than there were
 * programs at once.
 */
export function programCompiler(
  engine: Engine,
  memory: WebAssembly.Memory,
  adapt: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
): (prog: number) => number {
  const compiled = new Map<number, Compiled>();
  return (prog) => {
    if (jit.isOff) return INTERPRETED;
    const id = engine.progId(prog);
    const known = compiled.get(prog);
    if (known?.id === id) return known.index;
    const functions = functionsOf(engine, memory, adapt(compileProgram(viewOf(engine, memory, prog))));
    if (functions === undefined) {
      compiled.set(prog, { id, index: INTERPRETED });
      return INTERPRETED;
    }
    const index = known === undefined || known.index === INTERPRETED ? engine.table.grow(2) : known.index;
    engine.table.set(index, functions["run"]);
    engine.table.set(index + 1, functions["call"]);
    compiled.set(prog, { id, index });
    return index;
  };
}

/** What a module exports; undefined where it is too large: for WebAssembly, or for a page's main thread. */
function functionsOf(
  engine: Engine,
  memory: WebAssembly.Memory,
  bytes: Uint8Array<ArrayBuffer>,
): WebAssembly.Exports | undefined {
  try {
    const k = engine as unknown as WebAssembly.ModuleImports;
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory }, k }).exports;
  } catch (error) {
    if (error instanceof WebAssembly.CompileError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function viewOf(engine: Engine, memory: WebAssembly.Memory, prog: number): ProgramView {
  const insns = new Uint8Array(memory.buffer, engine.progInsns(prog) >>> 0, INSN_SIZE * engine.progSlots(prog));
  const maps = Array.from({ length: engine.progMapCount(prog) }, (_, n) =>
    mapViewOf(engine, engine.progMap(prog, n) >>> 0),
  );
  const exports = engine as unknown as Readonly<Record<string, unknown>>;
  const paramsOf = (name: string): number | undefined => {
    const func = exports[name];
    return typeof func === "function" ? func.length : undefined;
  };
  return { insns, maps, type: engine.progType(prog), address: prog, run: engine.runArea() >>> 0, paramsOf };
}

function mapViewOf(engine: Engine, address: number): MapView {
  const type = engine.typeOf(address);
  return {
    address,
    type,
    keySize: engine.keyBytesOf(address) >>> 0,
    valueSize: engine.valueSizeOf(address) >>> 0,
    maxEntries: engine.maxEntriesOf(address) >>> 0,
    flags: engine.mapFlagsOf(address) >>> 0,
    ...(type === BPF_MAP_TYPE_PROG_ARRAY && { progs: engine.progElems(address) >>> 0 }),
    ...(type === BPF_MAP_TYPE_ARRAY && {
      values: engine.arrayValues(address) >>> 0,
      slotSize: engine.arraySlotSize(address) >>> 0,
    }),
  };
}

/**
 * Programs, as this thread runs them: what ended the last one, and how much they may do. Layout of a Run: kernel/run.ts.
 */
import type { ProgramFault } from "../kernel.js";
import type { Engine } from "./engine.js";

/** By the numbers of kernel/run.ts, FAULT_*. */
const REASONS = [
  "",
  "touches memory that is not its own",
  "writes to memory that it may only read",
  "has spent its budget of jumps back",
  "calls more than eight functions deep",
  "gives a helper what it does not take",
  "calls what is no function of its",
  "has an atomic operation on an address that is not aligned",
  "has come to what is no instruction",
] as const;

const FAULT_OFF = 4;
const FAULT_AT_OFF = 16;
const FAULT_INSN_OFF = 24;
const FAULT_PROG_OFF = 88;

/** What ended the program that this thread ran last; undefined if it ended by itself. */
export function faultOf(engine: Engine, memory: ArrayBufferLike): ProgramFault | undefined {
  const run = engine.runArea() >>> 0;
  if (run === 0) return undefined;
  const view = new DataView(memory, run, FAULT_PROG_OFF + 4);
  const kind = view.getUint32(FAULT_OFF, true);
  if (kind === 0) return undefined;
  return {
    reason: REASONS[kind] ?? `fault ${kind}`,
    insn: view.getUint32(FAULT_INSN_OFF, true),
    address: view.getBigUint64(FAULT_AT_OFF, true),
    program: engine.progId(view.getUint32(FAULT_PROG_OFF, true)),
  };
}

/**
 * Makes of the engine, as it is built, one that says before each step that it will do it: before every instruction that
 * writes memory, and before every wait, stands a call of the import `env.wait` with the step's number and -1.
 *
 * So a test can stop a thread at each point where the memory that it leaves behind is a different one, without a build
 * of its own: all other instructions are those of the production module, in their order.
 */
import { existsSync, readFileSync } from "node:fs";
import {
  CODE,
  CUSTOM,
  EXPORTS,
  IMPORTS,
  Reader,
  type Section,
  TYPES,
  isWriting,
  leb,
  nextInstruction,
  sectionsOf,
  signedLeb,
} from "./wasm.js";

/** A point where a thread can be stopped. Its number is its index in `steps`. */
export interface Step {
  /** The function's index, and its name if it is known. */
  readonly func: number;
  readonly name: string;
  /** Where the instruction stands in the module as it was built. */
  readonly at: number;
  readonly opcode: number;
  /** Whether it is a wait for another thread, not a write. */
  readonly waits: boolean;
}

const I32_CONST = 0x41;
const CALL = 0x10;
const DROP = 0x1a;

/** Says where a step is. */
export function describeStep({ func, name, at, opcode, waits }: Step): string {
  return `${name} (function ${func}, offset 0x${at.toString(16)}, ${waits ? "wait" : `opcode 0x${opcode.toString(16)}`})`;
}

/** The instrumented module, and all its steps. */
export function instrument(bytes: Uint8Array): { bytes: Uint8Array<ArrayBuffer>; steps: Step[] } {
  const sections = sectionsOf(bytes);
  const wait = findWait(bytes, sections);
  const names = functionNames(bytes, sections, wait.imported);
  const steps: Step[] = [];
  const out: number[] = [...bytes.subarray(0, 8)];
  for (const section of sections) {
    const contents =
      section.id === CODE
        ? instrumentCode(bytes, section, wait, names, steps)
        : bytes.subarray(section.start, section.end);
    out.push(section.id, ...leb(contents.length));
    for (const byte of contents) out.push(byte);
  }
  return { bytes: Uint8Array.from(out), steps };
}

function instrumentCode(bytes: Uint8Array, section: Section, wait: Wait, names: Names, steps: Step[]): number[] {
  const reader = new Reader(bytes, section.start);
  const count = reader.u32();
  const out = leb(count);
  for (let i = 0; i < count; i++) {
    const length = reader.u32();
    const end = reader.at + length;
    const body = instrumentBody(reader, end, wait, (instruction, waits) => {
      const func = wait.imported + i;
      steps.push({ func, name: names.get(func) ?? `function ${func}`, ...instruction, waits });
      return steps.length - 1;
    });
    out.push(...leb(body.length));
    for (const byte of body) out.push(byte);
  }
  return out;
}

/** @param addStep Notes a step, and gives its number. */
function instrumentBody(
  reader: Reader,
  end: number,
  wait: Wait,
  addStep: (instruction: { at: number; opcode: number }, waits: boolean) => number,
): number[] {
  const out: number[] = [];
  let copied = reader.at;
  const copyUpTo = (at: number): void => {
    for (; copied < at; copied++) out.push(reader.bytes[copied]!);
  };
  for (let groups = reader.u32(); groups > 0; groups--) {
    reader.skipNumber();
    reader.skipNumber();
  }
  while (reader.at < end) {
    const { at, opcode, callee } = nextInstruction(reader);
    const waits = callee === wait.func;
    if (!waits && !isWriting(opcode)) continue;
    copyUpTo(at);
    out.push(I32_CONST, ...signedLeb(addStep({ at, opcode }, waits)), I32_CONST, ...signedLeb(-1));
    for (let i = 2; i < wait.params; i++) out.push(I32_CONST, 0);
    out.push(CALL, ...leb(wait.func));
    for (let i = 0; i < wait.results; i++) out.push(DROP);
  }
  if (reader.at !== end) throw new RangeError(`A function's body ends at ${end}, its last instruction at ${reader.at}`);
  copyUpTo(end);
  return out;
}

/** The import `env.wait`: its function's index, and its type. */
interface Wait {
  readonly func: number;
  readonly params: number;
  readonly results: number;
  /** How many functions are imported: the first of the module's own has this index. */
  readonly imported: number;
}

const I32 = 0x7f;

function findWait(bytes: Uint8Array, sections: readonly Section[]): Wait {
  const types = readTypes(bytes, sections);
  const reader = readerOf(bytes, sections, IMPORTS);
  let func: number | undefined;
  let type = 0;
  let imported = 0;
  for (let n = reader.u32(); n > 0; n--) {
    const name = `${reader.name()}.${reader.name()}`;
    const kind = reader.byte();
    if (kind === 0) {
      const index = reader.u32();
      if (name === "env.wait") {
        func = imported;
        type = index;
      }
      imported++;
    } else if (kind === 2) {
      // A memory: limits, with a maximum where bit 0 is set.
      const hasMaximum = reader.byte() & 1;
      reader.skipNumber();
      if (hasMaximum) reader.skipNumber();
    } else if (kind === 3) {
      reader.skip(2);
    } else {
      throw new RangeError(`The module imports ${name}, of kind ${kind}: expected functions, globals and memories`);
    }
  }
  if (func === undefined) throw new RangeError("The module does not import env.wait");
  const { params, results } = types[type]!;
  if (params.length < 2 || params.some((param) => param !== I32)) {
    throw new RangeError(`env.wait takes parameters of types ${params.join()}: expected two i32 or more`);
  }
  return { func, params: params.length, results: results.length, imported };
}

function readTypes(bytes: Uint8Array, sections: readonly Section[]): { params: number[]; results: number[] }[] {
  const reader = readerOf(bytes, sections, TYPES);
  const list = (): number[] => Array.from({ length: reader.u32() }, () => reader.byte());
  return Array.from({ length: reader.u32() }, () => {
    // The form of a type of functions.
    reader.byte();
    return { params: list(), results: list() };
  });
}

function readerOf(bytes: Uint8Array, sections: readonly Section[], id: number): Reader {
  const section = sections.find((section) => section.id === id);
  if (section === undefined) throw new RangeError(`The module has no section ${id}`);
  return new Reader(bytes, section.start);
}

type Names = Map<number, string>;

/** The text that the compiler writes beside the module: the same functions in the same order, with their names. */
const TEXT = new URL("../../build/kernel.wat", import.meta.url);

/** Names of functions: of the section "name" if there is one, else those of the compiler's text, else what is exported. */
function functionNames(bytes: Uint8Array, sections: readonly Section[], imported: number): Names {
  const names = exportNames(bytes, sections);
  const named = [...sections].filter(({ id, start }) => id === CUSTOM && new Reader(bytes, start).name() === "name");
  if (named.length > 0) {
    for (const section of named) readNames(bytes, section, names);
  } else if (existsSync(TEXT)) {
    const funcs = [...readFileSync(TEXT, "utf8").matchAll(/^ \(func \$"?([^\s"]+)/gm)];
    const own = readerOf(bytes, sections, CODE).u32();
    // Not the text of this module: its names would mislead.
    if (funcs.length === own) funcs.forEach(([, name], i) => names.set(imported + i, name!));
  }
  return names;
}

function exportNames(bytes: Uint8Array, sections: readonly Section[]): Names {
  const names: Names = new Map();
  const reader = readerOf(bytes, sections, EXPORTS);
  for (let n = reader.u32(); n > 0; n--) {
    const name = reader.name();
    const kind = reader.byte();
    const index = reader.u32();
    if (kind === 0) names.set(index, name);
  }
  return names;
}

/** Reads the section "name": of its parts, the names of functions. */
function readNames(bytes: Uint8Array, section: Section, names: Names): void {
  const FUNCTIONS = 1;
  const reader = new Reader(bytes, section.start);
  reader.name();
  while (reader.at < section.end) {
    const id = reader.byte();
    const length = reader.u32();
    const end = reader.at + length;
    if (id === FUNCTIONS) {
      for (let n = reader.u32(); n > 0; n--) names.set(reader.u32(), reader.name());
    }
    reader.at = end;
  }
}

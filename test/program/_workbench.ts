/**
 * Runs instructions on a kernel, and tells what they leave in a map's value: all that a small program can do shows there.
 */
import type { Kernel, UserBuffer } from "tsbpf";
import { ArrayMap, BpfError, bytes } from "tsbpf";
import { Program } from "tsbpf/program";
import { type Insn } from "../../src/insn/insn.js";
import { type Opcode, opcodes } from "../../src/insn/opcodes.js";
import { BPF_F_MMAPABLE, BPF_PROG_TYPE_SYSCALL } from "tsbpf/uapi";

const BPF_F_SLEEPABLE = 1 << 4;

/** The row of an operation; `pick` says which, where there are several. */
export function row(op: string, pick: Partial<Opcode> = {}): Opcode {
  const fits = (opcode: Opcode): boolean =>
    Object.entries(pick).every(([name, value]) => opcode[name as keyof Opcode] === value);
  const found = opcodes.find((opcode) => opcode.op === op && fits(opcode));
  if (found === undefined) throw new Error(`there is no row ${op} ${JSON.stringify(pick)}`);
  return found;
}

/** An instruction; fields that the row fixes are as it says. */
export function insn(opcode: Opcode, fields: Partial<Insn> = {}): Insn {
  const { src = 0, off = 0, imm = 0 } = opcode;
  return {
    opcode,
    dst: 0,
    next: 0,
    ...fields,
    src: opcode.src ?? fields.src ?? src,
    off: opcode.off ?? fields.off ?? off,
    imm: opcode.imm ?? fields.imm ?? imm,
  };
}

const STORE = row("store", { size: 8, from: "reg" });
const LOAD = row("load", { size: 8 });

/** The register whose number an instruction makes, if it makes one. */
function resultOf({ opcode: { form, op }, dst, src }: Insn): number | undefined {
  if (["alu", "movsx", "end", "load", "lddw"].includes(form) || op === "load_acquire") return dst;
  if (op === "cmpxchg") return 0;
  return /^(xchg|fetch_)/.test(op) ? src : undefined;
}

/**
 * An instruction, and what makes Linux's verifier forget what it takes its result to be: the number goes by the map's value.
 *
 * Linux 6.18's sometimes takes it to be what it is not, and then leaves out instructions that are reached: it does not follow a number
 * back through an atomic operation into the stack; a register that was filled from the stack with its sign stays bound to one
 * that has the number without, and gets its range.
 *
 * @param spare Where 8 bytes of the value are free, r9 + spare.
 */
export function laundered(one: Insn, spare: number): Insn[] {
  const reg = resultOf(one);
  if (reg === undefined) return [one];
  return [one, insn(STORE, { dst: 9, src: reg, off: spare }), insn(LOAD, { dst: reg, src: 9, off: spare })];
}

const MAP_VALUE = row("map_value");
const IMM64 = row("imm64");

/** Loads the address of the workbench's value; where it lies is filled in when it runs. */
export const loadValue = (dst: number, off = 0): Insn => insn(MAP_VALUE, { dst, next: off });

export function loadNumber(dst: number, value: bigint): Insn {
  return insn(IMM64, { dst, imm: Number(BigInt.asIntN(32, value)), next: Number(BigInt.asIntN(32, value >> 32n)) });
}

/** One map with one value, on one kernel. */
export class Workbench {
  readonly name: string;
  readonly #kernel: Kernel;
  readonly #map: ArrayMap<Uint8Array>;
  readonly #memory: UserBuffer;

  constructor(name: string, kernel: Kernel, valueSize: number) {
    this.name = name;
    this.#kernel = kernel;
    this.#map = ArrayMap.create(kernel, { value: bytes(valueSize), maxEntries: 1, mapFlags: BPF_F_MMAPABLE });
    this.#memory = kernel.mmap(this.#map.fd, valueSize, { writable: true });
  }

  /** The value, as it is. */
  get value(): Uint8Array {
    return this.#memory.bytes;
  }

  /** Loads a program and runs it once. @returns What it returned. */
  run(insns: readonly Insn[]): number {
    const { fd } = this.#map;
    const linked = insns.map((one) => (one.opcode.op === "map_value" ? { ...one, imm: fd } : one));
    using program = Program.load(this.#kernel, {
      name: "bench",
      type: BPF_PROG_TYPE_SYSCALL,
      license: "GPL",
      progFlags: BPF_F_SLEEPABLE,
      insns: linked,
    });
    return program.run().retval;
  }

  /** As `run`; undefined where Linux's verifier gives up. */
  tryRun(insns: readonly Insn[]): number | undefined {
    try {
      return this.run(insns);
    } catch (error) {
      if (error instanceof BpfError && error.code === "E2BIG") return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
    this.#map.close();
    this.#kernel[Symbol.dispose]();
  }
}

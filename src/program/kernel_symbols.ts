/**
 * Symbols of the kernel in a program's instructions: addresses, and ids of its BTF.
 */
import type { Btf } from "../btf/btf.js";
import type { Kernel } from "../kernels/kernel.js";
import { opcodes } from "../insn/opcodes.js";
import type { Insn } from "../insn/insn.js";
import type { Extern } from "./externs.js";
import type { ExternReference } from "./link.js";
import { ObjectError } from "./object_error.js";

const rowOf = (form: string, op: string) => opcodes.find((row) => row.form === form && row.op === op)!;
const IMM64 = rowOf("lddw", "imm64");
const BTF_ID = rowOf("lddw", "btf_id");
const KFUNC = rowOf("call", "kfunc");
const HELPER = rowOf("call", "helper");
/** No kernel has a helper of this number: a call of it is refused where a way leads there. */
const NO_HELPER = 2_002_000_000;

/** Finds symbols in a kernel. */
export class KernelSymbols {
  readonly #kernel: Kernel;
  readonly #target: Btf | undefined;
  #addresses: ReadonlyMap<string, bigint> | undefined;

  constructor(kernel: Kernel, target: Btf | undefined) {
    this.#kernel = kernel;
    this.#target = target;
  }

  /**
   * The instructions with what they want of the kernel.
   *
   * @throws {ObjectError} The kernel has not what the program cannot do without
   */
  settle(insns: readonly Insn[], references: readonly ExternReference[], program: string): readonly Insn[] {
    if (references.length === 0) return insns;
    const bySlot = new Map(references.map(({ slot, extern }) => [slot, extern]));
    let slot = 0;
    return insns.map((insn) => {
      const extern = bySlot.get(slot);
      slot += insn.opcode.slots;
      return extern === undefined ? insn : this.#settled(insn, extern, program);
    });
  }

  #settled(insn: Insn, extern: Extern, program: string): Insn {
    const { name, kind, isWeak } = extern;
    const found = kind === "ksym" ? this.#addressOf(name) : this.#idOf(name, kind);
    if (found === undefined && !isWeak) {
      const where = kind === "ksym" ? "in /proc/kallsyms" : "in targetBtf, for instance Btf.fromKernel()";
      const why = this.#kernel.name === "embedded" ? "the embedded kernel has no symbols" : `there is none ${where}`;
      throw new ObjectError(`Cannot load program "${program}": it wants ${name} of the kernel: ${why}`);
    }
    if (insn.opcode.form === "call") {
      if (found === undefined) return { ...insn, opcode: HELPER, dst: 0, src: 0, off: 0, imm: NO_HELPER };
      return { ...insn, opcode: KFUNC, src: KFUNC.src!, off: 0, imm: Number(found) };
    }
    if (kind !== "ksym" && found !== undefined) {
      return { ...insn, opcode: BTF_ID, src: BTF_ID.src!, imm: Number(found), next: 0 };
    }
    const address = (found ?? 0n) + BigInt(found === undefined ? 0 : insn.imm);
    const half = (of: bigint): number => Number(BigInt.asIntN(32, of));
    return { ...insn, opcode: IMM64, src: 0, imm: half(address), next: half(address >> 32n) };
  }

  #idOf(name: string, kind: Extern["kind"]): bigint | undefined {
    if (this.#kernel.name === "embedded") return undefined;
    const id = this.#target?.find(name, kind === "kfunc" ? "FUNC" : "VAR");
    return id === undefined ? undefined : BigInt(id);
  }

  #addressOf(name: string): bigint | undefined {
    this.#addresses ??= this.#readAddresses();
    return this.#addresses.get(name);
  }

  #readAddresses(): ReadonlyMap<string, bigint> {
    const bytes = this.#kernel.places?.readFile("/proc/kallsyms");
    if (bytes === undefined || typeof bytes === "number") return new Map();
    const lines = new TextDecoder().decode(bytes).matchAll(/^([\da-f]+) \S ([^\s[]+)/gm);
    const found = new Map<string, bigint>();
    for (const [, address = "0", symbol = ""] of lines) {
      if (!found.has(symbol)) found.set(symbol, BigInt(`0x${address}`));
    }
    return found;
  }
}

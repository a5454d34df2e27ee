/**
 * Linking a program: its function, behind it the functions that it calls, and what of it has to be filled in when the maps
 * have fds.
 */
import type { ElfSection } from "../elf/sections.js";
import { type ElfRelocation, type ElfSymbol, elfRelocations } from "../elf/symbols.js";
import type { BtfExt, ExtRecord, ExtRecords } from "./btf_ext.js";
import type { CoreRelocation } from "./core_relo.js";
import type { Extern } from "./externs.js";
import { INSN_SIZE, type Insn, decodeInsns } from "../insn/insn.js";
import type { MapDefinition } from "./map_definitions.js";
import { ObjectError } from "./object_error.js";
import { opcodes } from "../insn/opcodes.js";

/** What linking looks into. */
export interface Linkable {
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  readonly maps: readonly MapDefinition[];
  readonly externs: readonly Extern[];
  readonly ext: BtfExt | undefined;
}

/** An instruction that loads a map, or the address of a variable in one. */
export interface MapReference {
  /** The instruction's slot in the program. */
  readonly slot: number;
  readonly map: MapDefinition;
}

/** An instruction that wants a symbol of the kernel. */
export interface ExternReference {
  /** The instruction's slot in the program. */
  readonly slot: number;
  readonly extern: Extern;
}

/** A whole program. */
export interface ProgramCode {
  /** Calls are resolved; what loads maps has zero for their fds. */
  readonly insns: readonly Insn[];
  readonly references: readonly MapReference[];
  readonly externReferences: readonly ExternReference[];
  /** For BPF_PROG_LOAD: `insnOff` is in slots, `rest` as it stands. */
  readonly funcInfo: readonly ExtRecord[];
  readonly lineInfo: readonly ExtRecord[];
  /** What is asked of the kernel's types. */
  readonly coreRelocations: readonly CoreRelocation[];
}

const R_BPF_64_64 = 1;
const R_BPF_64_32 = 10;

const rowOf = (op: string) => opcodes.find((row) => row.form === "lddw" && row.op === op)!;
const MAP_FD = rowOf("map_fd");
const MAP_VALUE = rowOf("map_value");
const FUNC = rowOf("func");

/** A function's place in an object. */
interface Place {
  readonly section: ElfSection;
  /** In bytes. */
  readonly begin: number;
  readonly end: number;
}

/** A function in the program. */
interface Part extends Place {
  /** Its first slot, and its first instruction, in the program. */
  readonly slot: number;
  readonly first: number;
}

/** A call, or a function's address, whose imm is still to be told. */
interface OpenCall {
  readonly insn: number;
  readonly slot: number;
  readonly target: Part;
}

/**
 * Links a program.
 *
 * @throws {InsnError} Bytes are no instruction
 * @throws {ObjectError} A relocation is of a kind, or leads to a place, that is none
 */
export function linkProgram(object: Linkable, section: ElfSection, symbol: ElfSymbol): ProgramCode {
  return new Linker(object).link({ section, begin: symbol.value, end: symbol.value + symbol.size });
}

class Linker {
  readonly #object: Linkable;
  readonly #insns: Insn[] = [];
  readonly #parts: Part[] = [];
  readonly #references: MapReference[] = [];
  readonly #externReferences: ExternReference[] = [];
  readonly #calls: OpenCall[] = [];
  #slots = 0;

  constructor(object: Linkable) {
    this.#object = object;
  }

  link(entry: Place): ProgramCode {
    this.#add(entry);
    for (const { insn, slot, target } of this.#calls) {
      this.#insns[insn] = { ...this.#insns[insn]!, imm: target.slot - slot - 1 };
    }
    const { ext } = this.#object;
    return {
      insns: this.#insns,
      references: this.#references,
      externReferences: this.#externReferences,
      funcInfo: ext === undefined ? [] : this.#moved(ext.funcs),
      lineInfo: ext === undefined ? [] : this.#moved(ext.lines),
      coreRelocations: ext === undefined ? [] : this.#coreRelocations(ext),
    };
  }

  /** Adds a function unless it is there, then those that it calls. */
  #add(place: Place): Part {
    const { section, begin, end } = place;
    const known = this.#parts.find((part) => part.section === section && part.begin === begin);
    if (known !== undefined) return known;
    const code = decodeInsns(section.bytes.subarray(begin, end));
    const part = { ...place, slot: this.#slots, first: this.#insns.length };
    this.#parts.push(part);
    this.#insns.push(...code);
    let off = begin;
    const found: [number, Insn, number][] = [];
    for (const [i, insn] of code.entries()) {
      found.push([part.first + i, insn, off]);
      off += insn.opcode.slots * INSN_SIZE;
    }
    this.#slots += (end - begin) / INSN_SIZE;

    const { sections, symbols } = this.#object;
    const relocations = new Map(elfRelocations(sections, symbols, section).map((one) => [one.offset, one]));
    for (const [index, insn, at] of found) {
      const relocation = relocations.get(at);
      const slot = part.slot + (at - begin) / INSN_SIZE;
      if (relocation !== undefined && relocation.symbol.section === 0) {
        this.#referExtern(section, index, slot, insn, relocation);
      } else if (insn.opcode.op === "local") {
        const target = this.#callee(section, insn, at, relocation);
        this.#calls.push({ insn: index, slot, target: this.#add(target) });
      } else if (relocation !== undefined) {
        this.#refer(section, index, slot, insn, relocation);
      }
    }
    return part;
  }

  #callee(section: ElfSection, insn: Insn, at: number, relocation: ElfRelocation | undefined): Place {
    if (relocation === undefined) return this.#functionAt(section, at + (insn.imm + 1) * INSN_SIZE);
    if (relocation.type !== R_BPF_64_32) throw refusal(section, at, `a call has relocation ${relocation.type}`);
    const { symbol } = relocation;
    return this.#functionAt(this.#sectionOf(symbol), symbol.value + (insn.imm + 1) * INSN_SIZE);
  }

  /** Fills in what can be: which map, the offset in its value, or a function. */
  #refer(section: ElfSection, index: number, slot: number, insn: Insn, { type, symbol, offset }: ElfRelocation): void {
    if (type !== R_BPF_64_64 || insn.opcode.form !== "lddw") {
      throw refusal(section, offset, `"${insn.opcode.text}" has relocation ${type}`);
    }
    const target = this.#sectionOf(symbol);
    const { maps } = this.#object;
    const off = symbol.value + insn.imm;
    const defined = maps.find(({ symbol: at }) => at?.section === target.index && at.value === off);
    if (defined !== undefined) {
      this.#insns[index] = { ...insn, opcode: MAP_FD, src: MAP_FD.src!, imm: 0, next: 0 };
      this.#references.push({ slot, map: defined });
      return;
    }
    const data = maps.find(({ dataSection }) => dataSection === target.index);
    if (data !== undefined) {
      this.#insns[index] = { ...insn, opcode: MAP_VALUE, src: MAP_VALUE.src!, imm: 0, next: off };
      this.#references.push({ slot, map: data });
      return;
    }
    const part = this.#add(this.#functionAt(target, off));
    this.#insns[index] = { ...insn, opcode: FUNC, src: FUNC.src!, imm: 0, next: 0 };
    this.#calls.push({ insn: index, slot, target: part });
  }

  /** The address of a value in .kconfig, or what is told when the kernel is known. */
  #referExtern(section: ElfSection, index: number, slot: number, insn: Insn, { symbol, offset }: ElfRelocation): void {
    const { externs, maps } = this.#object;
    const extern = externs.find(({ name }) => name === symbol.name);
    const { form } = insn.opcode;
    // The address of a function is asked for as well: to find out whether there is one.
    if (extern === undefined || !(form === "lddw" || (form === "call" && extern.kind === "kfunc"))) {
      throw refusal(section, offset, `"${insn.opcode.text}" wants "${symbol.name}" from elsewhere`);
    }
    if (extern.kind !== "kconfig") {
      this.#externReferences.push({ slot, extern });
      return;
    }
    const map = maps.find(({ name }) => name === ".kconfig")!;
    this.#insns[index] = { ...insn, opcode: MAP_VALUE, src: MAP_VALUE.src!, imm: 0, next: extern.offset + insn.imm };
    this.#references.push({ slot, map });
  }

  #sectionOf(symbol: ElfSymbol): ElfSection {
    const section = this.#object.sections[symbol.section - 1];
    if (section === undefined) throw new ObjectError(`Cannot link: symbol "${symbol.name}" lies in no section`);
    return section;
  }

  #functionAt(section: ElfSection, begin: number): Place {
    const symbol = this.#object.symbols.find(
      ({ type, section: index, value }) => type === "func" && index === section.index && value === begin,
    );
    if (symbol === undefined) throw refusal(section, begin, "wanted a function to begin here, found none");
    return { section, begin, end: begin + symbol.size };
  }

  #coreRelocations(ext: BtfExt): CoreRelocation[] {
    return this.#moved(ext.relocations).map(({ insnOff: slot, rest: [type = 0, access = 0, kind = 0] }) => {
      return { slot, type, access: ext.nameAt(access), kind };
    });
  }

  /** Records of the program's functions, with their places in it. */
  #moved(records: ExtRecords): ExtRecord[] {
    return this.#parts.flatMap(({ section, begin, end, slot }) =>
      (records.get(section.name) ?? [])
        .filter(({ insnOff }) => insnOff >= begin && insnOff < end)
        .map(({ insnOff, rest }) => ({ insnOff: slot + (insnOff - begin) / INSN_SIZE, rest })),
    );
  }
}

function refusal(section: ElfSection, off: number, found: string): ObjectError {
  return new ObjectError(`Cannot link section "${section.name}" at ${off}: ${found}`);
}

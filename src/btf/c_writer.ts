/**
 * BTF as C declarations that a compiler takes, in the order and look of libbpf's btf_dump (as of its version 1.1), which makes
 * vmlinux.h.
 *
 * Two passes a type. The first finds the order: what a definition embeds is defined before it, what it points to need not
 * be. The second writes, and where a type is pointed to that is not defined yet, declares it first.
 */
import { type Btf, BtfError } from "./btf.js";
import type { BtfComposite, BtfEnum, BtfEnum64, BtfFwd, BtfId, BtfType, BtfVoid } from "./types.js";

const PTR_BYTES = 8;

/** Where a type is in the first pass; 0: not there yet. */
const ORDERING = 1;
const ORDERED = 2;

/** Where a type is in the second pass. */
const UNWRITTEN = 0;
const WRITING = 1;
const WRITTEN = 2;

/** What gaps are filled with, and its bits. */
const PADS: readonly (readonly [name: string, bits: number])[] = [
  ["long", 64],
  ["int", 32],
  ["short", 16],
  ["char", 8],
];

/** Integers of NEON that compilers have built in, and BTF without a definition. */
const NEON_TYPES: Readonly<Record<string, string>> = {
  __Poly8_t: "unsigned char",
  __Poly16_t: "unsigned short",
  __Poly64_t: "unsigned long long",
  __Poly128_t: "unsigned __int128",
};

/** Types between a name and what it is of. */
type Chain = BtfId[];

/** Writes types as C. What was written once is not written again. */
export class CWriter {
  readonly #btf: Btf;
  readonly #write: (text: string) => void;
  readonly #order: Uint8Array;
  readonly #written: Uint8Array;
  /** A type was declared, so that pointers to it may be written. */
  readonly #declared: Uint8Array;
  /** Another type is made of it. */
  readonly #referenced: Uint8Array;
  readonly #names: (string | undefined)[] = [];
  /** How often a tag, or a name of a typedef or an enum's value, was given: C has one name space for each. */
  readonly #tags = new Map<string, number>();
  readonly #idents = new Map<string, number>();
  #queue: BtfId[] = [];

  constructor(btf: Btf, write: (text: string) => void) {
    this.#btf = btf;
    this.#write = write;
    this.#order = new Uint8Array(btf.endId);
    this.#written = new Uint8Array(btf.endId);
    this.#declared = new Uint8Array(btf.endId);
    this.#referenced = new Uint8Array(btf.endId);
    this.#order[0] = ORDERED;
    this.#written[0] = WRITTEN;
    for (let id = 1; id < btf.endId; id++) for (const part of partsOf(btf.type(id))) this.#referenced[part] = 1;
  }

  /** Writes a type, behind those that it needs. @throws {BtfError} A type is part of itself */
  type(id: BtfId): void {
    this.#queue = [];
    this.#orderType(id, false);
    for (const id of this.#queue) this.#define(id, 0);
  }

  /** Queues a type's definition behind those of its parts. Returns whether it must be defined where it is used. */
  #orderType(id: BtfId, byPointer: boolean): boolean {
    if (this.#order[id] === ORDERED) return true;
    const type = this.#btf.type(id);
    const isNamed = type.name !== "";
    if (this.#order[id] === ORDERING) {
      if ((type.kind === "STRUCT" || type.kind === "UNION") && byPointer && isNamed) return false;
      throw new BtfError(`BTF type ${id}: wanted ${type.kind.toLowerCase()} ${type.name}, found it within itself`, id);
    }
    switch (type.kind) {
      case "PTR": {
        const must = this.#orderType(type.type, true);
        this.#order[id] = ORDERED;
        return must;
      }
      case "ARRAY":
        return this.#orderType(type.type, false);
      case "STRUCT":
      case "UNION":
        if (byPointer && isNamed) return false;
        this.#order[id] = ORDERING;
        for (const { type: member } of type.members) this.#orderType(member, false);
        if (isNamed) this.#queue.push(id);
        this.#order[id] = ORDERED;
        return true;
      case "ENUM":
      case "ENUM64":
      case "FWD":
        if (isNamed || this.#referenced[id] === 0) this.#queue.push(id);
        this.#order[id] = ORDERED;
        return true;
      case "TYPEDEF": {
        const must = this.#orderType(type.type, byPointer);
        if (byPointer && !must) return false;
        this.#queue.push(id);
        this.#order[id] = ORDERED;
        return true;
      }
      case "VOLATILE":
      case "CONST":
      case "RESTRICT":
      case "TYPE_TAG":
        return this.#orderType(type.type, byPointer);
      case "FUNC_PROTO": {
        let must = this.#orderType(type.retType, byPointer);
        for (const { type: param } of type.params) must = this.#orderType(param, byPointer) || must;
        return must;
      }
      default:
        this.#order[id] = ORDERED;
        return false;
    }
  }

  /**
   * Writes what must stand before a type can be named; of a type that is asked for itself, its definition.
   *
   * @param within The definition that is being written; 0: the type is asked for itself.
   */
  #define(id: BtfId, within: BtfId): void {
    if (this.#written[id] === WRITTEN) return;
    const type = this.#btf.type(id);
    if (this.#written[id] === WRITING) {
      this.#declareWithinItself(id, type, within);
      return;
    }
    switch (type.kind) {
      case "INT": {
        const alias = NEON_TYPES[type.name];
        if (alias !== undefined) this.#write(`typedef ${alias} ${type.name};\n\n`);
        this.#written[id] = WRITTEN;
        break;
      }
      case "ENUM":
      case "ENUM64":
        if (within === 0) {
          this.#writeEnum(id, type, 0);
          this.#write(";\n\n");
        }
        this.#written[id] = WRITTEN;
        break;
      case "PTR":
      case "VOLATILE":
      case "CONST":
      case "RESTRICT":
      case "TYPE_TAG":
      case "ARRAY":
        this.#define(type.type, within);
        break;
      case "FWD":
        this.#write(`${this.#fwdName(id, type)};\n\n`);
        this.#written[id] = WRITTEN;
        break;
      case "TYPEDEF":
        this.#written[id] = WRITING;
        this.#define(type.type, id);
        if (this.#declared[id] === 0) this.#writeTypedef(id, type.type, type.name);
        this.#written[id] = WRITTEN;
        break;
      case "STRUCT":
      case "UNION":
        this.#written[id] = WRITING;
        if (within === 0 || type.name === "") {
          for (const { type: member } of type.members) this.#define(member, type.name === "" ? within : id);
        } else if (this.#declared[id] === 0 && id !== within) {
          this.#declare(id, type);
        }
        if (within === 0) {
          this.#writeStruct(id, type, 0);
          this.#write(";\n\n");
        }
        this.#written[id] = within === 0 ? WRITTEN : UNWRITTEN;
        break;
      case "FUNC_PROTO":
        this.#define(type.retType, within);
        for (const { type: param } of type.params) this.#define(param, within);
        break;
      default:
    }
  }

  /** A type that leads back to itself by a pointer: a declaration does. */
  #declareWithinItself(id: BtfId, type: BtfType | BtfVoid, within: BtfId): void {
    if (this.#declared[id] === 1) return;
    if (type.kind === "TYPEDEF") {
      this.#writeTypedef(id, type.type, type.name);
      this.#declared[id] = 1;
    } else if ((type.kind === "STRUCT" || type.kind === "UNION") && id !== within && type.name !== "") {
      this.#declare(id, type);
    }
  }

  #declare(id: BtfId, type: BtfComposite): void {
    this.#write(`${this.#structName(id, type)};\n\n`);
    this.#declared[id] = 1;
  }

  #writeTypedef(id: BtfId, type: BtfId, name: string): void {
    // Compilers have that one built in.
    if (name === "__builtin_va_list") return;
    const ident = this.#nameOf(id, this.#idents);
    if (type === 0 && name === "__gnuc_va_list") {
      this.#write("typedef __builtin_va_list __gnuc_va_list");
    } else {
      this.#write("typedef ");
      this.#writeDeclaration(type, ident, 0);
    }
    this.#write(";\n\n");
  }

  #writeEnum(id: BtfId, type: BtfEnum | BtfEnum64, level: number): void {
    this.#write(this.#enumName(id));
    if (type.values.length === 0) return;
    this.#write(" {");
    const suffix = type.kind === "ENUM" ? "" : type.signed ? "LL" : "ULL";
    for (const { name, val } of type.values) {
      this.#write(`\n${indent(level + 1)}${distinct(name, this.#idents)} = ${val}${suffix},`);
    }
    this.#write(`\n${indent(level)}}`);
  }

  #writeStruct(id: BtfId, type: BtfComposite, level: number): void {
    const isPacked = type.kind === "STRUCT" && this.#isPacked(type);
    this.#write(`${this.#structName(id, type)} {`);
    let off = 0;
    let wasBits = false;
    for (const { name, type: member, bitsOffset, bitfieldSize } of type.members) {
      const isBits = bitfieldSize > 0;
      this.#writePadding(off, bitsOffset, isPacked ? 1 : this.#alignOf(member), wasBits && isBits, level + 1);
      this.#write(`\n${indent(level + 1)}`);
      this.#writeDeclaration(member, name, level + 1);
      this.#write(isBits ? `: ${bitfieldSize};` : ";");
      off = bitsOffset + (isBits ? bitfieldSize : 8 * this.#sizeOf(member));
      wasBits = isBits;
    }
    if (type.kind === "STRUCT") this.#writePadding(off, type.size * 8, this.#alignOf(id), false, level + 1);
    this.#write(type.members.length > 0 || type.size > 0 ? `\n${indent(level)}}` : "}");
    if (isPacked) this.#write(" __attribute__((packed))");
  }

  /**
   * Writes bit-fields without names where the alignment of what comes next does not make the gap by itself. First up to the
   * next multiple of the largest of C's types that lies in the gap, then in steps of that type.
   */
  #writePadding(from: number, to: number, nextAlign: number, isBetweenBits: boolean, level: number): void {
    if (from >= to) return;
    const write = (name: string, count: number): void => this.#write(`\n${indent(level)}${name}: ${count};`);
    const [step, bits] = PADS.find(([, bits]) => roundUp(from, bits) <= to) ?? PADS.at(-1)!;
    const start = roundUp(from, bits);
    if (start > from && start <= to) {
      const isMissed = start === to && roundUp(from, nextAlign * 8) !== start;
      const isSwallowed = start !== to && to - start <= start - from;
      if (isBetweenBits) write(step, start - from);
      else if (isMissed || isSwallowed) write(step, 0);
      from = start;
    }
    for (; to - from >= bits; from += bits) write(step, bits);
    const rest = to - from;
    if (rest > 0) write(PADS.findLast(([, bits]) => bits >= rest)![0], rest);
  }

  /** Writes `name` as what is of a type: from the type that the chain ends in outwards, as C reads. */
  #writeDeclaration(id: BtfId, name: string, level: number): void {
    const chain: Chain = [];
    for (let at = id; ;) {
      chain.push(at);
      const type = this.#btf.type(at);
      if (type.kind === "FUNC_PROTO") at = type.retType;
      else if (type.kind === "ARRAY" || type.kind === "PTR" || isModifier(type)) at = type.type;
      else break;
    }
    this.#writeChain(chain, name, level);
  }

  #writeChain(chain: Chain, name: string, level: number): void {
    let afterPointer = true;
    for (let id = chain.pop(); id !== undefined; id = chain.pop()) {
      const type = this.#btf.type(id);
      switch (type.kind) {
        case "PTR":
          this.#write(afterPointer ? "*" : " *");
          break;
        case "VOLATILE":
        case "CONST":
        case "RESTRICT":
          this.#write(` ${type.kind.toLowerCase()}`);
          break;
        case "TYPE_TAG":
          this.#writeModifiers(chain);
          this.#write(` __attribute__((btf_type_tag("${type.name}")))`);
          break;
        case "ARRAY": {
          this.#dropModifiers(chain);
          const next = chain.at(-1);
          if (next === undefined) {
            this.#writeName(name, afterPointer);
          } else {
            const isGrid = this.#btf.type(next).kind === "ARRAY";
            if (name !== "" && !afterPointer) this.#write(" ");
            if (!isGrid) this.#write("(");
            this.#writeChain(chain, name, level);
            if (!isGrid) this.#write(")");
          }
          this.#write(`[${type.nrElems}]`);
          return;
        }
        case "FUNC_PROTO":
          this.#dropModifiers(chain);
          if (chain.length > 0) {
            this.#write(" (");
            this.#writeChain(chain, name, level);
            this.#write(")");
          } else {
            this.#writeName(name, afterPointer);
          }
          this.#writeParams(type.params, level);
          return;
        default:
          this.#writeModifiers(chain);
          this.#writeBase(id, type, level);
      }
      afterPointer = type.kind === "PTR";
    }
    this.#writeName(name, afterPointer);
  }

  /** What a chain ends in. */
  #writeBase(id: BtfId, type: BtfType | BtfVoid, level: number): void {
    switch (type.kind) {
      case "VOID":
        this.#write("void");
        break;
      case "STRUCT":
      case "UNION":
        if (type.name === "") this.#writeStruct(id, type, level);
        else this.#write(this.#structName(id, type));
        break;
      case "ENUM":
      case "ENUM64":
        if (type.name === "") this.#writeEnum(id, type, level);
        else this.#write(this.#enumName(id));
        break;
      case "FWD":
        this.#write(this.#fwdName(id, type));
        break;
      case "TYPEDEF":
        this.#write(this.#nameOf(id, this.#idents));
        break;
      default:
        this.#write(type.name);
    }
  }

  #writeParams(params: readonly { readonly name: string; readonly type: BtfId }[], level: number): void {
    if (params.length === 0 || (params.length === 1 && params[0]!.type === 0)) {
      this.#write("(void)");
      return;
    }
    this.#write("(");
    params.forEach(({ name, type }, i) => {
      if (i > 0) this.#write(", ");
      if (type === 0 && i === params.length - 1) this.#write("...");
      else this.#writeDeclaration(type, name, level);
    });
    this.#write(")");
  }

  #writeName(name: string, afterPointer: boolean): void {
    this.#write(name !== "" && !afterPointer ? ` ${name}` : name);
  }

  /** Writes const, volatile and restrict of what the chain ends in before it. */
  #writeModifiers(chain: Chain): void {
    for (let id = chain.at(-1); id !== undefined; id = chain.at(-1)) {
      const { kind } = this.#btf.type(id);
      if (kind !== "CONST" && kind !== "VOLATILE" && kind !== "RESTRICT") return;
      this.#write(`${kind.toLowerCase()} `);
      chain.pop();
    }
  }

  /** gcc tells them of arrays and functions too, where C has none. */
  #dropModifiers(chain: Chain): void {
    for (let id = chain.at(-1); id !== undefined && isModifier(this.#btf.type(id)); id = chain.at(-1)) chain.pop();
  }

  #structName(id: BtfId, type: BtfComposite): string {
    const name = this.#nameOf(id, this.#tags);
    return `${type.kind.toLowerCase()}${name === "" ? "" : " "}${name}`;
  }

  #enumName(id: BtfId): string {
    const name = this.#nameOf(id, this.#tags);
    return `enum${name === "" ? "" : " "}${name}`;
  }

  #fwdName(id: BtfId, { fwdKind }: BtfFwd): string {
    return `${fwdKind} ${this.#nameOf(id, this.#tags)}`;
  }

  /** A type's name; with a number where another of its kind has had it. Declarations share theirs with a definition. */
  #nameOf(id: BtfId, names: Map<string, number>): string {
    const known = this.#names[id];
    if (known !== undefined) return known;
    const type = this.#btf.type(id);
    const isDeclaration = type.kind === "FWD" || (type.kind === "ENUM" && type.values.length === 0);
    return (this.#names[id] = type.name === "" || isDeclaration ? type.name : distinct(type.name, names));
  }

  /** C would lay it out so only if it is told to. */
  #isPacked(type: BtfComposite): boolean {
    let most = 1;
    for (const { type: member, bitsOffset, bitfieldSize } of type.members) {
      const align = Math.max(1, this.#alignOf(member));
      if (bitfieldSize === 0 && bitsOffset % (8 * align) !== 0) return true;
      most = Math.max(most, align);
    }
    return type.size % most !== 0;
  }

  readonly #aligns = new Map<BtfId, number>();
  #alignOf(id: BtfId): number {
    const known = this.#aligns.get(id);
    if (known !== undefined) return known;
    const align = this.#findAlign(this.#btf.type(id));
    this.#aligns.set(id, align);
    return align;
  }

  #findAlign(type: BtfType | BtfVoid): number {
    switch (type.kind) {
      case "INT":
      case "ENUM":
      case "ENUM64":
      case "FLOAT":
        return Math.min(PTR_BYTES, type.size);
      case "PTR":
        return PTR_BYTES;
      case "ARRAY":
      case "TYPEDEF":
      case "VOLATILE":
      case "CONST":
      case "RESTRICT":
      case "TYPE_TAG":
        return this.#alignOf(type.type);
      case "STRUCT":
      case "UNION":
        if (this.#isPacked(type)) return 1;
        return type.members.reduce((most, { type: member }) => Math.max(most, this.#alignOf(member)), 1);
      default:
        return 0;
    }
  }

  #sizeOf(id: BtfId): number {
    try {
      return this.#btf.sizeOf(id);
    } catch (error) {
      if (error instanceof BtfError) return 0;
      throw error;
    }
  }
}

function isModifier(type: BtfType | BtfVoid): type is Extract<BtfType, { kind: "CONST" | "TYPE_TAG" }> {
  return type.kind === "CONST" || type.kind === "VOLATILE" || type.kind === "RESTRICT" || type.kind === "TYPE_TAG";
}

function roundUp(off: number, bits: number): number {
  return Math.ceil(off / bits) * bits;
}

function indent(level: number): string {
  return "\t".repeat(level);
}

/** A name; from the second time on with a number. */
function distinct(name: string, names: Map<string, number>): string {
  const count = (names.get(name) ?? 0) + 1;
  names.set(name, count);
  return count === 1 ? name : `${name}___${count}`;
}

/** What types a type is made of; of functions, their parameters. */
function partsOf(type: BtfType | BtfVoid): readonly BtfId[] {
  switch (type.kind) {
    case "VOLATILE":
    case "CONST":
    case "RESTRICT":
    case "PTR":
    case "TYPEDEF":
    case "FUNC":
    case "VAR":
    case "DECL_TAG":
    case "TYPE_TAG":
      return [type.type];
    case "ARRAY":
      return [type.type, type.indexType];
    case "STRUCT":
    case "UNION":
      return type.members.map(({ type: member }) => member);
    case "FUNC_PROTO":
      return type.params.map(({ type: param }) => param);
    case "DATASEC":
      return type.vars.map(({ type: variable }) => variable);
    default:
      return [];
  }
}

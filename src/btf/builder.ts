/**
 * Making BTF: types are added one by one, `bytes` is what BPF_BTF_LOAD takes. Layout: see btf.ts; strings come last.
 */
import {
  BTF_HEADER_SIZE,
  BTF_KINDS,
  BTF_MAGIC,
  type BtfId,
  type BtfMember,
  type BtfType,
  INT_ENCODINGS,
} from "./types.js";

/** A member as it is given: what it leaves out is 0. */
export interface MemberOptions {
  readonly name: string;
  readonly type: BtfId;
  readonly bitsOffset: number;
  readonly bitfieldSize?: number;
}

/**
 * Makes BTF.
 *
 * @example
 * const builder = new BtfBuilder();
 * const u32 = builder.int("unsigned int", 4);
 * builder.struct("pair", 8, [{ name: "a", type: u32, bitsOffset: 0 }, { name: "b", type: u32, bitsOffset: 32 }]);
 * const bytes = builder.bytes();
 */
export class BtfBuilder {
  /** Words of all types. */
  readonly #words: number[] = [];
  readonly #strings = new Map<string, number>([["", 0]]);
  readonly #texts: Uint8Array[] = [new Uint8Array(1)];
  #stringsLength = 1;
  #count = 0;

  /** Adds a type as `Btf.type` returns it, whatever its kind. Returns its id. */
  add(type: BtfType): BtfId {
    const tail = this.#tail(type);
    const info = (BTF_KINDS.indexOf(type.kind) << 24) | vlenOf(type) | (kindFlagOf(type) ? 1 << 31 : 0);
    this.#words.push(this.#string(type.name), info, sizeOrType(type), ...tail);
    return ++this.#count;
  }

  /** Adds an integer. `size` in bytes. */
  int(name: string, size: number, encoding: "none" | "SIGNED" | "CHAR" | "BOOL" = "none"): BtfId {
    return this.add({ kind: "INT", name, size, encoding, bitsOffset: 0, nrBits: size * 8 });
  }

  /** Adds a float. `size` in bytes. */
  float(name: string, size: number): BtfId {
    return this.add({ kind: "FLOAT", name, size });
  }

  /** Adds a pointer. */
  ptr(type: BtfId): BtfId {
    return this.add({ kind: "PTR", name: "", type });
  }

  typedef(name: string, type: BtfId): BtfId {
    return this.add({ kind: "TYPEDEF", name, type });
  }

  /** Adds an array. `indexType` is an integer's id. */
  array(type: BtfId, nrElems: number, indexType: BtfId): BtfId {
    return this.add({ kind: "ARRAY", name: "", type, indexType, nrElems });
  }

  /** Adds a struct. `size` in bytes; a name "" makes it anonymous. */
  struct(name: string, size: number, members: readonly MemberOptions[]): BtfId {
    return this.#composite("STRUCT", name, size, members);
  }

  /** Adds a union. `size` in bytes. */
  union(name: string, size: number, members: readonly MemberOptions[]): BtfId {
    return this.#composite("UNION", name, size, members);
  }

  /** Adds an enum of 4 bytes; signed when a value is below zero. */
  enum(name: string, values: Readonly<Record<string, number>>): BtfId {
    const list = Object.entries(values).map(([name, val]) => ({ name, val }));
    return this.add({ kind: "ENUM", name, size: 4, signed: list.some(({ val }) => val < 0), values: list });
  }

  /** Adds an enum of 8 bytes; signed when a value is below zero. */
  enum64(name: string, values: Readonly<Record<string, bigint>>): BtfId {
    const list = Object.entries(values).map(([name, val]) => ({ name, val }));
    return this.add({ kind: "ENUM64", name, size: 8, signed: list.some(({ val }) => val < 0n), values: list });
  }

  /** All that was added, as BTF. */
  bytes(): Uint8Array {
    const typesLength = this.#words.length * 4;
    const bytes = new Uint8Array(BTF_HEADER_SIZE + typesLength + this.#stringsLength);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, BTF_MAGIC, true);
    view.setUint8(2, 1);
    const header = [BTF_HEADER_SIZE, 0, typesLength, typesLength, this.#stringsLength];
    header.forEach((word, i) => view.setUint32(4 + i * 4, word, true));
    this.#words.forEach((word, i) => view.setUint32(BTF_HEADER_SIZE + i * 4, word, true));
    let off = BTF_HEADER_SIZE + typesLength;
    for (const text of this.#texts) {
      bytes.set(text, off);
      off += text.length;
    }
    return bytes;
  }

  #composite(kind: "STRUCT" | "UNION", name: string, size: number, given: readonly MemberOptions[]): BtfId {
    const members: BtfMember[] = given.map((member) => ({ bitfieldSize: 0, ...member }));
    return this.add({ kind, name, size, members, kindFlag: members.some(({ bitfieldSize }) => bitfieldSize > 0) });
  }

  #string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    const off = this.#stringsLength;
    const bytes = new TextEncoder().encode(`${text}\0`);
    if (bytes.indexOf(0) !== bytes.length - 1) {
      throw new TypeError(`Cannot have a NUL in a name of BTF: ${JSON.stringify(text)}`);
    }
    this.#strings.set(text, off);
    this.#texts.push(bytes);
    this.#stringsLength += bytes.length;
    return off;
  }

  /** The words that follow the three which all types have. */
  #tail(type: BtfType): number[] {
    switch (type.kind) {
      case "INT":
        return [(encodingNumber(type.encoding) << 24) | (type.bitsOffset << 16) | type.nrBits];
      case "ARRAY":
        return [type.type, type.indexType, type.nrElems];
      case "STRUCT":
      case "UNION":
        return type.members.flatMap((member) => [
          this.#string(member.name),
          member.type,
          type.kindFlag ? (member.bitfieldSize << 24) | member.bitsOffset : member.bitsOffset,
        ]);
      case "ENUM":
        return type.values.flatMap(({ name, val }) => [this.#string(name), val]);
      case "ENUM64":
        return type.values.flatMap(({ name, val }) => [
          this.#string(name),
          Number(BigInt.asUintN(32, val)),
          Number(BigInt.asUintN(32, val >> 32n)),
        ]);
      case "FUNC_PROTO":
        return type.params.flatMap(({ name, type }) => [this.#string(name), type]);
      case "VAR":
        return [type.linkage];
      case "DATASEC":
        return type.vars.flatMap(({ type, offset, size }) => [type, offset, size]);
      case "DECL_TAG":
        return [type.componentIdx];
      default:
        return [];
    }
  }
}

function encodingNumber(encoding: "none" | "SIGNED" | "CHAR" | "BOOL" | number): number {
  if (typeof encoding === "number") return encoding;
  return Number(Object.keys(INT_ENCODINGS).find((number) => INT_ENCODINGS[Number(number)] === encoding));
}

function vlenOf(type: BtfType): number {
  const vlen = countOf(type);
  if (vlen > 0xffff) throw new RangeError(`Cannot have ${vlen} parts in a BTF type: 65535 at most`);
  return vlen;
}

function countOf(type: BtfType): number {
  switch (type.kind) {
    case "STRUCT":
    case "UNION":
      return type.members.length;
    case "ENUM":
    case "ENUM64":
      return type.values.length;
    case "FUNC_PROTO":
      return type.params.length;
    case "DATASEC":
      return type.vars.length;
    case "FUNC":
      return type.linkage;
    default:
      return 0;
  }
}

function kindFlagOf(type: BtfType): boolean {
  switch (type.kind) {
    case "ENUM":
    case "ENUM64":
      return type.signed;
    case "FWD":
      return type.fwdKind === "union";
    default:
      return "kindFlag" in type && type.kindFlag;
  }
}

function sizeOrType(type: BtfType): number {
  switch (type.kind) {
    case "ARRAY":
    case "FWD":
      return 0;
    case "FUNC_PROTO":
      return type.retType;
    default:
      return "size" in type ? type.size : type.type;
  }
}

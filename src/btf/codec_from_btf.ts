/**
 * Codecs of what BTF tells of.
 *
 *     integers up to 4 bytes, enums    number          integers of 8 bytes, enum64, pointers    bigint
 *     bool                             boolean         float, double                            number
 *     char[n]                          string          unsigned char[n]                         Uint8Array
 *     T[n]                             T[]             struct                                   an object
 *     union, other integers, floats    Uint8Array      bit-fields                               as their type
 *
 * A union is bytes because nothing tells which member it holds. Members of an anonymous struct are members of the struct
 * that it lies in, as in C; an anonymous union is called "anon_" and its offset in bytes. What has no size, as flexible
 * arrays, is left out.
 */
import type { Codec } from "../codec/codec.js";
import { array } from "../codec/array.js";
import { bytes, cstring } from "../codec/bytes.js";
import { bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from "../codec/number.js";
import { joinLanes, make } from "../codec/_make.js";
import { wrongType, wrongValue } from "../codec/_refuse.js";
import { type Btf, BtfError, MAX_DEPTH } from "./btf.js";
import type { BtfComposite, BtfId, BtfMember } from "./types.js";

/** A struct of more members than this, or bytes, is no key or value of a map. */
const MOST_MEMBERS = 1 << 16;
const MOST_BYTES = 1 << 24;

const UNSIGNED: Readonly<Record<number, Codec<unknown>>> = { 1: u8, 2: u16, 4: u32, 8: u64 };
const SIGNED: Readonly<Record<number, Codec<unknown>>> = { 1: i8, 2: i16, 4: i32, 8: i64 };

/** A member, flattened: a codec at an offset in bytes, or bits. */
interface Part {
  readonly name: string;
  readonly codec: Codec<unknown>;
  readonly off: number;
  readonly bits: Bits | undefined;
}

/** A bit-field. */
interface Bits {
  /** From the struct's begin. */
  readonly off: number;
  readonly count: number;
  readonly signed: boolean;
  readonly as: "number" | "bigint" | "boolean";
}

type Row = Record<string, unknown>;

/**
 * The codec of a type.
 *
 * @throws {BtfError} The type has no size, lies within itself, or is larger than 16 MiB
 */
export function codecFromBtf(btf: Btf, id: BtfId): Codec<unknown> {
  return new Maker(btf).codec(id, 0);
}

class Maker {
  readonly #btf: Btf;
  readonly #known = new Map<BtfId, Codec<unknown>>();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  codec(id: BtfId, depth: number): Codec<unknown> {
    const resolved = this.#btf.resolve(id);
    const known = this.#known.get(resolved);
    if (known !== undefined) return known;
    if (depth > MAX_DEPTH) throw new BtfError(`BTF type ${id}: wanted a type, found it within itself`, id);
    const codec = this.#make(resolved, depth);
    this.#known.set(resolved, codec);
    return codec;
  }

  #make(id: BtfId, depth: number): Codec<unknown> {
    const size = this.#btf.sizeOf(id);
    if (size === 0 || size > MOST_BYTES) {
      throw new BtfError(`BTF type ${id}: wanted a size from 1 to ${MOST_BYTES} bytes, found ${size}`, id);
    }
    const type = this.#btf.type(id);
    switch (type.kind) {
      case "INT":
        if (type.encoding === "BOOL" && size === 1) return bool;
        return (type.encoding === "SIGNED" ? SIGNED : UNSIGNED)[size] ?? opaque(size);
      case "ENUM":
      case "ENUM64":
        return (type.signed ? SIGNED : UNSIGNED)[size] ?? opaque(size);
      case "PTR":
        return u64;
      case "FLOAT":
        return size === 4 ? f32 : size === 8 ? f64 : opaque(size);
      case "ARRAY": {
        const elem = this.#btf.type(this.#btf.resolve(type.type));
        if (elem.kind === "INT" && elem.size === 1) {
          if (elem.name === "char") return cstring(type.nrElems);
          if (elem.name === "unsigned char") return opaque(type.nrElems);
        }
        return array(this.codec(type.type, depth + 1), type.nrElems);
      }
      case "UNION":
        return { ...shape(opaque(size)), align: this.#align(id, depth) };
      case "STRUCT":
        return this.#struct(type, id, depth);
      default:
        throw new BtfError(`BTF type ${id}: wanted a type of data, found ${type.kind}`, id);
    }
  }

  #struct(type: BtfComposite, id: BtfId, depth: number): Codec<unknown> {
    const parts: Part[] = [];
    this.#flatten(type, id, 0, depth, parts);
    for (const { name, codec, off, bits } of parts) {
      const end = bits === undefined ? off + codec.size : Math.ceil((bits.off + bits.count) / 8);
      if (end <= type.size) continue;
      throw new BtfError(`BTF type ${id}: wanted "${name}" within ${type.size} bytes, found an end at ${end}`, id);
    }
    return structCodec(type, this.#align(id, depth), parts);
  }

  #flatten(type: BtfComposite, id: BtfId, base: number, depth: number, parts: Part[]): void {
    if (depth > MAX_DEPTH) throw new BtfError(`BTF type ${id}: wanted a struct, found it within itself`, id);
    for (const member of type.members) {
      if (parts.length > MOST_MEMBERS) throw new BtfError(`BTF type ${id}: more than ${MOST_MEMBERS} members`, id);
      if (this.#btf.sizeOf(member.type) === 0) continue;
      const inner = this.#btf.type(this.#btf.resolve(member.type));
      const bitsOffset = base + member.bitsOffset;
      if (member.name === "" && inner.kind === "STRUCT") {
        this.#flatten(inner, id, bitsOffset, depth + 1, parts);
        continue;
      }
      const off = bitsOffset / 8;
      const bits = this.#bits(member, bitsOffset);
      const name = member.name === "" ? `anon_${off}` : member.name;
      if (bits === undefined && !Number.isInteger(off)) {
        throw new BtfError(`BTF type ${id}: wanted "${name}" at a byte, found it at bit ${bitsOffset}`, id);
      }
      parts.push({ name, codec: this.codec(member.type, depth + 1), off, bits });
    }
  }

  #bits(member: BtfMember, bitsOffset: number): Bits | undefined {
    const type = this.#btf.type(this.#btf.resolve(member.type));
    if (type.kind !== "INT" && type.kind !== "ENUM" && type.kind !== "ENUM64") return undefined;
    const signed = type.kind === "INT" ? type.encoding === "SIGNED" : type.signed;
    const as = type.kind === "INT" && type.encoding === "BOOL" ? "boolean" : type.size > 4 ? "bigint" : "number";
    if (member.bitfieldSize > 0) return { off: bitsOffset, count: member.bitfieldSize, signed, as };
    // Compilers of old wrote bit-fields as integers of less bits than their bytes have.
    if (type.kind !== "INT" || (type.nrBits === type.size * 8 && type.bitsOffset === 0)) return undefined;
    return { off: bitsOffset + type.bitsOffset, count: type.nrBits, signed, as };
  }

  /** C's alignment: that of the members; 1 where one lies off it, for then the struct is packed. */
  #align(id: BtfId, depth: number): number {
    if (depth > MAX_DEPTH) throw new BtfError(`BTF type ${id}: wanted a type, found it within itself`, id);
    const type = this.#btf.type(this.#btf.resolve(id));
    if (type.kind === "ARRAY") return this.#align(type.type, depth + 1);
    if (type.kind !== "STRUCT" && type.kind !== "UNION") return Math.min(this.#btf.sizeOf(id), 8);
    let most = 1;
    for (const member of type.members) {
      const align = this.#memberAlign(member, depth);
      if (member.bitfieldSize === 0 && member.bitsOffset % (align * 8) !== 0) return 1;
      most = Math.max(most, align);
    }
    return type.size % most === 0 ? most : 1;
  }

  readonly #aligns = new Map<BtfId, number>();
  #memberAlign({ type }: BtfMember, depth: number): number {
    const known = this.#aligns.get(type);
    if (known !== undefined) return known;
    const align = this.#align(type, depth + 1);
    this.#aligns.set(type, align);
    return align;
  }
}

const opaque = (size: number): Codec<unknown> => bytes(size);

/** A codec's properties, its lanes too, as an object's own. */
function shape(codec: Codec<unknown>): Codec<unknown> {
  const { type, size, align, fits, write, read, check, lanes } = codec;
  return { type, size, align, fits, write, read, check, lanes };
}

/** A struct with members where BTF says. */
function structCodec({ name, size }: BtfComposite, align: number, parts: readonly Part[]): Codec<unknown> {
  const type = name === "" ? "struct" : `struct ${name}`;
  const fits = (row: unknown): boolean =>
    typeof row === "object" &&
    row !== null &&
    parts.every(({ name, codec, bits }) => {
      const value = (row as Row)[name];
      return bits === undefined ? codec.fits(value) : bitsFit(bits, value);
    });
  const check = (row: Row, at: string): void => {
    if (typeof row !== "object" || row === null) throw wrongType(at, type, row);
    for (const { name, codec, bits } of parts) {
      if (!(name in row)) throw new TypeError(`${at}.${name}: wanted ${codec.type}, found no such property`);
      if (bits === undefined) codec.check(row[name], `${at}.${name}`);
      else checkBits(bits, row[name], `${at}.${name}`);
    }
  };
  const whole = parts.every(({ bits }) => bits === undefined);
  return make<Row>({
    type,
    size,
    align,
    fits,
    write(view, offset, row, at = "value") {
      if (!fits(row)) check(row, at);
      new Uint8Array(view.buffer, view.byteOffset + offset, size).fill(0);
      for (const { name, codec, off, bits } of parts) {
        if (bits === undefined) codec.write(view, offset + off, row[name]);
        else writeBits(view, offset, bits, row[name]);
      }
    },
    read(view, offset) {
      const row: Row = {};
      for (const { name, codec, off, bits } of parts) {
        row[name] = bits === undefined ? codec.read(view, offset + off) : readBits(view, offset, bits);
      }
      return row;
    },
    check,
    lanes: () => (whole ? joinLanes(parts.map(({ codec, off }) => [codec, off] as const)) : undefined),
  });
}

function asInteger({ as }: Bits, value: unknown): bigint | undefined {
  if (typeof value !== as) return undefined;
  if (typeof value === "number" && !Number.isInteger(value)) return undefined;
  return BigInt(value as number | bigint | boolean);
}

function narrow({ count, signed }: Bits, value: bigint): bigint {
  return signed ? BigInt.asIntN(count, value) : BigInt.asUintN(count, value);
}

function bitsFit(bits: Bits, value: unknown): boolean {
  const integer = asInteger(bits, value);
  return integer !== undefined && narrow(bits, integer) === integer;
}

function checkBits(bits: Bits, value: unknown, at: string): void {
  if (bitsFit(bits, value)) return;
  const wanted = `${bits.signed ? "a signed" : "an unsigned"} bit-field of ${bits.count} bits (${bits.as})`;
  throw typeof value === bits.as ? wrongValue(at, wanted, value) : wrongType(at, wanted, value);
}

/** Or-s a bit-field into zeroes. */
function writeBits(view: DataView, offset: number, bits: Bits, value: unknown): void {
  const at = offset + (bits.off >> 3);
  let rest = BigInt.asUintN(bits.count, asInteger(bits, value)!) << BigInt(bits.off & 7);
  for (let i = 0; rest > 0n; i++, rest >>= 8n) view.setUint8(at + i, view.getUint8(at + i) | Number(rest & 0xffn));
}

function readBits(view: DataView, offset: number, bits: Bits): unknown {
  const at = offset + (bits.off >> 3);
  let all = 0n;
  for (let i = ((bits.off & 7) + bits.count - 1) >> 3; i >= 0; i--) all = (all << 8n) | BigInt(view.getUint8(at + i));
  const value = narrow(bits, all >> BigInt(bits.off & 7));
  return bits.as === "bigint" ? value : bits.as === "number" ? Number(value) : value !== 0n;
}

/**
 * Just enough of the WebAssembly binary format to walk over a module: numbers, sections, and how long each instruction is.
 *
 * Instructions: those of the 1.0 standard, sign extension, saturating conversions, bulk memory, references, fixed and
 * relaxed SIMD, threads. Anything else is an error that says what was met where. See the standard's chapter "Binary Format".
 */

/** Reads a module's bytes front to back. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new RangeError(`The module ends at offset ${this.at - 1}, in the middle`);
    return byte;
  }

  /** An unsigned LEB128 number of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  /** Passes by a LEB128 number of any kind. */
  skipNumber(): void {
    while (this.byte() >= 0x80);
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  name(): string {
    const length = this.u32();
    this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(this.at - length, this.at));
  }
}

/** A section: its id, and where its contents begin and end. */
export interface Section {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

export const CUSTOM = 0;
export const TYPES = 1;
export const IMPORTS = 2;
export const EXPORTS = 7;
export const CODE = 10;

const HEADER_BYTES = 8;

/** All sections in their order. */
export function sectionsOf(bytes: Uint8Array): Section[] {
  const reader = new Reader(bytes, HEADER_BYTES);
  const sections: Section[] = [];
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const length = reader.u32();
    sections.push({ id, start: reader.at, end: reader.at + length });
    reader.skip(length);
  }
  return sections;
}

/** An unsigned number as LEB128. */
export function leb(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  bytes.push(value);
  return bytes;
}

/** The same for a signed number. */
export function signedLeb(value: number): number[] {
  const bytes: number[] = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    const isLast = value === (low & 0x40 ? -1 : 0);
    bytes.push(isLast ? low : low | 0x80);
    if (isLast) return bytes;
  }
}

/** An instruction that was passed by. */
export interface Instruction {
  /** Its offset in the module. */
  readonly at: number;
  /** Its opcode; of those with a prefix: prefix << 16 | opcode. */
  readonly opcode: number;
  /** Of a `call`: the function's index. */
  readonly callee?: number;
}

const BULK = 0xfc;
const SIMD = 0xfd;
const ATOMIC = 0xfe;
const CALL = 0x10;

/** Reads the instruction that the reader stands at, up to the next one. */
export function nextInstruction(reader: Reader): Instruction {
  const { at } = reader;
  const first = reader.byte();
  if (first === CALL) return { at, opcode: CALL, callee: reader.u32() };
  const hasPrefix = first >= BULK && first <= ATOMIC;
  const opcode = hasPrefix ? (first << 16) | reader.u32() : first;
  const known = hasPrefix ? skipPrefixed(reader, first, opcode & 0xffff) : skipPlain(reader, first);
  if (!known) throw new RangeError(`Unknown instruction 0x${opcode.toString(16)} at offset ${at}`);
  return { at, opcode };
}

/** Passes by the immediates of a memory access: alignment (bit 6: a memory's index follows) and offset. */
function skipAddress(reader: Reader): void {
  if (reader.u32() & 0x40) reader.skipNumber();
  reader.skipNumber();
}

function skipPlain(reader: Reader, opcode: number): boolean {
  if (opcode >= 0x45 && opcode <= 0xc4) return true; // numbers
  if (opcode >= 0x28 && opcode <= 0x3e) {
    skipAddress(reader);
    return true;
  }
  switch (opcode) {
    case 0x00: // unreachable
    case 0x01: // nop
    case 0x05: // else
    case 0x0b: // end
    case 0x0f: // return
    case 0x1a: // drop
    case 0x1b: // select
    case 0xd1: // ref.is_null
      return true;
    case 0x02: // block
    case 0x03: // loop
    case 0x04: // if
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x12: // return_call
    case 0x20: // local.get
    case 0x21: // local.set
    case 0x22: // local.tee
    case 0x23: // global.get
    case 0x24: // global.set
    case 0x25: // table.get
    case 0x26: // table.set
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case 0x41: // i32.const
    case 0x42: // i64.const
    case 0xd0: // ref.null
    case 0xd2: // ref.func
      reader.skipNumber();
      return true;
    case 0x11: // call_indirect
    case 0x13: // return_call_indirect
      reader.skipNumber();
      reader.skipNumber();
      return true;
    case 0x0e: // br_table: targets, and the default
    case 0x1c: // select with types
      for (let n = reader.u32() + (opcode === 0x0e ? 1 : 0); n > 0; n--) reader.skipNumber();
      return true;
    case 0x43: // f32.const
      reader.skip(4);
      return true;
    case 0x44: // f64.const
      reader.skip(8);
      return true;
    default:
      return false;
  }
}

function skipPrefixed(reader: Reader, prefix: number, opcode: number): boolean {
  switch (prefix) {
    case BULK:
      if (opcode > 17) return false;
      // memory.init, memory.copy, table.init, table.copy have two immediates, saturating conversions none, the others one.
      if (opcode >= 8) reader.skipNumber();
      if (opcode === 8 || opcode === 10 || opcode === 12 || opcode === 14) reader.skipNumber();
      return true;
    case SIMD:
      if (opcode <= 11 || opcode === 92 || opcode === 93) skipAddress(reader);
      else if (opcode === 12 || opcode === 13) reader.skip(16);
      else if (opcode >= 21 && opcode <= 34) reader.skip(1);
      else if (opcode >= 84 && opcode <= 91) {
        skipAddress(reader);
        reader.skip(1);
      }
      return opcode <= 275;
    default:
      if (opcode === 3) reader.skip(1);
      else skipAddress(reader);
      return opcode <= 3 || (opcode >= 0x10 && opcode <= 0x4e);
  }
}

/** Whether an instruction writes memory. */
export function isWriting(opcode: number): boolean {
  const low = opcode & 0xffff;
  switch (opcode >> 16) {
    case 0:
      return low >= 0x36 && low <= 0x3e;
    case BULK:
      return low === 8 || low === 10 || low === 11;
    case SIMD:
      return low === 11 || (low >= 88 && low <= 91);
    default:
      // Stores, and all read-modify-writes.
      return low >= 0x17 && low <= 0x4e;
  }
}

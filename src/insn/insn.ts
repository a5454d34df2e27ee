/**
 * Instructions and their bytes. The layout is drawn in opcodes.ts.
 */
import { type Opcode, opcodes } from "./opcodes.js";

export const INSN_SIZE = 8;
/** r0 to r10. */
export const REGISTERS = 11;

/** An instruction: a row of the table, and what its fields hold. */
export interface Insn {
  readonly opcode: Opcode;
  readonly dst: number;
  readonly src: number;
  /** Signed, 16 bits. Jumps count slots from the next. */
  readonly off: number;
  /** Signed, 32 bits. */
  readonly imm: number;
  /** The second slot's imm, signed: of lddw the upper half. */
  readonly next: number;
}

/** Bytes that are no instruction, or text that is none. */
export class InsnError extends Error {
  override readonly name = "InsnError";
}

/** Fields by the places in a row's text that show them. */
const SHOWN: Readonly<Record<string, "dst" | "src" | "off" | "imm" | "next" | "imm64">> = {
  dst: "dst",
  wdst: "dst",
  data: "dst",
  src: "src",
  wsrc: "src",
  sdata: "src",
  off: "off",
  jump: "off",
  imm: "imm",
  far: "imm",
  next: "next",
  imm64: "imm64",
};

/** The places in a row's text, in order. */
export const placesOf = ({ text }: Opcode): string[] => [...text.matchAll(/\{(\w+)\}/g)].map(([, place]) => place!);

export const fieldOf = (place: string): "dst" | "src" | "off" | "imm" | "next" | "imm64" => SHOWN[place]!;

/** A row, and which fields may hold anything. */
interface Rule {
  readonly opcode: Opcode;
  readonly free: ReadonlySet<string>;
}

const rules: (readonly Rule[])[] = Array.from({ length: 256 }, () => []);
for (const opcode of opcodes) {
  const free = new Set<string>(placesOf(opcode).map(fieldOf));
  if (free.delete("imm64")) for (const half of ["imm", "next"]) free.add(half);
  rules[opcode.code] = [...rules[opcode.code]!, { opcode, free }];
}

/** The lower and upper half of lddw's number. */
export function imm64Of({ imm, next }: Pick<Insn, "imm" | "next">): bigint {
  return (BigInt(next) << 32n) | BigInt(imm >>> 0);
}

/** How many slots instructions take. */
export function slotsOf(insns: readonly Insn[]): number {
  return insns.reduce((sum, { opcode }) => sum + opcode.slots, 0);
}

/**
 * The instructions in bytes.
 *
 * @throws {InsnError} The bytes hold what is no instruction: which slot, what was found and what was wanted
 */
export function decodeInsns(bytes: Uint8Array): Insn[] {
  if (bytes.length % INSN_SIZE !== 0) {
    throw new InsnError(`Cannot decode instructions: wanted a multiple of 8 bytes, found ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const insns: Insn[] = [];
  for (let slot = 0; slot < bytes.length / INSN_SIZE; slot += insns.at(-1)!.opcode.slots) {
    insns.push(decodeInsn(view, slot));
  }
  return insns;
}

function decodeInsn(view: DataView, slot: number): Insn {
  const at = slot * INSN_SIZE;
  const refuse = (found: string): never => {
    throw new InsnError(`Cannot decode slot ${slot}: ${found}`);
  };
  const [code, registers] = [view.getUint8(at), view.getUint8(at + 1)];
  const fields = {
    dst: registers & 15,
    src: registers >> 4,
    off: view.getInt16(at + 2, true),
    imm: view.getInt32(at + 4, true),
    next: 0,
  };
  const candidates = rules[code]!;
  if (candidates.length === 0) refuse(`no instruction has code ${hex(code)}`);
  const rule = candidates.find(
    ({ opcode: { src, off, imm } }) =>
      (src ?? fields.src) === fields.src && (off ?? fields.off) === fields.off && (imm ?? fields.imm) === fields.imm,
  );
  if (rule === undefined) {
    return refuse(`of code ${hex(code)} there is none with src ${fields.src}, off ${fields.off}, imm ${fields.imm}`);
  }
  const { opcode, free } = rule;
  if (opcode.slots === 2) {
    if (at + 2 * INSN_SIZE > view.byteLength) refuse("lddw takes two slots, and this is the last");
    if (view.getUint32(at + 8, true) !== 0) refuse("the second slot of lddw must be zero but for imm");
    fields.next = view.getInt32(at + 12, true);
  }
  for (const name of ["dst", "src", "off", "imm", "next"] as const) {
    const isFixed = name !== "dst" && name !== "next" && opcode[name] !== undefined;
    if (!isFixed && !free.has(name) && fields[name] !== 0) {
      refuse(`"${opcode.text}" has no ${name}, found ${fields[name]}`);
    }
  }
  for (const name of ["dst", "src"] as const) {
    if (free.has(name) && fields[name] >= REGISTERS) refuse(`${name} is r${fields[name]}, and r10 is the last`);
  }
  return { opcode, ...fields };
}

/** The bytes of instructions. */
export function encodeInsns(insns: readonly Insn[]): Uint8Array {
  const bytes = new Uint8Array(slotsOf(insns) * INSN_SIZE);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { opcode, dst, src, off, imm, next } of insns) {
    view.setUint8(at, opcode.code);
    view.setUint8(at + 1, (src << 4) | dst);
    view.setInt16(at + 2, off, true);
    view.setInt32(at + 4, imm, true);
    if (opcode.slots === 2) view.setInt32(at + 12, next, true);
    at += opcode.slots * INSN_SIZE;
  }
  return bytes;
}

const hex = (byte: number): string => `0x${byte.toString(16).padStart(2, "0")}`;

/**
 * THE table of instructions: RFC 9669 whole, but for the legacy access to packets, and what Linux has added since
 * (load_acquire, store_release, may_goto, addr_space_cast). Decoding, encoding, disassembly and assembly all read these rows,
 * and so does what runs programs: an instruction exists if it has a row.
 *
 *     0        1           2         4                8
 *     | code   | src, dst  | off     | imm            |      one slot; dst in the lower four bits
 *     | code   | src, dst  | off     | imm            | 0    | 0      | 0       | next           |      two slots: lddw
 *
 * A row's text is clang's syntax with places for the fields. A field that has no place in it and is not fixed by the row must be
 * zero: the kernel refuses it otherwise.
 */

/** What an instruction does with the row's `op`. */
export type Form = "alu" | "end" | "movsx" | "cast" | "lddw" | "load" | "store" | "atomic" | "jump" | "call" | "exit";

/** One row. */
export interface Opcode {
  /** The first byte. */
  readonly code: number;
  readonly form: Form;
  /** What it does, in the words of the RFC: "add", "jeq", "cmpxchg", "le". */
  readonly op: string;
  /** Of alu, jump and atomic: whether it works on all 64 bits of its registers. */
  readonly is64: boolean;
  /** Where the second operand comes from. */
  readonly from: "reg" | "imm";
  /** Bytes that it reads or writes in memory, or bytes that it extends or swaps; 0 where neither. */
  readonly size: number;
  /** Slots that it takes. */
  readonly slots: 1 | 2;
  /** What these fields must be. */
  readonly src?: number;
  readonly off?: number;
  readonly imm?: number;
  /** Clang's syntax. Places: {dst} {src} (r0), {wdst} {wsrc} (w0), {data} {sdata} (w0, and r0 is understood as well), {imm} {off} {jump} {far} {imm64} {next}. */
  readonly text: string;
}

type Row = Pick<Opcode, "code" | "form" | "op" | "text"> & Partial<Opcode>;

const rows: Opcode[] = [];

function add(row: Row): void {
  rows.push({ is64: true, from: "imm", size: 0, slots: 1, ...row });
}

/** Classes: the lowest three bits of code. */
const BPF_LD = 0;
const BPF_LDX = 1;
const BPF_ST = 2;
const BPF_STX = 3;
const BPF_ALU = 4;
const BPF_JMP = 5;
const BPF_JMP32 = 6;
const BPF_ALU64 = 7;
/** The second operand is src. */
const BPF_X = 0x08;

/** Of ALU and ALU64: the upper four bits, and the sign. */
const ARITHMETIC = [
  ["add", 0x00, "+="],
  ["sub", 0x10, "-="],
  ["mul", 0x20, "*="],
  ["div", 0x30, "/="],
  ["or", 0x40, "|="],
  ["and", 0x50, "&="],
  ["lsh", 0x60, "<<="],
  ["rsh", 0x70, ">>="],
  ["mod", 0x90, "%="],
  ["xor", 0xa0, "^="],
  ["mov", 0xb0, "="],
  ["arsh", 0xc0, "s>>="],
] as const;
/** The same codes as div and mod, with off 1. */
const SIGNED_ARITHMETIC = [
  ["sdiv", 0x30, "s/="],
  ["smod", 0x90, "s%="],
] as const;
const BPF_NEG = 0x80;
const BPF_MOV = 0xb0;
const BPF_END = 0xd0;

for (const [is64, clazz, dst, src] of [
  [true, BPF_ALU64, "{dst}", "{src}"],
  [false, BPF_ALU, "{wdst}", "{wsrc}"],
] as const) {
  for (const [op, bits, sign] of ARITHMETIC) {
    add({ code: clazz | bits, form: "alu", op, is64, off: 0, text: `${dst} ${sign} {imm}` });
    add({ code: clazz | bits | BPF_X, form: "alu", op, is64, from: "reg", off: 0, text: `${dst} ${sign} ${src}` });
  }
  for (const [op, bits, sign] of SIGNED_ARITHMETIC) {
    add({ code: clazz | bits, form: "alu", op, is64, off: 1, text: `${dst} ${sign} {imm}` });
    add({ code: clazz | bits | BPF_X, form: "alu", op, is64, from: "reg", off: 1, text: `${dst} ${sign} ${src}` });
  }
  add({ code: clazz | BPF_NEG, form: "alu", op: "neg", is64, text: `${dst} = -${dst}` });
  for (const size of is64 ? [1, 2, 4] : [1, 2]) {
    const [bits, code] = [8 * size, clazz | BPF_MOV | BPF_X];
    add({ code, form: "movsx", op: "movsx", is64, from: "reg", size, off: bits, text: `${dst} = (s${bits})${src}` });
  }
}
for (const [op, code] of [
  ["le", BPF_ALU | BPF_END],
  ["be", BPF_ALU | BPF_END | BPF_X],
  ["bswap", BPF_ALU64 | BPF_END],
] as const) {
  for (const size of [2, 4, 8]) {
    add({ code, form: "end", op, size, imm: 8 * size, text: `{dst} = ${op}${8 * size} {dst}` });
  }
}
/** Between the address spaces of an arena: imm has the new one above the old one. */
for (const [to, of] of [
  [0, 1],
  [1, 0],
] as const) {
  const [code, imm] = [BPF_ALU64 | BPF_MOV | BPF_X, (to << 16) | of];
  const text = `{dst} = addr_space_cast({src}, ${to}, ${of})`;
  add({ code, form: "cast", op: "addr_space_cast", from: "reg", off: 1, imm, text });
}

/** What lddw loads, by src. Clang knows the first only; the others are as the kernel's log has them. */
const BPF_DW = 0x18;
for (const [src, op, text] of [
  [0, "imm64", "{dst} = {imm64} ll"],
  [1, "map_fd", "{dst} = map[fd:{imm}]"],
  [2, "map_value", "{dst} = map[fd:{imm}][0]+{next}"],
  [3, "btf_id", "{dst} = btf[id:{imm}]+{next}"],
  [4, "func", "{dst} = subprog[{far}]"],
  [5, "map_idx", "{dst} = map[idx:{imm}]"],
  [6, "map_idx_value", "{dst} = map[idx:{imm}][0]+{next}"],
] as const) {
  add({ code: BPF_LD | BPF_DW, form: "lddw", op, slots: 2, src, text });
}

const SIZES = [
  [1, 0x10],
  [2, 0x08],
  [4, 0x00],
  [8, 0x18],
] as const;
const BPF_MEM = 0x60;
const BPF_MEMSX = 0x80;
const BPF_ATOMIC = 0xc0;

for (const [size, bits] of SIZES) {
  const [at, signed] = [`*(u${8 * size} *)`, `*(s${8 * size} *)`];
  const ldx = { form: "load", from: "reg", size } as const;
  add({
    ...ldx,
    code: BPF_LDX | BPF_MEM | bits,
    op: "load",
    text: `${size === 8 ? "{dst}" : "{data}"} = ${at}({src} {off})`,
  });
  if (size < 8) add({ ...ldx, code: BPF_LDX | BPF_MEMSX | bits, op: "loadsx", text: `{dst} = ${signed}({src} {off})` });
  add({ code: BPF_ST | BPF_MEM | bits, form: "store", op: "store", size, text: `${at}({dst} {off}) = {imm}` });
  const stored = size === 8 ? "{src}" : "{sdata}";
  const stx = { form: "store", op: "store", from: "reg", size } as const;
  add({ ...stx, code: BPF_STX | BPF_MEM | bits, text: `${at}({dst} {off}) = ${stored}` });
}

const BPF_FETCH = 0x01;
const ATOMICS = [
  ["add", 0x00, "+="],
  ["or", 0x40, "|="],
  ["and", 0x50, "&="],
  ["xor", 0xa0, "^="],
] as const;
for (const [size, bits] of SIZES.slice(2)) {
  const is64 = size === 8;
  const [pointer, reg] = [`(u${8 * size} *)({dst} {off})`, is64 ? "{src}" : "{wsrc}"];
  const atomic = { code: BPF_STX | BPF_ATOMIC | bits, form: "atomic", is64, from: "reg", size } as const;
  for (const [op, imm, sign] of ATOMICS) {
    add({ ...atomic, op, imm, text: `lock *${pointer} ${sign} ${is64 ? reg : "{sdata}"}` });
    const fetch = `${reg} = atomic_fetch_${op}(${pointer}, ${reg})`;
    add({ ...atomic, op: `fetch_${op}`, imm: imm | BPF_FETCH, text: fetch });
  }
  const [suffix, r0] = is64 ? ["_64", "r0"] : ["32_32", "w0"];
  add({ ...atomic, op: "xchg", imm: 0xe1, text: `${reg} = xchg${suffix}({dst} {off}, ${reg})` });
  add({ ...atomic, op: "cmpxchg", imm: 0xf1, text: `${r0} = cmpxchg${suffix}({dst} {off}, ${r0}, ${reg})` });
}
for (const [size, bits] of SIZES) {
  const atomic = { code: BPF_STX | BPF_ATOMIC | bits, form: "atomic", is64: size === 8, from: "reg", size } as const;
  const [to, from] = size === 8 ? ["{dst}", "{src}"] : ["{wdst}", "{wsrc}"];
  const loaded = `${to} = load_acquire((u${8 * size} *)({src} {off}))`;
  add({ ...atomic, op: "load_acquire", imm: 0x100, text: loaded });
  const stored = `store_release((u${8 * size} *)({dst} {off}), ${from})`;
  add({ ...atomic, op: "store_release", imm: 0x110, text: stored });
}

const JUMPS = [
  ["jeq", 0x10, "=="],
  ["jgt", 0x20, ">"],
  ["jge", 0x30, ">="],
  ["jset", 0x40, "&"],
  ["jne", 0x50, "!="],
  ["jsgt", 0x60, "s>"],
  ["jsge", 0x70, "s>="],
  ["jlt", 0xa0, "<"],
  ["jle", 0xb0, "<="],
  ["jslt", 0xc0, "s<"],
  ["jsle", 0xd0, "s<="],
] as const;
add({ code: BPF_JMP, form: "jump", op: "ja", text: "goto {jump}" });
add({ code: BPF_JMP32, form: "jump", op: "ja", text: "gotol {far}" });
add({ code: BPF_JMP | 0xe0, form: "jump", op: "may_goto", src: 0, text: "may_goto {jump}" });
for (const [is64, clazz, dst, src] of [
  [true, BPF_JMP, "{dst}", "{src}"],
  [false, BPF_JMP32, "{wdst}", "{wsrc}"],
] as const) {
  for (const [op, bits, sign] of JUMPS) {
    add({ code: clazz | bits, form: "jump", op, is64, text: `if ${dst} ${sign} {imm} goto {jump}` });
    const text = `if ${dst} ${sign} ${src} goto {jump}`;
    add({ code: clazz | bits | BPF_X, form: "jump", op, is64, from: "reg", text });
  }
}

/** What is called, by src. */
const BPF_CALL = 0x80;
add({ code: BPF_JMP | BPF_CALL, form: "call", op: "helper", src: 0, text: "call {imm}" });
add({ code: BPF_JMP | BPF_CALL, form: "call", op: "local", src: 1, text: "call pc{far}" });
add({ code: BPF_JMP | BPF_CALL, form: "call", op: "kfunc", src: 2, text: "call kfunc {imm} {off}" });
add({ code: BPF_JMP | BPF_CALL | BPF_X, form: "call", op: "callx", from: "reg", text: "callx {dst}" });
add({ code: BPF_JMP | 0x90, form: "exit", op: "exit", text: "exit" });

/** All rows. */
export const opcodes: readonly Opcode[] = rows;

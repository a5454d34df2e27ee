/**
 * Instructions of every row of the table with the values that are most likely to be wrong: each check leaves its results in r0 and r1.
 */
import { assemble } from "../../src/insn/asm.js";
import { type Insn, placesOf } from "../../src/insn/insn.js";
import { type Opcode, opcodes } from "../../src/insn/opcodes.js";

export const VALUES = [
  0n,
  1n,
  2n,
  7n,
  31n,
  32n,
  33n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x0123_4567_89ab_cdefn,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_0000_0000n,
  0xffff_ffff_8000_0000n,
  0xffff_ffff_ffff_fffen,
  0xffff_ffff_ffff_ffffn,
];
export const IMMS = [0, 1, -1, 2, 31, 32, 33, 63, 127, 128, -128, 65535, 2 ** 31 - 1, -(2 ** 31)];

export const row = (opcode: Opcode, fields: Partial<Insn>): Insn => ({
  opcode,
  dst: 0,
  src: opcode.src ?? 0,
  off: opcode.off ?? 0,
  imm: opcode.imm ?? 0,
  next: 0,
  ...fields,
});
const lddw = (reg: number, value: bigint): Insn[] => assemble(`r${reg} = ${value} ll`);
const at = (off: number): string => `${off < 0 ? "-" : "+"} ${Math.abs(off)}`;

const FORMS = new Set(["alu", "movsx", "end"]);
export const arithmeticRows: readonly Opcode[] = opcodes.filter(({ form }) => FORMS.has(form));
export const jumpRows: readonly Opcode[] = opcodes.filter(
  ({ form, op }) => form === "jump" && op !== "ja" && op !== "may_goto",
);
export const memoryRows: readonly Opcode[] = opcodes.filter(({ form }) => form === "load" || form === "store");
export const atomicRows: readonly Opcode[] = opcodes.filter(({ form }) => form === "atomic");

/** Each row's checks, by its form. */
export function checksOf(opcode: Opcode, begin: string, off: number): Insn[][] {
  if (arithmeticRows.includes(opcode)) return arithmeticChecks(opcode);
  if (jumpRows.includes(opcode)) return jumpChecks(opcode);
  return memoryRows.includes(opcode) ? memoryChecks(opcode, begin, off) : atomicChecks(opcode, begin, off);
}

function arithmeticChecks(opcode: Opcode): Insn[][] {
  const takesImm = placesOf(opcode).includes("imm");
  const operands = opcode.from === "reg" ? VALUES : takesImm ? IMMS : [0];
  const checks = VALUES.flatMap((a) =>
    operands.map((b) => [
      ...lddw(0, a),
      ...lddw(1, typeof b === "bigint" ? b : 0n),
      row(opcode, { dst: 0, ...(typeof b === "number" ? takesImm && { imm: b } : { src: 1 }) }),
    ]),
  );
  if (opcode.from !== "reg") return checks;
  const withItself = VALUES.map((a) => [...lddw(0, a), ...lddw(1, 0n), row(opcode, { src: 0 })]);
  return [...checks, ...withItself];
}

function jumpChecks(opcode: Opcode): Insn[][] {
  const operands = opcode.from === "reg" ? VALUES : IMMS;
  return VALUES.flatMap((a) =>
    operands.map((b) => [
      ...lddw(1, a),
      ...lddw(2, typeof b === "bigint" ? b : 0n),
      ...assemble("r0 = 1"),
      row(opcode, { dst: 1, off: 1, ...(typeof b === "number" ? { imm: b } : { src: 2 }) }),
      ...assemble("r0 = 2"),
    ]),
  );
}

/** In memory at r2, which `begin` sets, plus `off`; one byte further, so that it is not aligned. */
function memoryChecks(opcode: Opcode, begin: string, off: number): Insn[][] {
  return VALUES.map((a) => [
    ...assemble(`r0 = 0\n${begin}`),
    ...lddw(1, a),
    ...assemble(`*(u64 *)(r2 ${at(off)}) = r1`),
    opcode.form === "load"
      ? row(opcode, { dst: 0, src: 2, off: off + 1 })
      : row(opcode, { dst: 2, ...(opcode.from === "reg" ? { src: 1 } : { imm: -2 }), off: off + 1 }),
    ...assemble(`r1 = *(u64 *)(r2 ${at(off)})`),
  ]);
}

function atomicChecks(opcode: Opcode, begin: string, off: number): Insn[][] {
  return VALUES.flatMap((a) =>
    VALUES.slice(0, 20).map((b, n) => [
      ...assemble(begin),
      ...lddw(1, a),
      ...assemble(`*(u64 *)(r2 ${at(off)}) = r1`),
      // Half of them are what is there.
      ...lddw(0, n % 2 === 0 ? a : b),
      ...lddw(3, b),
      row(opcode, opcode.op === "load_acquire" ? { dst: 3, src: 2, off } : { dst: 2, src: 3, off }),
      ...assemble(`r1 = *(u64 *)(r2 ${at(off)})\nr0 ^= r3`),
    ]),
  );
}

/** Programs that run so many checks each, on from where r9 leads: the results lie there. */
export function inPrograms(checks: readonly Insn[][], each: number): Insn[][] {
  const store = (n: number, reg: number): Insn[] => assemble(`*(u64 *)(r9 + ${16 * n + 8 * reg}) = r${reg}`);
  const programs: Insn[][] = [];
  for (let i = 0; i < checks.length; i += each) {
    const some = checks.slice(i, i + each);
    const insns = some.flatMap((check, n) => [...check, ...store(n, 0), ...store(n, 1)]);
    programs.push([...insns, ...assemble("r0 = 0\nexit")]);
  }
  return programs;
}

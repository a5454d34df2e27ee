/**
 * Programs compiled, interpreted, and on Linux: the same results.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { type Insn, placesOf } from "../../src/insn/insn.js";
import type { Opcode } from "../../src/insn/opcodes.js";
import { whyNoLinux } from "../kernels.js";
import { laundered } from "../program/_workbench.js";
import { IMMS, arithmeticRows, atomicRows, checksOf, inPrograms, jumpRows, memoryRows, row } from "./_checks.js";
import { ThreeWays, VALUE_BYTES } from "./_three.js";

let ways: ThreeWays;
beforeAll(async () => {
  ways = await ThreeWays.open(whyNoLinux === undefined);
});
afterAll(() => ways[Symbol.dispose]());

/** Runs a program each way. Returns whether Linux takes it. */
function runAll(insns: readonly Insn[]): boolean {
  const outcomes = ways.run(insns);
  if (outcomes === undefined) return false;
  const expected = outcomes.get("interpreted")!;
  for (const [way, outcome] of outcomes) expect(outcome === expected, `${way} is as interpreted`).toBe(true);
  return true;
}

/** Shifts by more than there are bits, and divisions by a zero that is in the instruction, are refused. */
function isRefused({ opcode: { op, is64, from, form }, imm }: Insn): boolean {
  if (form !== "alu" || from !== "imm") return false;
  if (/div|mod/.test(op)) return imm === 0;
  return op.endsWith("sh") && (imm < 0 || imm >= (is64 ? 64 : 32));
}

const CHECKS_EACH = 500;
/** Behind the results. */
const PLACE = 16 * CHECKS_EACH + 64;

describe("every row, at the edges", () => {
  const rows = [...arithmeticRows, ...jumpRows, ...memoryRows, ...atomicRows];
  it.each(rows.map((opcode) => [opcode.text, opcode] as const))("%s", (_, opcode) => {
    const checks = checksOf(opcode, "r2 = r9", PLACE).filter((check) => !check.some(isRefused));
    expect(checks.length).toBeGreaterThan(0);
    for (const program of inPrograms(checks, CHECKS_EACH)) expect(runAll(program)).toBe(true);
  });
});

/** r0 to r7 are numbers, r9 is the map's value; 64 bytes of the frame are used, and are written at the beginning. */
const registers = fc.integer({ min: 0, max: 7 });
const number = fc.oneof(fc.constantFrom(...IMMS), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
const arithmetic = fc
  .tuple(fc.constantFrom(...arithmeticRows), registers, registers, number)
  .map(([opcode, dst, src, imm]) =>
    row(opcode, { dst, ...(opcode.from === "reg" && { src }), ...(placesOf(opcode).includes("imm") && { imm }) }),
  )
  .filter((insn) => !isRefused(insn));
const memory = fc
  .tuple(fc.constantFrom(...memoryRows), registers, fc.boolean(), fc.nat(56), number)
  .map(([opcode, reg, onFrame, where, imm]) => {
    const [base, off] = onFrame ? [10, -64 + where - (where % opcode.size)] : [9, where];
    if (opcode.form !== "load")
      return [row(opcode, { dst: base, off, ...(opcode.from === "reg" ? { src: reg } : { imm }) })];
    const load = row(opcode, { dst: reg, src: base, off });
    return onFrame ? laundered(load, where - (where % 8)) : [load];
  });
const atomics = fc
  .tuple(fc.constantFrom(...atomicRows), registers, fc.boolean(), fc.nat(7))
  .map(([opcode, reg, onFrame, word]) => {
    const [base, off] = onFrame ? [10, -64 + 8 * word] : [9, 8 * word];
    const places = opcode.op === "load_acquire" ? { dst: reg, src: base, off } : { dst: base, src: reg, off };
    const atomic = row(opcode, places);
    return onFrame ? laundered(atomic, 8 * word) : [atomic];
  });
/** A number as an offset, with its range made known by a mask or by a comparison: into the value. */
const indexed = fc
  .tuple(registers, registers, fc.integer({ min: 0, max: 255 }), fc.boolean(), fc.constantFrom(1, 2, 4, 8))
  .map(([index, reg, most, byMask, size]) =>
    assemble(`
      r8 = r${index}
      ${byMask ? `r8 &= ${most}` : `if r8 > ${most} goto +2`}
      r8 += r9
      ${size === 8 ? "r" : "w"}${reg} = *(u${8 * size} *)(r8 + 100)`),
  );
/** Spilled and filled again. */
const spilled = registers.map((reg) =>
  assemble(`*(u64 *)(r10 - 80) = r9\nr8 = *(u64 *)(r10 - 80)\nr${reg} = *(u16 *)(r8 + 8)`),
);
const jumps = fc
  .tuple(fc.constantFrom(...jumpRows), registers, registers, number, fc.integer({ min: 0, max: 99 }))
  .map(([opcode, dst, src, imm, to]) => ({ opcode, dst, src, imm, to }));

/** Calls of the functions behind, with a number, a pointer to the frame, and one to the value. */
const calls = fc.tuple(fc.constantFrom("first", "second"), registers).map(([call, reg]) => ({ call, reg }));
const before = (reg: number): Insn[] => assemble(`r1 = r${reg}\nr2 = r10\nr2 += -64\nr3 = r9`);
const CALL = assemble("call pc+0")[0]!;
const AFTER = assemble("r1 = 1\nr2 = r0\nr3 = 3\nr4 = *(u64 *)(r10 - 64)\nr5 = -5");
const CALL_SLOTS = 5 + AFTER.length;
const FIRST = assemble(`
  r4 = *(u64 *)(r2 + 8)
  r4 += r1
  *(u64 *)(r2 + 0) = r4
  *(u64 *)(r10 - 8) = r1
  r5 = *(u64 *)(r3 + 16)
  r5 ^= r4
  *(u64 *)(r3 + 24) = r5
  r0 = *(u64 *)(r10 - 8)
  exit`);
const SECOND = assemble(`
  r6 = r1
  r7 = r2
  call pc-${FIRST.length + 3}
  r0 += r6
  *(u32 *)(r7 + 16) = w0
  exit`);

type Piece =
  | Insn[]
  | { opcode: Opcode; dst: number; src: number; imm: number; to: number }
  | { call: string; reg: number };
const piece: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 8, arbitrary: arithmetic.map((insn) => [insn]) },
  { weight: 4, arbitrary: memory },
  { weight: 2, arbitrary: atomics },
  { weight: 2, arbitrary: indexed },
  { weight: 1, arbitrary: spilled },
  { weight: 4, arbitrary: jumps },
  { weight: 1, arbitrary: calls },
);

/** The pieces in a row, as often as told, jumps leading forward to the beginnings of pieces; results go to the end of the value. */
function program(pieces: readonly Piece[], rounds: number): Insn[] {
  const frame = Array.from({ length: 8 }, (_, n) => `*(u64 *)(r10 - ${8 * n + 8}) = ${n * 77 - 200}`);
  const numbers = Array.from({ length: 8 }, (_, n) => `r${n} = *(u64 *)(r9 + ${200 + 8 * n})`);
  const begin = assemble([...frame, "*(u64 *)(r10 - 88) = 0", ...numbers].join("\n"));
  const stores = Array.from({ length: 8 }, (_, n) => `*(u64 *)(r9 + ${VALUE_BYTES - 64 + 8 * n}) = r${n}`);
  const starts: number[] = [];
  let slot = 0;
  for (const one of pieces) {
    starts.push(slot);
    slot += Array.isArray(one) ? one.length : "call" in one ? CALL_SLOTS : 1;
  }
  starts.push(slot);
  const again = assemble(`r8 = *(u64 *)(r10 - 88)\nr8 += 1\n*(u64 *)(r10 - 88) = r8`);
  const loop = rounds === 1 ? [] : [...again, ...assemble(`if r8 < ${rounds} goto ${-slot - again.length - 1}`)];
  const end = [...loop, ...assemble([...stores, "exit"].join("\n"))];
  const body = pieces.flatMap((one, n): Insn[] => {
    if (Array.isArray(one)) return one;
    if ("call" in one) {
      const to = slot + end.length + (one.call === "first" ? 0 : FIRST.length);
      return [...before(one.reg), { ...CALL, imm: to - starts[n]! - 5 }, ...AFTER];
    }
    const to = n + 1 + Math.floor((one.to * (pieces.length - n)) / 100);
    const { opcode, dst, src, imm } = one;
    return [row(opcode, { dst, ...(opcode.from === "reg" ? { src } : { imm }), off: starts[to]! - starts[n]! - 1 })];
  });
  // Linux wants all functions to be called.
  const called = new Set(pieces.map((one) => ("call" in one ? one.call : "")));
  const functions = [
    ...(called.has("first") || called.has("second") ? FIRST : []),
    ...(called.has("second") ? SECOND : []),
  ];
  return [...begin, ...body, ...end, ...functions];
}

describe("random programs that Linux takes", () => {
  const numRuns = Number(process.env["THREE_WAYS_RUNS"] ?? 1000);

  it("give the same three ways", { timeout: numRuns * 200 + 60_000 }, () => {
    let taken = 0;
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 60 }), fc.constantFrom(1, 1, 3), (pieces, rounds) => {
        if (runAll(program(pieces, rounds))) taken++;
      }),
      { numRuns },
    );
    console.log(`${taken} of ${numRuns} programs taken by Linux`);
    expect(taken).toBeGreaterThan(numRuns / 2);
  });
});

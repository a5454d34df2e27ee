/**
 * The compiler at the edges: every row of the table with the values that are most likely to be wrong, and random programs.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { type Insn, placesOf } from "../../src/insn/insn.js";
import { type Opcode, opcodes } from "../../src/insn/opcodes.js";
import { IMMS, arithmeticRows, atomicRows, checksOf, inPrograms, jumpRows, memoryRows, row } from "./_checks.js";
import { runCompiled, runReference } from "./_machine.js";

const expectSame = (insns: readonly Insn[], withPacket = false): void => {
  const compiled = runCompiled(insns, withPacket);
  const expected = runReference(insns, withPacket);
  expect({ ...compiled, values: compiled.values === expected.values }).toEqual({ ...expected, values: true });
};

const text = assemble;
/** In r9, which nothing else uses. */
const BEGIN = text("r9 = map[fd:0][0]+0");
const CHECKS_EACH = 60;

describe("every row, at the edges", () => {
  const rows = [...arithmeticRows, ...jumpRows, ...memoryRows, ...atomicRows];
  it.each(rows.map((opcode) => [opcode.text, opcode] as const))("%s", (_, opcode) => {
    const isOfMemory = opcode.form === "atomic" || memoryRows.includes(opcode);
    const places: [begin: string, off: number][] = [["r2 = map[fd:0][0]+0", 1000]];
    // The frame; and what nothing is known of.
    if (isOfMemory) places.push(["r2 = r10", -16], ["r2 = r10\nr2 *= 1", -24]);
    for (const [begin, off] of places) {
      for (const program of inPrograms(checksOf(opcode, begin, off), CHECKS_EACH)) expectSame([...BEGIN, ...program]);
    }
  });

  it.each(atomicRows.map((opcode) => [opcode.text, opcode] as const))("%s, not aligned", (_, opcode) => {
    for (const begin of ["r2 = r10\nr2 += -16", "r2 = map[fd:0][0]+1000", "r2 = r10\nr2 *= 1\nr2 += -24"]) {
      const fields = opcode.op === "load_acquire" ? { dst: 3, src: 2, off: 1 } : { dst: 2, src: 3, off: 1 };
      expectSame([...text(`${begin}\nr3 = 1\nr0 = 2`), row(opcode, fields), ...text("exit")]);
    }
  });

  it("may_goto and gotol", () => {
    expectSame(text("r0 = 0\nagain: r0 += 1\nmay_goto out\nif r0 < 5 goto again\nout: exit"));
    expectSame(text("r0 = 1\ngotol over\nr0 = 2\nover: exit"));
  });
});

/** Instructions of random programs, on r0 to r8: r9 is the map's value. */
const registers = fc.integer({ min: 0, max: 8 });
const number = fc.oneof(fc.constantFrom(...IMMS), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
const arithmetic = fc
  .tuple(fc.constantFrom(...arithmeticRows), registers, registers, number)
  .map(([opcode, dst, src, imm]) =>
    row(opcode, { dst, ...(opcode.from === "reg" && { src }), ...(placesOf(opcode).includes("imm") && { imm }) }),
  );
const sized = fc.constantFrom(1, 2, 4, 8);
const onFrame = fc
  .tuple(fc.constantFrom(...memoryRows), registers, fc.integer({ min: -40, max: -8 }), number)
  .map(([opcode, reg, off, imm]) =>
    opcode.form === "load"
      ? row(opcode, { dst: reg, src: 10, off })
      : row(opcode, { dst: 10, off, ...(opcode.from === "reg" ? { src: reg } : { imm }) }),
  );
const onValue = fc
  .tuple(fc.constantFrom(...memoryRows), registers, fc.integer({ min: 0, max: 63 }), number)
  .map(([opcode, reg, off, imm]) =>
    opcode.form === "load"
      ? row(opcode, { dst: reg, src: 9, off })
      : row(opcode, { dst: 9, off, ...(opcode.from === "reg" ? { src: reg } : { imm }) }),
  );
/** A pointer to the frame or into a value, with a small number added: spilled, filled, accessed. */
const pointers = fc
  .tuple(registers, registers, fc.integer({ min: 0, max: 5 }), fc.integer({ min: -44, max: 4 }), fc.nat(7), sized)
  .map(([a, b, how, off, mask, size]) => {
    const place = `(r${a} ${off < 0 ? "-" : "+"} ${Math.abs(off)})`;
    return text(
      [
        `r${a} = r10`,
        `r${a} = r9\nr${a} += 40`,
        `r${a} = r10\nr${b} &= ${mask}\nr${a} += r${b}`,
        `r${a} = r9\nr${a} += 48\nr${b} &= ${mask}\nr${a} += r${b}`,
        `*(u64 *)(r10 - 48) = r9\nr${a} = *(u64 *)(r10 - 48)\nr${a} += 44`,
        `r${a} = *(u64 *)(r10 - 48)`,
      ][how]! +
        (a === b
          ? ""
          : how % 2 === 0
            ? `\n*(u${8 * size} *)${place} = ${size === 8 ? "r" : "w"}${b}`
            : `\n${size === 8 ? "r" : "w"}${b} = *(u${8 * size} *)${place}`),
    );
  });
const allJumps = opcodes.filter(({ form, op }) => form === "jump" && op !== "may_goto");
/** Jumps, with where to in hundredths of the program. */
const jump = fc
  .tuple(fc.constantFrom(...allJumps), registers, registers, number, fc.integer({ min: 0, max: 99 }))
  .map(([opcode, dst, src, imm, to]) => ({ opcode, dst, src, imm, to }));

type Piece = Insn[] | { opcode: Opcode; dst: number; src: number; imm: number; to: number };
const piece: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 6, arbitrary: arithmetic.map((insn) => [insn]) },
  { weight: 2, arbitrary: onFrame.map((insn) => [insn]) },
  { weight: 2, arbitrary: onValue.map((insn) => [insn]) },
  { weight: 3, arbitrary: pointers },
  { weight: 4, arbitrary: jump },
);

/** The pieces in a row, jumps leading to the beginnings of pieces. */
function program(pieces: readonly Piece[]): Insn[] {
  const begin = [
    ...text("r9 = map[fd:0][0]+0"),
    ...Array.from({ length: 9 }, (_, n) => text(`r${n} = ${n * 1000 - 3000}`)).flat(),
  ];
  const end = text("*(u64 *)(r9 + 64) = r0\nexit");
  const slotsOfPiece = (one: Piece): number =>
    Array.isArray(one) ? one.reduce((sum, { opcode }) => sum + opcode.slots, 0) : 1;
  const starts: number[] = [];
  let slot = 0;
  for (const one of pieces) {
    starts.push(slot);
    slot += slotsOfPiece(one);
  }
  starts.push(slot);
  const body = pieces.flatMap((one, n): Insn[] => {
    if (Array.isArray(one)) return one;
    const distance = starts[Math.floor((one.to * starts.length) / 100)]! - starts[n]! - 1;
    const isFar = placesOf(one.opcode).includes("far");
    const places = placesOf(one.opcode);
    return [
      row(one.opcode, {
        ...(places.some((place) => place.endsWith("dst")) && { dst: one.dst }),
        ...(places.some((place) => place.endsWith("src")) && { src: one.src }),
        ...(places.includes("imm") && { imm: one.imm }),
        ...(isFar ? { imm: distance } : { off: distance }),
      }),
    ];
  });
  return [...begin, ...body, ...end];
}

describe("random programs", () => {
  const numRuns = Number(process.env["COMPILER_RUNS"] ?? 1500);

  it("do what the interpreter says", () => {
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 40 }), (pieces) => {
        expectSame(program(pieces));
      }),
      { numRuns },
    );
  });
});

/**
 * The compiler at the edges: every row of the table with the values that are most likely to be wrong, and random programs.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { type Insn, placesOf } from "../../src/insn/insn.js";
import { type Opcode, opcodes } from "../../src/insn/opcodes.js";
import { runCompiled, runReference } from "./_machine.js";

const VALUES = [
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
const IMMS = [0, 1, -1, 2, 31, 32, 33, 63, 127, 128, -128, 65535, 2 ** 31 - 1, -(2 ** 31)];

export const expectSame = (insns: readonly Insn[], withPacket = false): void => {
  const compiled = runCompiled(insns, withPacket);
  const expected = runReference(insns, withPacket);
  expect({ ...compiled, values: compiled.values === expected.values }).toEqual({ ...expected, values: true });
};

const text = (lines: string): Insn[] => assemble(lines);
const row = (opcode: Opcode, fields: Partial<Insn>): Insn => ({
  opcode,
  dst: 0,
  src: opcode.src ?? 0,
  off: opcode.off ?? 0,
  imm: opcode.imm ?? 0,
  next: 0,
  ...fields,
});
const lddw = (reg: number, value: bigint): Insn[] => text(`r${reg} = ${value} ll`);

/** Programs are of so many checks, each with its results in the map's values. */
const CHECKS = 60;
/** In r9, which nothing else uses. */
const BEGIN = text("r9 = map[fd:0][0]+0");
const store = (n: number, reg: number): Insn[] => text(`*(u64 *)(r9 + ${16 * n + (reg === 0 ? 0 : 8)}) = r${reg}`);
const END = text("r0 = 0\nexit");

function inBatches(checks: readonly Insn[][]): void {
  for (let i = 0; i < checks.length; i += CHECKS) {
    const some = checks.slice(i, i + CHECKS);
    const insns = some.flatMap((insns, n) => [...insns, ...store(n, 0), ...store(n, 1)]);
    expectSame([...BEGIN, ...insns, ...END]);
  }
}

const FORMS = new Set(["alu", "movsx", "end"]);

describe("every row, at the edges", () => {
  const arithmetic = opcodes.filter(({ form }) => FORMS.has(form));
  it.each(arithmetic.map((opcode) => [opcode.text, opcode] as const))("%s", (_, opcode) => {
    const takesImm = placesOf(opcode).includes("imm");
    const operands = opcode.from === "reg" ? VALUES : takesImm ? IMMS : [0];
    const checks = VALUES.flatMap((a) =>
      operands.map((b) => [
        ...lddw(0, a),
        ...lddw(1, typeof b === "bigint" ? b : 0n),
        row(opcode, { dst: 0, ...(typeof b === "number" ? takesImm && { imm: b } : { src: 1 }) }),
      ]),
    );
    inBatches(checks);
    // With itself.
    if (opcode.from === "reg") inBatches(VALUES.map((a) => [...lddw(0, a), ...lddw(1, 0n), row(opcode, { src: 0 })]));
  });

  const jumps = opcodes.filter(({ form, op }) => form === "jump" && op !== "ja" && op !== "may_goto");
  it.each(jumps.map((opcode) => [opcode.text, opcode] as const))("%s", (_, opcode) => {
    const operands = opcode.from === "reg" ? VALUES : IMMS;
    inBatches(
      VALUES.flatMap((a) =>
        operands.map((b) => [
          ...lddw(1, a),
          ...lddw(2, typeof b === "bigint" ? b : 0n),
          ...text("r0 = 1"),
          row(opcode, { dst: 1, off: 1, ...(typeof b === "number" ? { imm: b } : { src: 2 }) }),
          ...text("r0 = 2"),
        ]),
      ),
    );
  });

  const memory = opcodes.filter(({ form }) => form === "load" || form === "store");
  it.each(memory.map((opcode) => [opcode.text, opcode] as const))("%s", (_, opcode) => {
    for (const [begin, off] of [
      ["r2 = r10", -16],
      ["r2 = map[fd:0][0]+0", 1000],
      // What nothing is known of.
      ["r2 = r10\nr2 *= 1", -24],
    ] as const) {
      inBatches(
        VALUES.map((a) => [
          ...text(begin),
          ...lddw(1, a),
          ...text(`*(u64 *)(r2 ${off < 0 ? "-" : "+"} ${Math.abs(off)}) = r1`),
          row(
            opcode,
            opcode.form === "load"
              ? { dst: 0, src: 2, off: off + 1 }
              : {
                  dst: 2,
                  ...(opcode.from === "reg" && { src: 1 }),
                  ...(opcode.from === "imm" && { imm: -2 }),
                  off: off + 1,
                },
          ),
          ...text(`r1 = *(u64 *)(r2 ${off < 0 ? "-" : "+"} ${Math.abs(off)})`),
        ]),
      );
    }
  });

  const atomics = opcodes.filter(({ form }) => form === "atomic");
  it.each(atomics.map((opcode) => [opcode.text, opcode] as const))("%s", (_, opcode) => {
    const isLoad = opcode.op === "load_acquire";
    for (const begin of ["r2 = r10\nr2 += -16", "r2 = map[fd:0][0]+1000", "r2 = r10\nr2 *= 1\nr2 += -24"]) {
      inBatches(
        VALUES.flatMap((a) =>
          VALUES.slice(0, 20).map((b, n) => [
            ...text(begin),
            ...lddw(1, a),
            ...text("*(u64 *)(r2 + 0) = r1"),
            // Half of them are what is there.
            ...lddw(0, n % 2 === 0 ? a : b),
            ...lddw(3, b),
            row(opcode, isLoad ? { dst: 3, src: 2 } : { dst: 2, src: 3 }),
            ...text("r1 = *(u64 *)(r2 + 0)\nr0 ^= r3"),
          ]),
        ),
      );
      const address = opcode.size > 1 ? 1 : 0;
      expectSame([
        ...text(begin),
        ...text("r3 = 1\nr0 = 2"),
        row(opcode, isLoad ? { dst: 3, src: 2, off: address } : { dst: 2, src: 3, off: address }),
        ...text("exit"),
      ]);
    }
  });

  it("may_goto and gotol", () => {
    expectSame(text("r0 = 0\nagain: r0 += 1\nmay_goto out\nif r0 < 5 goto again\nout: exit"));
    expectSame(text("r0 = 1\ngotol over\nr0 = 2\nover: exit"));
  });
});

/** Instructions of random programs, on r0 to r8: r9 is the map's value. */
const registers = fc.integer({ min: 0, max: 8 });
const arithmeticRows = opcodes.filter(({ form }) => FORMS.has(form));
const number = fc.oneof(fc.constantFrom(...IMMS), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
const arithmetic = fc
  .tuple(fc.constantFrom(...arithmeticRows), registers, registers, number)
  .map(([opcode, dst, src, imm]) =>
    row(opcode, { dst, ...(opcode.from === "reg" && { src }), ...(placesOf(opcode).includes("imm") && { imm }) }),
  );
const sized = fc.constantFrom(1, 2, 4, 8);
const onFrame = fc
  .tuple(
    fc.constantFrom(...opcodes.filter(({ form }) => form === "load" || form === "store")),
    registers,
    fc.integer({ min: -40, max: -8 }),
    number,
  )
  .map(([opcode, reg, off, imm]) =>
    opcode.form === "load"
      ? row(opcode, { dst: reg, src: 10, off })
      : row(opcode, { dst: 10, off, ...(opcode.from === "reg" ? { src: reg } : { imm }) }),
  );
const onValue = fc
  .tuple(
    fc.constantFrom(...opcodes.filter(({ form }) => form === "load" || form === "store")),
    registers,
    fc.integer({ min: 0, max: 63 }),
    number,
  )
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
const jumpRows = opcodes.filter(({ form, op }) => form === "jump" && op !== "may_goto");
/** Jumps, with where to in hundredths of the program. */
const jump = fc
  .tuple(fc.constantFrom(...jumpRows), registers, registers, number, fc.integer({ min: 0, max: 99 }))
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

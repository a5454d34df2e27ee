/**
 * Each row of the table at edge values: what its instructions leave, on all kernels, is what Linux has.
 *
 * Values come out of a map, so that Linux's verifier knows nothing of them, and its compiler has to do what the row says.
 */
import { beforeAll, afterAll, describe, expect, it } from "vitest";
import { whyNoLinux } from "../kernels.js";
import type { Insn } from "../../src/insn/insn.js";
import { type Opcode, opcodes } from "../../src/insn/opcodes.js";
import { embedded, linux } from "./_kernels.js";
import { Workbench, insn, loadNumber, loadValue, row } from "./_workbench.js";

/** Small ones, those around each power of two that is a width, and their negatives. */
const EDGES: readonly bigint[] = [
  [0n, 1n, 2n, 3n, 7n, 8n, 10n, 15n, 16n, 31n, 32n, 33n, 63n, 64n, 65n],
  [7n, 8n, 15n, 16n, 31n, 32n, 63n].flatMap((bits) => [(1n << bits) - 1n, 1n << bits]),
  [0x8000_0001n, 0xffff_0000_0000n, 0x1234_5678_9abc_def0n, 0x8080_8080_8080_8080n],
]
  .flat()
  .flatMap((value) => [value, -value].map((one) => BigInt.asUintN(64, one)))
  .filter((value, i, all) => all.indexOf(value) === i);
const IMMS: readonly number[] = EDGES.map((value) => Number(BigInt.asIntN(32, value))).filter(
  (value, i, all) => all.indexOf(value) === i,
);

/** The value: inputs, then results. Offsets of instructions reach up to 32,767. */
const IN = 0;
const OUT = 8 * EDGES.length;
const VALUE_SIZE = 1 << 18;
/** How many bytes of results one program writes before its pointer moves on. */
const REACH = 30_000;

const LOAD = row("load", { size: 8 });
const STORE = row("store", { size: 8, from: "reg" });
const MOV = row("mov", { is64: true, from: "reg" });
const MOV_IMM = row("mov", { is64: true, from: "imm" });
const EXIT = row("exit");

/** Writes programs: r9 points to inputs, r8 to where results go. */
class Writer {
  readonly insns: Insn[] = [loadValue(9, IN), loadValue(8, OUT)];
  #off = 0;
  #base = OUT;

  /** A register gets the input of that number. */
  input(dst: number, index: number): void {
    this.insns.push(insn(LOAD, { dst, src: 9, off: 8 * index }));
  }

  add(opcode: Opcode, fields: Partial<Insn> = {}): void {
    this.insns.push(insn(opcode, fields));
  }

  /** A place for a result, as an offset from r8. */
  place(size = 8): number {
    if (this.#off + size > REACH) {
      this.#base += this.#off;
      this.#off = 0;
      this.insns.push(loadValue(8, this.#base));
    }
    const off = this.#off;
    this.#off += size;
    return off;
  }

  result(src: number): void {
    this.insns.push(insn(STORE, { dst: 8, src, off: this.place() }));
  }

  done(): readonly Insn[] {
    return [...this.insns, insn(MOV_IMM, { dst: 0 }), insn(EXIT)];
  }
}

/** What a row's operand may be: the kernel refuses shifts that are too wide, and division by zero, where it sees them. */
function immsOf({ op, is64 }: Opcode): readonly number[] {
  if (["lsh", "rsh", "arsh"].includes(op)) return IMMS.filter((imm) => imm >= 0 && imm < (is64 ? 64 : 32));
  if (["div", "mod", "sdiv", "smod"].includes(op)) return IMMS.filter((imm) => imm !== 0);
  return IMMS;
}

/** Programs that try a row; undefined where there is nothing to compare. */
function programsOf(opcode: Opcode): (readonly Insn[])[] | undefined {
  const { form, op, from, size } = opcode;
  switch (form) {
    case "alu":
    case "movsx":
    case "end":
      return from === "imm" && op !== "neg" && form === "alu" ? arithmeticByImm(opcode) : arithmetic(opcode);
    case "lddw":
      return op === "imm64" ? [constants()] : undefined;
    case "load":
      return [loads(opcode)];
    case "store":
      return [stores(opcode)];
    case "atomic":
      return [atomics(opcode)];
    case "jump":
      if (op === "ja" || op === "may_goto") return [jumpsAlways(opcode)];
      return jumps(opcode);
    case "call":
      return op === "local" ? [calls(opcode)] : undefined;
    case "exit":
      return [new Writer().done()];
    // Only arenas have address spaces.
    default:
      return undefined;
  }

  function arithmetic(opcode: Opcode): (readonly Insn[])[] {
    const isUnary = form === "end" || op === "neg";
    const writer = new Writer();
    for (let a = 0; a < EDGES.length; a++) {
      for (let b = 0; b < (isUnary ? 1 : EDGES.length); b++) {
        writer.input(1, a);
        if (!isUnary) writer.input(2, b);
        writer.add(opcode, { dst: 1, src: isUnary ? 0 : 2 });
        writer.result(1);
      }
    }
    return [writer.done()];
  }

  function arithmeticByImm(opcode: Opcode): (readonly Insn[])[] {
    const writer = new Writer();
    for (const imm of immsOf(opcode)) {
      for (let a = 0; a < EDGES.length; a++) {
        writer.input(1, a);
        writer.add(opcode, { dst: 1, imm });
        writer.result(1);
      }
    }
    return [writer.done()];
  }

  function constants(): readonly Insn[] {
    const writer = new Writer();
    for (const value of EDGES) {
      writer.insns.push(loadNumber(1, value));
      writer.result(1);
    }
    return writer.done();
  }

  function loads(opcode: Opcode): readonly Insn[] {
    const writer = new Writer();
    for (let off = 0; off <= 8 * EDGES.length - size; off++) {
      writer.add(opcode, { dst: 1, src: 9, off });
      writer.result(1);
    }
    // The same register, and a negative offset.
    writer.add(MOV, { dst: 3, src: 9 });
    writer.add(opcode, { dst: 3, src: 3, off: 24 });
    writer.result(3);
    for (let slot = 0; slot < 8; slot++) {
      writer.input(1, EDGES.length - 1 - slot);
      writer.add(STORE, { dst: 10, src: 1, off: -8 * (slot + 1) });
    }
    for (let off = -64; off <= -size; off += size) {
      writer.add(opcode, { dst: 1, src: 10, off });
      writer.result(1);
    }
    return writer.done();
  }

  function stores(opcode: Opcode): readonly Insn[] {
    const writer = new Writer();
    for (const [i, imm] of from === "imm" ? IMMS.entries() : EDGES.entries()) {
      const isImm = from === "imm";
      if (!isImm) writer.input(1, i);
      // Beside what is there already: no more bytes change than the row says.
      writer.add(opcode, { dst: 8, src: isImm ? 0 : 1, imm: isImm ? Number(imm) : 0, off: writer.place(16) + (i % 8) });
      writer.input(2, i);
      writer.add(STORE, { dst: 10, src: 2, off: -16 });
      const off = -16 + (i % (8 / size)) * size;
      writer.add(opcode, { dst: 10, src: isImm ? 0 : 1, imm: isImm ? Number(imm) : 0, off });
      writer.add(LOAD, { dst: 2, src: 10, off: -16 });
      writer.result(2);
    }
    return writer.done();
  }

  function atomics(opcode: Opcode): readonly Insn[] {
    const writer = new Writer();
    const some = EDGES.filter((_, i) => i % 3 === 0).map((value) => EDGES.indexOf(value));
    for (const a of some) {
      for (const b of some) {
        for (const [pointer, off] of [
          [8, writer.place()],
          [10, -8],
        ] as const) {
          writer.input(1, a);
          writer.add(STORE, { dst: pointer, src: 1, off });
          writer.input(2, b);
          // Of cmpxchg: equal in half of the tries, in the lower half of the word at least.
          writer.input(0, (a + b) % 2 === 0 ? a : b);
          const isLoad = op === "load_acquire";
          writer.add(opcode, isLoad ? { dst: 2, src: pointer, off } : { dst: pointer, src: 2, off });
          writer.result(2);
          writer.result(0);
          writer.add(LOAD, { dst: 3, src: pointer, off });
          writer.result(3);
        }
      }
    }
    return writer.done();
  }

  function jumps(opcode: Opcode): (readonly Insn[])[] {
    const writer = new Writer();
    const tries: [number, Partial<Insn>][] = [];
    for (let a = 0; a < EDGES.length; a++) {
      if (from === "imm") for (const imm of IMMS) tries.push([a, { dst: 1, imm, off: 1 }]);
      else for (let b = 0; b < EDGES.length; b++) tries.push([a, { dst: 1, src: 2, off: 1, next: b }]);
    }
    for (const [a, { next: b = 0, ...fields }] of tries) {
      writer.input(1, a);
      if (from === "reg") writer.input(2, b);
      writer.add(MOV_IMM, { dst: 3, imm: 1 });
      writer.add(opcode, fields);
      writer.add(MOV_IMM, { dst: 3, imm: 0 });
      writer.result(3);
    }
    return [writer.done()];
  }

  function jumpsAlways(opcode: Opcode): readonly Insn[] {
    const writer = new Writer();
    const isFar = opcode.text.includes("{far}");
    writer.add(MOV_IMM, { dst: 3, imm: 7 });
    // There and back again; what may go does not.
    if (op === "may_goto") {
      writer.add(opcode, { off: 1 });
      writer.add(MOV_IMM, { dst: 3, imm: 8 });
    } else {
      const to = (distance: number): Partial<Insn> => (isFar ? { imm: distance } : { off: distance });
      writer.add(opcode, to(2));
      writer.add(MOV_IMM, { dst: 4, imm: 9 });
      writer.add(opcode, to(1));
      writer.add(opcode, to(-3));
      writer.result(4);
    }
    writer.result(3);
    return writer.done();
  }

  function calls(opcode: Opcode): readonly Insn[] {
    const writer = new Writer();
    for (const [i, value] of [3, 250, -7].entries()) {
      for (let dst = 1; dst <= 5; dst++) writer.add(MOV_IMM, { dst, imm: value * dst + i });
      writer.add(MOV_IMM, { dst: 6, imm: 1000 + i });
      writer.add(opcode, { imm: 0 });
      writer.result(0);
      writer.result(6);
    }
    const insns = [...writer.done()];
    // A function that mixes its arguments; it may use what is the caller's, who gets it back.
    const end = insns.length + 2;
    const body = new Writer().insns.slice(0, 0);
    body.push(insn(MOV, { dst: 0, src: 1 }));
    for (let src = 2; src <= 5; src++) {
      body.push(insn(row("mul", { is64: true, from: "imm" }), { dst: 0, imm: 31 }));
      body.push(insn(row("add", { is64: true, from: "reg" }), { dst: 0, src }));
    }
    body.push(insn(MOV_IMM, { dst: 6, imm: -1 }), insn(EXIT));
    let slot = 0;
    const linked = insns.map((one) => {
      const at = slot;
      slot += one.opcode.slots;
      return one.opcode === opcode ? { ...one, imm: end - at - 1 } : one;
    });
    return [...linked, ...body];
  }
}

describe.skipIf(whyNoLinux !== undefined)(
  `each row${whyNoLinux === undefined ? "" : ` (skipped: ${whyNoLinux})`}`,
  () => {
    const benches: Workbench[] = [];
    beforeAll(async () => {
      for (const { name, open } of [linux, ...embedded]) benches.push(new Workbench(name, await open(), VALUE_SIZE));
    });
    afterAll(() => {
      for (const bench of benches) bench[Symbol.dispose]();
    });

    const rows = opcodes.map((opcode) => [opcode.text, opcode, programsOf(opcode)] as const);

    it("what is not tried needs objects that these programs have not", () => {
      const left = rows.filter(([, , programs]) => programs === undefined).map(([, { op }]) => op);
      expect(new Set(left)).toEqual(
        new Set([
          "addr_space_cast",
          "map_fd",
          "map_value",
          "btf_id",
          "func",
          "map_idx",
          "map_idx_value",
          "helper",
          "kfunc",
          "callx",
        ]),
      );
    });

    it.each(rows.filter(([, , programs]) => programs !== undefined))("%s", (_, __, programs) => {
      for (const insns of programs!) {
        const values = benches.map((bench) => {
          const { value } = bench;
          value.fill(0x55);
          new BigUint64Array(value.buffer, value.byteOffset, EDGES.length).set(EDGES);
          const retval = bench.run(insns);
          return { name: bench.name, retval, bytes: value.slice() };
        });
        const [wanted, ...found] = values;
        for (const { name, retval, bytes } of found) {
          expect(retval, name).toBe(wanted!.retval);
          const at = bytes.findIndex((byte, i) => byte !== wanted!.bytes[i]);
          expect(at === -1 ? "equal" : difference(at, wanted!.bytes, bytes), name).toBe("equal");
        }
      }
    });
  },
);

function difference(at: number, wanted: Uint8Array, found: Uint8Array): string {
  const word = (bytes: Uint8Array): string =>
    new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at & ~7, true).toString(16);
  return `result ${((at & ~7) - OUT) / 8}: wanted 0x${word(wanted)}, found 0x${word(found)}`;
}

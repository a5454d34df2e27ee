/**
 * The table of instructions: each row at its edge values, against itself there and back, and against llvm-mc where it knows the row.
 */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { assemble, disassemble } from "../../src/insn/asm.js";
import { type Insn, decodeInsns, encodeInsns, fieldOf, imm64Of, placesOf, slotsOf } from "../../src/insn/insn.js";
import { type Opcode, opcodes } from "../../src/insn/opcodes.js";

const EDGES = [
  { dst: 1, src: 2, off: 4, imm: 5, next: 6 },
  { dst: 10, src: 9, off: -8, imm: -1, next: -1 },
  { dst: 0, src: 10, off: -32768, imm: -(2 ** 31), next: -(2 ** 31) },
  { dst: 3, src: 3, off: 32767, imm: 2 ** 31 - 1, next: 2 ** 31 - 1 },
  { dst: 0, src: 0, off: 0, imm: 0, next: 0 },
];

/** A row's instructions at the edges of what its fields hold. */
function insnsOf(opcode: Opcode): Insn[] {
  const shown = new Set<string>(placesOf(opcode).map(fieldOf));
  const has = (field: string): boolean => shown.has(field) || (shown.has("imm64") && /imm|next/.test(field));
  return EDGES.map(({ dst, src, off, imm, next }) => ({
    opcode,
    dst: has("dst") ? dst : 0,
    src: opcode.src ?? (has("src") ? src : 0),
    off: opcode.off ?? (has("off") ? off : 0),
    imm: opcode.imm ?? (has("imm") ? imm : 0),
    next: has("next") ? next : 0,
  }));
}

describe("every row", () => {
  it.each(opcodes.map((opcode) => [`${opcode.code.toString(16)} ${opcode.text}`, opcode] as const))(
    "%s is what its bytes and its text say",
    (_, opcode) => {
      for (const insn of insnsOf(opcode)) {
        const bytes = encodeInsns([insn]);
        expect(bytes.length).toBe(8 * opcode.slots);
        expect(decodeInsns(bytes)).toEqual([insn]);
        expect(assemble(disassemble(insn))).toEqual([insn]);
      }
    },
  );

  it("no two rows have the same bytes or the same text", () => {
    const texts = opcodes.map(({ text }) => text);
    expect(new Set(texts).size).toBe(texts.length);
    const bytes = opcodes.map(({ code, src, off, imm }) => `${code} ${src} ${off} ${imm}`);
    expect(new Set(bytes).size).toBe(bytes.length);
  });
});

const hasLlvm = spawnSync("llvm-mc", ["--version"]).status === 0;
if (!hasLlvm && process.env.CI === "true") throw new Error("llvm-mc is missing");

/** Rows that llvm-mc 14 has: later ones are of cpu v4, or are the kernel's own. */
function isKnown({ form, op, off }: Opcode): boolean {
  if (["movsx", "cast"].includes(form) || off === 1) return false;
  if (form === "store") return true;
  return !/mod|smod|bswap|map_|btf_id|func|loadsx|load_acquire|store_release|may_goto|jset|local|kfunc|callx/.test(op);
}

it.skipIf(!hasLlvm)(`clang's text${hasLlvm ? "" : " (skipped: no llvm-mc)"}`, () => {
  const known = opcodes.filter(isKnown).filter(({ form, from, code }) => {
    const isStoredImm = form === "store" && from === "imm";
    return !isStoredImm && code !== 0x06;
  });
  const insns = known.flatMap(insnsOf);
  const input = insns.map((insn) => Array.from(encodeInsns([insn]), (byte) => `0x${byte.toString(16)}`).join(" "));
  const args = ["--disassemble", "--triple=bpfel", "-mattr=+alu32"];
  const { stdout, stderr } = spawnSync("llvm-mc", args, { input: input.join("\n"), encoding: "utf8" });
  expect(stderr).toBe("");
  const theirs = stdout
    .split("\n")
    .map((line) => line.trim().replaceAll("\t", " "))
    .filter((line) => line !== "" && line !== ".text");
  expect(insns.length).toBeGreaterThan(500);
  expect(theirs).toEqual(insns.map(disassemble));
});

describe("bytes that are no instruction", () => {
  const refused = (...bytes: number[]): (() => void) => {
    return () => decodeInsns(Uint8Array.from(bytes));
  };
  it.each([
    ["a length", [0x95, 0, 0, 0], "wanted a multiple of 8 bytes, found 4"],
    ["a code", [0xff, 0, 0, 0, 0, 0, 0, 0], "slot 0: no instruction has code 0xff"],
    ["a field that is not used", [0x95, 0x01, 0, 0, 0, 0, 0, 0], 'slot 0: "exit" has no dst, found 1'],
    ["an off", [0xbf, 0x21, 7, 0, 0, 0, 0, 0], "of code 0xbf there is none with src 2, off 7, imm 0"],
    ["an atomic operation", [0xdb, 0x21, 0, 0, 2, 0, 0, 0], "of code 0xdb there is none with src 2, off 0, imm 2"],
    ["a register", [0xbf, 0xb1, 0, 0, 0, 0, 0, 0], "src is r11, and r10 is the last"],
    ["half of lddw", [0x18, 0, 0, 0, 0, 0, 0, 0], "lddw takes two slots, and this is the last"],
    ["lddw's second slot", [0x18, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], "must be zero but for imm"],
  ])("%s", (_, bytes, message) => {
    expect(refused(...bytes)).toThrow(message);
  });
});

describe("text", () => {
  it("labels and comments", () => {
    const insns = assemble(`
        r1 = 0x123456789 ll   // two slots
      again:
        r1 += -1 ; down
        if r1 != 0 goto again # a jump back
        if w1 s> 0x7f goto out
        gotol again
      out: exit
    `);
    expect(insns.map(disassemble)).toEqual([
      "r1 = 4886718345 ll",
      "r1 += -1",
      "if r1 != 0 goto -2",
      "if w1 s> 127 goto +1",
      "gotol -4",
      "exit",
    ]);
    expect(imm64Of(insns[0]!)).toBe(0x123456789n);
    expect(slotsOf(insns)).toBe(7);
  });

  it("registers of 32 bits in loads and stores may be written as those of 64", () => {
    expect(assemble("r1 = *(u32 *)(r2 + 4)")).toEqual(assemble("w1 = *(u32 *)(r2 + 4)"));
    expect(assemble("*(u8 *)(r10 - 1) = r3")).toEqual(assemble("*(u8 *)(r10 - 1) = w3"));
  });

  it.each([
    ["r1 = r11", 'Cannot assemble line 1, "r1 = r11": 11 does not fit: wanted 0 to 10'],
    ["exit\nnonsense", 'Cannot assemble line 2, "nonsense": there is no such instruction'],
    ["goto nowhere", 'there is no label "nowhere"'],
    ["a: exit\na: exit", 'line 2, "a: exit": label "a" is there already'],
    ["r1 += 4294967296", "4294967296 does not fit: wanted -2147483648 to 4294967295"],
    ["r1 = *(u8 *)(r2 + 32768)", "32768 does not fit: wanted -32768 to 32767"],
    ["r1 = be16 r2", "there is no such instruction"],
  ])("%s is refused", (text, message) => {
    expect(() => assemble(text)).toThrow(message);
  });
});

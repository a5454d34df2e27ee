/**
 * Instructions as text, in the syntax of clang and llvm-objdump, and back. Text may have labels (`again:`, `goto again`), and
 * comments behind `//`, `;` or `#`.
 */
import { type Insn, InsnError, REGISTERS, fieldOf, imm64Of, placesOf } from "./insn.js";
import { type Opcode, opcodes } from "./opcodes.js";

/** An instruction's text. */
export function disassemble(insn: Insn): string {
  return insn.opcode.text.replaceAll(/\{(\w+)\}/g, (_, place: string) => shown(insn, place));
}

function shown(insn: Insn, place: string): string {
  switch (place) {
    case "dst":
      return `r${insn.dst}`;
    case "wdst":
    case "data":
      return `w${insn.dst}`;
    case "src":
      return `r${insn.src}`;
    case "wsrc":
    case "sdata":
      return `w${insn.src}`;
    case "off":
      return insn.off < 0 ? `- ${-insn.off}` : `+ ${insn.off}`;
    case "jump":
      return signed(insn.off);
    case "far":
      return signed(insn.imm);
    case "imm64":
      return String(imm64Of(insn));
    case "next":
      return String(insn.next);
    default:
      return String(insn.imm);
  }
}

const signed = (value: number): string => (value < 0 ? String(value) : `+${value}`);

/** What may stand in a place. */
const PATTERNS: Readonly<Record<string, string>> = {
  dst: String.raw`r(\d+)`,
  src: String.raw`r(\d+)`,
  wdst: String.raw`w(\d+)`,
  wsrc: String.raw`w(\d+)`,
  data: String.raw`[rw](\d+)`,
  sdata: String.raw`[rw](\d+)`,
  imm: String.raw`(-?(?:0x[\da-f]+|\d+))`,
  imm64: String.raw`(-?(?:0x[\da-f]+|\d+))`,
  next: String.raw`(-?\d+)`,
  off: String.raw`([+-] ?(?:0x[\da-f]+|\d+))`,
  jump: String.raw`([+-] ?\d+|[A-Za-z_.][\w.]*)`,
  far: String.raw`([+-] ?\d+|[A-Za-z_.][\w.]*)`,
};

/** A row's text as a pattern, and which places its groups are. */
interface Form {
  readonly opcode: Opcode;
  readonly pattern: RegExp;
  readonly places: readonly string[];
}

const forms: readonly Form[] = opcodes.map((opcode) => {
  const text = opcode.text
    .split(/(\{\w+\})/)
    .map((part) => PATTERNS[part.slice(1, -1)] ?? part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join("");
  return { opcode, pattern: new RegExp(`^${text}$`), places: placesOf(opcode) };
});

/** A line with an instruction. */
interface Line {
  readonly number: number;
  readonly text: string;
  readonly form: Form;
  readonly groups: readonly string[];
  /** The slot that it begins at. */
  readonly slot: number;
}

/**
 * The instructions of a text.
 *
 * @throws {InsnError} A line is no instruction, a number does not fit, or a label is unknown: names the line
 */
export function assemble(text: string): Insn[] {
  const labels = new Map<string, number>();
  const lines: Line[] = [];
  let slot = 0;
  for (const [i, raw] of text.split("\n").entries()) {
    let line = raw.replace(/(\/\/|;|#).*$/, "").trim();
    const label = /^([A-Za-z_.][\w.]*):\s*/.exec(line);
    if (label !== null) {
      if (labels.has(label[1]!)) throw refusal(i + 1, raw, `label "${label[1]}" is there already`);
      labels.set(label[1]!, slot);
      line = line.slice(label[0].length);
    }
    if (line === "") continue;
    const spaced = line.replaceAll(/\s+/g, " ");
    const [form, groups] = formOf(spaced) ?? [];
    if (form === undefined) throw refusal(i + 1, raw, "there is no such instruction");
    lines.push({ number: i + 1, text: raw, form, groups: groups!, slot });
    slot += form.opcode.slots;
  }
  return lines.map((line) => insnOf(line, labels));
}

function formOf(text: string): [Form, string[]] | undefined {
  for (const form of forms) {
    const match = form.pattern.exec(text);
    if (match === null) continue;
    const groups = match.slice(1);
    const { places } = form;
    // The same register may have two places: "r1 = be16 r1".
    if (places.every((place, i) => places.indexOf(place) === i || groups[places.indexOf(place)] === groups[i])) {
      return [form, groups];
    }
  }
  return undefined;
}

function insnOf(line: Line, labels: ReadonlyMap<string, number>): Insn {
  const { opcode, places } = line.form;
  const fields = { dst: 0, src: opcode.src ?? 0, off: opcode.off ?? 0, imm: opcode.imm ?? 0, next: 0 };
  for (const [i, place] of places.entries()) {
    const group = line.groups[i]!;
    const field = fieldOf(place);
    if (field === "imm64") {
      const value = within(line, bigintOf(group), -(1n << 63n), (1n << 64n) - 1n);
      fields.imm = Number(BigInt.asIntN(32, value));
      fields.next = Number(BigInt.asIntN(32, value >> 32n));
    } else {
      fields[field] = numberOf(line, place, group, labels);
    }
  }
  return { opcode, ...fields };
}

function numberOf(line: Line, place: string, group: string, labels: ReadonlyMap<string, number>): number {
  const field = fieldOf(place);
  if (field === "dst" || field === "src") return Number(within(line, BigInt(group), 0n, BigInt(REGISTERS - 1)));
  if (/^[A-Za-z_.]/.test(group)) {
    const target = labels.get(group);
    if (target === undefined) throw refusal(line.number, line.text, `there is no label "${group}"`);
    // Of lddw too, it counts from the slot behind the first.
    const distance = BigInt(target - line.slot - 1);
    return Number(within(line, distance, ...rangeOf(field)));
  }
  // An imm may be written as the unsigned number of the same bits.
  const [min, max] = rangeOf(field);
  const value = within(line, bigintOf(group), min, place === "imm" ? 2n * max + 1n : max);
  return Number(BigInt.asIntN(32, value));
}

function rangeOf(field: string): [bigint, bigint] {
  const bits = field === "off" ? 15n : 31n;
  return [-(1n << bits), (1n << bits) - 1n];
}

function bigintOf(text: string): bigint {
  const digits = text.replaceAll(/[\s+-]/g, "");
  return text.startsWith("-") ? -BigInt(digits) : BigInt(digits);
}

function within(line: Line, value: bigint, min: bigint, max: bigint): bigint {
  if (value >= min && value <= max) return value;
  throw refusal(line.number, line.text, `${value} does not fit: wanted ${min} to ${max}`);
}

function refusal(number: number, text: string, why: string): InsnError {
  return new InsnError(`Cannot assemble line ${number}, "${text.trim()}": ${why}`);
}

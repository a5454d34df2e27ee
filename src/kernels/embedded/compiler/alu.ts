/**
 * Arithmetic: registers are locals of 64 bits; what works on 32 bits wraps, and extends its result with zeroes.
 */
import { type Insn, imm64Of } from "../../../insn/insn.js";
import { FRAME_LOCAL, TEMP, TEMP2, TEMP32, TEMP32B, localOf } from "./_run.js";
import { type Code, op } from "./wasm.js";

/** Puts a register on the stack. */
export function getReg(code: Code, reg: number): void {
  if (reg === 10) code.get(FRAME_LOCAL).op(op.i64ExtendI32U);
  else code.get(localOf(reg));
}

/** Its lower half. */
export function getReg32(code: Code, reg: number): void {
  if (reg === 10) code.get(FRAME_LOCAL);
  else code.get(localOf(reg)).op(op.i32WrapI64);
}

const number64 = (code: Code, value: number): void => void code.i64(value);
const number32 = (code: Code, value: number): void => void code.i32(value);
const set32 = (code: Code, reg: number): void => void code.op(op.i64ExtendI32U).set(localOf(reg));

const BINARY64: Readonly<Record<string, number>> = {
  add: op.i64Add,
  sub: op.i64Sub,
  mul: op.i64Mul,
  or: op.i64Or,
  and: op.i64And,
  xor: op.i64Xor,
  lsh: op.i64Shl,
  rsh: op.i64ShrU,
  arsh: op.i64ShrS,
};
const BINARY32: Readonly<Record<string, number>> = {
  add: op.i32Add,
  sub: op.i32Sub,
  mul: op.i32Mul,
  or: op.i32Or,
  and: op.i32And,
  xor: op.i32Xor,
  lsh: op.i32Shl,
  rsh: op.i32ShrU,
  arsh: op.i32ShrS,
};

/** An instruction of form "alu". */
export function emitAlu(code: Code, insn: Insn): void {
  const { op: name, is64, from } = insn.opcode;
  const { dst, src, imm } = insn;
  const [get, number] = is64 ? [getReg, number64] : [getReg32, number32];
  const operand = (): void => (from === "reg" ? get(code, src) : number(code, imm));
  const put = (): void => (is64 ? void code.set(localOf(dst)) : set32(code, dst));
  switch (name) {
    case "mov":
      operand();
      return put();
    case "neg":
      number(code, 0);
      get(code, dst);
      code.op(is64 ? op.i64Sub : op.i32Sub);
      return put();
    case "div":
    case "mod":
    case "sdiv":
    case "smod":
      return divide(code, insn, is64 ? forms64 : forms32, operand, put);
    default:
      get(code, dst);
      operand();
      code.op((is64 ? BINARY64 : BINARY32)[name]!);
      return put();
  }
}

/** The instructions that a division needs, and where it keeps its operands meanwhile. */
interface Forms {
  readonly number: (code: Code, value: number) => void;
  readonly get: (code: Code, reg: number) => void;
  readonly dividend: number;
  readonly divisor: number;
  readonly type: number;
  readonly eqz: number;
  readonly eq: number;
  readonly sub: number;
  readonly div: number;
  readonly mod: number;
  readonly sdiv: number;
  readonly smod: number;
}

const forms64: Forms = {
  number: number64,
  get: getReg,
  dividend: TEMP,
  divisor: TEMP2,
  type: 0x7e,
  eqz: op.i64Eqz,
  eq: op.i64Eq,
  sub: op.i64Sub,
  div: op.i64DivU,
  mod: op.i64RemU,
  sdiv: op.i64DivS,
  smod: op.i64RemS,
};
const forms32: Forms = {
  number: number32,
  get: getReg32,
  dividend: TEMP32,
  divisor: TEMP32B,
  type: 0x7f,
  eqz: op.i32Eqz,
  eq: op.i32Eq,
  sub: op.i32Sub,
  div: op.i32DivU,
  mod: op.i32RemU,
  sdiv: op.i32DivS,
  smod: op.i32RemS,
};

/** By 0: 0, and the remainder is the dividend. The least number by -1 is itself, where WebAssembly would trap. */
function divide(code: Code, insn: Insn, forms: Forms, operand: () => void, put: () => void): void {
  const { opcode, dst, imm } = insn;
  const name = opcode.op as "div" | "mod" | "sdiv" | "smod";
  const isMod = name === "mod" || name === "smod";
  if (opcode.from === "imm" && imm !== 0 && (imm !== -1 || name !== "sdiv")) {
    forms.get(code, dst);
    forms.number(code, imm);
    code.op(forms[name]);
    return put();
  }
  forms.get(code, dst);
  code.set(forms.dividend);
  operand();
  code.tee(forms.divisor).op(forms.eqz);
  code.byte(op.if).byte(forms.type);
  if (isMod) code.get(forms.dividend);
  else forms.number(code, 0);
  code.byte(op.else);
  if (name === "sdiv") {
    code.get(forms.divisor);
    forms.number(code, -1);
    code.op(forms.eq).byte(op.if).byte(forms.type);
    forms.number(code, 0);
    code.get(forms.dividend).op(forms.sub).byte(op.else);
  }
  code.get(forms.dividend).get(forms.divisor).op(forms[name]);
  if (name === "sdiv") code.byte(op.end);
  code.byte(op.end);
  put();
}

const EXTEND64: Readonly<Record<number, number>> = { 1: op.i64Extend8S, 2: op.i64Extend16S, 4: op.i64Extend32S };
const EXTEND32: Readonly<Record<number, number>> = { 1: op.i32Extend8S, 2: op.i32Extend16S };

/** An instruction of form "movsx". */
export function emitMovsx(code: Code, { opcode, dst, src }: Insn): void {
  if (opcode.is64) {
    getReg(code, src);
    code.op(EXTEND64[opcode.size]!).set(localOf(dst));
  } else {
    getReg32(code, src);
    code.op(EXTEND32[opcode.size]!);
    set32(code, dst);
  }
}

/** An instruction of form "end": the engine's memory is little endian. */
export function emitEnd(code: Code, { opcode, dst }: Insn): void {
  const { op: name, size } = opcode;
  const local = localOf(dst);
  if (name === "le") {
    if (size === 8) return;
    code
      .get(local)
      .i64(size === 2 ? 0xffffn : 0xffff_ffffn)
      .op(op.i64And)
      .set(local);
    return;
  }
  if (size === 2) {
    code.get(local).op(op.i32WrapI64).tee(TEMP32).i32(0xff).op(op.i32And).i32(8).op(op.i32Shl);
    code.get(TEMP32).i32(8).op(op.i32ShrU).i32(0xff).op(op.i32And, op.i32Or);
    set32(code, dst);
  } else if (size === 4) {
    code.get(local).op(op.i32WrapI64).tee(TEMP32).i32(8).op(op.i32Rotl).i32(0x00ff00ff).op(op.i32And);
    code
      .get(TEMP32)
      .i32(24)
      .op(op.i32Rotl)
      .i32(0xff00ff00 | 0)
      .op(op.i32And, op.i32Or);
    set32(code, dst);
  } else {
    swapNeighbours(code, local, 8, 0x00ff00ff00ff00ffn);
    swapNeighbours(code, local, 16, 0x0000ffff0000ffffn);
    code.get(local).i64(32).op(op.i64Rotl).set(local);
  }
}

function swapNeighbours(code: Code, local: number, bits: number, mask: bigint): void {
  code.get(local).i64(mask).op(op.i64And).i64(bits).op(op.i64Shl);
  code.get(local).i64(bits).op(op.i64ShrU).i64(mask).op(op.i64And, op.i64Or).set(local);
}

/** Of form "lddw": a number. */
export function emitImm64(code: Code, insn: Insn): void {
  code.i64(imm64Of(insn)).set(localOf(insn.dst));
}

const COMPARE64: Readonly<Record<string, number>> = {
  jeq: op.i64Eq,
  jne: op.i64Ne,
  jgt: op.i64GtU,
  jge: op.i64GeU,
  jlt: op.i64LtU,
  jle: op.i64LeU,
  jsgt: op.i64GtS,
  jsge: op.i64GeS,
  jslt: op.i64LtS,
  jsle: op.i64LeS,
};
const COMPARE32: Readonly<Record<string, number>> = {
  jeq: op.i32Eq,
  jne: op.i32Ne,
  jgt: op.i32GtU,
  jge: op.i32GeU,
  jlt: op.i32LtU,
  jle: op.i32LeU,
  jsgt: op.i32GtS,
  jsge: op.i32GeS,
  jslt: op.i32LtS,
  jsle: op.i32LeS,
};

/** Whether a conditional jump is taken. */
export function emitCondition(code: Code, { opcode, dst, src, imm }: Insn): void {
  const { op: name, is64, from } = opcode;
  const [get, number] = is64 ? [getReg, number64] : [getReg32, number32];
  get(code, dst);
  if (from === "imm" && imm === 0 && (name === "jeq" || name === "jne")) {
    code.op(is64 ? op.i64Eqz : op.i32Eqz);
    if (name === "jne") code.op(op.i32Eqz);
    return;
  }
  if (from === "reg") get(code, src);
  else number(code, imm);
  if (name !== "jset") code.op((is64 ? COMPARE64 : COMPARE32)[name]!);
  else if (is64) code.op(op.i64And).i64(0).op(op.i64Ne);
  else code.op(op.i32And);
}

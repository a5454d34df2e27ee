/**
 * Instructions as the kernel's log and bpftool write them: "(61) r1 = *(u32 *)(r1 +0)". Not clang's syntax, which src/insn has.
 *
 * Reads bytes, not src/insn's rows: what a kernel hands out may be what no program can ask for. As of Linux 6.1, bpftool 7.1
 * knows no newer instruction and calls it a bug; `isOld` does so too.
 */

/** Of 8 bytes; `next` is the imm of a second slot. */
export interface RawInsn {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
  readonly next: number;
}

/** What an instruction's text says of the kernel around it. */
export interface XlatedNames {
  /** What is called: "htab_map_update_elem", "+1#bpf_prog_9929ed5b3bb022ae_helper". */
  call(insn: RawInsn): string;
  /** What lddw loads. */
  imm64(insn: RawInsn): string;
  readonly isOld: boolean;
}

/** lddw, which takes two slots. */
export const LDDW = 0x18;

const BPF_FETCH = 0x01;
const BPF_XCHG = 0xe1;
const BPF_CMPXCHG = 0xf1;
const BPF_LOAD_ACQ = 0x100;
const BPF_STORE_REL = 0x110;

const CLASSES = ["ld", "ldx", "st", "stx", "alu", "jmp", "jmp32", "alu64"] as const;
const ALU = ["+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian"] as const;
const JUMPS = ["jmp", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<="] as const;
const SIZES = ["u32", "u16", "u8", "u64"] as const;
const SIGNED_SIZES = ["s32", "s16", "s8", "s64"] as const;
/** By the upper four bits of imm. */
const ATOMICS: Readonly<Record<number, readonly [name: string, sign: string]>> = {
  0x0: ["add", "+="],
  0x4: ["or", "|="],
  0x5: ["and", "&="],
  0xa: ["xor", "^="],
};

const hex2 = (byte: number): string => byte.toString(16).padStart(2, "0");
const signed = (value: number): string => (value < 0 ? String(value) : `+${value}`);

/** The instruction of a slot. */
export function rawInsn(bytes: Uint8Array, slot: number): RawInsn {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = 8 * slot;
  const code = view.getUint8(at);
  const registers = view.getUint8(at + 1);
  return {
    code,
    dst: registers & 15,
    src: registers >> 4,
    off: view.getInt16(at + 2, true),
    imm: view.getInt32(at + 4, true),
    next: code === LDDW && at + 16 <= bytes.length ? view.getInt32(at + 12, true) : 0,
  };
}

/** An instruction's text. */
export function xlatedText(insn: RawInsn, names: XlatedNames): string {
  const text = (names.isOld ? undefined : newText(insn)) ?? oldText(insn, names);
  // What is no instruction has no code in front.
  return text.startsWith("BUG_") ? text : `(${hex2(insn.code)}) ${text}`;
}

/** Instructions of after Linux 6.1; undefined of others. */
function newText({ code, dst, src, off, imm }: RawInsn): string | undefined {
  const size = (code >> 3) & 3;
  const clazz = code & 7;
  const at = `(${SIZES[size]} *)`;
  const word = clazz === 4 ? "w" : "r";
  if ((code & ~8) === 0xd4 || code === 0xd7) return code === 0xd7 ? `r${dst} = bswap${imm} r${dst}` : undefined;
  if ((clazz === 4 || clazz === 7) && off !== 0) {
    const op = code >> 4;
    const operand = (code & 8) === 0 ? String(imm) : `${word}${src}`;
    if (op === 0x3 || op === 0x9) return off === 1 ? `${word}${dst} s${ALU[op]} ${operand}` : undefined;
    if (op !== 0xb || (code & 8) === 0) return undefined;
    if (code === 0xbf && off === 1) return `r${dst} = addr_space_cast(r${src}, ${imm >>> 16}, ${imm & 0xffff})`;
    if (off === -1) return `r${dst} = &(void __percpu *)(r${src})`;
    return `${word}${dst} = (s${off})${word}${src}`;
  }
  if (clazz === 1 && code >> 5 === 4) return `r${dst} = *(${SIGNED_SIZES[size]} *)(r${src} ${signed(off)})`;
  if (clazz === 3 && code >> 5 === 6) {
    if (imm === BPF_LOAD_ACQ) return `r${dst} = load_acquire(${at}(r${src} ${signed(off)}))`;
    if (imm === BPF_STORE_REL) return `store_release(${at}(r${dst} ${signed(off)}), r${src})`;
  }
  if (code === 0x06) return `gotol pc${signed(imm)}`;
  if (code === 0xe5) return `may_goto pc${signed(off)}`;
  if (code === 0x8d) return `callx r${dst}`;
  return undefined;
}

function oldText(insn: RawInsn, names: XlatedNames): string {
  const { code, dst, src, off, imm } = insn;
  const clazz = code & 7;
  const size = SIZES[(code >> 3) & 3]!;
  const mode = code >> 5;
  switch (CLASSES[clazz]!) {
    case "alu":
    case "alu64":
      return aluText(insn);
    case "stx":
      if (mode === 3) return `*(${size} *)(r${dst} ${signed(off)}) = r${src}`;
      return mode === 6 ? atomicText(insn, size) : `BUG_${hex2(code)}`;
    case "st":
      if (mode === 3) return `*(${size} *)(r${dst} ${signed(off)}) = ${imm}`;
      return mode === 6 ? "nospec" : `BUG_st_${hex2(code)}`;
    case "ldx":
      return mode === 3 ? `r${dst} = *(${size} *)(r${src} ${signed(off)})` : `BUG_ldx_${hex2(code)}`;
    case "ld":
      if (mode === 1) return `r0 = *(${size} *)skb[${imm}]`;
      if (mode === 2) return `r0 = *(${size} *)skb[r${src} + ${imm}]`;
      return code === LDDW ? `r${dst} = ${names.imm64(insn)}` : `BUG_ld_${hex2(code)}`;
    default:
      return jumpText(insn, names);
  }
}

function aluText({ code, dst, src, imm }: RawInsn): string {
  const isWide = (code & 7) === 7;
  const op = code >> 4;
  const isReg = (code & 8) !== 0;
  if (ALU[op] === "endian") {
    return isWide ? `BUG_alu64_${hex2(code)}` : `r${dst} = ${isReg ? "be" : "le"}${imm} r${dst}`;
  }
  const word = isWide ? "r" : "w";
  if (ALU[op] === "neg") return `${word}${dst} = -${word}${dst}`;
  return `${word}${dst} ${ALU[op] ?? "(null)"} ${isReg ? `${word}${src}` : imm}`;
}

function atomicText({ code, dst, src, off, imm }: RawInsn, size: string): string {
  const at = `(${size} *)(r${dst} ${signed(off)})`;
  const wide = size === "u64" ? "64" : "";
  const [name, sign] = ATOMICS[imm >> 4] ?? [];
  if (name !== undefined && (imm & 15) === 0) return `lock *${at} ${sign} r${src}`;
  if (name !== undefined && (imm & 15) === BPF_FETCH) return `r${src} = atomic${wide}_fetch_${name}(${at}, r${src})`;
  if (imm === BPF_CMPXCHG) return `r0 = atomic${wide}_cmpxchg(${at}, r0, r${src})`;
  if (imm === BPF_XCHG) return `r${src} = atomic${wide}_xchg(${at}, r${src})`;
  return `BUG_${hex2(code)}`;
}

function jumpText(insn: RawInsn, names: XlatedNames): string {
  const { code, dst, src, off, imm } = insn;
  const op = JUMPS[code >> 4] ?? "(null)";
  if (op === "call") return src === 1 ? `call pc${names.call(insn)}` : `call ${names.call(insn)}#${imm}`;
  if (code === 0x05) return `goto pc${signed(off)}`;
  if (code === 0x95) return "exit";
  const word = (code & 7) === 5 ? "r" : "w";
  const operand = (code & 8) === 0 ? `0x${(imm >>> 0).toString(16)}` : `${word}${src}`;
  return `if ${word}${dst} ${op} ${operand} goto pc${signed(off)}`;
}

/**
 * CO-RE: what the compiler knew of the kernel's types is replaced by what the kernel at hand has. Behaves as
 * tools/lib/bpf/relo_core.c.
 *
 * A relocation names a type, and a path into it ("0:1:2": the first of an array of it, its member 1, that one's member 2). In the
 * kernel's BTF a type of the same name is looked for, what follows "___" left out; and in it members of the same names.
 * What several such types answer must be the same. Where there is none, questions ("is there ...?") answer 0, and instructions that need
 * the answer become calls that no kernel has: the verifier refuses them if they can be reached.
 */
import { type Btf, BtfError } from "../btf/btf.js";
import type { BtfComposite, BtfId, BtfType, BtfVoid } from "../btf/types.js";
import type { Insn } from "../insn/insn.js";
import { ObjectError } from "./object_error.js";
import { type Opcode, opcodes } from "../insn/opcodes.js";

/** BPF_CORE_*: what is asked, by its number. */
const KINDS = [
  "byte_off",
  "byte_sz",
  "field_exists",
  "signed",
  "lshift_u64",
  "rshift_u64",
  "local_type_id",
  "target_type_id",
  "type_exists",
  "type_size",
  "enumval_exists",
  "enumval_value",
  "type_matches",
] as const;
type Kind = (typeof KINDS)[number];

/** What a program asks of the kernel's types. */
export interface CoreRelocation {
  /** The instruction's slot in the program. */
  readonly slot: number;
  /** In the object's BTF. */
  readonly type: BtfId;
  /** "0:1:2". */
  readonly access: string;
  readonly kind: number;
}

/** A place in a type: how a path ends. */
interface Field {
  readonly btf: Btf;
  readonly root: BtfId;
  /** What lies there, resolved; of an enum the root. */
  readonly type: BtfId;
  /** From the root's begin. */
  readonly bitsOffset: number;
  /** 0 of what is no bit-field. */
  readonly bitfieldSize: number;
  /** The steps of names and indexes, for the same way through another type. */
  readonly steps: readonly Step[];
  /** Of an enum's value. */
  readonly enumValue: bigint | undefined;
}

type Step = { readonly name: string } | { readonly index: number };

/** An answer: what an instruction must hold. */
interface Answer {
  readonly value: bigint;
  /** Of offsets: the field's bytes, and whether a load of another size may take its place. */
  readonly size?: number;
  readonly canResize?: boolean;
}

/** As deep as names may lie in each other. */
const MAX_DEPTH = 32;

/**
 * Fits a program's instructions to a kernel.
 *
 * @param local The object's BTF.
 * @param target The kernel's.
 * @throws {ObjectError} A relocation is damaged, or types of the kernel answer it differently
 */
export function relocated(
  insns: readonly Insn[],
  relocations: readonly CoreRelocation[],
  local: Btf,
  target: Btf,
): Insn[] {
  const candidates = new Candidates(target);
  const bySlot = new Map(relocations.map((relocation) => [relocation.slot, relocation]));
  let slot = 0;
  return insns.flatMap((insn) => {
    const relocation = bySlot.get(slot);
    slot += insn.opcode.slots;
    if (relocation === undefined) return [insn];
    try {
      const answer = answerOf(relocation, local, candidates);
      return answer === undefined ? poisoned(insn) : [patched(insn, answer, localAnswer(relocation, local))];
    } catch (error) {
      if (!(error instanceof BtfError)) throw error;
      throw new ObjectError(`Cannot relocate slot ${relocation.slot}: ${error.message}`, { cause: error });
    }
  });
}

/** The kernel's types by the names that relocations mean. */
class Candidates {
  readonly #btf: Btf;
  #byName: Map<string, BtfId[]> | undefined;

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  get btf(): Btf {
    return this.#btf;
  }

  of(local: BtfType | BtfVoid): BtfId[] {
    this.#byName ??= this.#index();
    const ids = this.#byName.get(essential(local.name)) ?? [];
    return ids.filter((id) => isAlike(local.kind, this.#btf.type(id).kind));
  }

  #index(): Map<string, BtfId[]> {
    const byName = new Map<string, BtfId[]>();
    for (const [id, { name }] of this.#btf.types()) {
      if (name === "") continue;
      const key = essential(name);
      const ids = byName.get(key);
      if (ids === undefined) byName.set(key, [id]);
      else ids.push(id);
    }
    return byName;
  }
}

/** Without its flavor: "sock" of "sock___old". */
function essential(name: string): string {
  const at = name.lastIndexOf("___");
  return at > 0 ? name.slice(0, at) : name;
}

const isEnum = (kind: string): boolean => kind === "ENUM" || kind === "ENUM64";
/** The values of an enum; none of another type. */
function valuesOf(type: BtfType | BtfVoid): readonly { readonly name: string; readonly val: number | bigint }[] {
  return type.kind === "ENUM" || type.kind === "ENUM64" ? type.values : [];
}

const isAlike = (a: string, b: string): boolean => a === b || (isEnum(a) && isEnum(b));

function kindOf({ kind, slot }: CoreRelocation): Kind {
  const name = KINDS[kind];
  if (name === undefined)
    throw new ObjectError(`Cannot relocate slot ${slot}: it asks for ${kind}, which is not known`);
  return name;
}

/** Undefined when the kernel has nothing that answers. */
function answerOf(relocation: CoreRelocation, local: Btf, candidates: Candidates): Answer | undefined {
  const kind = kindOf(relocation);
  if (kind === "local_type_id") return { value: BigInt(relocation.type) };
  const wanted = fieldOf(local, relocation);
  const root = local.type(wanted.root);
  let found: Answer | undefined;
  for (const id of candidates.of(root)) {
    const field = matching(wanted, candidates.btf, id, kind);
    if (field === undefined) continue;
    const answer = answerFor(kind, field);
    if (found !== undefined && found.value !== answer.value && kind !== "target_type_id") {
      throw new ObjectError(
        `Cannot relocate slot ${relocation.slot}: types named "${root.name}" give ${found.value} and ${answer.value} for ${kind}`,
      );
    }
    found ??= answer;
  }
  if (found !== undefined) return found;
  return kind.endsWith("_exists") || kind === "type_matches" || kind === "type_size" ? { value: 0n } : undefined;
}

/** What the compiler answered with its own types. */
function localAnswer(relocation: CoreRelocation, local: Btf): Answer {
  return answerFor(kindOf(relocation), fieldOf(local, relocation));
}

/** Follows a path through the object's own types. */
function fieldOf(btf: Btf, { type, access, kind, slot }: CoreRelocation): Field {
  const path = access.split(":").map(Number);
  if (path.some((part) => !Number.isInteger(part) || part < 0)) {
    throw new ObjectError(`Cannot relocate slot ${slot}: "${access}" is no path`);
  }
  const name = KINDS[kind]!;
  // Questions about types mean the name that they are asked by, typedefs too.
  const root = /type/.test(name) ? type : btf.resolve(type);
  const start = { btf, root, type: root, bitsOffset: 0, bitfieldSize: 0, steps: [], enumValue: undefined };
  if (/type/.test(name)) return start;
  const whole = btf.type(root);
  if (name.startsWith("enumval")) {
    const value = valuesOf(whole)[path[0]!];
    if (value === undefined) throw new BtfError(`wanted value ${path[0]} of an enum, found ${whole.kind}`, root);
    return { ...start, steps: [{ name: value.name }], enumValue: BigInt(value.val) };
  }
  let field: Field = { ...start, bitsOffset: path[0]! * btf.sizeOf(root) * 8, steps: [{ index: path[0]! }] };
  for (const part of path.slice(1)) field = localStep(field, part);
  return field;
}

function localStep(field: Field, part: number): Field {
  const { btf, bitsOffset, steps } = field;
  const type = btf.type(field.type);
  switch (type.kind) {
    case "STRUCT":
    case "UNION": {
      const member = type.members[part];
      if (member === undefined)
        throw new BtfError(`wanted member ${part} of ${type.name}, which has ${type.members.length}`);
      return {
        ...field,
        type: btf.resolve(member.type),
        bitsOffset: bitsOffset + member.bitsOffset,
        bitfieldSize: member.bitfieldSize,
        // What has no name is where the named things in it are.
        steps: member.name === "" ? steps : [...steps, { name: member.name }],
      };
    }
    case "ARRAY":
      return {
        ...field,
        type: btf.resolve(type.type),
        bitsOffset: bitsOffset + 8 * part * btf.sizeOf(type.type),
        bitfieldSize: 0,
        steps: [...steps, { index: part }],
      };
    default:
      throw new BtfError(`wanted a struct or an array on the way, found ${type.kind}`);
  }
}

/** The same field of a candidate; undefined where it has none. */
function matching(wanted: Field, btf: Btf, id: BtfId, kind: Kind): Field | undefined {
  const start = { btf, root: id, type: id, bitsOffset: 0, bitfieldSize: 0, steps: wanted.steps, enumValue: undefined };
  if (/type/.test(kind)) {
    const isSame = kind === "type_matches" ? matches : areCompatible;
    return isSame(wanted.btf, wanted.root, btf, id, 0) ? start : undefined;
  }
  if (kind.startsWith("enumval")) {
    const [step] = wanted.steps as [{ name: string }];
    const values = valuesOf(btf.type(id));
    const value = values.find(({ name }) => essential(name) === essential(step.name));
    return value && { ...start, enumValue: BigInt(value.val) };
  }
  const [first, ...steps] = wanted.steps as [{ index: number }, ...Step[]];
  let field: Field | undefined = { ...start, bitsOffset: first.index * btf.sizeOf(id) * 8 };
  for (const step of steps) {
    field = "name" in step ? memberNamed(field, step.name, 0) : elemAt(field, step.index);
    if (field === undefined) return undefined;
  }
  return fieldsCompatible(wanted.btf, wanted.type, btf, field.type, 0) ? field : undefined;
}

/** The member of a name, also in members that have none. */
function memberNamed(field: Field, name: string, depth: number): Field | undefined {
  const { btf } = field;
  const type = btf.type(field.type);
  if ((type.kind !== "STRUCT" && type.kind !== "UNION") || depth > MAX_DEPTH) return undefined;
  for (const member of type.members) {
    const inner = {
      ...field,
      type: btf.resolve(member.type),
      bitsOffset: field.bitsOffset + member.bitsOffset,
      bitfieldSize: member.bitfieldSize,
    };
    if (member.name === name) return inner;
    const found = member.name === "" ? memberNamed(inner, name, depth + 1) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function elemAt(field: Field, index: number): Field | undefined {
  const { btf } = field;
  const type = btf.type(field.type);
  // An array of no elems is one whose length nobody knows.
  if (type.kind !== "ARRAY" || (type.nrElems > 0 && index >= type.nrElems)) return undefined;
  const elem = btf.resolve(type.type);
  return { ...field, type: elem, bitsOffset: field.bitsOffset + 8 * index * btf.sizeOf(elem), bitfieldSize: 0 };
}

/** Whether a field of one type may stand for one of another: sizes may differ, kinds may not. */
function fieldsCompatible(a: Btf, aId: BtfId, b: Btf, bId: BtfId, depth: number): boolean {
  const [one, other] = [a.type(a.resolve(aId)), b.type(b.resolve(bId))];
  if (depth > MAX_DEPTH) return false;
  if (isComposite(one) && isComposite(other)) return true;
  if (!isAlike(one.kind, other.kind)) return false;
  switch (one.kind) {
    case "PTR":
    case "FLOAT":
    case "INT":
      return true;
    case "FWD":
    case "ENUM":
    case "ENUM64":
      return one.name === "" || other.name === "" || essential(one.name) === essential(other.name);
    case "ARRAY":
      return other.kind === "ARRAY" && fieldsCompatible(a, one.type, b, other.type, depth + 1);
    default:
      return false;
  }
}

const isComposite = (type: BtfType | BtfVoid): type is BtfComposite => type.kind === "STRUCT" || type.kind === "UNION";

/** Whether types of one name are the same as far as "does it exist" asks: what is behind pointers and in functions too. */
function areCompatible(a: Btf, aId: BtfId, b: Btf, bId: BtfId, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  const [one, other] = [a.type(a.resolve(aId)), b.type(b.resolve(bId))];
  if (!isAlike(one.kind, other.kind)) return false;
  switch (one.kind) {
    case "PTR":
      return other.kind === "PTR" && areCompatible(a, one.type, b, other.type, depth + 1);
    case "ARRAY":
      return other.kind === "ARRAY" && areCompatible(a, one.type, b, other.type, depth + 1);
    case "FUNC_PROTO":
      return (
        other.kind === "FUNC_PROTO" &&
        one.params.length === other.params.length &&
        one.params.every(({ type }, i) => areCompatible(a, type, b, other.params[i]!.type, depth + 1)) &&
        areCompatible(a, one.retType, b, other.retType, depth + 1)
      );
    default:
      return true;
  }
}

/** The stricter question: all members and values that the object has, the kernel must have as well. */
function matches(a: Btf, aId: BtfId, b: Btf, bId: BtfId, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  const [one, other] = [a.type(a.resolve(aId)), b.type(b.resolve(bId))];
  if (essential(one.name) !== essential(other.name)) return false;
  if (depth > 0 && one.kind === "FWD" && isComposite(other)) return true;
  if (!isAlike(one.kind, other.kind)) return false;
  switch (one.kind) {
    case "STRUCT":
    case "UNION":
      return one.members.every(({ name, type }) => {
        const members = (other as BtfComposite).members;
        return members.some((member) => member.name === name && matches(a, type, b, member.type, depth + 1));
      });
    case "ENUM":
    case "ENUM64": {
      const theirs = new Set(valuesOf(other).map(({ name }) => essential(name)));
      return one.values.every(({ name }) => theirs.has(essential(name)));
    }
    case "INT":
      return other.kind === "INT" && one.size === other.size && one.encoding === other.encoding;
    case "PTR":
      // Behind a pointer inside of a struct the name is enough.
      return (
        other.kind === "PTR" &&
        (depth > 0 ? sameName(a, one.type, b, other.type) : matches(a, one.type, b, other.type, depth + 1))
      );
    case "ARRAY":
      return other.kind === "ARRAY" && one.nrElems === other.nrElems && matches(a, one.type, b, other.type, depth + 1);
    default:
      return areCompatible(a, aId, b, bId, depth);
  }
}

function sameName(a: Btf, aId: BtfId, b: Btf, bId: BtfId): boolean {
  return essential(a.type(a.resolve(aId)).name) === essential(b.type(b.resolve(bId)).name);
}

function answerFor(kind: Kind, field: Field): Answer {
  const { btf, root, enumValue } = field;
  switch (kind) {
    case "target_type_id":
    case "local_type_id":
      return { value: BigInt(root) };
    case "type_exists":
    case "type_matches":
    case "field_exists":
    case "enumval_exists":
      return { value: 1n };
    case "type_size":
      return { value: BigInt(btf.sizeOf(root)) };
    case "enumval_value":
      return { value: enumValue! };
    default:
      return fieldAnswer(kind, field);
  }
}

function fieldAnswer(kind: Kind, { btf, type, bitsOffset, bitfieldSize }: Field): Answer {
  const isBitfield = bitfieldSize > 0;
  const decoded = btf.type(type);
  let size = btf.sizeOf(type);
  let byteOff = Math.floor(bitsOffset / 8);
  if (isBitfield) {
    // The smallest aligned unit, of the type's size or more, that all of its bits lie in.
    for (byteOff = Math.floor(bitsOffset / 8 / size) * size; bitsOffset + bitfieldSize - byteOff * 8 > size * 8;) {
      if (size >= 8) throw new BtfError("a bit-field of more than 8 bytes");
      size *= 2;
      byteOff = Math.floor(bitsOffset / 8 / size) * size;
    }
  }
  const bits = isBitfield ? bitfieldSize : size * 8;
  switch (kind) {
    case "byte_sz":
      return { value: BigInt(size) };
    case "signed":
      return { value: isSigned(decoded) ? 1n : 0n };
    case "lshift_u64":
      return { value: BigInt(64 - (bits + bitsOffset - byteOff * 8)) };
    case "rshift_u64":
      return { value: BigInt(64 - bits) };
    default:
      return {
        value: BigInt(byteOff),
        size,
        canResize:
          !isBitfield &&
          (decoded.kind === "PTR" || (["INT", "ENUM", "ENUM64"].includes(decoded.kind) && !isSigned(decoded))),
      };
  }
}

function isSigned(type: BtfType | BtfVoid): boolean {
  if (type.kind === "INT") return type.encoding === "SIGNED";
  return (type.kind === "ENUM" || type.kind === "ENUM64") && type.signed;
}

/** A call that no kernel has; libbpf's number, which tells what happened in the verifier's log. */
const POISON = 0xbad2310;
const CALL = opcodes.find(({ form, op }) => form === "call" && op === "helper")!;

function poisoned({ opcode }: Insn): Insn[] {
  return Array.from({ length: opcode.slots }, () => ({ opcode: CALL, dst: 0, src: 0, off: 0, imm: POISON, next: 0 }));
}

/** The instruction with the answer in its place. */
function patched(insn: Insn, answer: Answer, before: Answer): Insn {
  const { opcode } = insn;
  const { value } = answer;
  switch (opcode.form) {
    case "lddw":
      return { ...insn, imm: Number(BigInt.asIntN(32, value)), next: Number(BigInt.asIntN(32, value >> 32n)) };
    case "load":
    case "store": {
      if (value > 32767n) throw new ObjectError(`Cannot relocate "${opcode.text}": an offset of ${value} does not fit`);
      const resized =
        before.size === answer.size || answer.size === undefined ? opcode : withSize(opcode, answer, before);
      return { ...insn, opcode: resized, off: Number(value) };
    }
    case "alu":
      if (opcode.from === "imm") return { ...insn, imm: Number(BigInt.asIntN(32, value)) };
      break;
    default:
  }
  throw new ObjectError(`Cannot relocate "${opcode.text}": it holds no number`);
}

/** A load or store of the size that the kernel's field has. */
function withSize(opcode: Opcode, answer: Answer, before: Answer): Opcode {
  const { size } = answer;
  const row = opcodes.find(
    (row) => row.form === opcode.form && row.op === opcode.op && row.from === opcode.from && row.size === size,
  );
  if (row === undefined || answer.canResize !== true || before.canResize !== true) {
    throw new ObjectError(
      `Cannot relocate "${opcode.text}": the field has ${size} bytes here, and had ${before.size} where it was compiled`,
    );
  }
  return row;
}

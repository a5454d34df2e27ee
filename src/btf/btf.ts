/**
 * Reading BTF, the format that the kernel and compilers tell of C's types in (Documentation/bpf/btf.rst).
 *
 *     0       2         3       4          8          12         16        20        24
 *     | magic | version | flags | hdr_len  | type_off | type_len | str_off | str_len |
 *     |  types: the first has id 1                                                   |
 *     |  strings: NUL-terminated, the first is empty                                 |
 *
 *     0          4                               8              12
 *     | name_off | kind_flag 31, kind 24, vlen 0 | size or type | what the kind has more
 *
 * Parsing finds where each type lies, and that all of it lies within; a type is decoded when it is asked for. BTF of a
 * kernel module is split: its ids and string offsets go on where those of its base (vmlinux) end.
 */
import { readFileSync } from "node:fs";
import { elfSection } from "../elf/sections.js";
import {
  BTF_HEADER_SIZE,
  BTF_KINDS,
  BTF_MAGIC,
  type BtfId,
  type BtfKind,
  type BtfType,
  type BtfVoid,
  INT_ENCODINGS,
  TAIL_EACH,
  TAIL_ONCE,
} from "./types.js";

/** The bytes are no BTF, or damaged; or a type is not what it must be. */
export class BtfError extends Error {
  override readonly name = "BtfError";
  /** The type that is wrong, where it is one. */
  readonly typeId: BtfId | undefined;

  constructor(message: string, typeId?: BtfId) {
    super(message);
    this.typeId = typeId;
  }
}

const VOID: BtfVoid = { kind: "VOID", name: "" };

/** As deep as the kernel follows types (MAX_RESOLVE_DEPTH): what is deeper is a loop. */
export const MAX_DEPTH = 32;

const decoder = new TextDecoder();

/** What BTF says. */
export class Btf {
  /** The id of its first type: 1, or of split BTF what follows its base's last. */
  readonly startId: BtfId;
  readonly base: Btf | undefined;
  readonly #view: DataView;
  /** Where types lie in the view, from startId on. */
  readonly #offs: Uint32Array;
  readonly #strings: Uint8Array;
  readonly #stringsBegin: number;
  readonly #types: (BtfType | undefined)[] = [];
  #byName: Map<string, BtfId[]> | undefined;

  private constructor(bytes: Uint8Array, base: Btf | undefined) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { types, strings } = sections(view, base === undefined);
    this.base = base;
    this.startId = base === undefined ? 1 : base.endId;
    this.#view = view;
    this.#strings = bytes.subarray(strings.off, strings.end);
    this.#stringsBegin = base === undefined ? 0 : base.stringsEnd;
    this.#offs = findTypes(view, types.off, types.end, this.startId);
  }

  /**
   * Reads BTF.
   *
   * @param base What split BTF builds on.
   * @throws {BtfError} The bytes are no BTF, or damaged: what was wanted, what was found, and of which type
   */
  static parse(bytes: Uint8Array, base?: Btf): Btf {
    return new Btf(bytes, base);
  }

  /**
   * Reads what the running kernel says of itself, or of a module: /sys/kernel/btf/NAME. Linux only.
   *
   * @param base What a module's BTF builds on; read from the kernel too unless given.
   * @throws {Error} ENOENT: there is no such module, or this is another system
   */
  static fromKernel(name = "vmlinux", base?: Btf): Btf {
    const bytes = readFileSync(`/sys/kernel/btf/${name}`);
    if (name === "vmlinux") return Btf.parse(bytes);
    return Btf.parse(bytes, base ?? Btf.fromKernel());
  }

  /**
   * Reads the section .BTF of an ELF object, as `clang -g -target bpf -c` makes it.
   *
   * @throws {ElfError} The bytes are no ELF64 object
   * @throws {BtfError} It has no section .BTF, or one that is damaged
   */
  static fromObject(bytes: Uint8Array, base?: Btf): Btf {
    const section = elfSection(bytes, ".BTF");
    if (section === undefined) throw new BtfError("Cannot read BTF: the object has no section .BTF (compile with -g)");
    return Btf.parse(section, base);
  }

  /** What follows its last id. */
  get endId(): BtfId {
    return this.startId + this.#offs.length;
  }

  /** What follows its last string offset. */
  get stringsEnd(): number {
    return this.#stringsBegin + this.#strings.length;
  }

  /** A type; of split BTF also one of its base. @throws {BtfError} There is none of that id */
  type(id: BtfId): BtfType | BtfVoid {
    if (id === 0) return VOID;
    if (id < this.startId && this.base !== undefined) return this.base.type(id);
    const known = this.#types[id - this.startId];
    if (known !== undefined) return known;
    return (this.#types[id - this.startId] = this.#decode(id));
  }

  /** A string by its offset, as records beside BTF name what they are of; empty where there is none. */
  stringAt(off: number): string {
    return off < this.stringsEnd ? this.#string(off, 0) : "";
  }

  /** Where one of its own types lies in its bytes. @throws {BtfError} There is none of that id */
  offsetOf(id: BtfId): number {
    const off = this.#offs[id - this.startId];
    if (off === undefined) {
      throw new BtfError(`BTF type ${id}: wanted an id from ${this.startId} to ${this.endId - 1}`, id);
    }
    return off;
  }

  /** Its own types with their ids, in their order: of split BTF, without its base's. */
  *types(): Generator<[BtfId, BtfType]> {
    for (let id = this.startId; id < this.endId; id++) yield [id, this.type(id) as BtfType];
  }

  /** The first type of a name, of a kind where told; undefined where there is none. Split BTF asks its base first. */
  find(name: string, kind?: BtfKind): BtfId | undefined {
    return this.base?.find(name, kind) ?? this.findAll(name, kind)[0];
  }

  /** All of its own types of a name, of a kind where told. */
  findAll(name: string, kind?: BtfKind): BtfId[] {
    const ids = (this.#byName ??= this.#names()).get(name) ?? [];
    return kind === undefined ? [...ids] : ids.filter((id) => this.#kind(id) === kind);
  }

  /** The id behind typedefs, const, volatile, restrict and type tags. @throws {BtfError} They make a loop */
  resolve(id: BtfId): BtfId {
    let at = id;
    for (let depth = 0; depth <= MAX_DEPTH; depth++) {
      const type = this.type(at);
      switch (type.kind) {
        case "TYPEDEF":
        case "CONST":
        case "VOLATILE":
        case "RESTRICT":
        case "TYPE_TAG":
          at = type.type;
          break;
        default:
          return at;
      }
    }
    throw new BtfError(`BTF type ${id}: wanted a type, found more than ${MAX_DEPTH} names of it, or a loop`, id);
  }

  /** C's sizeof, in bytes. @throws {BtfError} It has none, as void and functions */
  sizeOf(id: BtfId): number {
    let elems = 1;
    let at = id;
    for (let depth = 0; depth <= MAX_DEPTH; depth++) {
      at = this.resolve(at);
      const type = this.type(at);
      switch (type.kind) {
        case "INT":
        case "STRUCT":
        case "UNION":
        case "ENUM":
        case "ENUM64":
        case "FLOAT":
        case "DATASEC":
          return elems * type.size;
        case "PTR":
          return elems * 8;
        case "VAR":
          at = type.type;
          break;
        case "ARRAY":
          elems *= type.nrElems;
          at = type.type;
          break;
        default:
          throw new BtfError(`BTF type ${id}: wanted a type with a size, found ${type.kind} ${at}`, id);
      }
    }
    throw new BtfError(`BTF type ${id}: wanted a size, found arrays more than ${MAX_DEPTH} deep, or a loop`, id);
  }

  #kind(id: BtfId): BtfKind {
    return BTF_KINDS[this.#view.getUint8(this.#offs[id - this.startId]! + 7) & 0x1f] as BtfKind;
  }

  #names(): Map<string, BtfId[]> {
    const names = new Map<string, BtfId[]>();
    for (let id = this.startId; id < this.endId; id++) {
      const off = this.#view.getUint32(this.#offs[id - this.startId]!, true);
      if (off === 0) continue;
      const name = this.#string(off, id);
      const ids = names.get(name);
      if (ids === undefined) names.set(name, [id]);
      else ids.push(id);
    }
    return names;
  }

  #string(off: number, id: BtfId): string {
    if (off === 0) return "";
    if (off < this.#stringsBegin && this.base !== undefined) return this.base.#string(off, id);
    const at = off - this.#stringsBegin;
    if (at >= this.#strings.length) {
      throw new BtfError(`BTF type ${id}: wanted a name below offset ${this.stringsEnd}, found ${off}`, id);
    }
    return decoder.decode(this.#strings.subarray(at, this.#strings.indexOf(0, at)));
  }

  #decode(id: BtfId): BtfType {
    const off = this.#offs[id - this.startId];
    if (off === undefined) throw new BtfError(`BTF type ${id}: wanted an id from 0 to ${this.endId - 1}`, id);
    const view = this.#view;
    const u32 = (at: number): number => view.getUint32(off + at, true);
    const info = u32(4);
    const kindFlag = info >>> 31 === 1;
    const name = this.#string(u32(0), id);
    // Size, or type: which one the kind says.
    const size = u32(8);
    const type = size;
    const each = <T>(width: number, make: (at: number) => T): T[] =>
      Array.from({ length: info & 0xffff }, (_, i) => make(12 + i * width));
    const kind = BTF_KINDS[(info >>> 24) & 0x1f]!;
    switch (kind) {
      case "INT": {
        const encoding = (u32(12) >>> 24) & 0xf;
        const bitsOffset = (u32(12) >>> 16) & 0xff;
        return { kind, name, size, encoding: INT_ENCODINGS[encoding] ?? encoding, bitsOffset, nrBits: u32(12) & 0xff };
      }
      case "PTR":
      case "TYPEDEF":
      case "VOLATILE":
      case "CONST":
      case "RESTRICT":
        return { kind, name, type };
      case "TYPE_TAG":
        return { kind, name, type, kindFlag };
      case "ARRAY":
        return { kind, name, type: u32(12), indexType: u32(16), nrElems: u32(20) };
      case "STRUCT":
      case "UNION": {
        const members = each(12, (at) => ({
          name: this.#string(u32(at), id),
          type: u32(at + 4),
          bitsOffset: kindFlag ? u32(at + 8) & 0xffffff : u32(at + 8),
          bitfieldSize: kindFlag ? u32(at + 8) >>> 24 : 0,
        }));
        return { kind, name, size, members, kindFlag };
      }
      case "ENUM": {
        const values = each(8, (at) => ({
          name: this.#string(u32(at), id),
          val: kindFlag ? view.getInt32(off + at + 4, true) : u32(at + 4),
        }));
        return { kind, name, size, signed: kindFlag, values };
      }
      case "ENUM64": {
        const values = each(12, (at) => ({
          name: this.#string(u32(at), id),
          val: kindFlag ? view.getBigInt64(off + at + 4, true) : view.getBigUint64(off + at + 4, true),
        }));
        return { kind, name, size, signed: kindFlag, values };
      }
      case "FWD":
        return { kind, name, fwdKind: kindFlag ? "union" : "struct" };
      case "FUNC":
        return { kind, name, type, linkage: info & 0xffff };
      case "FUNC_PROTO":
        return {
          kind,
          name,
          retType: type,
          params: each(8, (at) => ({ name: this.#string(u32(at), id), type: u32(at + 4) })),
        };
      case "VAR":
        return { kind, name, type, linkage: u32(12) };
      case "DATASEC":
        return {
          kind,
          name,
          size,
          vars: each(12, (at) => ({ type: u32(at), offset: u32(at + 4), size: u32(at + 8) })),
        };
      case "FLOAT":
        return { kind, name, size };
      default: // DECL_TAG
        return { kind, name, type, componentIdx: view.getInt32(off + 12, true), kindFlag };
    }
  }
}

interface Section {
  readonly off: number;
  readonly end: number;
}

/** Reads and checks the header. */
function sections(view: DataView, whole: boolean): { types: Section; strings: Section } {
  const fail = (wanted: string, found: string | number): never => {
    throw new BtfError(`Cannot read BTF: wanted ${wanted}, found ${found}`);
  };
  const length = view.byteLength;
  if (length < BTF_HEADER_SIZE) fail(`a header of ${BTF_HEADER_SIZE} bytes`, `${length} bytes`);
  const magic = view.getUint16(0, true);
  if (magic === 0x9feb) fail("little endian", "big endian");
  if (magic !== BTF_MAGIC) fail("magic 0xeb9f", `0x${magic.toString(16)}`);
  if (view.getUint8(2) !== 1) fail("version 1", view.getUint8(2));
  const headerLength = view.getUint32(4, true);
  if (headerLength < BTF_HEADER_SIZE) fail(`hdr_len of at least ${BTF_HEADER_SIZE}`, headerLength);
  const section = (at: number, what: string): Section => {
    const off = headerLength + view.getUint32(at, true);
    const end = off + view.getUint32(at + 4, true);
    if (end > length) fail(`${what} to end within ${length} bytes`, `an end at ${end}`);
    return { off, end };
  };
  const types = section(8, "types");
  const strings = section(16, "strings");
  if (types.off % 4 !== 0) fail("type_off a multiple of 4", types.off - headerLength);
  if (strings.end === strings.off) {
    if (whole) fail("strings", "none");
  } else {
    if (whole && view.getUint8(strings.off) !== 0) fail("the first string empty", "letters");
    if (view.getUint8(strings.end - 1) !== 0) fail("a NUL at the end of strings", view.getUint8(strings.end - 1));
  }
  return { types, strings };
}

/** Finds where each type lies. */
function findTypes(view: DataView, begin: number, end: number, startId: BtfId): Uint32Array {
  const offs = new Uint32Array(Math.floor((end - begin) / 12));
  let count = 0;
  for (let off = begin; off < end; count++) {
    const id = startId + count;
    if (off + 12 > end) throw new BtfError(`BTF type ${id}: wanted 12 bytes, found ${end - off}`, id);
    const info = view.getUint32(off + 4, true);
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind >= BTF_KINDS.length) {
      throw new BtfError(`BTF type ${id}: wanted a kind from 1 to ${BTF_KINDS.length - 1}, found ${kind}`, id);
    }
    const size = 12 + TAIL_ONCE[kind]! + TAIL_EACH[kind]! * (info & 0xffff);
    if (off + size > end) {
      throw new BtfError(`BTF type ${id}: wanted ${size} bytes of ${BTF_KINDS[kind]}, found ${end - off}`, id);
    }
    offs[count] = off;
    off += size;
  }
  return offs.slice(0, count);
}

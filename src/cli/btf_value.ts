/**
 * Keys and values by their types, as bpftool's btf_dumper.c shows them: structs as objects, enums by name, char arrays as
 * strings, bit-fields in hex.
 *
 * Two looks: JSON, and "plain" JSON for people, whose bit-fields and pointers are not quoted. Strict: values of unsigned
 * enums are unsigned, floats are numbers, letters are escaped; bpftool leaves an object open at a float.
 */
import { Btf } from "../btf/btf.js";
import type { BtfComposite, BtfId, BtfInt } from "../btf/types.js";
import type { MapInfo } from "../kernels/syscalls.js";
import type { Context } from "./context.js";
import { isPerCpu, perCpuStride } from "./elem_format.js";
import type { JsonWriter } from "./json_writer.js";
import type { Syscalls } from "./syscalls.js";

/** What types a map's keys and values have. */
export interface ElemTypes {
  readonly btf: Btf;
  /** 0: the key is not shown. */
  readonly key: BtfId;
  readonly value: BtfId;
}

/** How values look. */
export interface ValueStyle {
  readonly plain: boolean;
  readonly strict: boolean;
}

/** Reads the BTF of a map, if it has any. */
export function elemTypes(context: Context, bpf: Syscalls, info: MapInfo): ElemTypes | undefined {
  const key = info.btfKeyTypeId;
  if (info.btfVmlinuxValueTypeId !== 0) return { btf: Btf.fromKernel(), key, value: info.btfVmlinuxValueTypeId };
  if (info.btfValueTypeId === 0) return undefined;
  const btf = openBtf(bpf, info.btfId);
  return typeof btf === "number" ? context.fail("failed to get btf", btf) : { btf, key, value: info.btfValueTypeId };
}

/** Reads the BTF object of an id from the kernel, or returns a negative errno. */
export function openBtf(bpf: Syscalls, id: number, base?: Btf): Btf | number {
  const fd = bpf.getFdById("btf", id);
  if (fd < 0) return fd;
  const bytes = bpf.btfBytes(fd);
  bpf.close(fd);
  return typeof bytes === "number" ? bytes : Btf.parse(bytes, base);
}

/** Writes an elem by its types: {"key": ..., "value": ...}, or of a per-CPU map "values". */
export function writeElem(
  json: JsonWriter,
  types: ElemTypes,
  info: MapInfo,
  style: ValueStyle,
  key: Uint8Array,
  value: Uint8Array,
): void {
  const write = (type: BtfId, bytes: Uint8Array): boolean =>
    new ValueWriter(json, types.btf, style, bytes).write(type, 0, 0);
  json.startObject();
  try {
    if (types.key !== 0) {
      json.name("key");
      if (!write(types.key, key)) return;
    }
    if (!isPerCpu(info.type)) {
      json.name("value");
      write(types.value, value);
      return;
    }
    json.name("values");
    json.startArray();
    const stride = perCpuStride(info.valueSize);
    for (let cpu = 0; cpu * stride < value.length; cpu++) {
      json.startObject();
      json.name("cpu");
      json.number(cpu);
      json.name("value");
      const whole = write(types.value, value.subarray(cpu * stride, cpu * stride + info.valueSize));
      json.endObject();
      if (!whole) break;
    }
    json.endArray();
  } finally {
    json.endObject();
  }
}

/** Writes one key or value. */
class ValueWriter {
  readonly #json: JsonWriter;
  readonly #btf: Btf;
  readonly #style: ValueStyle;
  readonly #bytes: Uint8Array;

  constructor(json: JsonWriter, btf: Btf, style: ValueStyle, bytes: Uint8Array) {
    this.#json = json;
    this.#btf = btf;
    this.#style = style;
    this.#bytes = bytes;
  }

  /** Writes what lies `bit` bits behind byte `off`. False: it is of a kind without values, and what it lies in ends. */
  write(id: BtfId, off: number, bit: number): boolean {
    const json = this.#json;
    const type = this.#btf.type(this.#btf.resolve(id));
    switch (type.kind) {
      case "INT":
        this.#int(type, off, bit);
        return true;
      case "STRUCT":
      case "UNION":
        return this.#struct(type, off);
      case "ARRAY": {
        const text = this.#text(type.type, type.nrElems, off);
        if (text !== undefined) {
          json.string(text);
          return true;
        }
        const size = this.#btf.sizeOf(type.type);
        let whole = true;
        json.startArray();
        for (let i = 0; i < type.nrElems && whole; i++) whole = this.write(type.type, off + i * size, 0);
        json.endArray();
        return whole;
      }
      case "ENUM":
      case "ENUM64": {
        const value = this.#integer(type.size, off, true);
        const narrow = (val: number | bigint): bigint =>
          type.kind === "ENUM" ? BigInt(Number(val) | 0) : BigInt.asIntN(64, BigInt(val));
        const name = type.values.find(({ val }) => narrow(val) === value)?.name;
        if (name !== undefined) json.string(name);
        else json.number(this.#style.strict && !type.signed ? BigInt.asUintN(type.size * 8, value) : value);
        return true;
      }
      case "PTR": {
        const value = this.#integer(8, off, false);
        if (!this.#style.plain) json.number(value);
        else json.raw(value === 0n ? "(nil)" : `0x${value.toString(16)}`);
        return true;
      }
      case "VOID":
        json.raw("(unknown)");
        return true;
      case "VAR": {
        json.startObject();
        json.name(type.name);
        const whole = this.write(type.type, off, bit);
        json.endObject();
        return whole;
      }
      case "DATASEC": {
        let whole = true;
        json.startObject();
        json.name(type.name);
        json.startArray();
        for (const { type: id, offset } of type.vars) {
          whole &&= this.write(id, off + offset, 0);
        }
        json.endArray();
        json.endObject();
        return whole;
      }
      case "FLOAT":
        if (!this.#style.strict || (type.size !== 4 && type.size !== 8)) break;
        this.#float(this.#integer(type.size, off, false), type.size);
        return true;
      default:
    }
    json.raw(type.kind === "FWD" ? "(fwd-kind-invalid)" : "(unsupported-kind");
    return false;
  }

  #struct(type: BtfComposite, off: number): boolean {
    let whole = true;
    this.#json.startObject();
    for (const { name, type: id, bitsOffset, bitfieldSize } of type.members) {
      const at = off + Math.floor(bitsOffset / 8);
      this.#json.name(name);
      if (bitfieldSize > 0) this.#bits(bitfieldSize, at, bitsOffset % 8);
      else whole = this.write(id, at, bitsOffset % 8);
      if (!whole) break;
    }
    this.#json.endObject();
    return whole;
  }

  #int(type: BtfInt, off: number, bit: number): void {
    const { encoding, nrBits, bitsOffset } = type;
    const width = nrBits === 8 || nrBits === 16 || nrBits === 32 || nrBits === 64 ? nrBits / 8 : 0;
    if (bit !== 0 || bitsOffset !== 0 || width === 0) {
      this.#bits(nrBits, off + Math.floor((bit + bitsOffset) / 8), (bit + bitsOffset) % 8);
    } else if (encoding === "BOOL") {
      this.#json.bool(this.#bytes[off] !== 0);
    } else if (encoding === "CHAR") {
      this.#char(this.#bytes[off] ?? 0);
    } else {
      this.#json.number(this.#integer(width, off, encoding === "SIGNED"));
    }
  }

  #char(byte: number): void {
    const hex = byte.toString(16);
    if (byte >= 0x20 && byte < 0x7f) {
      const letter = String.fromCharCode(byte);
      if (this.#style.strict) this.#json.string(letter);
      else this.#json.raw(`"${letter}"`);
    } else {
      this.#json.raw(this.#style.plain ? `0x${hex}` : `"\\u00${hex.padStart(2, "0")}"`);
    }
  }

  #float(bits: bigint, size: number): void {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, bits, true);
    const value = size === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true);
    if (Number.isFinite(value)) this.#json.number(value);
    else this.#json.string(String(value));
  }

  #bits(count: number, off: number, bit: number): void {
    let all = 0n;
    for (let i = (bit + count - 1) >> 3; i >= 0; i--) all = (all << 8n) | BigInt(this.#bytes[off + i] ?? 0);
    const hex = `0x${BigInt.asUintN(count, all >> BigInt(bit)).toString(16)}`;
    if (this.#style.plain) this.#json.raw(hex);
    else this.#json.string(hex);
  }

  #integer(size: number, off: number, signed: boolean): bigint {
    let all = 0n;
    for (let i = size - 1; i >= 0; i--) all = (all << 8n) | BigInt(this.#bytes[off + i] ?? 0);
    return signed ? BigInt.asIntN(size * 8, all) : all;
  }

  /** What an array of `char` says, if it has a NUL and before it printable ASCII only. A typedef of char is no text. */
  #text(elem: BtfId, count: number, off: number): string | undefined {
    let type = this.#btf.type(elem);
    while (type.kind === "CONST" || type.kind === "VOLATILE" || type.kind === "RESTRICT" || type.kind === "TYPE_TAG") {
      type = this.#btf.type(type.type);
    }
    if (type.kind !== "INT" || type.nrBits !== 8) return undefined;
    if (type.name !== "char" && type.encoding !== "CHAR") return undefined;
    const bytes = this.#bytes.subarray(off, off + count);
    const end = bytes.indexOf(0);
    if (end === -1 || !bytes.subarray(0, end).every((byte) => byte >= 0x20 && byte < 0x7f)) return undefined;
    return Buffer.from(bytes.subarray(0, end)).toString("latin1");
  }
}

/**
 * BTF of codecs, so that who looks at a map on Linux (bpftool map dump) sees names.
 *
 * Structs, integers, bool, char arrays, prefixes and arrays of those are told as they are; what else there is, addresses among
 * it, is told as bytes. So are floats: bpftool map dump ends at one.
 */
import type { Codec } from "../codec/codec.js";
import type { Field } from "../codec/_field.js";
import { inlineOf } from "../codec/_inline.js";
import { shapeOf } from "../codec/_shape.js";
import { SPIN_LOCK_TYPE } from "../codec/spin_lock.js";
import { TIMER_TYPE } from "../codec/timer.js";
import { BtfBuilder } from "./builder.js";
import type { BtfId } from "./types.js";

/** BTF of a map's types: what BPF_MAP_CREATE takes as btf_fd (once loaded), btf_key_type_id and btf_value_type_id. */
export interface MapBtf {
  readonly bytes: Uint8Array;
  /** 0 for a map without keys. */
  readonly keyTypeId: BtfId;
  readonly valueTypeId: BtfId;
  /** Values have a lock or a timer, which the kernel finds by their BTF. */
  readonly hasFields: boolean;
}

/** The BTF of a map with these codecs; `undefined` for a key that it has not. */
export function btfFromCodecs(key: Codec<unknown> | undefined, value: Codec<unknown>): MapBtf {
  const writer = new Writer();
  const keyTypeId = key === undefined ? 0 : writer.idOf(key);
  const valueTypeId = writer.idOf(value);
  return { bytes: writer.builder.bytes(), keyTypeId, valueTypeId, hasFields: writer.hasFields };
}

const NAMES: Readonly<Record<number, string>> = { 8: "char", 16: "short", 32: "int", 64: "long long" };

/** More members a struct of BTF has not. */
const MOST_MEMBERS = 0xffff;

/** C's name for a property, which may have any letters. */
function identifier(name: string): string {
  const word = name.replace(/[^A-Za-z0-9_]/g, "_");
  return /^[0-9]/.test(word) || word === "" ? `_${word}` : word;
}

class Writer {
  readonly builder = new BtfBuilder();
  hasFields = false;
  /** By what they are: each is added once. */
  readonly #scalars = new Map<string, BtfId>();

  idOf(codec: Codec<unknown>): BtfId {
    const inline = inlineOf(codec);
    if ("fields" in inline) return this.#struct(codec, inline.fields);
    const shape = shapeOf(codec);
    if (shape === undefined) return this.#plain(codec);
    if ("fields" in shape) return this.#struct(codec, shape.fields);
    return this.#array(this.idOf(shape.of), shape.n);
  }

  #struct({ size }: Codec<unknown>, fields: readonly Field[]): BtfId {
    if (fields.length > MOST_MEMBERS) return this.#bytes(size);
    const members = fields.map(({ name, codec, off }) => ({
      name: identifier(name),
      type: this.idOf(codec),
      bitsOffset: off * 8,
    }));
    return this.builder.struct("", size, members);
  }

  #plain({ type, size }: Codec<unknown>): BtfId {
    if (type === SPIN_LOCK_TYPE) return this.#lock();
    if (type === TIMER_TYPE) return this.#timer();
    const [, base = "", n] = /^(\w+)(?:\[(\d+)\])?$/.exec(type) ?? [];
    const scalar = this.#scalar(base);
    if (scalar === undefined) return this.#bytes(size);
    return n === undefined ? scalar : this.#array(scalar, Number(n));
  }

  #lock(): BtfId {
    this.hasFields = true;
    const members = [{ name: "val", type: this.#scalar("u32")!, bitsOffset: 0 }];
    return this.builder.struct("bpf_spin_lock", 4, members);
  }

  #timer(): BtfId {
    this.hasFields = true;
    const members = [{ name: "__opaque", type: this.#array(this.#scalar("u64")!, 2), bitsOffset: 0 }];
    return this.builder.struct("bpf_timer", 16, members);
  }

  #bytes(size: number): BtfId {
    return this.#array(this.#scalar("u8")!, size);
  }

  #array(of: BtfId, n: number): BtfId {
    return this.builder.array(of, n, this.#scalar("u32")!);
  }

  #scalar(base: string): BtfId | undefined {
    const known = this.#scalars.get(base);
    if (known !== undefined) return known;
    const id = this.#add(base);
    if (id !== undefined) this.#scalars.set(base, id);
    return id;
  }

  #add(base: string): BtfId | undefined {
    const { builder } = this;
    if (base === "bool") return builder.int("_Bool", 1, "BOOL");
    if (base === "char") return builder.int("char", 1, "SIGNED");
    const [, kind, digits] = /^(u|s|be)(8|16|32|64)$/.exec(base) ?? [];
    if (kind === undefined) return undefined;
    const bits = Number(digits);
    if (kind === "be") return builder.typedef(`__be${bits}`, this.#scalar(`u${bits}`)!);
    const sign = kind === "u" ? "unsigned" : "signed";
    return builder.int(`${sign} ${NAMES[bits]!}`, bits / 8, kind === "u" ? "none" : "SIGNED");
  }
}

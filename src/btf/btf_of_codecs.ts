/**
 * BTF of codecs, so that who looks at a map on Linux (bpftool map dump) sees names.
 *
 * Structs, numbers, bool, char arrays and arrays of those are told as they are; what else there is, arrays of structs
 * among it, is told as bytes.
 */
import type { Codec } from "../codec/codec.js";
import { inlineOf } from "../codec/_inline.js";
import { BtfBuilder } from "./builder.js";
import type { BtfId } from "./types.js";

/** BTF of a map's types: what BPF_MAP_CREATE takes as btf_fd (once loaded), btf_key_type_id and btf_value_type_id. */
export interface MapBtf {
  readonly bytes: Uint8Array;
  readonly keyTypeId: BtfId;
  readonly valueTypeId: BtfId;
}

/** The BTF of a map with these codecs. */
export function btfFromCodecs(key: Codec<unknown>, value: Codec<unknown>): MapBtf {
  const writer = new Writer();
  const keyTypeId = writer.idOf(key);
  const valueTypeId = writer.idOf(value);
  return { bytes: writer.builder.bytes(), keyTypeId, valueTypeId };
}

const NAMES: Readonly<Record<number, string>> = { 8: "char", 16: "short", 32: "int", 64: "long long" };

class Writer {
  readonly builder = new BtfBuilder();
  /** By what they are: each is added once. */
  readonly #scalars = new Map<string, BtfId>();

  idOf(codec: Codec<unknown>): BtfId {
    const inline = inlineOf(codec);
    if (!("fields" in inline)) return this.#plain(codec);
    const members = inline.fields.map(({ name, codec, off }) => ({
      name,
      type: this.idOf(codec),
      bitsOffset: off * 8,
    }));
    return this.builder.struct("", codec.size, members);
  }

  #plain({ type, size }: Codec<unknown>): BtfId {
    const [, base = "", dimensions = ""] = /^(\w+)((?:\[\d+\])*)$/.exec(type) ?? [];
    const scalar = this.#scalar(base);
    if (scalar === undefined) return this.#array(this.#scalar("u8")!, size);
    // The innermost length stands last.
    return [...dimensions.matchAll(/\d+/g)].toReversed().reduce((id, [n]) => this.#array(id, Number(n)), scalar);
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
    if (base === "float") return builder.float("float", 4);
    if (base === "double") return builder.float("double", 8);
    const [, kind, digits] = /^(u|s|be)(8|16|32|64)$/.exec(base) ?? [];
    if (kind === undefined) return undefined;
    const bits = Number(digits);
    if (kind === "be") return builder.typedef(`__be${bits}`, this.#scalar(`u${bits}`)!);
    const sign = kind === "u" ? "unsigned" : "signed";
    return builder.int(`${sign} ${NAMES[bits]!}`, bits / 8, kind === "u" ? "none" : "SIGNED");
  }
}

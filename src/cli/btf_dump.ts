/**
 * btf dump: the types of BTF, from a file or of a kernel's BTF object, a line each.
 */
import { readFileSync } from "node:fs";
import { Btf, BtfError } from "../btf/btf.js";
import type { BtfId, BtfType } from "../btf/types.js";
import { ElfError, isElf } from "../elf/sections.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import type { JsonWriter } from "./json_writer.js";

const KERNEL_BTF = "/sys/kernel/btf/";
const LINKAGES = ["static", "global", "extern"];

/** btf dump file FILE [format raw] */
export function btfDump(context: Context, args: Args): void {
  args.need(2);
  if (!args.takeIf("file")) throw new ArgsError(`unrecognized BTF source specifier: '${args.next}'`);
  const btf = openFile(context, args.take());
  if (args.takeIf("format")) {
    args.need(1);
    if (!args.takeIf("raw")) throw new ArgsError(`unrecognized format specifier: '${args.next}', possible values: raw`);
  }
  if (args.left > 0) throw new ArgsError(`unrecognized option: '${args.next}'`);
  const { json } = context.out;
  if (json === undefined) {
    for (const [id, type] of btf.types()) context.out.text(textOf(btf, id, type));
    return;
  }
  json.startObject();
  json.name("types");
  json.startArray();
  for (const [id, type] of btf.types()) writeType(json, id, type, context.strict);
  json.endArray();
  json.endObject();
}

function openFile(context: Context, path: string): Btf {
  try {
    const bytes = readFileSync(path);
    if (isElf(bytes)) return Btf.fromObject(bytes);
    const split = path.startsWith(KERNEL_BTF) && path !== `${KERNEL_BTF}vmlinux`;
    return Btf.parse(bytes, split ? Btf.fromKernel() : undefined);
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    const known = errno === undefined ? undefined : errnoMessage(-errno);
    if (known === undefined && !(error instanceof BtfError) && !(error instanceof ElfError)) throw error;
    return context.fail(`failed to load BTF from ${path}: ${known ?? (error as Error).message}`, errno);
  }
}

const named = (name: string): string => (name === "" ? "(anon)" : name);

/** What a type says of itself beside id, kind, name and parts: bpftool's words, in its order. */
function fieldsOf(type: BtfType): [string, string | number][] {
  switch (type.kind) {
    case "INT":
      return [
        ["size", type.size],
        ["bits_offset", type.bitsOffset],
        ["nr_bits", type.nrBits],
        ["encoding", encodingName(type.encoding)],
      ];
    case "PTR":
    case "TYPEDEF":
    case "VOLATILE":
    case "CONST":
    case "RESTRICT":
    case "TYPE_TAG":
      return [["type_id", type.type]];
    case "ARRAY":
      return [
        ["type_id", type.type],
        ["index_type_id", type.indexType],
        ["nr_elems", type.nrElems],
      ];
    case "STRUCT":
    case "UNION":
      return [
        ["size", type.size],
        ["vlen", type.members.length],
      ];
    case "ENUM":
    case "ENUM64":
      return [
        ["encoding", type.signed ? "SIGNED" : "UNSIGNED"],
        ["size", type.size],
        ["vlen", type.values.length],
      ];
    case "FWD":
      return [["fwd_kind", type.fwdKind]];
    case "FUNC":
    case "VAR":
      return [
        ["type_id", type.type],
        ["linkage", LINKAGES[type.linkage] ?? "(unknown)"],
      ];
    case "FUNC_PROTO":
      return [
        ["ret_type_id", type.retType],
        ["vlen", type.params.length],
      ];
    case "DATASEC":
      return [
        ["size", type.size],
        ["vlen", type.vars.length],
      ];
    case "FLOAT":
      return [["size", type.size]];
    default: // DECL_TAG
      return [
        ["type_id", type.type],
        ["component_idx", type.componentIdx],
      ];
  }
}

function encodingName(encoding: string | number): string {
  if (typeof encoding === "number") return "UNKN";
  return encoding === "none" ? "(none)" : encoding;
}

/** The lines of a type. */
function textOf(btf: Btf, id: BtfId, type: BtfType): string {
  const fields = fieldsOf(type).map(([name, value]) => `${name}=${value}`);
  // As bpftool has it.
  const text = `[${id}] ${type.kind} '${named(type.name)}' ${fields.join(type.kind === "VAR" ? ", " : " ")}\n`;
  return (
    text +
    partsOf(btf, type)
      .map((part) => `\t${part}\n`)
      .join("")
  );
}

function partsOf(btf: Btf, type: BtfType): string[] {
  switch (type.kind) {
    case "STRUCT":
    case "UNION":
      return type.members.map(({ name, type, bitsOffset, bitfieldSize }) => {
        const bits = bitfieldSize === 0 ? "" : ` bitfield_size=${bitfieldSize}`;
        return `'${named(name)}' type_id=${type} bits_offset=${bitsOffset}${bits}`;
      });
    case "ENUM":
      return type.values.map(({ name, val }) => `'${named(name)}' val=${val}`);
    case "ENUM64":
      return type.values.map(({ name, val }) => `'${named(name)}' val=${val}${type.signed ? "LL" : "ULL"}`);
    case "FUNC_PROTO":
      return type.params.map(({ name, type }) => `'${named(name)}' type_id=${type}`);
    case "DATASEC":
      return type.vars.map(({ type, offset, size }) => {
        const text = `type_id=${type} offset=${offset} size=${size}`;
        if (type >= btf.endId) return text;
        const { kind, name } = btf.type(type);
        return `${text} (${kind} '${named(name)}')`;
      });
    default:
      return [];
  }
}

/**
 * A type as an object.
 *
 * bpftool 7.1 writes values of unsigned enums that are larger than INT_MAX as 64-bit numbers, sign extended; strict: as they are.
 */
function writeType(json: JsonWriter, id: BtfId, type: BtfType, strict: boolean): void {
  const member = (name: string, value: string | number | bigint): void => {
    json.name(name);
    if (typeof value === "string") json.string(value);
    else json.number(value);
  };
  const list = <T>(name: string, items: readonly T[], write: (item: T) => void): void => {
    json.name(name);
    json.startArray();
    for (const item of items) {
      json.startObject();
      write(item);
      json.endObject();
    }
    json.endArray();
  };
  json.startObject();
  member("id", id);
  member("kind", type.kind);
  member("name", named(type.name));
  for (const [name, value] of fieldsOf(type)) member(name, value);
  switch (type.kind) {
    case "STRUCT":
    case "UNION":
      list("members", type.members, ({ name, type, bitsOffset, bitfieldSize }) => {
        member("name", named(name));
        member("type_id", type);
        member("bits_offset", bitsOffset);
        if (bitfieldSize !== 0) member("bitfield_size", bitfieldSize);
      });
      break;
    case "ENUM":
    case "ENUM64":
      list<{ name: string; val: number | bigint }>("values", type.values, ({ name, val }) => {
        member("name", named(name));
        member("val", strict || type.signed || typeof val === "bigint" ? val : BigInt.asUintN(64, BigInt(val | 0)));
      });
      break;
    case "FUNC_PROTO":
      list("params", type.params, ({ name, type }) => {
        member("name", named(name));
        member("type_id", type);
      });
      break;
    case "DATASEC":
      list("vars", type.vars, ({ type, offset, size }) => {
        member("type_id", type);
        member("offset", offset);
        member("size", size);
      });
      break;
    default:
  }
  json.endObject();
}

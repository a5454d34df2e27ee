/**
 * btf dump: the types of BTF, from a file or of the kernel's objects: a line each, or as C.
 */
import { Btf } from "../btf/btf.js";
import { CWriter } from "../btf/c_writer.js";
import type { BtfId, BtfType, BtfVoid } from "../btf/types.js";
import { EINVAL, EOPNOTSUPP } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import { BtfFileError, readBtf } from "./btf_file.js";
import { openBtf } from "./btf_value.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { btfUsage } from "./help.js";
import type { JsonWriter } from "./json_writer.js";
import { takeMap } from "./map_handle.js";
import { takeProg } from "./prog_handle.js";
import type { Syscalls } from "./syscalls.js";

const KERNEL_BTF = "/sys/kernel/btf/";
const LINKAGES = ["static", "global", "extern"];

/** What is dumped: all types, or some of them. */
interface Source {
  readonly btf: Btf;
  readonly roots?: readonly BtfId[];
}

/** Finds a source once the rest of the command is known to be right. */
type OpenSource = () => Source;

/** btf dump { id N | map MAP [key | value | kv | all] | prog PROG | file FILE } [format { raw | c }] */
export async function btfDump(context: Context, args: Args): Promise<void> {
  if (args.left < 2) return tooFew(context, args);
  const open = await takeSource(context, args);
  const asC = takeFormat(context, args);
  const { btf, roots } = open();
  const { json } = context.out;
  if (asC) {
    if (json !== undefined) context.fail("JSON output for C-syntax dump is not supported", -EOPNOTSUPP);
    dumpC(context, btf, roots);
    return;
  }
  const types = roots === undefined ? btf.types() : roots.map((id) => [id, btf.type(id)] as const);
  if (json === undefined) {
    for (const [id, type] of types) context.out.text(textOf(btf, id, type));
    return;
  }
  json.startObject();
  json.name("types");
  json.startArray();
  for (const [id, type] of types) writeType(json, id, type, context.strict);
  json.endArray();
  json.endObject();
}

/** bpftool shows its usage too. */
function tooFew(context: Context, args: Args): never {
  const message = `'${args.previous}' needs at least 2 arguments, ${args.left} found`;
  if (context.strict) throw new ArgsError(message);
  context.out.error(message);
  return btfUsage(context);
}

async function takeSource(context: Context, args: Args): Promise<OpenSource> {
  if (args.takeIf("map")) {
    if (args.left < 2) return tooFew(context, args);
    const bpf = await context.open("read");
    const { info } = takeMap(context, bpf, args);
    const both = [info.btfKeyTypeId, info.btfValueTypeId];
    let roots: BtfId[] | undefined = both;
    if (args.takeIf("key")) roots = both.slice(0, 1);
    else if (args.takeIf("value")) roots = both.slice(1);
    else if (args.takeIf("all")) roots = undefined;
    else if (!args.takeIf("kv") && context.strict) roots = both.filter((id) => id !== 0);
    return () => ({ btf: openId(context, bpf, info.btfId), ...(roots === undefined ? {} : { roots }) });
  }
  if (args.takeIf("prog")) {
    if (args.left < 2) return tooFew(context, args);
    const bpf = await context.open("read");
    const info = bpf.progInfo(takeProg(context, bpf, args));
    if (typeof info === "number") return context.fail(`can't get prog info: ${errnoMessage(-info)}`);
    return () => ({ btf: openId(context, bpf, info.btfId) });
  }
  if (args.takeIf("id")) {
    const id = args.takeU32("ID");
    const bpf = await context.open("read");
    return () => ({ btf: openId(context, bpf, id) });
  }
  if (!args.takeIf("file")) throw new ArgsError(`unrecognized BTF source specifier: '${args.next}'`);
  const btf = openFile(context, args.take());
  return () => ({ btf });
}

/** Reads [format { raw | c }]; true: c. */
function takeFormat(context: Context, args: Args): boolean {
  let asC = false;
  while (args.takeIf("format")) {
    if (args.left === 0) {
      context.fail(`expecting value for 'format' option${context.strict ? "" : "\n"}`, -EINVAL);
    }
    const format = args.take();
    if (format !== "c" && format !== "raw") {
      context.fail(`unrecognized format specifier: '${format}', possible values: raw, c`, -EINVAL);
    }
    asC = format === "c";
  }
  if (args.left > 0) context.fail(`unrecognized option: '${args.next}'`, -EINVAL);
  return asC;
}

/** Writes a C header: vmlinux.h, of the kernel's own BTF. */
function dumpC({ out }: Context, btf: Btf, roots: readonly BtfId[] | undefined): void {
  out.text(`#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

`);
  const writer = new CWriter(btf, (text) => out.text(text));
  if (roots !== undefined) for (const id of roots) writer.type(id);
  else for (let id = 1; id < btf.endId; id++) writer.type(id);
  out.text(`#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
`);
}

function openId(context: Context, bpf: Syscalls, id: number): Btf {
  const found = bpf.getFdById("btf", id);
  if (found < 0) {
    // bpftool says it twice: it asked first whether it is a module's.
    if (!context.strict) context.out.error(`can't get BTF object by id (${id}): ${errnoMessage(-found)}`);
    return context.fail(`get btf by id (${id}): ${errnoMessage(-found)}`, found);
  }
  const info = bpf.btfInfo(found);
  bpf.close(found);
  let base = context.options.baseBtf;
  if (base === undefined && typeof info !== "number" && info.kernelBtf && info.name !== "vmlinux") {
    context.out.note(
      "Warning: valid base BTF was not specified with -B option, " +
        `falling back to standard base BTF (${KERNEL_BTF}vmlinux)`,
    );
    base = Btf.fromKernel();
  }
  const btf = openBtf(bpf, id, base);
  return typeof btf === "number" ? context.fail(`get btf by id (${id}): ${errnoMessage(-btf)}`, btf) : btf;
}

function openFile(context: Context, path: string): Btf {
  try {
    let base = context.options.baseBtf;
    if (base === undefined && path.startsWith(KERNEL_BTF) && path !== `${KERNEL_BTF}vmlinux`) base = Btf.fromKernel();
    return readBtf(path, base);
  } catch (error) {
    if (!(error instanceof BtfFileError)) throw error;
    return context.fail(`failed to load BTF from ${path}: ${error.describe(context.strict)}`, error.errno);
  }
}

const named = (name: string): string => (name === "" ? "(anon)" : name);

/** What a type says of itself beside id, kind, name and parts: bpftool's words, in its order. */
function fieldsOf(type: BtfType | BtfVoid): [string, string | number][] {
  switch (type.kind) {
    case "VOID":
      return [];
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
function textOf(btf: Btf, id: BtfId, type: BtfType | BtfVoid): string {
  const fields = fieldsOf(type).map(([name, value]) => `${name}=${value}`);
  // As bpftool has it.
  const gap = fields.length === 0 ? "" : " ";
  const text = `[${id}] ${kindName(type)} '${named(type.name)}'${gap}${fields.join(type.kind === "VAR" ? ", " : " ")}\n`;
  return (
    text +
    partsOf(btf, type)
      .map((part) => `\t${part}\n`)
      .join("")
  );
}

/** bpftool's word for the kind; type 0 is void, which it does not know. */
function kindName({ kind }: BtfType | BtfVoid): string {
  return kind === "VOID" ? "UNKNOWN" : kind;
}

function partsOf(btf: Btf, type: BtfType | BtfVoid): string[] {
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
function writeType(json: JsonWriter, id: BtfId, type: BtfType | BtfVoid, strict: boolean): void {
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
  member("kind", kindName(type));
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

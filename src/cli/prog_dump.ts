/**
 * prog dump xlated PROG [{ file FILE | opcodes | linum }]: the instructions of a program, as the kernel has them after its own changes.
 */
import { writeFileSync } from "node:fs";
import type { Btf } from "../btf/btf.js";
import { errnoMessage } from "../uapi/errno_name.js";
import { helperName } from "../uapi/helper_name.js";
import type { Args } from "./args.js";
import { openBtf } from "./btf_value.js";
import type { Context } from "./context.js";
import { errnoOf } from "./failures.js";
import { progUsage } from "./help.js";
import type { JsonWriter } from "./json_writer.js";
import { Kallsyms } from "./kallsyms.js";
import { progOf, takeProgs, type OpenProg } from "./prog_handle.js";
import { progHeaderText, writeProgHeader } from "./prog_show.js";
import { signatureOf } from "./signature.js";
import type { Syscalls } from "./syscalls.js";
import { type RawInsn, LDDW, rawInsn, xlatedText } from "./xlated_text.js";

/** How instructions are shown. */
interface DumpStyle {
  readonly opcodes: boolean;
  readonly linum: boolean;
}

/** A line of the source, and the slot that begins it. */
interface SourceLine {
  readonly slot: number;
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A slot, and what is to be said of it. */
interface ShownInsn {
  readonly slot: number;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Of the function that begins here. */
  readonly signature: string | undefined;
  readonly source: SourceLine | undefined;
}

/** prog dump xlated PROG [{ file FILE | opcodes | linum }] */
export async function progDump(context: Context, args: Args): Promise<void> {
  if (args.takeIf("jited")) return context.fail("No libbfd support");
  if (!args.takeIf("xlated")) return context.fail(`expected 'xlated' or 'jited', got: ${args.next ?? "(null)"}`);
  if (args.left < 2) return progUsage(context);
  const bpf = await context.open("read");
  const fds = takeProgs(context, bpf, args);
  const style = { opcodes: false, linum: false };
  let file: string | undefined;
  if (args.takeIf("file")) {
    if (args.left === 0) return context.fail("expected file path");
    if (fds.length > 1) return context.fail("several programs matched");
    file = args.take();
  } else if (args.takeIf("opcodes")) {
    style.opcodes = true;
  } else if (args.takeIf("linum")) {
    style.linum = true;
  }
  if (args.left > 0) return progUsage(context);

  const { out } = context;
  const { json } = out;
  const isMany = fds.length > 1;
  if (isMany) json?.startArray();
  for (const [i, fd] of fds.entries()) {
    const prog = progOf(context, bpf, fd);
    if (file !== undefined) {
      writeXlated(context, bpf, prog, file);
      continue;
    }
    if (isMany && json !== undefined) {
      json.startObject();
      writeProgHeader(json, prog.info);
      json.name("insns");
    } else if (isMany) {
      out.text(progHeaderText(prog.info));
    }
    const insns = shownInsns(context, bpf, prog);
    if (json === undefined) out.text([...insns].map((insn) => plainText(insn, style)).join(""));
    else writeInsns(json, insns, style);
    if (isMany && json !== undefined) json.endObject();
    else if (isMany && i < fds.length - 1) out.text("\n");
  }
  if (isMany) json?.endArray();
}

function writeXlated(context: Context, bpf: Syscalls, prog: OpenProg, file: string): void {
  const { xlated } = listsOf(context, bpf, prog);
  try {
    writeFileSync(file, xlated.bytes);
  } catch (error) {
    context.fail(`can't open file ${file}: ${errnoMessage(errnoOf(error))}`);
  }
  context.out.done();
}

function listsOf(context: Context, bpf: Syscalls, { fd, info }: OpenProg) {
  if (info.xlatedBytes === 0) return context.fail("no instructions returned");
  const lists = bpf.progLists(fd, ["xlated", "ksyms", "funcs", "lines"]);
  if (typeof lists === "number") return context.fail(`can't get prog info: ${errnoMessage(-lists)}`);
  if (lists.xlated.bytes.length > 0) return lists;
  return context.fail("error retrieving insn dump: kernel.kptr_restrict set?");
}

function* shownInsns(context: Context, bpf: Syscalls, prog: OpenProg): Generator<ShownInsn> {
  const { xlated, ksyms, funcs, lines } = listsOf(context, bpf, prog);
  const { btfId } = prog.info;
  const btf = btfId === 0 ? undefined : openBtf(bpf, btfId);
  if (typeof btf === "number") {
    context.fail("failed to get btf");
    return;
  }
  const names = namesOf(context, bpf, new BigUint64Array(ksyms.bytes.buffer, 0, ksyms.bytes.length / 8));
  const signatures = new Map(
    records(funcs.bytes, funcs.size).map(([slot = 0, type = 0]) => [slot, btf && signatureOf(btf, type)]),
  );
  const sources = btf === undefined ? [] : records(lines.bytes, lines.size).map((record) => sourceLine(btf, record));
  let known = 0;
  const slots = xlated.bytes.length / 8;
  for (let slot = 0; slot < slots;) {
    const insn = rawInsn(xlated.bytes, slot);
    // A line that was told is passed over, whatever lies between.
    const source = sources.slice(known).find((line) => line.slot === slot);
    if (source !== undefined) known++;
    const size = insn.code === LDDW ? 2 : 1;
    const bytes = xlated.bytes.subarray(8 * slot, 8 * (slot + size));
    yield { slot, bytes, text: xlatedText(insn, names), signature: signatures.get(slot), source };
    slot += size;
  }
}

function records(bytes: Uint8Array, size: number): Uint32Array[] {
  if (size === 0) return [];
  return Array.from({ length: bytes.length / size }, (_, i) => new Uint32Array(bytes.buffer, i * size, size / 4));
}

function sourceLine(btf: Btf, [slot = 0, file = 0, text = 0, at = 0]: Uint32Array): SourceLine {
  const string = (off: number): string => btf.stringAt(off);
  return { slot, text: string(text).trimStart(), file: string(file), line: at >>> 10, column: at & 1023 };
}

function namesOf(context: Context, bpf: Syscalls, ksyms: BigUint64Array) {
  const isLinux = bpf.kernel.name === "linux";
  let symbols: Kallsyms | undefined;
  const nameAt = (address: (of: Kallsyms) => bigint): [string | undefined, bigint] => {
    symbols ??= isLinux ? Kallsyms.read() : new Kallsyms("");
    const at = BigInt.asUintN(64, address(symbols));
    return [symbols.nameAt(at), at];
  };
  return {
    isOld: !context.strict,
    call({ src, imm, off }: RawInsn): string {
      const known = src === 0 && imm >= 0 ? helperName(imm) : undefined;
      if (known !== undefined) return `bpf_${known}`;
      const [name, at] = nameAt(({ callBase }) =>
        src === 1 && imm >= 0 && imm < ksyms.length ? ksyms[imm]! : callBase + BigInt(imm),
      );
      const shown = name ?? `0x${at.toString(16)}`;
      if (src !== 1) return shown;
      // Of what is interpreted, or still as it was loaded, the distance is in imm.
      const distance = isLinux ? off : imm;
      const to = distance < 0 ? String(distance) : `+${distance}`;
      return ksyms.length === 0 ? to : `${to}#${shown}`;
    },
    imm64({ src, imm, next }: RawInsn): string {
      const unsigned = (value: number): string => String(value >>> 0);
      if (src === 1) return `map[id:${unsigned(imm)}]`;
      if (src === 2) return `map[id:${unsigned(imm)}][0]+${unsigned(next)}`;
      if (src === 6) return `map[idx:${unsigned(imm)}]+${unsigned(next)}`;
      if (src === 4) return `subprog[${imm < 0 ? imm : `+${imm}`}]`;
      return `0x${((BigInt(next >>> 0) << 32n) | BigInt(imm >>> 0)).toString(16)}`;
    },
  };
}

const hexOf = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");

function plainText({ slot, bytes, text, signature, source }: ShownInsn, { opcodes, linum }: DumpStyle): string {
  const begin = signature === undefined || signature === "" ? "" : `${signature}:\n`;
  let line = "";
  if (source !== undefined) {
    const place = ` [file:${source.file} line_num:${source.line} line_col:${source.column}]`;
    line = `; ${source.text}${linum ? place : ""}\n`;
  }
  const code = opcodes ? `       ${hexOf(bytes)}\n` : "";
  return `${begin}${line}${String(slot).padStart(4)}: ${text}\n${code}`;
}

function writeInsns(json: JsonWriter, insns: Iterable<ShownInsn>, { opcodes, linum }: DumpStyle): void {
  const text = (name: string, value: string): void => {
    json.name(name);
    json.string(value);
  };
  const number = (name: string, value: number): void => {
    json.name(name);
    json.number(value);
  };
  json.startArray();
  for (const { bytes, text: disasm, signature, source } of insns) {
    json.startObject();
    if (signature !== undefined && signature !== "") text("proto", signature);
    if (source !== undefined) {
      text("src", source.text);
      if (linum) {
        text("file", source.file);
        if (source.line !== 0) number("line_num", source.line);
        if (source.column !== 0) number("line_col", source.column);
      }
    }
    text("disasm", disasm);
    if (opcodes) writeOpcodes(json, bytes);
    json.endObject();
  }
  json.endArray();
}

function writeOpcodes(json: JsonWriter, bytes: Uint8Array): void {
  const [code = 0, registers = 0] = bytes;
  json.name("opcodes");
  json.startObject();
  json.name("code");
  json.string(`0x${code.toString(16).padStart(2, "0")}`);
  json.name("src_reg");
  json.string(`0x${(registers >> 4).toString(16)}`);
  json.name("dst_reg");
  json.string(`0x${(registers & 15).toString(16)}`);
  json.name("off");
  json.bytes(bytes.subarray(2, 4));
  json.name("imm");
  json.bytes(bytes.subarray(4));
  json.endObject();
}

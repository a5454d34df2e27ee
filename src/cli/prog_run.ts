/**
 * prog run PROG data_in FILE [data_out FILE [data_size_out L]] [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] [repeat N]: a program
 * over a packet, or with a context, by BPF_PROG_TEST_RUN.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError, CommandFailure, errnoOf } from "./failures.js";
import { takeProg } from "./prog_handle.js";

/** What comes out has as much room unless told. */
const OUT_BYTES = 32 << 10;

/** "-": standard input or output. */
const STANDARD = "-";

/** The data, or the context. */
interface Side {
  in?: string;
  out?: string;
  sizeOut: number;
}

/** prog run PROG ... */
export async function progRun(context: Context, args: Args): Promise<void> {
  args.need(4);
  // A run changes the program's maps.
  const bpf = await context.open("change");
  const fd = takeProg(context, bpf, args);
  const { data, ctx, repeat } = takeOptions(context, args);

  const dataIn = await readInput(context, data.in);
  const contextIn = await readInput(context, ctx.in);
  const ran = bpf.testRun(fd, {
    dataIn,
    dataOutSize: roomFor(dataIn, data.sizeOut),
    contextIn,
    contextOutSize: roomFor(contextIn, ctx.sizeOut),
    repeat,
  });
  if (typeof ran === "number") return context.fail(`failed to run program: ${errnoMessage(-ran)}`, ran);

  const { out } = context;
  const { json } = out;
  json?.startObject();
  const outputs = [
    [data.out, ran.data, "data_out"],
    [ctx.out, ran.context, "ctx_out"],
  ] as const;
  // What the program returned is told all the same.
  let failed = false;
  for (const [path, bytes, name] of outputs) if (!writeOutput(context, path, bytes, name)) failed = true;
  if (json === undefined) {
    const average = repeat > 1 ? " (average)" : "";
    out.text(`Return value: ${ran.retval}, duration${average}: ${ran.durationNs}ns\n`);
  } else {
    json.name("retval");
    json.number(ran.retval);
    json.name("duration");
    json.number(ran.durationNs);
    json.endObject();
  }
  if (failed) throw new CommandFailure(-1);
}

/** A kernel that is given nothing has no room for what comes out either. */
function roomFor(input: Uint8Array | undefined, asked: number): number {
  return input === undefined ? asked : asked || OUT_BYTES;
}

function takeOptions(context: Context, args: Args): { data: Side; ctx: Side; repeat: number } {
  const [data, ctx]: [Side, Side] = [{ sizeOut: 0 }, { sizeOut: 0 }];
  let repeat = 1;
  const take = (keyword: string): boolean => {
    const is = args.takeIf(keyword);
    if (is) args.need(1);
    return is;
  };
  while (args.left > 0) {
    refuseAmbiguous(context, args, ["data_in", "data_out", "data_size_out"]);
    refuseAmbiguous(context, args, ["ctx_in", "ctx_out", "ctx_size_out"]);
    if (take("data_in")) {
      data.in = args.take();
      if (data.in === STANDARD && ctx.in === STANDARD) onlyOnce(context, "input", "data_in and ctx_in");
    } else if (take("data_out")) {
      data.out = args.take();
    } else if (take("data_size_out")) {
      data.sizeOut = args.takeU32("output data size");
    } else if (take("ctx_in")) {
      ctx.in = args.take();
      if (data.in === STANDARD && ctx.in === STANDARD) onlyOnce(context, "input", "data_in and ctx_in");
    } else if (take("ctx_out")) {
      ctx.out = args.take();
    } else if (take("ctx_size_out")) {
      ctx.sizeOut = args.takeU32("output context size");
    } else if (take("repeat")) {
      repeat = args.takeU32("repeat number");
    } else {
      const known = "'data_in', 'data_out', 'data_size_out', 'ctx_in', 'ctx_out', 'ctx_size_out' or 'repeat'";
      throw new ArgsError(`expected no more arguments, ${known}, got: '${args.next}'?`);
    }
  }
  return { data, ctx, repeat };
}

function refuseAmbiguous(context: Context, args: Args, keywords: readonly string[]): void {
  const could = keywords.filter((keyword) => args.is(keyword));
  if (could.length < 2) return;
  context.fail(`ambiguous prefix: '${args.next}' could be ${could.map((keyword) => `'${keyword}'`).join(" or ")}`);
}

function onlyOnce(context: Context, which: string, both: string): never {
  return context.fail(`cannot use standard ${which} for both ${both}`);
}

async function readInput(context: Context, path: string | undefined): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  if (path === STANDARD) return await context.io.readInput();
  try {
    return readFileSync(path);
  } catch (error) {
    return context.fail(`failed to open ${path}: ${errnoMessage(errnoOf(error))}`);
  }
}

/** Says whether it could be written. */
function writeOutput({ out }: Context, path: string | undefined, bytes: Uint8Array, name: string): boolean {
  if (path === undefined || bytes.length === 0) return true;
  if (path !== STANDARD) {
    try {
      writeFileSync(path, bytes);
      return true;
    } catch (error) {
      out.error(`failed to open ${path}: ${errnoMessage(errnoOf(error))}`);
      return false;
    }
  }
  const { json } = out;
  if (json === undefined) {
    out.text(hexText(bytes));
    return true;
  }
  json.name(name);
  json.startArray();
  for (const byte of bytes) json.number(byte);
  json.endArray();
  return true;
}

/** As hexdump(1) shows bytes: 16 a line, two by two, then as letters. */
function hexText(bytes: Uint8Array): string {
  const columns = Array.from({ length: 16 }, (_, i) => i);
  let text = "";
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = columns.map((i) => (row[i]?.toString(16).padStart(2, "0") ?? "  ") + (i % 2 === 1 ? " " : ""));
    const letters = [...row].map((byte, i) => {
      const letter = byte >= 0x20 && byte <= 0x7e ? String.fromCharCode(byte) : ".";
      return i === 7 ? `${letter} ` : letter;
    });
    text += `${at.toString(16).padStart(7, "0")}\t${hex.join("")}| ${letters.join("")}\n`;
  }
  return text;
}

/**
 * The options of the command line, with getopt_long's manners: they may stand anywhere before "--", short ones may be
 * merged (-jp), long ones abbreviated while no other begins so.
 */
import type { Btf } from "../btf/btf.js";
import { BtfFileError, readBtf } from "./btf_file.js";
import type { Io } from "./output.js";

/** What the options say. */
export interface Options {
  json: boolean;
  pretty: boolean;
  /** Shows pinned names. */
  bpffs: boolean;
  debug: boolean;
  legacy: boolean;
  version: boolean;
  /** bpftool's behaviour to the letter, traps included. */
  bpftool: boolean;
  kernel: "embedded" | "linux";
  /** The embedded kernel's image file, where --image or TSBPF_IMAGE names one. */
  image: string | undefined;
  /** Live views look once. */
  once: boolean;
  /** Of `run`: the capture, the program, and how often it runs on each packet. */
  pcap: string | undefined;
  program: string | undefined;
  repeat: number;
  /** What split BTF builds on. */
  baseBtf: Btf | undefined;
}

/** The command line, taken apart. */
export interface CommandLine {
  readonly options: Options;
  /** What is not an option. */
  readonly args: readonly string[];
  /** Set when the options themselves end the command. */
  readonly stop?: Stop;
}

type Stop = { readonly help: true } | { readonly error: string } | { readonly failure: string };

interface OptionRow {
  readonly short?: string;
  readonly long: string;
  /** Of an option without a value. */
  readonly set?: (options: Options) => void;
  /** Of an option with a value; returns what is wrong with it. */
  readonly take?: (options: Options, value: string) => Stop | undefined;
  /** Not one of bpftool's: only its whole name will do, for abbreviations are bpftool's. */
  readonly ours?: boolean;
}

const ROWS: readonly OptionRow[] = [
  { short: "j", long: "json", set: (options) => (options.json = true) },
  { short: "p", long: "pretty", set: (options) => (options.json = options.pretty = true) },
  { short: "f", long: "bpffs", set: (options) => (options.bpffs = true) },
  { short: "d", long: "debug", set: (options) => (options.debug = true) },
  { short: "l", long: "legacy", set: (options) => (options.legacy = true) },
  { short: "V", long: "version", set: (options) => (options.version = true) },
  // Nothing is ever mounted, programs are not loaded, map names are always read: accepted, and without effect.
  { short: "n", long: "nomount", set: () => {} },
  { short: "L", long: "use-loader", set: () => {} },
  { short: "m", long: "mapcompat", set: () => {} },
  { short: "B", long: "base-btf", take: takeBaseBtf },
  { long: "once", set: (options) => (options.once = true), ours: true },
  { long: "image", take: takeImage, ours: true },
  { long: "kernel", take: takeKernel, ours: true },
  { long: "pcap", take: (options, file) => takeText(options, "pcap", file), ours: true },
  { long: "program", take: (options, name) => takeText(options, "program", name), ours: true },
  { long: "repeat", take: takeRepeat, ours: true },
];

function takeImage(options: Options, value: string): Stop | undefined {
  if (value === "") return { error: "option '--image' expected a file, got nothing" };
  options.image = value;
  return undefined;
}

function takeKernel(options: Options, value: string): { error: string } | undefined {
  if (value !== "embedded" && value !== "linux") {
    return { error: `expected kernel 'embedded' or 'linux', got: '${value}'` };
  }
  options.kernel = value;
  return undefined;
}

function takeText(options: Options, name: "pcap" | "program", value: string): Stop | undefined {
  if (value === "") return { error: `option '--${name}' expected a name, got nothing` };
  options[name] = value;
  return undefined;
}

function takeRepeat(options: Options, value: string): Stop | undefined {
  if (!/^[1-9]\d{0,8}$/.test(value)) return { error: `option '--repeat' expected a number from 1 on, got: '${value}'` };
  options.repeat = Number(value);
  return undefined;
}

function takeBaseBtf(options: Options, value: string): Stop | undefined {
  try {
    options.baseBtf = readBtf(value);
    return undefined;
  } catch (error) {
    if (!(error instanceof BtfFileError)) throw error;
    const why = options.bpftool ? `${error.errno}\n` : error.message;
    return { failure: `failed to parse base BTF at '${value}': ${why}` };
  }
}

/** Takes a command line apart; `argv` is without the program's name. */
export function parseOptions(argv: readonly string[], env: Io["env"]): CommandLine {
  const options: Options = {
    json: false,
    pretty: false,
    bpffs: false,
    debug: false,
    legacy: false,
    version: false,
    bpftool: isBpftool(argv),
    kernel: "embedded",
    image: env.TSBPF_IMAGE === "" ? undefined : env.TSBPF_IMAGE,
    once: false,
    pcap: undefined,
    program: undefined,
    repeat: 1,
    baseBtf: undefined,
  };
  const args: string[] = [];
  if (env.TSBPF_KERNEL !== undefined && env.TSBPF_KERNEL !== "") {
    const wrong = takeKernel(options, env.TSBPF_KERNEL);
    if (wrong !== undefined) return { options, args, stop: { error: `TSBPF_KERNEL: ${wrong.error}` } };
  }
  for (let at = 0; at < argv.length; at++) {
    const token = argv[at] ?? "";
    if (token === "--") {
      args.push(...argv.slice(at + 1));
      break;
    }
    if (!isOption(token)) {
      args.push(token);
      continue;
    }
    const stop = token.startsWith("--")
      ? takeLong(options, token, () => argv[++at])
      : takeShort(options, token, argv.slice(0, at), () => argv[++at]);
    if (stop !== undefined) return { options, args, stop };
  }
  return { options, args };
}

/** Takes --name, --name=value, or --name and the next word. */
function takeLong(options: Options, token: string, next: () => string | undefined): Stop | undefined {
  if (token === "--bpftool") return undefined;
  const [, name = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(token) ?? [];
  const row = findLong(name);
  if (row === "help") return { help: true };
  if (row?.take !== undefined) {
    const given = value ?? next();
    if (given !== undefined) return row.take(options, given);
    return { error: options.bpftool ? unrecognized(token) : `option '${token}' needs a value` };
  }
  if (row?.set === undefined || value !== undefined) return { error: unrecognized(token) };
  row.set(options);
  return undefined;
}

/** Takes -x, or several merged: -xyz. */
function takeShort(
  options: Options,
  token: string,
  before: readonly string[],
  next: () => string | undefined,
): Stop | undefined {
  for (let letter = 1; letter < token.length; letter++) {
    if (token[letter] === "h") return { help: true };
    const row = ROWS.find(({ short }) => short === token[letter]);
    if (row?.take !== undefined) {
      const rest = token.slice(letter + 1);
      const given = rest === "" ? next() : rest;
      if (given !== undefined) return row.take(options, given);
      return { error: options.bpftool ? unrecognized(token) : `option '${token}' needs a value` };
    }
    if (row?.set === undefined) {
      // bpftool names argv[optind - 1]: while more letters are to come, that is not the option itself.
      const isLast = letter === token.length - 1;
      return { error: unrecognized(isLast || !options.bpftool ? token : beforeOption(before)) };
    }
    row.set(options);
  }
  return undefined;
}

/** --bpftool counts from the start: it decides how a wrong option before it is told. */
function isBpftool(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? argv.length : end).includes("--bpftool");
}

function isOption(token: string): boolean {
  return token.startsWith("-") && token !== "-";
}

function findLong(name: string): OptionRow | "help" | undefined {
  const exact = ROWS.find(({ long }) => long === name);
  if (exact !== undefined || name === "") return exact;
  if ("help".startsWith(name)) return "help";
  const begins = ROWS.filter(({ long, ours }) => ours !== true && long.startsWith(name));
  return begins.length === 1 ? begins[0] : undefined;
}

function unrecognized(token: string): string {
  return `unrecognized option '${token}'`;
}

/** The last of the words before an option, once getopt has moved options before other words. */
function beforeOption(before: readonly string[]): string {
  const words = before.filter((token) => token !== "--bpftool");
  return words.findLast((token) => !isOption(token)) ?? words.at(-1) ?? "bpftool";
}

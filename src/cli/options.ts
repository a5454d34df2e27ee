/**
 * The options of the command line, with getopt_long's manners: they may stand anywhere before "--", short ones may be
 * merged (-jp), long ones abbreviated while no other begins so.
 */
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
}

/** The command line, taken apart. */
export interface CommandLine {
  readonly options: Options;
  /** What is not an option. */
  readonly args: readonly string[];
  /** Set when the options themselves end the command. */
  readonly stop?: Stop;
}

type Stop = { readonly help: true } | { readonly error: string };

interface OptionRow {
  readonly short?: string;
  readonly long: string;
  /** Of an option without a value. */
  readonly set?: (options: Options) => void;
  /** Of an option with a value; returns what is wrong with it. Only its whole name will do: abbreviations are bpftool's. */
  readonly take?: (options: Options, value: string) => string | undefined;
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
  { long: "image", take: takeImage },
  { long: "kernel", take: takeKernel },
];

function takeImage(options: Options, value: string): string | undefined {
  if (value === "") return "option '--image' expected a file, got nothing";
  options.image = value;
  return undefined;
}

function takeKernel(options: Options, value: string): string | undefined {
  if (value !== "embedded" && value !== "linux") return `expected kernel 'embedded' or 'linux', got: '${value}'`;
  options.kernel = value;
  return undefined;
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
  };
  const args: string[] = [];
  if (env.TSBPF_KERNEL !== undefined && env.TSBPF_KERNEL !== "") {
    const wrong = takeKernel(options, env.TSBPF_KERNEL);
    if (wrong !== undefined) return { options, args, stop: { error: `TSBPF_KERNEL: ${wrong}` } };
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
      : takeShort(options, token, argv.slice(0, at));
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
    const wrong = given === undefined ? `option '${token}' needs a value` : row.take(options, given);
    return wrong === undefined ? undefined : { error: wrong };
  }
  if (row?.set === undefined || value !== undefined) return { error: unrecognized(token) };
  row.set(options);
  return undefined;
}

/** Takes -x, or several merged: -xyz. */
function takeShort(options: Options, token: string, before: readonly string[]): Stop | undefined {
  for (let letter = 1; letter < token.length; letter++) {
    if (token[letter] === "h") return { help: true };
    const row = ROWS.find(({ short }) => short === token[letter]);
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
  const begins = ROWS.filter(({ long, take }) => take === undefined && long.startsWith(name));
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

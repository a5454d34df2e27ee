/**
 * The command line.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Exit, Failure } from "./exit.js";

const MAX_WORKERS = 64;
const DEFAULT_WORKERS = 4;
const MAX_SECONDS = 86_400;
const MAX_FLOWS = 4_194_304;
const DEFAULT_FLOWS = 65_536;

/** What to count, and how. */
export interface CountOptions {
  /** A pcap or pcapng file. */
  readonly file: string;
  /** Worker threads, 1 to 64. */
  readonly workers: number;
  readonly kernel: "embedded" | "linux";
  /** Elems that the map of flows has room for, and that of sources. */
  readonly maxFlows: number;
}

/** The options of one run of the program. */
export interface Options extends CountOptions {
  /** The interface whose packets are counted as they come in, instead of a file's. */
  readonly interface: string | undefined;
  /** How long an interface's are counted; until it is interrupted where undefined. */
  readonly seconds: number | undefined;
  readonly json: boolean;
  readonly help: boolean;
}

export const HELP = `Usage: npm start [-- [OPTIONS] [FILE]]

Counts the packets of a capture (pcap or pcapng) in shared BPF maps: worker threads update them, the main
thread reads them meanwhile. Without FILE, it counts the capture that comes with the example.

  --workers N      worker threads, 1 to ${MAX_WORKERS} (${DEFAULT_WORKERS})
  --kernel KERNEL  embedded: in this process, no rights needed; linux: the kernel of this machine (embedded)
  --interface IFACE  with --kernel linux: not a capture, but what comes in at an interface, until Ctrl-C
  --seconds N      how long it looks at the interface, at most ${MAX_SECONDS}
  --max-flows N    elems that the map of flows has room for, and that of sources, at most ${MAX_FLOWS} (${DEFAULT_FLOWS})
  --json           one JSON object instead of tables; "npm start --silent -- --json" keeps npm quiet, too
  --help           this text

On a terminal, tables are drawn while the maps fill. NO_COLOR=1 turns colours off.

JSON: { file, kernel, workers, seconds, totals, protocols, flows, sources, check, broken, left }. Flows and
sources are all there, those with most bytes first. A count is a number; one that a number cannot hold
exactly (above ${Number.MAX_SAFE_INTEGER}) is a string of digits. "left" is what the embedded kernel has in use at
the end, null on Linux; "broken" says where and why the file stops making sense, null where it does not.

Exit status:
  ${Exit.ok}   all packets were counted, and the maps are equal to the file
  ${Exit.failed}   the maps are not equal to the file, a map was full, the kernel refused, or a worker failed
  ${Exit.broken}   the capture is truncated or damaged: what is whole was counted
  ${Exit.usage}  wrong options        ${Exit.notACapture}  not a capture        ${Exit.unreadable}  the file cannot be read
`;

/** @throws {Failure} for options that make no sense */
export function parseOptions(argv: readonly string[]): Options {
  const { values, positionals } = parse(argv);
  if (positionals.length > 1) throw wrong(`expected one file, found ${positionals.length}: ${positionals.join(" ")}`);
  const kernel = values.kernel ?? "embedded";
  if (kernel !== "embedded" && kernel !== "linux") throw wrong(`--kernel: wanted embedded or linux, found "${kernel}"`);
  const { interface: name, seconds } = values;
  if (name !== undefined && kernel !== "linux") throw wrong("--interface: wanted --kernel linux with it");
  if (name !== undefined && positionals.length > 0) throw wrong("--interface: wanted no file with it");
  if (name === undefined && seconds !== undefined) throw wrong("--seconds: wanted --interface with it");
  return {
    interface: name,
    seconds: seconds === undefined ? undefined : integer("--seconds", seconds, 1, MAX_SECONDS),
    file: positionals[0] ?? shippedCapture(),
    workers: integer("--workers", values.workers, DEFAULT_WORKERS, MAX_WORKERS),
    kernel,
    maxFlows: integer("--max-flows", values["max-flows"], DEFAULT_FLOWS, MAX_FLOWS),
    json: values.json ?? false,
    help: values.help ?? false,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        workers: { type: "string" },
        kernel: { type: "string" },
        "max-flows": { type: "string" },
        interface: { type: "string" },
        seconds: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    // Node's messages go on to explain how to give a file whose name begins with "-".
    throw wrong((error as Error).message.split(". To specify")[0]!);
  }
}

function integer(name: string, text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= most) return value;
  throw wrong(`${name}: wanted an integer from 1 to ${most}, found "${text}"`);
}

function wrong(reason: string): Failure {
  return new Failure(Exit.usage, `${reason}\nTry: npm start -- --help`);
}

/** The capture lies beside the sources, not beside the compiled program. */
function shippedCapture(): string {
  return fileURLToPath(new URL("examples/packets/capture.pcap", import.meta.resolve("tsbpf/package.json")));
}

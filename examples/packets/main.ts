/**
 * Counts the packets of a capture in shared BPF maps: `npm start`, `npm start -- --help`.
 *
 * Read on in count.ts (the whole job), maps.ts (the maps), worker.ts (what a thread does) and counter.ts (where the two
 * kernels differ).
 */
import { breakText } from "tsbpf/pcap";
import { count } from "./count.js";
import { Exit, Failure } from "./exit.js";
import { thousands } from "./format.js";
import { Live } from "./live.js";
import { HELP, type Options, parseOptions } from "./options.js";
import { colours, noColours } from "./paint.js";
import { type Report, toJson } from "./report.js";
import { progressLines, reportLines, type Screen } from "./show.js";

const { stdout, stderr } = process;
/** Of what is not a terminal, or does not know its size. */
const WIDTH = 100;
const HEIGHT = 24;

// A reader that has seen enough (npm start | head) is no error.
stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  const options = parseOptions(process.argv.slice(2));
  process.exitCode = options.help ? showHelp() : await run(options);
} catch (error) {
  process.exitCode = error instanceof Failure ? error.exitCode : Exit.failed;
  stderr.write(`packets: ${isForUser(error) ? error.message : String((error as Error).stack)}\n`);
}

function showHelp(): number {
  stdout.write(HELP);
  return Exit.ok;
}

async function run(options: Options): Promise<number> {
  const report = options.json ? await count(options) : await countAndDraw(options);
  const lines = options.json ? [toJson(report)] : reportLines(report, screen());
  stdout.write(`${lines.join("\n")}\n`);
  return complain(report);
}

/** Draws the maps while they change, where there is a terminal that can. */
async function countAndDraw(options: Options): Promise<Report> {
  if (!stdout.isTTY || process.env["TERM"] === "dumb") return count(options);
  const live = new Live(stdout);
  try {
    return await count(options, (progress) =>
      live.draw(progressLines(progress, screen(), (stdout.rows || HEIGHT) - 1)),
    );
  } finally {
    live.clear();
  }
}

function screen(): Screen {
  const hasColors = stdout.isTTY && stdout.hasColors();
  return { width: stdout.columns || WIDTH, paint: hasColors ? colours : noColours };
}

/** Says what went wrong, and gives the exit code. */
function complain({ check, broken, file }: Report): number {
  for (const { map, unit, inFile, inMap, refused, equal } of check) {
    const counted = `${thousands(inMap)} of ${thousands(inFile)} ${unit}`;
    if (!equal) stderr.write(`packets: the map "${map}" is not equal to the file: it has ${counted}\n`);
    if (refused > 0n && unit === "packets") {
      stderr.write(`packets: the map "${map}" is full: it has ${counted}, raise --max-flows\n`);
    }
  }
  if (broken !== undefined) {
    stderr.write(`packets: ${file} breaks off, what is whole was counted: ${breakText(broken)}\n`);
  }
  if (check.some(({ equal, refused }) => !equal || refused > 0n)) return Exit.failed;
  return broken === undefined ? Exit.ok : Exit.broken;
}

/** Whether the message says all; anything else is a bug, and shows where. BpfErrors of workers have lost their class. */
function isForUser(error: unknown): error is Error {
  return error instanceof Failure || (error instanceof Error && error.name === "BpfError");
}

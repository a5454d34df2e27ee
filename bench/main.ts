/**
 * `npm run bench`: tsbpf's maps side by side with JavaScript's Map, npm's bpf and C.
 *
 *   npm run bench -- [--quick] [--json] [--only PATTERN] [--setup]
 *
 *   --quick         a rough idea in half a minute: fewer rounds, no "mixed" or "grown", no iteration key by key
 *   --json          figures for programs, all rounds of them
 *   --only PATTERN  only what matches, as a regular expression: a suite's name, a row, "memory"
 *   --setup         only installs npm's bpf into bench/npm
 */
import { parseArgs } from "node:util";
import { thisMachine } from "./machine.js";
import { FULL, QUICK, type Suite, type SuiteFigures, measureSuite } from "./measure.js";
import { measureMemory } from "./memory.js";
import { setUpNpm } from "./npm_bpf.js";
import { jsonReport, textReport } from "./report.js";
import { suites } from "./suites.js";

const USAGE = "[--quick] [--json] [--only PATTERN] [--setup]";
const options = readOptions();

function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        only: { type: "string", default: "" },
        setup: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nUsage: npm run bench -- ${USAGE}\n`);
    return process.exit(1);
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** Installs what only --setup asks for, or a suite needs that will be measured; a failure is its column's affair. */
function setUp(): void {
  progress("setting up npm's bpf");
  const why = process.platform === "linux" ? setUpNpm() : "it needs Linux";
  if (options.setup) process.stdout.write(why === undefined ? "bpf is installed\n" : `bpf is not installed: ${why}\n`);
}

async function measure(): Promise<void> {
  const machine = thisMachine();
  const only = new RegExp(options.only, "i");
  const pace = options.quick ? QUICK : FULL;
  const isWanted = (suite: Suite, row: string): boolean => only.test(`${suite.name}: ${row}`);
  const wanted = suites.filter((suite) => suite.rows.some((row) => isWanted(suite, row)));
  if (wanted.some(({ contenders }) => contenders.includes("npm"))) setUp();
  const withMemory = only.test("memory");
  if (wanted.length === 0 && !withMemory) {
    const names = [...suites.map(({ name }) => name), "memory"];
    process.stderr.write(`Nothing matches ${only}. There are:\n  ${names.join("\n  ")}\n`);
    return;
  }
  const results: SuiteFigures[] = [];
  for (const suite of wanted) {
    results.push(await measureSuite(suite, pace, (row) => isWanted(suite, row), progress));
  }
  const memory = withMemory ? measureMemory(options.quick, progress) : undefined;
  progress("");
  const report = options.json ? jsonReport : textReport;
  process.stdout.write(report({ machine, suites: results, memory }));
}

if (options.setup) setUp();
else await measure();

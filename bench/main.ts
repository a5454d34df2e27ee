/**
 * `npm run bench`: tsbpf's maps side by side with JavaScript's Map, npm's bpf, lmdb and lru-cache, and C.
 *
 *   npm run bench -- [--quick] [--only PATTERN] [--write] [--json] [--setup]
 *
 *   --quick         a rough idea in a minute: fewer rounds and sizes, no "mixed" or "grown", no iteration key by key
 *   --only PATTERN  only what matches, as a regular expression: a suite's name, a row, "memory"
 *   --write         writes bench/RESULTS.md and bench/charts even so: without --quick and --only they are written always
 *   --json          figures for programs, all rounds of them
 *   --setup         only installs npm's packages into bench/npm
 */
import { parseArgs } from "node:util";
import { thisMachine } from "./machine.js";
import { FULL, QUICK, type Suite, type SuiteFigures, measureSuite } from "./measure.js";
import { measureMemory } from "./memory.js";
import { PACKAGES, type Package, install } from "./npm_package.js";
import { jsonReport, textReport } from "./report.js";
import { writeResults } from "./results.js";
import { sweeps } from "./sizes.js";
import { suites } from "./suites.js";
import { type SweepFigures, measureSweep } from "./sweep.js";
import type { Results } from "./targets.js";

const USAGE = "[--quick] [--only PATTERN] [--write] [--json] [--setup]";
const options = readOptions();

function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        only: { type: "string", default: "" },
        write: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        setup: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nUsage: npm run bench -- ${USAGE}\n`);
    return process.exit(1);
  }
}

let shown = "";

/** Shows what is under way: on a terminal all of it, elsewhere a line for each suite. */
function progress(text: string): void {
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\x1b[K${text}`);
    return;
  }
  const [part] = text.split(": ");
  if (part !== shown && part !== "") process.stderr.write(`${part} ...\n`);
  shown = part!;
}

/** Installs what --setup asks for, or a suite needs that will be measured; a failure is its column's affair. */
function setUp(names: readonly Package[]): void {
  for (const name of names) {
    progress(`setting up npm's ${name}`);
    const why = install(name);
    if (options.setup)
      process.stdout.write(`${name} is ${why === undefined ? "installed" : `not installed: ${why}`}\n`);
  }
}

/** The package that a contender is. */
const PACKAGE_OF: Readonly<Record<string, Package>> = { npm: "bpf", lmdb: "lmdb", "lru-cache": "lru-cache" };

/** Measures what is wanted; undefined when nothing is. */
async function measure(): Promise<Results | undefined> {
  const start = performance.now();
  const machine = thisMachine();
  const only = new RegExp(options.only, "i");
  const pace = options.quick ? QUICK : FULL;
  const isWanted = (suite: Suite, row: string): boolean => only.test(`${suite.name}: ${row}`);
  const hasRows = (suite: Suite): boolean => suite.rows.some((row) => isWanted(suite, row));
  const wantedSuites = suites.filter(hasRows);
  const wantedSweeps = sweeps
    .map((sweep) => ({
      sweep,
      points: sweep.points.filter(({ suite, isQuick }) => hasRows(suite) && (isQuick || !options.quick)),
    }))
    .filter(({ points }) => points.length > 0);
  const withMemory = only.test("memory");
  if (wantedSuites.length + wantedSweeps.length === 0 && !withMemory) {
    const names = [...suites.map(({ name }) => name), ...sweeps.map(({ name }) => name), "memory"];
    process.stderr.write(`Nothing matches ${only}. There are:\n  ${names.join("\n  ")}\n`);
    return undefined;
  }
  const contenders = new Set(wantedSuites.flatMap(({ contenders }) => contenders));
  const needs = new Set(wantedSuites.flatMap(({ needs = [] }) => needs));
  if (withMemory) needs.add("asn");
  setUp([...[...contenders].flatMap((contender) => PACKAGE_OF[contender] ?? []), ...needs]);
  const suiteFigures: SuiteFigures[] = [];
  for (const suite of wantedSuites) {
    suiteFigures.push(await measureSuite(suite, pace, (row) => isWanted(suite, row), progress));
  }
  const sweepFigures: SweepFigures[] = [];
  for (const { sweep, points } of wantedSweeps) {
    sweepFigures.push(await measureSweep(sweep, points, pace, isWanted, progress));
  }
  const memory = withMemory ? measureMemory(options.quick, progress) : undefined;
  progress("");
  const seconds = (performance.now() - start) / 1000;
  return { machine, suites: suiteFigures, sweeps: sweepFigures, memory, seconds };
}

async function run(): Promise<void> {
  const results = await measure();
  if (results === undefined) {
    process.exitCode = 1;
    return;
  }
  process.stdout.write((options.json ? jsonReport : textReport)(results));
  const isPart = options.quick || options.only !== "";
  const outcome =
    isPart && !options.write
      ? "bench/RESULTS.md and bench/charts are as they were: a part, or a rough idea, is written with --write only"
      : `Written: ${writeResults(results).join(", ")}`;
  process.stderr.write(`Measured in ${results.seconds.toFixed(0)} s. ${outcome}\n`);
}

if (options.setup) setUp(PACKAGES);
else await run();

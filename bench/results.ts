/**
 * bench/RESULTS.md and bench/charts: what a run measured, to be kept.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ChartFile, chartsOf } from "./charts.js";
import { contentionOfRows, handoffOf } from "./contention.js";
import { KEYS } from "./keys.js";
import { type Machine, isBusy } from "./machine.js";
import type { SuiteFigures } from "./measure.js";
import {
  type Table,
  contentionTable,
  growthTable,
  memoryTable,
  number,
  suiteTable,
  sweepTable,
  targetTable,
  wrapped,
} from "./tables.js";
import { type Results, type Target, earlierTargetsOf, isReached, limitTargetsOf } from "./targets.js";
import { HANDOFF, apartSuite, threadsSuite } from "./threads.js";

const FOLDER = fileURLToPath(new URL("../../bench", import.meta.url));
const CHARTS = "charts";

/** Writes both. Returns the paths of the files, from the project's folder on. */
export function writeResults(results: Results): string[] {
  const charts = chartsOf(results);
  mkdirSync(`${FOLDER}/${CHARTS}`, { recursive: true });
  writeFileSync(`${FOLDER}/RESULTS.md`, markdown(results, charts));
  for (const { file, svg } of charts) writeFileSync(`${FOLDER}/${CHARTS}/${file}`, svg);
  return ["bench/RESULTS.md", ...charts.map(({ file }) => `bench/${CHARTS}/${file}`)];
}

/** A table as the formatter would have it. */
function markdownTable({ head, rows, notes }: Table): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join(" | ")} |`;
  const ruler = widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [[line(head), line(ruler), ...rows.map(line)].join("\n"), ...notes.map((note) => wrapped(note))].join("\n\n");
}

function machineText({ date, node, v8, os, cpu, cpus, memoryGb, load }: Machine, seconds: number): string {
  return `- ${cpus} CPUs (${cpu}), ${memoryGb} GB of memory
- ${os}, Node.js ${node}, V8 ${v8}
- ${date}, load ${load} when it began; the run took ${(seconds / 60).toFixed(1)} minutes`;
}

function reachedText(targets: readonly Target[]): string {
  const marks = targets.map(isReached);
  const counted = (wanted: boolean | undefined): number => marks.filter((mark) => mark === wanted).length;
  const unmeasured = targets.filter(({ is, value }) => is !== "information" && value === undefined).length;
  const rest = unmeasured === 0 ? "" : `, ${unmeasured} not measured`;
  return `${counted(true)} reached, ${counted(false)} not${rest}.`;
}

const READING = `Times are nanoseconds an operation: the median of all rounds, and in parentheses the best round. Each contender is a process
of its own, and they take turns round by round; ratios are medians of the rounds' ratios. Maps hold ${KEYS.toLocaleString("en")} keys (hashes
have room for 4,096 more) unless told otherwise, and are looked up in another order than filled. Above, a ratio is the time of
what is named first to the time of what it is held against; of threads, what several get done to what one does.

- **embedded**: typed maps on the embedded kernel; **mixed**: the same, in a process that has used maps of seven other
  codecs before
- **JS Map**: filled with as many keys as its table has room for; **grown**: with one more, deleted again, which doubled the
  table
- **Linux**: typed maps on the Linux kernel, which take \`BPF_MAP_LOOKUP_BATCH\` to iterate; **npm bpf**: its ConvMap on the
  Linux kernel; **C loop**: the raw system call`;

function threadsText(figures: SuiteFigures, apart: SuiteFigures | undefined, cpus: number): string {
  const measured = contentionOfRows(figures);
  const handoff = handoffOf(figures.rows[HANDOFF]?.["2"]);
  const isRange = measured.some(({ laws }) => laws.length > 1);
  const fitted = isRange
    ? `With ${cpus} cores there is one point to fit, which leaves open whether waiting or the caches took the rest: the prediction is from all of it the one (Amdahl's law, kappa 0) to all of it the other (sigma 0).`
    : `sigma and kappa are fitted to the points measured on ${cpus} cores.`;
  const handed =
    handoff === undefined
      ? "A handoff of a cache line could not be measured: two threads did not run at once."
      : `A handoff of a cache line from one core to the other takes ${number(handoff)} ns, one way. The table's last column is the time that an operation takes longer with two threads than with one, in handoffs: the cache lines it waits for.`;
  return [
    "The formula is Gunther's universal scalability law: with n threads a map does",
    "    X(n) = X(1) n / (1 + sigma (n - 1) + kappa n (n - 1))",
    wrapped(
      `operations a second, where sigma is the part of the work for which threads wait in line, and kappa what each pair of them costs in keeping their caches alike. ${fitted} What is predicted is not measured.`,
    ),
    markdownTable(contentionTable(measured)),
    wrapped(handed),
    ...(apart === undefined ? [] : [markdownTable(suiteTable(apart, new Set()))]),
  ].join("\n\n");
}

const chartText = ({ file, title }: ChartFile): string => `![${title}](${CHARTS}/${file})`;

/** The file's text. */
export function markdown(results: Results, charts: readonly ChartFile[]): string {
  const { machine, seconds, suites, sweeps, memory } = results;
  const told = new Set<string>();
  const limit = limitTargetsOf(results);
  const earlier = earlierTargetsOf(results);
  const find = (wanted: SuiteFigures["suite"]): SuiteFigures | undefined =>
    suites.find(({ suite }) => suite === wanted);
  const threads = find(threadsSuite);
  const busy = isBusy(machine)
    ? "**The machine was busy with other work: medians are too high, best rounds say more.**\n\n"
    : "";
  const sections = [
    "# What the benchmark measured",
    "Written by `npm run bench`: all contenders in one run, round by round in turn. Other machines have other nanoseconds; the\nratios travel better.",
    `${busy}${machineText(machine, seconds)}`,
    "## To reach",
    reachedText(limit),
    markdownTable(targetTable("", limit)),
    "## To keep",
    reachedText(earlier),
    markdownTable(targetTable("", earlier)),
    ...(charts.length === 0 ? [] : ["## Charts", ...charts.map(chartText)]),
    ...(sweeps.length === 0
      ? []
      : [
          "## Growth",
          "Fitted by least squares: time as a power of the size (of the logarithms; r2 is the part of their variance that the curve\nexplains), and for bytes as a line too (of the relative errors). An exponent of 0 is a time that does not grow.",
          markdownTable(growthTable(sweeps)),
          ...sweeps.map((figures) => markdownTable(sweepTable(figures))),
        ]),
    ...(threads === undefined ? [] : ["## Threads", threadsText(threads, find(apartSuite), machine.cpus)]),
    "## All figures",
    READING,
    ...suites
      .filter(({ suite }) => threads === undefined || suite !== apartSuite)
      .map((figures) => markdownTable(suiteTable(figures, told))),
    ...(memory === undefined ? [] : [markdownTable(memoryTable(memory))]),
  ];
  return `${sections.join("\n\n")}\n`;
}

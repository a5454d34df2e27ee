/**
 * The report on the terminal: tables for people, JSON for programs.
 */
import { contentionOfRows } from "./contention.js";
import { KEYS } from "./keys.js";
import { describe } from "./machine.js";
import {
  type Table,
  contentionTable,
  growthTable,
  memoryTable,
  suiteTable,
  sweepTable,
  targetTable,
  wrapped,
} from "./tables.js";
import { type Results, earlierTargetsOf, isReached, limitTargetsOf } from "./targets.js";
import { threadsSuite } from "./threads.js";

/** How to read the tables. */
export const NOTES = `Nanoseconds an operation: the median of all rounds, and in parentheses the best round. Each contender is a process of its
own, and they take turns round by round; ratios are medians of the rounds' ratios. Maps hold ${KEYS.toLocaleString("en")} keys (hashes have room
for 4,096 more), unless told otherwise, which are looked up in another order than inserted.
  embedded  typed maps on the embedded kernel
  mixed     the same, in a process that has used maps of seven other codecs before
  JS Map    filled with as many keys as its table has room for; grown: with one more, deleted again, which doubled the table
  Linux     typed maps on the Linux kernel
  npm bpf   its ConvMap, on the Linux kernel
  C loop    the raw system call
To iterate, Linux takes BPF_MAP_LOOKUP_BATCH always; npm bpf and C can do so, or ask for one key at a time.`;

/** Lines with the first column flush left and the others flush right. */
function aligned({ head, rows, notes }: Table): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join("  ");
  return [...all.map((row) => `  ${line(row)}`.trimEnd()), ...notes.map((note) => wrapped(note, "  "))].join("\n");
}

/** The report for people. */
export function textReport(results: Results): string {
  const { machine, suites, sweeps, memory } = results;
  const told = new Set<string>();
  const tables = suites.map((figures) => suiteTable(figures, told));
  const threads = suites.find(({ suite }) => suite === threadsSuite);
  if (threads !== undefined) tables.push(contentionTable(contentionOfRows(threads)));
  tables.push(...sweeps.map(sweepTable));
  if (sweeps.length > 0) tables.push(growthTable(sweeps));
  if (memory !== undefined) tables.push(memoryTable(memory));
  tables.push(targetTable("to reach", limitTargetsOf(results)));
  tables.push(targetTable("to keep", earlierTargetsOf(results)));
  return `${[describe(machine), NOTES, ...tables.map(aligned)].join("\n\n")}\n`;
}

/** The report for programs. */
export function jsonReport(results: Results): string {
  const { machine, seconds, memory } = results;
  const suites = results.suites.map(({ suite, rows, missing }) => ({ suite: suite.name, unit: "ns", rows, missing }));
  const sweeps = results.sweeps.map(({ sweep, points }) => ({
    sweep: sweep.name,
    unit: "ns",
    points: points.map(({ x, figures: { rows, missing } }) => ({ x, rows, missing })),
  }));
  const threads = results.suites.find(({ suite }) => suite === threadsSuite);
  const contention = threads === undefined ? [] : contentionOfRows(threads);
  const targets = [...limitTargetsOf(results), ...earlierTargetsOf(results)].map((target) => ({
    ...target,
    reached: isReached(target),
  }));
  return `${JSON.stringify({ machine, seconds, suites, sweeps, contention, memory, targets }, null, 2)}\n`;
}

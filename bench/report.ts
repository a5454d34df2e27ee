/**
 * Tables for people, JSON for programs.
 */
import { KEYS } from "./keys.js";
import { describe } from "./machine.js";
import { type Figures, type SuiteFigures, ratio } from "./measure.js";
import type { Filled, MemoryFigures } from "./memory.js";
import { type Results, isReached, targetsOf } from "./targets.js";

const TITLES: Readonly<Record<string, string>> = {
  embedded: "embedded",
  mixed: "mixed",
  js: "JS Map",
  grown: "JS Map, grown",
  linux: "Linux",
  npm: "npm bpf",
  c: "C loop",
  "1": "1 thread",
  "2": "2 threads",
};

/** Ratios that a table shows: title, and of whom to whom. */
const RATIOS = [
  ["emb/JS", "embedded", "js"],
  ["Linux/C", "linux", "c"],
  ["speed-up", "1", "2"],
] as const;

const NOTES = `Nanoseconds an operation: the median of all rounds, and in parentheses the best round. Each contender is a process of its
own, and they take turns round by round; ratios are medians of the rounds' ratios. Maps hold ${KEYS.toLocaleString("en")} keys (hashes have room
for twice as many), which are looked up in another order than inserted.
  embedded  typed maps on the embedded kernel
  mixed     the same, in a process that has used maps of seven other codecs before
  JS Map    filled with as many keys as its table has room for; grown: with one more, deleted again, which doubled the table
  Linux     typed maps on the Linux kernel
  npm bpf   its ConvMap, on the Linux kernel
  C loop    the raw system call
To iterate, Linux takes BPF_MAP_LOOKUP_BATCH always; npm bpf and C can do so, or ask for one key at a time.`;

function ns(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

function cell(figures: Figures | undefined): string {
  return figures === undefined ? "-" : `${ns(figures.median)} (${ns(figures.min)})`;
}

const times = (value: number | undefined): string => (value === undefined ? "" : `${value.toFixed(2)}x`);

/** Lines with the first column flush left and the others flush right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join("  ");
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join("\n");
}

/** @param told Reasons for empty columns that earlier tables gave. */
function suiteTable({ suite, contenders: all, rows, missing }: SuiteFigures, told: Set<string>): string {
  const contenders = all.filter((contender) => missing[contender] === undefined);
  const ratios = RATIOS.filter(([, a, b]) => contenders.includes(a) && contenders.includes(b));
  const titles = contenders.map((contender) => suite.titles?.[contender] ?? TITLES[contender] ?? contender);
  const head = [suite.name, ...titles, ...ratios.map(([title]) => title)];
  const body = Object.entries(rows).map(([row, figures]) => [
    row,
    ...contenders.map((contender) => cell(figures[contender])),
    ...ratios.map(([, a, b]) => times(ratio(figures[a], figures[b]))),
  ]);
  const absences = Object.entries(missing)
    .map(([contender, why]) => `  ${TITLES[contender] ?? contender}: ${why}`)
    .filter((line) => !told.has(line));
  for (const line of absences) told.add(line);
  return [aligned([head, ...body]), ...absences].join("\n");
}

function memoryTable({ elems, createMs, embedded, js }: MemoryFigures): string {
  const row = (title: string, filled: Filled | undefined): string[] => {
    if (filled === undefined) return [title, "-", "-", "-", "-", "-"];
    const { emptyMb, halfMb, fullMb, seconds } = filled;
    const mb = [emptyMb, halfMb, fullMb].map((value) => `${value.toFixed(1)} MB`);
    return [title, ...mb, `${((fullMb * 1e6) / elems).toFixed(1)} B`, `${seconds.toFixed(1)} s`];
  };
  const table = aligned([
    ["10 million elems of 8 + 8 bytes", "empty", "half full", "full", "an elem", "to fill"],
    row("embedded", embedded),
    ...(js === undefined ? [] : [row("JS Map of bigints", js)]),
  ]);
  if (createMs === undefined) return table;
  const { median, min, first } = createMs;
  const ms = (value: number): string => `${value.toFixed(3)} ms`;
  return `${table}\n  created in ${ms(median)} (best ${ms(min)}, a process's first ${ms(first)}), each on a fresh kernel`;
}

function targetTable(results: Results): string {
  const rows = targetsOf(results).map((target) => {
    const reached = isReached(target);
    const mark = reached === undefined ? "-" : reached ? "reached" : "NOT REACHED";
    const { value, best, unit, is, limit, what } = target;
    const show = (figure: number | undefined): string => (figure === undefined ? "-" : `${figure.toFixed(2)}${unit}`);
    return [what, show(value), show(best), `${is} ${limit}${unit}`, mark];
  });
  return aligned([["to reach", "measured", "best rounds", "wanted", ""], ...rows]);
}

/** The report for people. */
export function textReport(results: Results): string {
  const told = new Set<string>();
  const tables = results.suites.map((figures) => suiteTable(figures, told));
  if (results.memory !== undefined) tables.push(memoryTable(results.memory));
  return [describe(results.machine), NOTES, ...tables, targetTable(results)].join("\n\n") + "\n";
}

/** The report for programs. */
export function jsonReport(results: Results): string {
  const suites = results.suites.map(({ suite, rows, missing }) => ({ suite: suite.name, unit: "ns", rows, missing }));
  const targets = targetsOf(results).map((target) => ({ ...target, reached: isReached(target) }));
  return `${JSON.stringify({ machine: results.machine, suites, memory: results.memory, targets }, null, 2)}\n`;
}

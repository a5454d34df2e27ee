/**
 * Figures as tables of text, which report.ts prints and results.ts writes.
 */
import { type RowContention, PREDICTED, predicted } from "./contention.js";
import { type LineFit, type PowerFit, lineFit, powerFit } from "./fit.js";
import { type Figures, type SuiteFigures, ratio } from "./measure.js";
import type { Filled, MemoryFigures } from "./memory.js";
import type { SweepFigures } from "./sweep.js";
import { type Target, isReached } from "./targets.js";

/** The first column is flush left, the others flush right; all rows are as long as the head. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Lines below. */
  readonly notes: readonly string[];
}

const TITLES: Readonly<Record<string, string>> = {
  embedded: "embedded",
  mixed: "mixed",
  js: "JS Map",
  grown: "JS Map, grown",
  linux: "Linux",
  npm: "npm bpf",
  c: "C loop",
};

/** Of a line of prose. */
const MOST_CHARS = 120;

/** Ratios that a table shows: title, and of whom to whom. */
const RATIOS = [
  ["emb/JS", "embedded", "js"],
  ["emb/grown", "embedded", "grown"],
  ["Linux/C", "linux", "c"],
  ["speed-up", "1", "2"],
  ["many/single", "many", "single"],
  ["fails/succeeds", "fails", "succeeds"],
  ["message/emb", "message", "embedded"],
  ["lmdb/emb", "lmdb", "embedded"],
  ["emb/hash", "embedded", "hash"],
  ["emb/lru-cache", "embedded", "lru-cache"],
  ["ringbuf.js/emb", "ringbuf", "embedded"],
] as const;

/** Prose in lines of at most 120 characters, each after an indent. */
export function wrapped(text: string, indent = ""): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line === "") lines[lines.length - 1] = word;
    else if (indent.length + line.length + 1 + word.length <= MOST_CHARS) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => indent + line).join("\n");
}

/** Three digits, thousands with commas. */
export function number(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

function cell(figures: Figures | undefined): string {
  return figures === undefined ? "-" : `${number(figures.median)} (${number(figures.min)})`;
}

function times(value: number | undefined): string {
  if (value === undefined) return "-";
  return value < 100 ? `${value.toFixed(2)}x` : `${number(value)}x`;
}

/** @param told Reasons for empty columns that earlier tables gave. */
export function suiteTable({ suite, contenders: all, rows, missing }: SuiteFigures, told: Set<string>): Table {
  const contenders = all.filter((contender) => missing[contender] === undefined);
  const ratios = RATIOS.filter(([, a, b]) => contenders.includes(a) && contenders.includes(b));
  const titleOf = (contender: string): string => suite.titles?.[contender] ?? TITLES[contender] ?? contender;
  const absences = Object.entries(missing)
    .map(([contender, why]) => `${titleOf(contender)}: ${why}`)
    .filter((line) => !told.has(line));
  for (const line of absences) told.add(line);
  return {
    head: [suite.name, ...contenders.map(titleOf), ...ratios.map(([title]) => title)],
    rows: Object.entries(rows).map(([row, figures]) => [
      row,
      ...contenders.map((contender) => cell(figures[contender])),
      ...ratios.map(([, a, b]) => times(ratio(figures[a], figures[b]))),
    ]),
    notes: [...(suite.note === undefined ? [] : [suite.note.replaceAll(/\s+/g, " ")]), ...absences],
  };
}

/** A row of a sweep's suites: "get", "set". */
export const sweepRows = ({ points }: SweepFigures): string[] => [
  ...new Set(points.flatMap(({ figures }) => Object.keys(figures.rows))),
];

/** A sweep's contenders that were measured. */
export const sweepContenders = ({ sweep, points }: SweepFigures): string[] =>
  Object.keys(sweep.titles).filter((contender) =>
    points.some(({ figures }) => Object.values(figures.rows).some((row) => row[contender] !== undefined)),
  );

/** The medians of a row and contender over a sweep. */
export function curveOf({ points }: SweepFigures, row: string, contender: string): { x: number; y: number }[] {
  return points.flatMap(({ x, figures }) => {
    const y = figures.rows[row]?.[contender]?.median;
    return y === undefined ? [] : [{ x, y }];
  });
}

export function sweepTable(figures: SweepFigures): Table {
  const { sweep, points } = figures;
  const rows = sweepRows(figures);
  const contenders = sweepContenders(figures);
  // The ratio is to the fairest of JavaScript's Maps, which comes first.
  const rivals = contenders.filter((contender) => contender !== "embedded").slice(0, 1);
  return {
    head: [
      sweep.unit,
      ...rows.flatMap((row) => [
        ...contenders.map((contender) => `${row}, ${sweep.titles[contender]}`),
        ...rivals.map((rival) => `emb/${sweep.titles[rival]}`),
      ]),
    ],
    rows: points.map(({ x, figures: { rows: measured } }) => [
      x.toLocaleString("en"),
      ...rows.flatMap((row) => [
        ...contenders.map((contender) => cell(measured[row]?.[contender])),
        ...rivals.map((rival) => times(ratio(measured[row]?.embedded, measured[row]?.[rival]))),
      ]),
    ]),
    notes: [`${sweep.subtitle}. ${sweep.note.replaceAll(/\s+/g, " ")}`],
  };
}

const power = (fit: PowerFit | undefined): string[] =>
  fit === undefined ? ["-", "-"] : [signed(fit.exponent.toFixed(2)), fit.r2.toFixed(2)];

/** Without the sign of a zero. */
const signed = (figure: string): string => (Number(figure) === 0 ? figure.replace("-", "") : figure);

function line(fit: LineFit | undefined): string {
  if (fit === undefined) return "-";
  return `${fit.base.toFixed(0)} ns ${fit.slope < 0 ? "-" : "+"} ${Math.abs(fit.slope).toFixed(3)} ns`;
}

/** How the time of each operation grows. */
export function growthTable(sweeps: readonly SweepFigures[]): Table {
  const rows = sweeps.flatMap((figures) =>
    sweepRows(figures).flatMap((row) =>
      sweepContenders(figures).map((contender) => {
        const { sweep } = figures;
        const curve = curveOf(figures, row, contender);
        // Caches make steps of the growth over map sizes: a line says nothing there.
        const straight = sweep.name === "map size" ? "" : line(lineFit(curve));
        return [`${row}, ${sweep.titles[contender]}, over ${sweep.name}`, ...power(powerFit(curve)), straight];
      }),
    ),
  );
  return { head: ["time grows", "exponent", "r2", "or: at 0, and each byte"], rows, notes: [] };
}

export function contentionTable(rows: readonly RowContention[]): Table {
  const range = ([from, to]: readonly [number, number]): string =>
    from.toFixed(2) === to.toFixed(2) ? to.toFixed(2) : `${from.toFixed(2)} to ${to.toFixed(2)}`;
  const threads = rows[0]?.measured.filter(({ threads }) => threads > 1).map(({ threads }) => threads) ?? [];
  const more = PREDICTED.filter((count) => !threads.includes(count));
  return {
    head: [
      "times the work of one thread",
      ...threads.map((count) => `${count} threads`),
      "sigma",
      "kappa",
      ...more.map((count) => `${count}, predicted`),
      "handoffs",
    ],
    rows: rows.map((row) => [
      row.row,
      ...threads.map((count) => times(row.measured.find((one) => one.threads === count)?.speedUp)),
      row.laws.map(({ sigma }) => sigma.toFixed(3)).join(" or "),
      row.laws.map(({ kappa }) => kappa.toFixed(3)).join(" or "),
      ...more.map((count) => range(predicted(row, count))),
      row.handoffs === undefined ? "-" : row.handoffs.toFixed(2),
    ]),
    notes: [],
  };
}

/** Of maps of 10 million elems. */
export function memoryTable({ elems, createMs, embedded, js, embedded4, js4, routes }: MemoryFigures): Table {
  const row = (title: string, filled: Filled | undefined): string[][] => {
    if (filled === undefined) return [];
    const { emptyMb, halfMb, fullMb, seconds } = filled;
    const mb = [emptyMb, halfMb, fullMb].map((value) => `${value.toFixed(1)} MB`);
    return [[title, ...mb, `${((fullMb * 1e6) / elems).toFixed(1)} B`, `${seconds.toFixed(1)} s`]];
  };
  const ms = (value: number): string => `${value.toFixed(3)} ms`;
  return {
    head: ["10 million elems", "empty", "half full", "full", "an elem", "to fill"],
    rows: [
      ...row("embedded, u64 -> u64", embedded),
      ...row("JS Map of bigints", js),
      ...row("embedded, u32 -> u32", embedded4),
      ...row("JS Map of integers", js4),
    ],
    notes: [
      ...(createMs === undefined
        ? []
        : [
            `created in ${ms(createMs.median)} (best ${ms(createMs.min)}, a process's first ${ms(createMs.first)}), each on a fresh kernel`,
          ]),
      ...(routes ?? []).map(({ family, prefixes, embeddedMb, anyOrderMb, linuxMb }) => {
        const mb = (value: number | undefined): string => (value === undefined ? "?" : `${value.toFixed(1)} MB`);
        const title = `an lpm_trie of ${prefixes.toLocaleString("en")} ${family} routes`;
        return `${title}: ${mb(embeddedMb)}, set in any order ${mb(anyOrderMb)}; Linux charges ${mb(linuxMb)}`;
      }),
    ],
  };
}

/** @param title Heads the first column. */
export function targetTable(title: string, targets: readonly Target[]): Table {
  const measured = targets.filter(({ value }) => value !== undefined);
  const rows = measured.map((target) => {
    const reached = isReached(target);
    const mark = reached === undefined ? "" : reached ? "reached" : "NOT REACHED";
    const { value, best, unit, is, limit, what } = target;
    const show = (figure: number | undefined): string => {
      if (figure === undefined) return "-";
      return unit === "x" ? times(figure) : `${figure.toFixed(2)}${unit}`;
    };
    const wanted = is === "information" ? "" : `${is} ${limit.toLocaleString("en")}${unit}`;
    return [what, show(value), show(best), wanted, mark];
  });
  const others = targets.length - measured.length;
  return {
    head: [title, "measured", "best rounds", "wanted", ""],
    rows,
    notes: others === 0 ? [] : [`${others} of ${targets.length} not measured in this run`],
  };
}

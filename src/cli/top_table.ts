/**
 * The table of map top: a line a map.
 */
import type { Paint } from "./screen.js";

/** Elems a second. */
export interface Rates {
  readonly added: number;
  readonly changed: number;
  readonly deleted: number;
}

/** What is shown of a map; what is not known is undefined. */
export interface TopRow {
  readonly id: number;
  readonly type: string;
  readonly name: string;
  readonly count: number | undefined;
  /** When the count is not known: it is at least this. */
  readonly atLeast: number | undefined;
  readonly maxEntries: number;
  /** How full it is, from 0 to 1; undefined of arrays, which are always full. */
  readonly pressure: number | undefined;
  /** In bytes. */
  readonly memlock: number | undefined;
  readonly rates: Rates | undefined;
  /** Changes a second, oldest first. */
  readonly history: readonly number[];
}

/** How the table is drawn. */
export interface TopStyle {
  readonly kernel: string;
  readonly at: Date;
  readonly sort: string;
  /** Lines are cut here; undefined: they are as long as they are. */
  readonly columns: number | undefined;
  readonly paint: Paint;
}

type Order = (a: TopRow, b: TopRow) => number;

const rateOf = ({ rates }: TopRow): number => (rates === undefined ? 0 : rates.added + rates.changed + rates.deleted);
/** The largest first; what is not known last; of two that are the same the older map. */
const down =
  (field: (row: TopRow) => number | undefined): Order =>
  (a, b) =>
    (field(b) ?? -1) - (field(a) ?? -1) || a.id - b.id;
const up =
  (field: (row: TopRow) => string): Order =>
  (a, b) =>
    field(a) < field(b) ? -1 : field(a) > field(b) ? 1 : a.id - b.id;

/** What maps can be sorted by. */
export const SORTS: Readonly<Record<"rate" | "pressure" | "count" | "memlock" | "id" | "name" | "type", Order>> = {
  rate: (a, b) => rateOf(b) - rateOf(a) || down((row) => row.pressure)(a, b),
  pressure: down((row) => row.pressure),
  count: down((row) => row.count ?? row.atLeast),
  memlock: down((row) => row.memlock),
  id: (a, b) => a.id - b.id,
  name: up((row) => row.name),
  type: up((row) => row.type),
};

interface Column {
  readonly title: string;
  readonly left?: boolean;
  readonly text: (row: TopRow) => string;
}

const COLUMNS: readonly Column[] = [
  { title: "ID", text: ({ id }) => String(id) },
  { title: "TYPE", left: true, text: ({ type }) => type },
  { title: "NAME", left: true, text: ({ name }) => name },
  { title: "COUNT", text: ({ count, atLeast }) => count?.toString() ?? (atLeast === undefined ? "-" : `${atLeast}+`) },
  { title: "MAX", text: ({ maxEntries }) => String(maxEntries) },
  { title: "FULL", text: ({ pressure }) => (pressure === undefined ? "-" : `${Math.floor(pressure * 100)}%`) },
  { title: "MEMLOCK", text: ({ memlock }) => (memlock === undefined ? "-" : formatBytes(memlock)) },
  { title: "+/S", text: ({ rates }) => formatRate(rates?.added) },
  { title: "~/S", text: ({ rates }) => formatRate(rates?.changed) },
  { title: "-/S", text: ({ rates }) => formatRate(rates?.deleted) },
];

const GAP = "  ";
const SPARK = "▁▂▃▄▅▆▇█";
const SPARK_TITLE = "CHANGES";
/** Changes that are shown where nothing says how wide a line may be. */
const SPARK_WIDTH = 20;

/** Draws the table: lines without their ends. */
export function drawTop(rows: readonly TopRow[], { kernel, at, sort, columns, paint }: TopStyle): string[] {
  const memory = rows.reduce((sum, { memlock }) => sum + (memlock ?? 0), 0);
  const maps = `${rows.length} map${rows.length === 1 ? "" : "s"}`;
  const time = at.toISOString().slice(11, 19);
  const title = `${time} UTC, kernel ${kernel}: ${maps}, ${formatBytes(memory)}, by ${sort}`;

  const cells = rows.map((row) => COLUMNS.map(({ text }) => text(row)));
  const widths = COLUMNS.map(({ title }, i) => Math.max(title.length, ...cells.map((texts) => texts[i]!.length)));
  const line = (texts: readonly string[]): string =>
    texts.map((text, i) => (COLUMNS[i]!.left === true ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join(GAP);
  const used = widths.reduce((sum, width) => sum + width + GAP.length, 0);
  const room = columns === undefined ? SPARK_WIDTH : columns - used;
  const cut = (text: string): string => (columns === undefined ? text : text.slice(0, columns));

  return [
    paint(cut(title), "bold"),
    paint(cut(`${line(COLUMNS.map(({ title }) => title))}${GAP}${SPARK_TITLE}`), "inverse"),
    ...rows.map((row, i) => {
      const text = cut(line(cells[i]!)).trimEnd();
      const spark = sparkline(row.history, room);
      const colored = paintRow(text, row, paint);
      return spark === "" ? colored : `${colored}${" ".repeat(used - text.length)}${paint(spark, "cyan")}`;
    }),
  ];
}

/** The last numbers as bars, the highest of them full. */
export function sparkline(history: readonly number[], width: number): string {
  if (width <= 0) return "";
  const last = history.slice(-width);
  const most = Math.max(...last, 0);
  return last.map((value) => SPARK[most === 0 ? 0 : Math.ceil((value / most) * (SPARK.length - 1))]).join("");
}

function paintRow(text: string, { pressure }: TopRow, paint: Paint): string {
  if (pressure === undefined || pressure < 0.7) return text;
  return paint(text, pressure < 0.9 ? "yellow" : "red");
}

/** 1360 -> "1.3K". */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1024, ["", "K", "M", "G", "T"]);
}

/** 12345.6 -> "12k"; undefined -> "-". */
export function formatRate(rate: number | undefined): string {
  return rate === undefined ? "-" : scaled(rate, 1000, ["", "k", "M", "G"]);
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let at = 0;
  while (value >= step && at < units.length - 1) {
    value /= step;
    at++;
  }
  const digits = Number.isInteger(value) || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)}${units[at]}`;
}

/**
 * What the program shows: the tables of a count, its progress while it runs, the check at its end.
 */
import { basename } from "node:path";
import type { Check } from "./check.js";
import { addressText, bar, endTexts, protocolText, secondsText, thousands } from "./format.js";
import type { Count } from "./maps.js";
import { align, type Column, type Paint } from "./paint.js";
import type { Progress, Report } from "./report.js";
import { sumOf, type Tables } from "./tables.js";

const MAX_BAR = 24;
const MIN_BAR = 6;
const PROGRESS_BAR = 32;
/** Rows of the flows' and the sources' tables at the end. */
const FLOWS = 10;
const SOURCES = 10;

/** Where things are shown. */
export interface Screen {
  /** In columns. */
  readonly width: number;
  readonly paint: Paint;
}

const counts: readonly Column[] = [
  { title: "packets", isNumber: true },
  { title: "bytes", isNumber: true },
];
const countCells = ({ packets, bytes }: Count): string[] => [thousands(packets), thousands(bytes)];

/** What is drawn while the count runs, in at most `height` lines. */
export function progressLines(progress: Progress, screen: Screen, height: number): string[] {
  const { packets, bytes } = sumOf(progress.protocols.map(({ sum }) => sum));
  const { totals } = progress;
  const share = totals.packets === 0n ? 1 : Number(packets) / Number(totals.packets);
  const meter = screen.paint.bar(bar(share, PROGRESS_BAR).padEnd(PROGRESS_BAR, "░"));
  // Nobody knows how many come in at an interface.
  const done = progress.workers === 0 ? "" : `${meter} ${String(Math.floor(share * 100)).padStart(3)} %  `;
  const lines = [
    heading(progress, screen),
    `${done}${thousands(packets)} packets, ${thousands(bytes)} bytes`,
    ...protocolTable(progress, screen),
  ];
  // What is left for two tables, each with an empty line, its titles and a line that says how many rows are not shown.
  const rows = height - lines.length - 6;
  const sources = Math.min(SOURCES, Math.max(0, Math.floor(rows / 3)));
  const flows = Math.min(FLOWS, Math.max(0, rows - sources));
  lines.push(...flowTable(progress, screen, flows), ...sourceTable(progress, screen, sources));
  return lines.slice(0, height);
}

/** What is printed at the end. */
export function reportLines(report: Report, screen: Screen): string[] {
  const { packets } = report.totals;
  const { seconds } = report;
  return [
    heading(report, screen),
    `counted in ${secondsText(seconds)} s: ${thousands(Math.round(Number(packets) / seconds))} packets a second`,
    ...protocolTable(report, screen),
    ...flowTable(report, screen, FLOWS),
    ...sourceTable(report, screen, SOURCES),
    ...(report.check.length === 0 ? [] : checkLines(report.check, screen)),
  ];
}

function heading({ file, totals, kernel, workers }: Progress, { paint }: Screen): string {
  const size = `${thousands(totals.packets)} packets, ${thousands(totals.bytes)} bytes`;
  if (workers === 0) return `${paint.title(file)}  ${size}  as they came in, on the ${kernel} kernel`;
  return `${paint.title(basename(file))}  ${size}  on the ${kernel} kernel, ${workers} worker${workers === 1 ? "" : "s"}`;
}

function protocolTable({ protocols }: Tables, screen: Screen): string[] {
  const rows = protocols
    .filter(({ sum }) => sum.packets > 0n)
    .sort((a, b) => Number(b.sum.bytes - a.sum.bytes))
    .map(({ name, sum }): Row => [[name], sum]);
  return table([{ title: "protocol" }], rows, rows.length, screen);
}

function flowTable({ flows }: Tables, screen: Screen, most: number): string[] {
  const columns = [{ title: "flow from" }, { title: "to" }, { title: "protocol" }, { title: "vlan", isNumber: true }];
  const rows = flows.slice(0, most).map(([flow, count]): Row => {
    const vlan = flow.vlan === 0 ? "" : String(flow.vlan);
    return [[...endTexts(flow), protocolText(flow.protocol), vlan], count];
  });
  return table(columns, rows, flows.length, screen);
}

function sourceTable({ sources }: Tables, screen: Screen, most: number): string[] {
  const rows = sources.slice(0, most).map(([source, count]): Row => [[addressText(source)], count]);
  return table([{ title: "source" }], rows, sources.length, screen);
}

type Row = readonly [cells: readonly string[], count: Count];

/** An empty line, titles, rows with bars where there is room, and how many of `total` rows are not shown. */
function table(columns: readonly Column[], rows: readonly Row[], total: number, { width, paint }: Screen): string[] {
  const [head = "", ...lines] = align(
    [...columns, ...counts],
    rows.map(([cells, count]) => [...cells, ...countCells(count)]),
  );
  const room = Math.min(MAX_BAR, width - head.length - 2);
  const most = rows.reduce((largest, [, { bytes }]) => (bytes > largest ? bytes : largest), 1n);
  const withBars = lines.map((line, row) => {
    if (room < MIN_BAR) return line;
    const length = bar(Number(rows[row]![1].bytes) / Number(most), room);
    return length === "" ? line : `${line}  ${paint.bar(length)}`;
  });
  const more = total - rows.length;
  return ["", paint.head(head), ...withBars, ...(more > 0 ? [paint.head(`and ${thousands(more)} more`)] : [])];
}

/** "flows  packets with IP  11,406 packets in the file, 11,406 in the map: equal", in columns. */
function checkLines(checks: readonly Check[], { paint }: Screen): string[] {
  const width = (textOf: (check: Check) => string): number => Math.max(...checks.map((check) => textOf(check).length));
  const maps = width(({ map }) => map);
  const kinds = width(({ of }) => of);
  const units = width(({ unit }) => unit);
  const numbers = width(({ inFile, inMap }) => thousands(inFile > inMap ? inFile : inMap));
  const number = (value: bigint): string => thousands(value).padStart(numbers);
  const lines = checks.map(({ map, of, unit, inFile, inMap, refused, equal }) => {
    const lost = refused === 0n ? "" : `, ${thousands(refused)} refused`;
    const verdict = verdictOf(equal, refused, paint);
    const what = `${map.padEnd(maps)}  ${of.padEnd(kinds)}`;
    return `${what}  ${number(inFile)} ${unit.padEnd(units)} in the file, ${number(inMap)} in the map${lost}: ${verdict}`;
  });
  return ["", paint.head("check"), ...lines];
}

function verdictOf(equal: boolean, refused: bigint, paint: Paint): string {
  if (!equal) return paint.bad("NOT EQUAL");
  return refused === 0n ? paint.good("equal") : paint.bad("accounted for");
}

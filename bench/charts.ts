/**
 * The charts that go with the results: throughput over threads, and time over each of the sizes.
 */
import { binaryLabel } from "./axis.js";
import { type RowContention, PREDICTED, contentionOfRows, predicted } from "./contention.js";
import type { XY } from "./fit.js";
import { type Series, lineChart } from "./line_chart.js";
import type { SweepFigures } from "./sweep.js";
import { curveOf, sweepContenders, sweepRows } from "./tables.js";
import type { Results } from "./targets.js";
import { threadsSuite } from "./threads.js";

/** A chart, and what it is called. */
export interface ChartFile {
  /** Without folder: "map_size.svg". */
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

/** Million operations a second. */
const rate = (ns: number, speedUp: number): number => (1000 / ns) * speedUp;

function seriesOfThreads(contention: RowContention): Series {
  const { row, oneNs, measured } = contention;
  const points = measured.map(({ threads: x, speedUp }): XY => ({ x, y: rate(oneNs, speedUp) }));
  const most = points.at(-1)?.x ?? 0;
  const more = PREDICTED.filter((threads) => threads > most);
  if (contention.laws.length === 0 || more.length === 0) return { label: row, points };
  const line = (end: 0 | 1): XY[] => more.map((x) => ({ x, y: rate(oneNs, predicted(contention, x)[end]) }));
  return { label: row, points, predicted: { low: line(0), high: line(1) } };
}

function threadsChart(rows: readonly RowContention[], cpus: number): ChartFile {
  const series = rows.map(seriesOfThreads);
  const threads = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)).concat(PREDICTED))];
  const title = "Throughput over threads";
  const svg = lineChart({
    title,
    subtitle: `One hash map u32 -> u64 of 64 Ki keys, measured on ${cpus} cores; predicted between Amdahl's law and the USL`,
    x: {
      title: "threads",
      ticks: threads.toSorted((a, b) => a - b).map((value) => ({ value, label: String(value) })),
    },
    y: { title: "million operations a second" },
    panels: [{ title: "", series }],
  });
  return { file: "threads.svg", title, svg };
}

function sweepChart(figures: SweepFigures): ChartFile {
  const { sweep, points } = figures;
  const contenders = sweepContenders(figures);
  const title = `Time over ${sweep.name}`;
  const isCount = sweep.name === "map size";
  const svg = lineChart({
    title,
    subtitle: sweep.subtitle,
    x: {
      title: sweep.unit,
      ticks: points.map(({ x: value }) => ({
        value,
        label: isCount ? binaryLabel(value) : value.toLocaleString("en"),
      })),
    },
    y: { title: "nanoseconds (median)" },
    panels: sweepRows(figures).map((row) => ({
      title: row,
      series: contenders.map((contender) => ({
        label: sweep.titles[contender]!,
        points: curveOf(figures, row, contender),
      })),
    })),
  });
  return { file: `${sweep.name.replaceAll(" ", "_")}.svg`, title, svg };
}

/** Draws what was measured. */
export function chartsOf({ suites, sweeps, machine }: Results): ChartFile[] {
  const threads = suites.find(({ suite }) => suite === threadsSuite);
  const rows = threads === undefined ? [] : contentionOfRows(threads);
  return [
    ...(rows.length === 0 ? [] : [threadsChart(rows, machine.cpus)]),
    ...sweeps.filter((figures) => sweepContenders(figures).length > 0).map(sweepChart),
  ];
}

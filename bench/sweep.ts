/**
 * Sweeps: one suite at several sizes, for a chart and a fit.
 */
import { type Pace, type Suite, type SuiteFigures, measureSuite } from "./measure.js";

export interface Sweep {
  /** What grows: "map size". */
  readonly name: string;
  /** What the points' x counts, as an axis's title. */
  readonly unit: string;
  /** What is measured, below the chart's title. */
  readonly subtitle: string;
  /** What else to know, below the table. */
  readonly note: string;
  /** Contenders, as titles. */
  readonly titles: Readonly<Record<string, string>>;
  readonly points: readonly SweepPoint[];
}

export interface SweepPoint {
  readonly x: number;
  readonly suite: Suite;
  /** Whether a quick run measures it. */
  readonly isQuick: boolean;
}

/** A sweep's outcome, by growing x. */
export interface SweepFigures {
  readonly sweep: Sweep;
  readonly points: readonly { readonly x: number; readonly figures: SuiteFigures }[];
}

/** Of a sweep's point: fewer, since a chart has many. */
const MOST_ROUNDS = 11;

/** Measures the points of a sweep that are wanted. */
export async function measureSweep(
  sweep: Sweep,
  points: readonly SweepPoint[],
  pace: Pace,
  wanted: (suite: Suite, row: string) => boolean,
  progress: (text: string) => void,
): Promise<SweepFigures> {
  const rounds = Math.min(pace.rounds, MOST_ROUNDS);
  const measured: SweepFigures["points"][number][] = [];
  for (const { x, suite } of points) {
    const figures = await measureSuite(suite, { ...pace, rounds }, (row) => wanted(suite, row), progress);
    measured.push({ x, figures });
  }
  return { sweep, points: measured };
}

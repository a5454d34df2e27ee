/**
 * What threads cost each other, from the speed-ups measured: a law, what it predicts for more threads, and the loss counted
 * in handoffs of a cache line.
 */
import { type Contention, contentionOf, speedUp } from "./fit.js";
import { type Figures, type SuiteFigures, ratio } from "./measure.js";
import { HANDOFF, SHARED_ROWS } from "./threads.js";

/** Threads that a prediction is made for. */
export const PREDICTED = [4, 8, 16] as const;

export interface RowContention {
  readonly row: string;
  /** Nanoseconds an operation with one thread. */
  readonly oneNs: number;
  /** By growing number of threads, from 1 on. */
  readonly measured: readonly { readonly threads: number; readonly speedUp: number }[];
  /** See contentionOf: one law, or the two that the truth lies between. */
  readonly laws: readonly Contention[];
  /** The cache lines that an operation waits for with two threads more than with one, as handoffs; undefined if unknown. */
  readonly handoffs: number | undefined;
}

/** What a row's laws say of more threads: from, to. */
export function predicted({ laws }: RowContention, threads: number): readonly [number, number] {
  const all = laws.map((law) => speedUp(law, threads));
  return [Math.min(...all), Math.max(...all)];
}

/** Slower than between any two cores of a machine: the threads took turns on one. */
const SCHEDULED_NS = 10_000;

/** The best round's time: with other work on the machine the others are the scheduler's. Undefined if all are. */
export function handoffOf(figures: Figures | undefined): number | undefined {
  return figures === undefined || figures.min > SCHEDULED_NS ? undefined : figures.min;
}

/** @param figures Of threads.ts's suite. */
export function contentionOfRows({ rows, contenders }: SuiteFigures): RowContention[] {
  const handoffNs = handoffOf(rows[HANDOFF]?.["2"]);
  return SHARED_ROWS.flatMap((row) => {
    const one = rows[row]?.["1"];
    if (one === undefined) return [];
    const measured = contenders.flatMap((contender) => {
      const value = ratio(one, rows[row]?.[contender]);
      return value === undefined ? [] : [{ threads: Number(contender), speedUp: value }];
    });
    const more = measured.filter(({ threads }) => threads > 1).map(({ threads: x, speedUp: y }) => ({ x, y }));
    const two = more.find(({ x }) => x === 2);
    const extraNs = two === undefined ? undefined : one.median * (2 / two.y - 1);
    const handoffs = extraNs === undefined || handoffNs === undefined ? undefined : Math.max(0, extraNs) / handoffNs;
    return [{ row, oneNs: one.median, measured, laws: contentionOf(more), handoffs }];
  });
}

/**
 * A chart's logarithmic axes: where values lie, and which of them get a line and a label.
 */

export interface Tick {
  readonly value: number;
  readonly label: string;
}

export interface Axis {
  readonly ticks: readonly Tick[];
  /** Where a value lies between the axis's ends, 0 to 1. */
  at(value: number): number;
}

/** More decades than this have lines at powers of ten only. */
const FEW_DECADES = 3;

/** A logarithmic axis between two values. */
function logAxis(from: number, to: number, ticks: readonly Tick[]): Axis {
  const span = Math.log(to / from);
  return { ticks, at: (value) => (span === 0 ? 0.5 : Math.log(value / from) / span) };
}

/** 1, 2 and 5 of each decade (or powers of ten), from the last that is not over `min` to the first not under `max`. */
export function ticksBetween(min: number, max: number): number[] {
  const [first, last] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
  const steps = last - first > FEW_DECADES ? [1] : [1, 2, 5];
  const all: number[] = [];
  for (let decade = first; decade <= last; decade++) {
    // 10 ** -1 * 2 would be 0.2, but 10 ** -1 * 3 not 0.3: a parsed number is the nearest there is.
    for (const step of steps) all.push(Number(`${step}e${decade}`));
  }
  const from = all.findLastIndex((value) => value <= min);
  const to = all.findIndex((value) => value >= max);
  return all.slice(from, to + 1);
}

/** An axis for measured values, all over 0, that ends at round numbers. */
export function axisOver(values: readonly number[]): Axis {
  const round = ticksBetween(Math.min(...values), Math.max(...values));
  // All the same, and round: an axis needs two ends.
  const ends = round.length > 1 ? round : [round[0]! / 2, round[0]!, round[0]! * 2];
  return logAxis(
    ends[0]!,
    ends.at(-1)!,
    ends.map((value) => ({ value, label: labelOf(value) })),
  );
}

/** An axis with a tick at each of some values, from the first to the last. */
export function axisOf(ticks: readonly Tick[]): Axis {
  return logAxis(ticks[0]!.value, ticks.at(-1)!.value, ticks);
}

/** "0.5", "20", "1,000". */
function labelOf(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

/** Powers of 1,024 by their names: "64 Ki". */
export function binaryLabel(value: number): string {
  for (const [unit, size] of [["Mi", 2 ** 20] as const, ["Ki", 2 ** 10] as const])
    if (value >= size && value % size === 0) return `${value / size} ${unit}`;
  return String(value);
}

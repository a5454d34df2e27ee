/**
 * What is to be reached, and whether it was.
 */
import { type Figures, type SuiteFigures, ratio } from "./measure.js";
import type { Machine } from "./machine.js";
import type { MemoryFigures } from "./memory.js";

/** All that was measured. */
export interface Results {
  readonly machine: Machine;
  readonly suites: readonly SuiteFigures[];
  readonly memory: MemoryFigures | undefined;
}

export interface Target {
  readonly what: string;
  /** The figure, or undefined when it was not measured: of ratios the median of the rounds'. */
  readonly value: number | undefined;
  /** The same of the best rounds only: what is left when other work on the machine is left out. */
  readonly best: number | undefined;
  readonly unit: string;
  readonly limit: number;
  readonly is: "at most" | "at least" | "over" | "under";
}

export function isReached({ value, limit, is }: Target): boolean | undefined {
  if (value === undefined) return undefined;
  if (is === "over") return value > limit;
  if (is === "under") return value < limit;
  return is === "at least" ? value >= limit : value <= limit;
}

export function targetsOf({ suites, memory }: Results): Target[] {
  const figures = (suite: string, row: string, contender: string): Figures | undefined =>
    suites.find((result) => result.suite.name === suite)?.rows[row]?.[contender];
  /** How many times as long `a` takes as `b`. */
  const times = (suite: string, row: string, a: string, b: string): Pick<Target, "value" | "best" | "unit"> => {
    const [ofA, ofB] = [figures(suite, row, a), figures(suite, row, b)];
    const best = ofA === undefined || ofB === undefined ? undefined : ofA.min / ofB.min;
    return { value: ratio(ofA, ofB), best, unit: "x" };
  };
  return [
    {
      what: "embedded get, u32 -> u32, against Map",
      ...times("hash u32 -> u32", "lookup", "embedded", "js"),
      limit: 1,
      is: "at most",
    },
    {
      what: "embedded set, u32 -> u32, against Map",
      ...times("hash u32 -> u32", "update", "embedded", "js"),
      limit: 1,
      is: "at most",
    },
    {
      what: "raw bpf() lookup: the system call in C against embedded",
      ...times("raw bpf() on a hash u32 -> u64", "lookup", "c", "embedded"),
      limit: 25,
      is: "over",
    },
    {
      what: "get on Linux, u32 -> u64, against C",
      ...times("hash u32 -> u64", "lookup", "linux", "c"),
      limit: 1.3,
      is: "at most",
    },
    {
      what: "iteration on Linux, u32 -> u64, against C in batches",
      ...times("hash u32 -> u64", "iterate in batches", "linux", "c"),
      limit: 1.3,
      is: "at most",
    },
    {
      what: "iteration on Linux: npm bpf's iterator against ours",
      ...times("hash u32 -> u64", "iterate", "npm", "linux"),
      limit: 10,
      is: "at least",
    },
    {
      what: "creating a hash of 10 million elems",
      value: memory?.createMs?.median,
      best: memory?.createMs?.min,
      unit: " ms",
      limit: 5,
      is: "under",
    },
    {
      what: "10 million elems of 8 + 8 bytes",
      value: memory?.embedded?.fullMb,
      best: undefined,
      unit: " MB",
      limit: 400,
      is: "at most",
    },
  ];
}

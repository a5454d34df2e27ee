/**
 * The clock and the rounds.
 *
 * A suite is measured row by row. Its contenders are processes of their own (see peer.ts), and take turns: one round of
 * each, then the next round, so that what disturbs the machine for a while disturbs all of them. Ratios are therefore
 * taken round by round. The order in which they take turns moves on by one each round.
 */
import { Peer } from "./peer.js";

/** What a contender does for a row: about n times, from the `from`th key on. Returns how often it did. */
export type Op = (from: number, n: number) => number;

/** A contender's rows; one that it cannot do is left out. */
export type Ops = Readonly<Record<string, Op>>;

/** Contenders in one discipline. */
export interface Suite {
  readonly name: string;
  /** What JavaScript offers for the job, as the column's title. */
  readonly titles?: Readonly<Record<string, string>>;
  readonly rows: readonly string[];
  readonly contenders: readonly string[];
  /** Makes a contender, in its own process. What it throws is the reason why its column stays empty. */
  open(contender: string): Promise<Ops>;
  /** The program that is the contender, where that is not Node.js: its path and arguments, or why there is none. */
  program?(contender: string): readonly string[] | { readonly missing: string } | undefined;
}

/** How long to measure. */
export interface Pace {
  readonly rounds: number;
  /** One round of one contender, about. */
  readonly roundMs: number;
  /** Before the first round of a row. */
  readonly warmUpMs: number;
}

export const FULL: Pace = { rounds: 21, roundMs: 10, warmUpMs: 200 };
export const QUICK: Pace = { rounds: 7, roundMs: 2, warmUpMs: 25 };

/** Nanoseconds an operation. */
export interface Figures {
  readonly median: number;
  readonly min: number;
  readonly rounds: readonly number[];
}

/** A suite's outcome. */
export interface SuiteFigures {
  readonly suite: Suite;
  /** rows[row][contender] */
  readonly rows: Readonly<Record<string, Readonly<Record<string, Figures>>>>;
  /** Why a contender has no column. */
  readonly missing: Readonly<Record<string, string>>;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export function figuresOf(rounds: readonly number[]): Figures {
  return { median: median(rounds), min: Math.min(...rounds), rounds };
}

/** How many times as long `a` takes as `b`: the median of the rounds' ratios. */
export function ratio(a: Figures | undefined, b: Figures | undefined): number | undefined {
  if (a === undefined || b === undefined) return undefined;
  return median(a.rounds.map((ns, i) => ns / b.rounds[i]!));
}

const MIN_OPS = 64;
const MAX_OPS = 1 << 20;

/** Measures the rows of a suite that are wanted. */
export async function measureSuite(
  suite: Suite,
  pace: Pace,
  wanted: (row: string) => boolean,
  progress: (text: string) => void,
): Promise<SuiteFigures> {
  const missing: Record<string, string> = {};
  const peers: Peer[] = [];
  const rows: Record<string, Record<string, Figures>> = {};
  try {
    progress(`${suite.name}: starting`);
    for (const contender of suite.contenders) {
      const peer = await Peer.start(suite, contender);
      if (peer instanceof Peer) peers.push(peer);
      else missing[contender] = peer.missing;
    }
    for (const row of suite.rows.filter(wanted)) {
      rows[row] = await measureRow(row, peers, pace, (text) => progress(`${suite.name}: ${row}: ${text}`));
    }
  } finally {
    for (const peer of peers) peer.stop();
  }
  return { suite, rows, missing };
}

async function measureRow(
  row: string,
  peers: readonly Peer[],
  { rounds, roundMs, warmUpMs }: Pace,
  progress: (text: string) => void,
): Promise<Record<string, Figures>> {
  const runners: { readonly peer: Peer; readonly n: number; readonly ns: number[] }[] = [];
  for (const peer of peers) {
    progress(`warming up ${peer.contender}`);
    const n = await warmUp(peer, row, roundMs, warmUpMs);
    if (n !== undefined) runners.push({ peer, n, ns: [] });
  }
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`);
    for (let i = 0; i < runners.length; i++) {
      const { peer, n, ns } = runners[(i + round) % runners.length]!;
      const took = await peer.run(row, n);
      if (took !== undefined) ns.push(took);
    }
  }
  const whole = runners.filter(({ ns }) => ns.length === rounds);
  return Object.fromEntries(whole.map(({ peer, ns }) => [peer.contender, figuresOf(ns)]));
}

/** Runs until V8 has compiled what is hot. Returns how many operations make a round, or undefined where there is no such row. */
async function warmUp(peer: Peer, row: string, roundMs: number, warmUpMs: number): Promise<number | undefined> {
  let n = MIN_OPS;
  const end = performance.now() + warmUpMs;
  do {
    const ns = await peer.run(row, n);
    if (ns === undefined) return undefined;
    n = Math.round(Math.min(MAX_OPS, Math.max(MIN_OPS, (roundMs * 1e6) / ns)));
  } while (performance.now() < end);
  return n;
}

/**
 * The clock and the rounds.
 *
 * A suite is measured row by row. Its contenders are processes of their own (see peer.ts), and take turns: one round of
 * each, then the next round, so that what disturbs the machine for a while disturbs all of them. Ratios are therefore
 * taken round by round. The order in which they take turns moves on by one each round.
 */
import { cpus } from "node:os";
import { KEYS } from "./keys.js";
import type { Package } from "./npm_package.js";
import { Peer } from "./peer.js";

/**
 * What a contender does for a row: about n times, from the `from`th key on. Returns how often it did, at once unless it
 * waits for messages.
 */
export type Op = (from: number, n: number) => number | Promise<number>;

/** A contender's rows; one that it cannot do is left out. */
export type Ops = Readonly<Record<string, Op>>;

/** Contenders in one discipline. */
export interface Suite {
  readonly name: string;
  /** What JavaScript offers for the job, as the column's title. */
  readonly titles?: Readonly<Record<string, string>>;
  /** What the table says below. */
  readonly note?: string;
  readonly rows: readonly string[];
  readonly contenders: readonly string[];
  /** What is installed from npm first, beside contenders that are packages. */
  readonly needs?: readonly Package[];
  /** One round of one contender, about, where the pace's would be too short. */
  readonly roundMs?: number;
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
  /** For each row, before the first round: how long no figure may have got better. */
  readonly warmUpMs: number;
  /** Contenders and rows that are left out. */
  readonly skip: readonly string[];
}

export const FULL: Pace = { rounds: 21, roundMs: 10, warmUpMs: 300, skip: [] };
export const QUICK: Pace = { rounds: 5, roundMs: 4, warmUpMs: 120, skip: ["mixed", "grown", "iterate"] };

/** Nanoseconds an operation. */
export interface Figures {
  readonly median: number;
  readonly min: number;
  readonly rounds: readonly number[];
}

/** A suite's outcome. */
export interface SuiteFigures {
  readonly suite: Suite;
  readonly contenders: readonly string[];
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

const FEW_OPS = 64;
const MAX_OPS = 1 << 20;
/** What is faster than a system call meets every key in the half round before the measured one, and twice in that. */
const FAST_NS = 1000;
const MIN_FAST_OPS: number = 2 * KEYS;
/** A warm-up that gets better and better ends all the same. */
const MAX_WARM_UPS = 5;

/** A contender that has been warmed up, and how many operations of each row make a round of it. */
interface Runner {
  readonly peer: Peer;
  readonly sizes: Readonly<Record<string, number>>;
}

/** Measures the rows of a suite that are wanted. */
export async function measureSuite(
  suite: Suite,
  usual: Pace,
  wanted: (row: string) => boolean,
  progress: (text: string) => void,
): Promise<SuiteFigures> {
  const pace = { ...usual, roundMs: Math.max(usual.roundMs, suite.roundMs ?? 0) };
  const missing: Record<string, string> = {};
  const peers: Peer[] = [];
  const names = suite.rows.filter((row) => wanted(row) && !pace.skip.includes(row));
  const contenders = suite.contenders.filter((contender) => !pace.skip.includes(contender));
  const rows: Record<string, Record<string, Figures>> = {};
  try {
    progress(`${suite.name}: starting`);
    const started = await Promise.all(contenders.map((contender) => Peer.start(suite, contender)));
    for (const peer of started) {
      if (peer instanceof Peer) peers.push(peer);
      else missing[peer.contender] = peer.missing;
    }
    progress(`${suite.name}: warming up`);
    const runners = await inPool(peers, async (peer) => ({ peer, sizes: await warmUp(peer, names, pace) }));
    for (const row of names) {
      const showRound = (round: number): void => progress(`${suite.name}: ${row}, round ${round} of ${pace.rounds}`);
      rows[row] = await measureRow(row, runners, pace.rounds, showRound);
    }
  } finally {
    for (const peer of peers) peer.stop();
  }
  return { suite, contenders, rows, missing };
}

async function measureRow(
  row: string,
  all: readonly Runner[],
  rounds: number,
  progress: (round: number) => void,
): Promise<Record<string, Figures>> {
  const runners = all
    .filter(({ sizes }) => sizes[row] !== undefined)
    .map((runner) => ({ ...runner, ns: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    progress(round + 1);
    for (let i = 0; i < runners.length; i++) {
      const { peer, sizes, ns } = runners[(i + round) % runners.length]!;
      const n = sizes[row]!;
      // Not measured: brings the contender's keys and elems back into the caches, from where the others drove them.
      await peer.run(row, n >> 1);
      const took = await peer.run(row, n);
      if (took !== undefined) ns.push(took);
    }
  }
  const whole = runners.filter(({ ns }) => ns.length === rounds);
  return Object.fromEntries(whole.map(({ peer, ns }) => [peer.contender, figuresOf(ns)]));
}

/** Does something with each of a list, as many at once as there are CPUs. The results are in the list's order. */
async function inPool<T, R>(list: readonly T[], action: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const take = async (): Promise<void> => {
    for (let i = next++; i < list.length; i = next++) results[i] = await action(list[i]!);
  };
  await Promise.all(Array.from({ length: cpus().length }, take));
  return results;
}

/**
 * Runs all rows until V8 has compiled what is hot, twice: what a later row teaches V8 about a function that both use can
 * undo what was compiled for an earlier one. Rows that the contender does not have are left out.
 */
async function warmUp(peer: Peer, rows: readonly string[], pace: Pace): Promise<Readonly<Record<string, number>>> {
  const sizes: Record<string, number> = {};
  for (const warmUpMs of [pace.warmUpMs, pace.warmUpMs / 2]) {
    for (const row of rows) {
      const n = await warmUpRow(peer, row, { ...pace, warmUpMs });
      if (n !== undefined) sizes[row] = n;
    }
  }
  return sizes;
}

/** Until warmUpMs went by without a better figure. Returns how many operations make a round. */
async function warmUpRow(peer: Peer, row: string, { roundMs, warmUpMs }: Pace): Promise<number | undefined> {
  const start = performance.now();
  let improved = start;
  let end = start;
  let n = FEW_OPS;
  let least = Infinity;
  do {
    const ns = await peer.run(row, n);
    if (ns === undefined) return undefined;
    if (ns < 0.9 * least) improved = performance.now();
    least = Math.min(least, ns);
    const enough = least < FAST_NS ? MIN_FAST_OPS : FEW_OPS;
    n = Math.round(Math.min(MAX_OPS, Math.max(enough, (roundMs * 1e6) / least)));
    // Of a system call's time little is left to compile.
    const patience = least < FAST_NS ? warmUpMs : warmUpMs / 4;
    end = Math.min(improved + patience, start + MAX_WARM_UPS * warmUpMs);
  } while (performance.now() < end);
  return n;
}

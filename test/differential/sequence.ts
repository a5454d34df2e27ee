/**
 * A sequence of random steps on two kernels at once, and what is said when they differ: the least steps that show it.
 */
import { watchLeaks } from "../leaks.js";
import { answerText } from "../machine/answer_text.js";
import { WRONG } from "../machine/canonical.js";
import { type Step, stepText } from "../machine/command.js";
import type { Machine } from "../machine/machine.js";
import { openEmbedded, openLinux } from "../machine/open.js";
import { Generator } from "./generate.js";
import { Random } from "./random.js";

/** Two kernels; the second one is right. */
export interface Pair {
  readonly subject: Machine;
  readonly oracle: Machine;
}

/** The embedded kernel, and Linux. */
export async function openPair(): Promise<Pair & { [Symbol.dispose](): void }> {
  const oracle = openLinux();
  // Mounts, and starts a process for that: what Node.js keeps of it is no leak.
  oracle.run({ op: "readdir", path: "." });
  const subject = await openEmbedded(oracle.kernel.possibleCpus);
  return {
    subject,
    oracle,
    [Symbol.dispose]: () => {
      subject[Symbol.dispose]();
      oracle[Symbol.dispose]();
    },
  };
}

/** Where two kernels differ. */
export interface Difference {
  /** The last one is answered differently; without any of the others it is not. */
  readonly steps: readonly Step[];
  /** What was compared last: a step, or what the maps hold in the end. */
  readonly at: string;
  readonly subject: string;
  readonly oracle: string;
}

const MAX_STEPS = 80;

/** The seed of the n-th sequence of a run. */
export function sequenceSeed(seed: number, n: number): number {
  return (Math.imul(seed, 0x9e3779b1) + Math.imul(n, 0x85ebca6b)) >>> 0;
}

/** The steps of a seed, until `run` has seen enough of them. They follow from what `known` answers. */
export function eachStep(seed: number, known: Machine, run: (step: Step) => boolean, most: number = MAX_STEPS): void {
  const random = new Random(seed);
  const generator = new Generator(random, known);
  for (let left = 1 + random.below(most); left > 0; left--) {
    if (!run(generator.next())) return;
  }
}

/** Runs the sequence of a seed. Returns how many steps it had, and the difference found. */
export function runSequence(pair: Pair, seed: number): { steps: number; difference?: Difference } {
  const steps: Step[] = [];
  const leaks = [watchLeaks(pair.subject.kernel), watchLeaks(pair.oracle.kernel)];
  let differs = false;
  eachStep(seed, pair.oracle, (step) => {
    steps.push(step);
    differs = compare(pair, step) !== undefined;
    return !differs;
  });
  differs ||= compareContents(pair, steps) !== undefined;
  reset(pair);
  for (const check of leaks) check();
  return differs ? { steps: steps.length, difference: leastDifference(pair, steps) } : { steps: steps.length };
}

function reset({ subject, oracle }: Pair): void {
  subject.reset();
  oracle.reset();
}

function compare({ subject, oracle }: Pair, step: Step): Omit<Difference, "steps"> | undefined {
  const found = subject.run(step);
  const wanted = oracle.run(step);
  if (found.ret === wanted.ret && found.wrote === wanted.wrote && found.ret !== WRONG) return undefined;
  return { at: stepText(step), subject: answerText(found), oracle: answerText(wanted) };
}

function compareContents({ subject, oracle }: Pair, steps: readonly Step[]): Difference | undefined {
  const found = subject.contents().join("\n");
  const wanted = oracle.contents().join("\n");
  return found === wanted ? undefined : { steps, at: "what the maps hold in the end", subject: found, oracle: wanted };
}

/** Runs steps anew, until the kernels differ. */
function replay(pair: Pair, steps: readonly Step[]): Difference | undefined {
  reset(pair);
  for (const [i, step] of steps.entries()) {
    const difference = compare(pair, step);
    if (difference !== undefined) return { ...difference, steps: steps.slice(0, i + 1) };
  }
  return compareContents(pair, steps);
}

/** Leaves out one step after the other, as long as there is a difference. */
function leastDifference(pair: Pair, steps: readonly Step[]): Difference {
  let least = replay(pair, steps) ?? { steps, at: "a difference that did not come again", subject: "", oracle: "" };
  for (let i = least.steps.length - 1; i >= 0; i--) {
    if (i >= least.steps.length) continue;
    const shorter = replay(pair, least.steps.toSpliced(i, 1));
    if (shorter !== undefined) least = shorter;
  }
  reset(pair);
  return least;
}

/** A difference as it is printed. */
export function differenceText({ steps, at, subject, oracle }: Difference, pair: Pair, run: string): string {
  const [found, wanted] = whereTheyDiffer(subject, oracle);
  return [
    `The ${pair.subject.kernel.name} kernel differs from the ${pair.oracle.kernel.name} kernel (${run}):`,
    ...steps.map((step, i) => `  ${i + 1}. ${stepText(step)}`),
    `At ${at}`,
    `  ${pair.subject.kernel.name}: ${found}`,
    `  ${pair.oracle.kernel.name}: ${wanted}`,
  ].join("\n");
}

/** Of two long texts the part where they differ. */
function whereTheyDiffer(a: string, b: string): [string, string] {
  const LONG = 300;
  let first = 0;
  while (first < a.length && a[first] === b[first]) first++;
  const from = Math.max(0, first - LONG / 2);
  const part = (text: string): string =>
    text.length <= LONG
      ? text
      : `${from > 0 ? "... " : ""}${text.slice(from, from + LONG)}... (${text.length} characters)`;
  return [part(a), part(b)];
}

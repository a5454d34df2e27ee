/**
 * Recordings: what a kernel answered to the stories and to random sequences, as text that can be committed and compared.
 *
 * An answer is "return" or "return writes", as in a report; writes that are long are a hash. Fds, ids and the order of elems
 * are already the same on every kernel (test/machine). A sequence follows from its seed, so only its answers are kept.
 */
import { createHash } from "node:crypto";
import { type Story, Teller } from "../conformance/story.js";
import { eachStep, sequenceSeed } from "../differential/sequence.js";
import { type Answer, type Step, stepText } from "../machine/command.js";
import type { Machine } from "../machine/machine.js";

/** Whose answers they are. */
export interface Recorded {
  /** uname -r. */
  readonly kernel: string;
  readonly possibleCpus: number;
}

/** stories.json: the answers by story and rule. */
export interface RecordedStories extends Recorded {
  readonly stories: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** sequences.json: the answers of each sequence, the first one's first. */
export interface RecordedSequences extends Recorded {
  readonly seed: number;
  readonly sequences: readonly string[];
}

/** Long enough for most keys, values and infos. */
const MOST_WRITTEN = 80;
/** Few enough to record thousands of sequences. */
const MAX_STEPS = 40;

function answerLine({ ret, wrote }: Answer): string {
  if (wrote === "") return String(ret);
  const hash = (): string => `#${createHash("sha256").update(wrote).digest("hex").slice(0, 12)}`;
  return `${ret} ${wrote.length <= MOST_WRITTEN ? wrote : hash()}`;
}

/** The answers to a rule. */
export function tellRule(machine: Machine, rule: Story[string]): string {
  const teller = new Teller(machine);
  try {
    rule(teller);
  } finally {
    machine.reset();
  }
  return joined(teller.answers.map(answerLine));
}

/** The answers to a sequence, in the end what the maps hold; and its steps. */
export function runRecorded(machine: Machine, seed: number, n: number): { answers: string; steps: Step[] } {
  const steps: Step[] = [];
  const answers: string[] = [];
  eachStep(
    sequenceSeed(seed, n),
    machine,
    (step) => {
      steps.push(step);
      answers.push(answerLine(machine.run(step)));
      return true;
    },
    MAX_STEPS,
  );
  answers.push(answerLine({ ret: 0, wrote: machine.contents().join("|") }));
  machine.reset();
  return { answers: joined(answers), steps };
}

/** Answers one behind the other; the same one several times is "3*answer". */
function joined(answers: readonly string[]): string {
  const runs: string[] = [];
  for (let i = 0; i < answers.length;) {
    let end = i + 1;
    while (end < answers.length && answers[end] === answers[i]) end++;
    runs.push(end - i > 1 ? `${end - i}*${answers[i]}` : answers[i]!);
    i = end;
  }
  return runs.join(";");
}

function separated(answers: string): string[] {
  return answers.split(";").flatMap((run) => {
    const times = /^(\d+)\*/.exec(run);
    return times === null ? [run] : Array<string>(Number(times[1])).fill(run.slice(times[0].length));
  });
}

/** The first step whose answer is not the recorded one, in words; undefined if there is none. */
export function firstDifference(found: string, recorded: string, steps: readonly Step[]): string | undefined {
  if (found === recorded) return undefined;
  const answers = separated(found);
  const wanted = separated(recorded);
  const at = answers.findIndex((answer, i) => answer !== wanted[i]);
  const lines = steps.slice(0, at + 1).map((step, i) => `  ${i + 1}. ${stepText(step)}`);
  return [
    `Answer ${at + 1} of ${answers.length} (recorded: ${wanted.length}) differs; if the steps were changed, run "npm run record"`,
    ...lines,
    `  found: ${answers[at]}`,
    `  recorded: ${wanted[at]}`,
  ].join("\n");
}

/**
 * `npm run record`: asks the Linux kernel all that golden.test.ts asks the embedded one, and writes down its answers.
 */
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { stories } from "../conformance/stories.js";
import { openLinux } from "../machine/open.js";
import { type Recorded, type RecordedSequences, type RecordedStories, runRecorded, tellRule } from "./recording.js";

const SEQUENCES = 3000;
const SEED = 1;
/** From build/test/golden to test/golden. */
const folder = new URL("../../../test/golden/", import.meta.url);

using machine = openLinux();
const recorded: Recorded = { kernel: release(), possibleCpus: machine.kernel.possibleCpus };

const told: Record<string, Record<string, string>> = {};
for (const [name, story] of Object.entries(stories)) {
  told[name] = {};
  for (const [rule, tell] of Object.entries(story)) told[name][rule] = tellRule(machine, tell);
}
write("stories.json", { ...recorded, stories: told } satisfies RecordedStories);

const sequences: string[] = [];
for (let n = 0; n < SEQUENCES; n++) sequences.push(runRecorded(machine, SEED, n).answers);
write("sequences.json", { ...recorded, seed: SEED, sequences } satisfies RecordedSequences);

/** One line for each answer or list of answers, so that a difference between recordings can be read. */
function write(name: string, recording: unknown): void {
  const text = `${JSON.stringify(recording, undefined, 1)}\n`;
  writeFileSync(new URL(name, folder), text);
  process.stdout.write(`test/golden/${name}: ${Math.round(text.length / 1024)} KiB\n`);
}

/**
 * `npm run fuzz -- [--seconds N] [--seed N] [--sequence N]`: random commands to the embedded and the Linux kernel, until the time is
 * over or they differ. Then the exit code is 1, and the report says with which seed and sequence it comes again.
 */
import { parseArgs } from "node:util";
import { differenceText, openPair, runSequence, sequenceSeed } from "./sequence.js";

function options(): { seconds: number; seed: number; first: number } {
  try {
    const { values } = parseArgs({
      options: { seconds: { type: "string" }, seed: { type: "string" }, sequence: { type: "string" } },
    });
    const seconds = Number(values.seconds ?? 60);
    const seed = Number(values.seed ?? process.env["TEST_SEED"] ?? Date.now() % 2 ** 32);
    const first = Number(values.sequence ?? 0);
    if (seconds > 0 && Number.isSafeInteger(seed) && Number.isSafeInteger(first)) return { seconds, seed, first };
  } catch {
    // An option that there is not: as one that makes no sense.
  }
  process.stderr.write("Usage: npm run fuzz -- [--seconds N] [--seed N] [--sequence N]\n");
  return process.exit(2);
}

const { seconds, seed, first } = options();
using pair = await openPair();
const start = Date.now();
let commands = 0;
let shownAt = start;

process.stderr.write(`Seed ${seed}\n`);
for (let n = first; Date.now() - start < seconds * 1000; n++) {
  const { steps, difference } = runSequence(pair, sequenceSeed(seed, n));
  commands += steps;
  if (difference !== undefined) {
    process.stdout.write(`${differenceText(difference, pair, `--seed ${seed} --sequence ${n}`)}\n`);
    process.exitCode = 1;
    break;
  }
  if (Date.now() - shownAt >= 1000) {
    shownAt = Date.now();
    const rate = Math.round((commands * 1000) / (shownAt - start));
    process.stderr.write(`${Math.round((shownAt - start) / 1000)} s: ${commands} commands, ${rate} a second\n`);
  }
}
process.stderr.write(`${commands} commands, ${process.exitCode === 1 ? "a difference" : "no difference"}\n`);

/**
 * A contender's process: `contender.js SUITE CONTENDER`. See peer.ts for what it is asked and answers.
 */
import { createInterface } from "node:readline";
import type { Ops } from "./measure.js";
import { suiteNamed } from "./suites.js";

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

async function open(): Promise<Ops> {
  const [name, contender] = process.argv.slice(2);
  const suite = name === undefined ? undefined : suiteNamed(name);
  if (suite === undefined || contender === undefined) throw new Error(`There is no suite "${name}"`);
  return suite.open(contender);
}

async function serve(ops: Ops): Promise<void> {
  let from = 0;
  globalThis.gc?.();
  say("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    const space = line.indexOf(" ");
    const n = Number(line.slice(0, space));
    const op = ops[line.slice(space + 1)];
    if (op === undefined) {
      say("-");
      continue;
    }
    const start = process.hrtime.bigint();
    const result = op(from, n);
    const done = typeof result === "number" ? result : await result;
    const ns = Number(process.hrtime.bigint() - start);
    from += done;
    say(String(ns / done));
  }
}

try {
  await serve(await open());
  process.exit();
} catch (error) {
  say(`! ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}

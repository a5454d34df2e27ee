/**
 * The engine as V8's baseline compiler makes it: threads run that code until the optimizing compiler has been there, and it has
 * bugs of its own (kernel/lock.ts tells of one).
 */
import { setFlagsFromString } from "node:v8";
import { EmbeddedKernel } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { each, run } from "./crew.js";
import { kinds, shapes } from "./tearing.js";

// Before the first kernel, whose module the workers share.
setFlagsFromString("--no-wasm-tier-up");

it.each(["hash", "per-CPU hash"] as const)("readers of a %s see whole values", async (kind) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 3 });
  const check = watchLeaks(kernel);
  const maps = shapes.map((shape) => kinds[kind].create(kernel, shape));
  const ids = maps.map((map) => map.id);
  const values = await run(
    kernel,
    "tear",
    each((index) => ({ kind, ids, role: index % 2 === 0 ? "write" : "read", ms: 1000, seed: index + 1 })),
  );
  for (const n of values) expect(n).toBeGreaterThan(100);
  for (const map of maps) map.close();
  check();
});

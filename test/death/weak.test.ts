/**
 * The engine as it runs where loads and stores may change places (kernel/order.ts): some of its steps are other ones.
 */
import { afterAll, expect, it } from "vitest";
import { exhaustAll, opsOf, opsOfCrowd, waysOf } from "./elems.js";
import { report } from "./harness.js";
import { arrays, crowded, hashes, perCpuHashes } from "./shapes.js";

const instantiate = WebAssembly.instantiate as (module: WebAssembly.Module, imports: object) => Promise<unknown>;
WebAssembly.instantiate = ((module: WebAssembly.Module, imports: { readonly env: object }) =>
  instantiate(module, { env: { ...imports.env, weak: 1 } })) as typeof WebAssembly.instantiate;

const all = [...hashes, ...perCpuHashes, ...arrays];
const shapes = [
  "hash of 21, keys of 4, values of 48",
  "hash of 21, keys of 8, values of 12",
  "per-CPU hash of 21, keys of 16, values of 48",
  "array, values of 12",
  "per-CPU array, values of 12",
].map((name) => all.find((shape) => shape.name === name)!);

it.each(shapes)("$name", async (shape) => {
  expect(await exhaustAll(shape, opsOf(shape), waysOf)).toBeGreaterThan(50);
});

it.each(shapes.filter(({ name }) => name.includes("hash")))("$name, in one bucket", async (shape) => {
  const crowd = await crowded(shape);
  expect(await exhaustAll(crowd, opsOfCrowd(crowd), () => ["direct"])).toBeGreaterThan(1000);
});

afterAll(() => console.log(report()));

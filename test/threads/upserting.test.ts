/**
 * Four threads ask for the same keys with getOrInsert: all get the one value that was inserted.
 */
import { EmbeddedKernel, HashMap, u32, u64 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";

const KEYS = 20_000;

it("getOrInsert gives all threads one value", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 1 });
  const check = watchLeaks(kernel);
  const map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: KEYS + 8 });
  const results = await run(
    kernel,
    "upsert",
    each((index) => ({ id: map.id, index, keys: KEYS })),
  );
  const values = Array.from({ length: KEYS }, (_, key) => map.get(key));
  for (const { returned } of results) expect(returned).toEqual(values);
  for (const [key, value] of values.entries()) expect(value! / 10n).toBe(BigInt(key));
  // Each key was worked out once or more, and by nobody twice.
  const computed = results.reduce((sum, result) => sum + result.computed, 0);
  expect(computed).toBeGreaterThanOrEqual(KEYS);
  expect(computed).toBeLessThanOrEqual(crewSize * KEYS);
  map.close();
  check();
});

/**
 * A thread dies at each step of each operation on an elem, in maps of all types.
 */
import { afterAll, describe, expect, it } from "vitest";
import { exhaustAll, opsOf, opsOfCrowd, waysOf } from "./elems.js";
import { isHash } from "./hands.js";
import { exhaust, report } from "./harness.js";
import { manyScenario } from "./many.js";
import { arrays, crowded, hashes, lruHashes, perCpuHashes } from "./shapes.js";

describe.each(Object.entries({ hashes, "per-CPU hashes": perCpuHashes, "LRU hashes": lruHashes, arrays }))(
  "%s",
  (_, shapes) => {
    it.each(shapes)("$name", async (shape) => {
      expect(await exhaustAll(shape, opsOf(shape), waysOf)).toBeGreaterThan(50);
    });
  },
);

describe("many keys in one call", () => {
  const shapes = [...hashes, ...perCpuHashes, ...lruHashes, ...arrays].filter(
    (shape) => !isHash(shape) || shape.maxEntries > 7,
  );
  it.each(shapes)("$name", async (shape) => {
    for (const op of ["update", "delete", "lookup", "updateBatch", "deleteBatch"] as const) {
      if (op.startsWith("delete") && !isHash(shape)) continue;
      expect(await exhaust(manyScenario(shape, op))).toBeGreaterThan(3);
    }
  });
});

const shapesOfCrowds = [...hashes, ...perCpuHashes, ...lruHashes.slice(0, 1), ...lruHashes.slice(-2)].filter(
  ({ maxEntries }) => maxEntries > 20,
);

describe("hashes with all keys in one bucket", () => {
  it.each(shapesOfCrowds)("$name", async (shape) => {
    const crowd = await crowded(shape);
    expect(await exhaustAll(crowd, opsOfCrowd(crowd), () => ["direct"])).toBeGreaterThan(1000);
  });
});

afterAll(() => console.log(report()));

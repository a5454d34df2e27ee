/**
 * A thread dies at each step of each operation on an elem, in maps of all types.
 */
import { afterAll, describe, expect, it } from "vitest";
import { type ElemOp, type Way, elemScenario, opsOf, opsOfCrowd, waysOf } from "./elems.js";
import type { Shape } from "./hands.js";
import { exhaust, report } from "./harness.js";
import { arrays, crowded, hashes, perCpuHashes } from "./shapes.js";

/** More scenarios that fail tell nothing new. */
const MAX_FAILURES = 5;

/** Runs operations in the ways that there are. Returns how many deaths there were; throws all that failed. */
async function exhaustAll(
  shape: Shape,
  ops: readonly ElemOp[],
  waysOf: (op: ElemOp, shape: Shape) => Way[],
): Promise<number> {
  let deaths = 0;
  const failures: string[] = [];
  for (const op of ops) {
    for (const way of waysOf(op, shape)) {
      try {
        const died = await exhaust(elemScenario(shape, op, way));
        // What is refused by the short way, or finds nothing, may write nothing.
        if (way === "bpf" || op.wanted === undefined) expect(died, op.op).toBeGreaterThan(1);
        deaths += died;
      } catch (error) {
        failures.push((error as Error).message);
        if (failures.length === MAX_FAILURES) expect.fail(failures.join("\n"));
      }
    }
  }
  expect(failures.join("\n")).toBe("");
  return deaths;
}

describe.each(Object.entries({ hashes, "per-CPU hashes": perCpuHashes, arrays }))("%s", (_, shapes) => {
  it.each(shapes)("$name", async (shape) => {
    expect(await exhaustAll(shape, opsOf(shape), waysOf)).toBeGreaterThan(50);
  });
});

const shapesOfCrowds = [...hashes, ...perCpuHashes].filter(({ maxEntries }) => maxEntries > 20);

describe("hashes with all keys in one bucket", () => {
  it.each(shapesOfCrowds)("$name", async (shape) => {
    const crowd = await crowded(shape);
    expect(await exhaustAll(crowd, opsOfCrowd(crowd), () => ["direct"])).toBeGreaterThan(1000);
  });
});

afterAll(() => console.log(report()));

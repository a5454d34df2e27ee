/**
 * A thread dies at each step of each operation on an elem, in maps of all types.
 */
import { afterAll, describe, expect, it } from "vitest";
import { elemScenario, opsOf, waysOf } from "./elems.js";
import { exhaust, report } from "./harness.js";
import { arrays, hashes, perCpuHashes } from "./shapes.js";

describe.each(Object.entries({ hashes, "per-CPU hashes": perCpuHashes, arrays }))("%s", (_, shapes) => {
  it.each(shapes)("$name", async (shape) => {
    let deaths = 0;
    const failures: string[] = [];
    for (const op of opsOf(shape)) {
      for (const way of waysOf(op, shape)) {
        try {
          deaths += await exhaust(elemScenario(shape, op, way));
        } catch (error) {
          failures.push((error as Error).message);
        }
      }
    }
    expect(failures.join("\n")).toBe("");
    expect(deaths).toBeGreaterThan(100);
    console.log(`${shape.name}: ${deaths} deaths`);
  });
});

afterAll(() => console.log(report()));

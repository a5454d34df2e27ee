/**
 * A thread dies at each step of each operation on maps of maps.
 */
import { afterAll, describe, expect, it } from "vitest";
import { exhaust, report } from "./harness.js";
import { opsFor, outerScenario, shapes } from "./map_in_map.js";

describe.each(shapes)("$name", (shape) => {
  it.each(opsFor(shape))("$name", async (op) => {
    expect(await exhaust(outerScenario(shape, op))).toBeGreaterThan(1);
  });
});

afterAll(() => console.log(report()));

/**
 * A thread dies at each step of each operation on maps of maps.
 */
import { afterAll, describe, expect, it } from "vitest";
import { type Scenario, exhaust, exhaustPairs, isThorough, reaping, report } from "./harness.js";
import { opsFor, outerScenario, shapes } from "./map_in_map.js";

describe.each(shapes)("$name", (shape) => {
  it.each(opsFor(shape))("$name", async (op) => {
    expect(await exhaust(outerScenario(shape, op))).toBeGreaterThan(1);
  });
});

/** Of those whose deaths leave most to count: one map goes for another, all go with their outer map. */
const reaped = new Set(["another map, of one that goes", "close the last fd"]);
/** Of the reaper's steps: one in so many, each time others. */
const stride = isThorough ? 1 : 41;

describe.each(shapes.slice(0, 2))("$name: and who reaps it dies", (shape) => {
  it.each(opsFor(shape).filter(({ name }) => reaped.has(name)))("$name", async (op) => {
    const scenario = outerScenario(shape, op) as unknown as Scenario<unknown>;
    expect(await exhaustPairs(scenario, { ...reaping, stride })).toBeGreaterThan(20);
  });
});

afterAll(() => console.log(report()));

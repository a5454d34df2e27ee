/**
 * bench/axis.ts: ticks at round numbers, around all values.
 */
import { describe, expect, it } from "vitest";
import { axisOf, axisOver, binaryLabel, ticksBetween } from "../../bench/axis.js";

describe("ticksBetween", () => {
  it.each([
    [4, 90, [2, 5, 10, 20, 50, 100]],
    [1, 10, [1, 2, 5, 10]],
    [0.3, 0.7, [0.2, 0.5, 1]],
    [20, 21, [20, 50]],
    [1, 1, [1]],
    [3, 200_000, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]],
  ])("from %d to %d", (min, max, ticks) => {
    expect(ticksBetween(min, max)).toEqual(ticks);
  });

  it("hold any two values between their ends", () => {
    for (let decade = -3; decade < 6; decade++) {
      for (const factor of [1, 1.01, 1.99, 2, 2.01, 4.99, 5, 5.01, 9.99]) {
        const min = factor * 10 ** decade;
        for (const span of [1, 1.5, 10, 777, 1e5]) {
          const ticks = ticksBetween(min, min * span);
          expect(ticks[0]).toBeLessThanOrEqual(min);
          expect(ticks.at(-1)).toBeGreaterThanOrEqual(min * span);
        }
      }
    }
  });
});

describe("axes", () => {
  it("place values by their logarithm, the ends at 0 and 1", () => {
    const axis = axisOver([12, 900]);
    expect(axis.ticks.map(({ label }) => label)).toEqual(["10", "20", "50", "100", "200", "500", "1,000"]);
    expect(axis.at(10)).toBe(0);
    expect(axis.at(1000)).toBe(1);
    expect(axis.at(100)).toBeCloseTo(0.5, 10);
  });

  it("have two ends even for a single value", () => {
    const axis = axisOver([10, 10]);
    expect(axis.at(10)).toBeCloseTo(0.5, 10);
    expect(axisOf([{ value: 4, label: "4" }]).at(4)).toBe(0.5);
  });

  it.each([
    [512, "512"],
    [1024, "1 Ki"],
    [65_536, "64 Ki"],
    [10 * 2 ** 20, "10 Mi"],
    [1500, "1500"],
  ])("call %d %s", (value, label) => {
    expect(binaryLabel(value)).toBe(label);
  });
});

/**
 * bench/fit.ts: curves that are known are found again, in noise as well.
 */
import { describe, expect, it } from "vitest";
import { contentionOf, lineFit, powerFit, speedUp } from "../../bench/fit.js";

describe("powerFit", () => {
  it("finds the exponent and factor of a power", () => {
    const fit = powerFit([1, 10, 100, 1000].map((x) => ({ x, y: 3 * x ** 0.7 })))!;
    expect(fit.exponent).toBeCloseTo(0.7, 10);
    expect(fit.factor).toBeCloseTo(3, 10);
    expect(fit.r2).toBeCloseTo(1, 10);
  });

  it("finds 0 where nothing grows", () => {
    const fit = powerFit([1, 2, 4].map((x) => ({ x, y: 5 })))!;
    expect(fit.exponent).toBeCloseTo(0, 10);
    expect(fit.r2).toBe(1);
  });

  it("says how little it explains of values that go up and down", () => {
    const fit = powerFit([4, 1, 4, 1, 4].map((y, i) => ({ x: 2 ** i, y })))!;
    expect(fit.exponent).toBeCloseTo(0, 10);
    expect(fit.r2).toBeLessThan(0.1);
  });

  it("is undefined for a single x", () => {
    expect(powerFit([{ x: 2, y: 3 }])).toBeUndefined();
    expect(powerFit([])).toBeUndefined();
  });
});

describe("lineFit", () => {
  it("finds a line", () => {
    const fit = lineFit([4, 8, 256].map((x) => ({ x, y: 20 + 0.5 * x })))!;
    expect(fit.base).toBeCloseTo(20, 10);
    expect(fit.slope).toBeCloseTo(0.5, 10);
  });

  it("lets a large value that is off by a tenth move the small end little", () => {
    const fit = lineFit([
      { x: 0, y: 10 },
      { x: 10, y: 20 },
      { x: 1000, y: 1111 },
    ])!;
    expect(Math.abs(fit.base - 10)).toBeLessThan(1);
  });
});

describe("contentionOf", () => {
  it("leaves open what one point leaves open: waiting, or the caches", () => {
    const laws = contentionOf([{ x: 2, y: 1.6 }]);
    expect(laws).toHaveLength(2);
    for (const law of laws) expect(speedUp(law, 2)).toBeCloseTo(1.6, 10);
    const [waiting, caches] = laws;
    expect(waiting!.kappa).toBe(0);
    expect(caches!.sigma).toBe(0);
    expect(speedUp(waiting!, 16)).toBeGreaterThan(speedUp(caches!, 16));
  });

  it("finds both coefficients when there are points enough", () => {
    const law = { sigma: 0.05, kappa: 0.002 };
    const points = [2, 4, 8, 16].map((x) => ({ x, y: speedUp(law, x) }));
    const [found, ...others] = contentionOf(points);
    expect(others).toEqual([]);
    expect(found!.sigma).toBeCloseTo(0.05, 10);
    expect(found!.kappa).toBeCloseTo(0.002, 10);
  });

  it("has no coefficient below 0", () => {
    for (const points of [
      [{ x: 2, y: 2.2 }],
      [
        { x: 2, y: 1.2 },
        { x: 4, y: 3.9 },
      ],
      [
        { x: 2, y: 2 },
        { x: 4, y: 1.5 },
      ],
    ]) {
      const laws = contentionOf(points);
      expect(laws.length).toBeGreaterThan(0);
      for (const { sigma, kappa } of laws) {
        expect(sigma).toBeGreaterThanOrEqual(0);
        expect(kappa).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it("says nothing without a point", () => {
    expect(contentionOf([])).toEqual([]);
  });
});

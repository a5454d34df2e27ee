/**
 * PerCpu: a list of values, and their sum and largest.
 */
import { PerCpu } from "tsbpf";
import { describe, expect, it } from "vitest";
import { thrownBy } from "./_ways.js";

describe("PerCpu", () => {
  it("is a list, and lists made of it are too", () => {
    const list = PerCpu.of(3, 1, 2);
    expect(Array.isArray(list)).toBe(true);
    expect([...list]).toEqual([3, 1, 2]);
    expect(PerCpu.from(new Set([3, 1, 2]))).toStrictEqual(list);
    expect(PerCpu.from({ length: 2, 0: 3, 1: 1 })).toStrictEqual(PerCpu.of(3, 1));
    // Not the list of 5 holes that `new Array(5)` is.
    expect([...PerCpu.of(5)]).toEqual([5]);
    expect(list.map((n) => n * 2)).toStrictEqual(PerCpu.of(6, 2, 4));
    expect(list.filter((n) => n > 1)).toBeInstanceOf(PerCpu);
  });

  it("sums up numbers, bigints, and structs of them", () => {
    expect(PerCpu.of(1, 2, 3.5).sum()).toBe(6.5);
    expect(PerCpu.of(2n ** 64n - 1n, 1n).sum()).toBe(2n ** 64n);
    expect(PerCpu.of({ a: 1, b: { c: 2n } }, { a: 10, b: { c: 20n } }).sum()).toEqual({ a: 11, b: { c: 22n } });
  });

  it("finds the largest of each field", () => {
    expect(PerCpu.of(1, -2, 0).max()).toBe(1);
    expect(PerCpu.of(-1, -2).max()).toBe(-1);
    expect(PerCpu.of(5n, 2n ** 63n, 0n).max()).toBe(2n ** 63n);
    expect(PerCpu.of({ a: 1, b: 5n }, { a: 2, b: 3n }, { a: 0, b: 4n }).max()).toEqual({ a: 2, b: 5n });
  });

  it("does the same for one CPU, and gives a value of its own", () => {
    const value = { a: 1 };
    expect(PerCpu.of(value).sum()).toEqual(value);
    expect(PerCpu.of(value).sum()).not.toBe(value);
    expect(PerCpu.of(7n).max()).toBe(7n);
  });

  it.each([1, 2, 3])("refuses what is not made of numbers, on %i CPUs", (cpus) => {
    const refused = (value: unknown): string =>
      thrownBy(() => PerCpu.from(Array.from({ length: cpus }, () => value as number)).sum()).message;
    const wanted = "wanted numbers, bigints or structs of them for each CPU, found";
    expect(refused("a")).toBe(`value: ${wanted} string`);
    expect(refused({ n: 1, at: { name: "a" } })).toBe(`value.at.name: ${wanted} string`);
    expect(refused([1])).toBe(`value: ${wanted} object`);
    expect(refused({ raw: Uint8Array.of(1) })).toBe(`value.raw: ${wanted} object`);
    expect(() => PerCpu.of(1, 2n as unknown as number).max()).toThrow(TypeError);
  });
});

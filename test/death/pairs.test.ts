/**
 * Two threads die before anybody was reaped: both on the same map; or one, and who reaps it.
 */
import { afterAll, describe, expect, it } from "vitest";
import { type ElemOp, elemScenario } from "./elems.js";
import type { Shape } from "./hands.js";
import { type Scenario, exhaustPairs, isThorough, reaping, report } from "./harness.js";
import { groups, lifeScenario } from "./lives.js";
import { churns, pairs } from "./pairs.js";
import { arrays, hashes, perCpuHashes } from "./shapes.js";

describe("two on the same map", () => {
  it.each(pairs)("$name", async ({ scenario, second }) => {
    expect(await exhaustPairs(scenario, second)).toBeGreaterThan(20);
  });
});

describe("one, while others come and go", () => {
  it.each(churns)("$name", async ({ scenario, second }) => {
    expect(await exhaustPairs(scenario, second)).toBeGreaterThan(3);
  });
});

const shapes = [...hashes, ...perCpuHashes, ...arrays];
const all = ({ maxEntries }: Shape): number[] => [...Array(maxEntries).keys()];

function elem(name: string, make: (shape: Shape) => ElemOp): Scenario<never> {
  const shape = shapes.find((shape) => shape.name === name)!;
  return elemScenario(shape, make(shape), "direct") as unknown as Scenario<never>;
}

function life(name: string): Scenario<never> {
  const found = Object.values(groups)
    .flat()
    .find((life) => life.name === name);
  return lifeScenario(found!) as unknown as Scenario<never>;
}

const insertLast = (shape: Shape): ElemOp => ({
  op: "update",
  before: all(shape).slice(0, -1),
  key: shape.maxEntries - 1,
});
const replace = (shape: Shape): ElemOp => ({ op: "update", before: all(shape), key: 1 });
const removeLast = (shape: Shape): ElemOp => ({ op: "delete", before: all(shape), key: shape.maxEntries - 1 });
const add = (shape: Shape): ElemOp => ({ op: "add", before: all(shape), key: 1 });

const reaped: readonly Scenario<never>[] = [
  elem("hash of 21, keys of 4, values of 4", insertLast),
  elem("hash of 21, keys of 4, values of 4", removeLast),
  elem("hash of 21, keys of 4, values of 48", replace),
  elem("hash of 21, keys of 16, values of 48, not preallocated", insertLast),
  elem("hash of 21, keys of 16, values of 48, not preallocated", removeLast),
  elem("per-CPU hash of 21, keys of 16, values of 48", insertLast),
  elem("per-CPU hash of 21, keys of 16, values of 48", add),
  elem("array, values of 12", replace),
  elem("per-CPU array, values of 12", add),
  life("create: hash of 21, keys of 4, values of 4"),
  life("close the last fd: hash of 21, keys of 16, values of 48, not preallocated"),
  life("close the last fd: per-CPU hash of 21, keys of 16, values of 48"),
  life("open the short way: hash of 21, keys of 4, values of 4"),
  life("leave the short way, as the last that holds the map: hash of 21, keys of 4, values of 4"),
  life("pin"),
  life("open a name"),
  life("unlink what alone holds a map: array, values of 12, mappable"),
  life("free 12288 bytes between buffers, with 0 and 2 free"),
  life("leave, with a CPU, the short way open and a buffer"),
  life("save"),
];

/** Of the reaper's steps: one in so many. TSBPF_DEATHS=all has all of them, which takes two minutes more. */
const stride = isThorough ? 1 : 5;

describe("one, and who reaps it", () => {
  it.each(reaped)("$name", async (scenario) => {
    expect(await exhaustPairs(scenario, { ...reaping, stride })).toBeGreaterThan(20);
  });
});

afterAll(() => console.log(report()));

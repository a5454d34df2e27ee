/**
 * Four threads insert keys, and take out what is there by LOOKUP_AND_DELETE_BATCH and LOOKUP_AND_DELETE_ELEM: each elem is taken
 * exactly once, whole.
 */
import { EmbeddedKernel, HashMap, LruHashMap, PerCpuHashMap, u32 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";
import { type DrainingKind, twin } from "./draining.js";

const COUNT = 20_000;

it.each<[DrainingKind, number]>([
  ["hash", 300],
  ["hash", COUNT],
  ["percpu_hash", 300],
  // With room for all: nothing is evicted.
  ["lru_hash", 8 * COUNT],
])("a %s of %i that all fill and drain", async (kind, maxEntries) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2, maxMemory: 2 ** 27 });
  const check = watchLeaks(kernel);
  const Class = kind === "hash" ? HashMap : kind === "lru_hash" ? LruHashMap : PerCpuHashMap;
  const map = Class.create(kernel, { key: u32, value: twin, maxEntries });
  const taken = await run(
    kernel,
    "insertAndDrain",
    each((index) => ({ id: map.id, kind, index, count: COUNT })),
  );
  const all = taken.flat();
  expect(all.length).toBe(crewSize * COUNT);
  expect(new Set(all).size).toBe(crewSize * COUNT);
  expect(map.count()).toBe(0);
  map.close();
  check();
});

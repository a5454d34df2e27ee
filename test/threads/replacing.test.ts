/**
 * Values of 4 bytes are replaced without a lock, while other threads take elems out: what was set is there, or somebody has taken
 * it; and nothing is taken twice.
 */
import { EmbeddedKernel, HashMap, LruHashMap, u32 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";
import type { Replaced } from "./replacing.js";

const SETTERS = crewSize / 2;
const COUNT = 300_000;

it.each<[Replaced, number]>([
  ["hash", 1],
  ["hash", 8],
  ["hash", 100],
  ["lru_hash", 8],
])("a %s, %i keys of each thread", { timeout: 120_000 }, async (kind, keys) => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 26 });
  const check = watchLeaks(kernel);
  const Class = kind === "hash" ? HashMap : LruHashMap;
  // With room for all: nothing is evicted.
  const maxEntries = kind === "hash" ? SETTERS * keys : 64 * SETTERS * keys;
  const map = Class.create(kernel, { key: u32, value: u32, maxEntries });
  const ended = new SharedArrayBuffer(4);
  const told = await run(
    kernel,
    "replaceOrTake",
    each((index) => ({ id: map.id, kind, index, setters: SETTERS, keys, count: COUNT, ended })),
  );
  const [gone, taken] = [told.slice(0, SETTERS).flat(), told.slice(SETTERS).flat()].map((list) =>
    list.map(([key, value]) => `${key}: ${value}`),
  ) as [string[], string[]];
  const allTaken = new Set(taken);
  expect(allTaken.size).toBe(taken.length);
  expect(gone.filter((entry) => !allTaken.has(entry))).toEqual([]);
  console.log(`${gone.length} were gone at once, ${taken.length} of ${SETTERS * COUNT} were taken`);
  map.close();
  expect(kernel.check()).toEqual([]);
  check();
});

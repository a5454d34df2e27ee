/**
 * All suites, in the order in which they are measured.
 */
import { arraySuite } from "./array.js";
import { commandsSuite } from "./commands.js";
import { hashSuites } from "./hash.js";
import { lpmTrieSuites } from "./lpm_trie.js";
import { lruSuite } from "./lru.js";
import { MANY_SUITES } from "./many.js";
import { mapInMapSuite } from "./map_in_map.js";
import type { Suite } from "./measure.js";
import { outcomesSuite } from "./outcomes.js";
import { percpuSuites } from "./percpu.js";
import { programSuite } from "./programs.js";
import { keylessSuites } from "./queue.js";
import { rawSuite } from "./raw.js";
import { ringbufSuite } from "./ringbuf.js";
import { sharedSuite } from "./shared.js";
import { sweeps } from "./sizes.js";
import { apartSuite, threadsSuite } from "./threads.js";

/** What has a table of its own. */
export const suites: readonly Suite[] = [
  ...hashSuites,
  lruSuite,
  ...MANY_SUITES.map(({ suite }) => suite),
  outcomesSuite,
  arraySuite,
  ...percpuSuites,
  ...lpmTrieSuites,
  ...keylessSuites,
  mapInMapSuite,
  programSuite,
  rawSuite,
  commandsSuite,
  sharedSuite,
  ringbufSuite,
  threadsSuite,
  apartSuite,
];

/** Any suite by its name, those of the sweeps too. */
export function suiteNamed(name: string): Suite | undefined {
  const all = [...suites, ...sweeps.flatMap(({ points }) => points.map(({ suite }) => suite))];
  return all.find((suite) => suite.name === name);
}

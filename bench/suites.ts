/**
 * All suites, in the order in which they are measured.
 */
import { arraySuite } from "./array.js";
import { hashSuites } from "./hash.js";
import type { Suite } from "./measure.js";
import { percpuSuites } from "./percpu.js";
import { rawSuite } from "./raw.js";
import { threadsSuite } from "./threads.js";

export const suites: readonly Suite[] = [...hashSuites, arraySuite, ...percpuSuites, rawSuite, threadsSuite];

/**
 * LRU hashes of the embedded kernel have as many of a trace's keys as Linux's of the same size, or more.
 */
import { EmbeddedKernel, LruHashMap, u32 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { expect, it } from "vitest";
import { hitRate, traces } from "../../bench/traces.js";
import { describeLinux } from "../kernels.js";

/** Where elems lie in a hash is chance: runs differ by so much, most in the smallest maps. */
const CHANCE = 0.004;

describeLinux("hit rates, side by side", () => {
  it.each(traces)("%s, %i elems", async (_, maxEntries, make) => {
    using embedded = await EmbeddedKernel.create({ maxMemory: 2 ** 25 });
    using linux = LinuxKernel.open();
    const trace = make();
    const options = { key: u32, value: u32, maxEntries };
    using ours = LruHashMap.create(embedded, options);
    using theirs = LruHashMap.create(linux, options);
    // A system call's lookup is no use: so what is there is set again.
    const [mine, other] = [hitRate(trace, ours, true), hitRate(trace, theirs, false)];
    console.log(`embedded ${(100 * mine).toFixed(2)} %, Linux ${(100 * other).toFixed(2)} %`);
    expect(mine).toBeGreaterThanOrEqual(other - CHANCE);
  });
});

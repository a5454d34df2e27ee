/**
 * Memory that several threads take and give back, many times: all of it is there again, and in one piece but for a tenth.
 *
 * TSBPF_CHURN says how many maps are made and ended: 100,000 unless told.
 */
import { ArrayMap, BpfError, EmbeddedKernel, bytes } from "tsbpf";
import { describe, expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "../threads/crew.js";
import { unlessFull } from "../threads/recycling.js";

const seed = Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const maps = Number(process.env["TSBPF_CHURN"] ?? 100_000);

const options = { maxMemory: 2 ** 26, possibleCpus: 2 };
const PAGE = 4096;

/** The largest number of pages that there is one thing of. */
function largest(kernel: EmbeddedKernel, make: (pages: number) => Disposable): number {
  let fits = 0;
  let tooMany = kernel.maxMemory / PAGE;
  while (tooMany - fits > 1) {
    const pages = Math.floor((fits + tooMany) / 2);
    const made = unlessFull(() => make(pages));
    made?.[Symbol.dispose]();
    if (made === undefined) tooMany = pages;
    else fits = pages;
  }
  return fits;
}

/** In one piece: pages of the largest map that can be made, and of the largest buffer. */
function largestPieces(kernel: EmbeddedKernel): { map: number; buffer: number } {
  // The map first: what was a buffer's once is no map's any more (docs/architecture.md).
  const map = largest(kernel, (pages) => ArrayMap.create(kernel, { value: bytes(PAGE), maxEntries: pages }));
  const buffer = largest(kernel, (pages) => kernel.alloc(pages * PAGE));
  return { map, buffer };
}

describe(`memory that threads recycle (TEST_SEED=${seed})`, () => {
  it(
    "is back, and nine tenths of it in one piece",
    async () => {
      using fresh = await EmbeddedKernel.create(options);
      const whole = largestPieces(fresh);
      using kernel = await EmbeddedKernel.create(options);
      const check = watchLeaks(kernel);
      const start = performance.now();
      const args = each((index) => ({ maps: Math.ceil(maps / crewSize), index, seed: seed + index }));
      await run(kernel, "recycle", args);
      const seconds = (performance.now() - start) / 1000;
      check();
      const left = largestPieces(kernel);
      console.log(
        `${maps} maps in ${seconds.toFixed(1)} s; in one piece: a map of ${left.map} of ${whole.map} pages, a buffer of ${left.buffer} of ${whole.buffer}`,
      );
      expect(left.map).toBeGreaterThan(0.9 * whole.map);
      expect(left.buffer).toBeGreaterThan(0.9 * whole.buffer);
      check();
    },
    60_000 + maps,
  );

  it("is full with ENOMEM, again and again, and never much emptier", async () => {
    using kernel = await EmbeddedKernel.create(options);
    const check = watchLeaks(kernel);
    const args = [0, 1].map((index) => ({ rounds: 12, index, seed: seed + index }));
    const [used] = await run(kernel, "exhaust", args);
    check();
    console.log(`full with ${used!.map((bytes) => Math.round(bytes / PAGE)).join(", ")} pages`);
    // Some buffers may find memory when maps find none any more: that is as the last rounds' maps lay.
    for (const bytes of used!) expect(bytes).toBeGreaterThan(0.8 * kernel.maxMemory);
    // And it is still a kernel like any other.
    expect(() => kernel.alloc(kernel.maxMemory)).toThrow(BpfError);
    using map = ArrayMap.create(kernel, { value: bytes(PAGE), maxEntries: 100 });
    expect(map.set(99, new Uint8Array(PAGE).fill(7))).toBe(true);
    expect(map.get(99)![PAGE - 1]).toBe(7);
    map.close();
    check();
  });
});

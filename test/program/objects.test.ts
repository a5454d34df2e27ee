/**
 * The same object over the same packets on all kernels: same return values, same packets out, same maps, byte for byte. However clang
 * was told to compile it.
 */
import { describe, expect, it } from "vitest";
import { whyNoLinux } from "../kernels.js";
import { compiled, whyNoClang } from "./_clang.js";
import { embedded, linux } from "./_kernels.js";
import { type Seen, differences, see, stories } from "./_stories.js";

/** Each -mcpu is a set of instructions: v2 adds jumps by less, v3 arithmetic on 32 bits and atomic operations. */
const variants = ["-O2", "-O1"].flatMap((level) => [1, 2, 3].map((cpu) => [level, `-mcpu=v${cpu}`, `-DCPU=${cpu}`]));

const why = whyNoClang ?? whyNoLinux;

describe.skipIf(why !== undefined)(`every object${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  it.each(stories.map((story) => [story.object, story] as const))("%s", async (name, story) => {
    const bySource = new Map<string, Seen>();
    for (const flags of variants) {
      const bytes = compiled(name, flags);
      const wanted = await seenOn(linux, bytes);
      expect(wanted.runs.length).toBeGreaterThan(0);
      // Where the source asks for a CPU, it is another program.
      const source = name === "atomics" ? flags[2]! : "";
      const other = bySource.get(source) ?? wanted;
      expect(differences(other, wanted), `${flags.join(" ")}: Linux`).toEqual([]);
      bySource.set(source, wanted);
      for (const kernel of embedded) {
        const found = await seenOn(kernel, bytes);
        expect(differences(wanted, found), `${flags.join(" ")}: ${kernel.name}`).toEqual([]);
      }
    }

    async function seenOn({ open }: typeof linux, bytes: Uint8Array): Promise<Seen> {
      using kernel = await open();
      return see(kernel, bytes, story);
    }
  });
});

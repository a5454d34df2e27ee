/**
 * The embedded kernel held against what Linux answered when it was recorded: needs no Linux.
 */
import { readFileSync } from "node:fs";
import { EmbeddedKernel } from "tsbpf";
import { EEXIST, ENOENT } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { stories } from "../conformance/stories.js";
import { PlantedKernel } from "../differential/plant.js";
import { openEmbedded, openMachine } from "../machine/open.js";
import { type RecordedSequences, type RecordedStories, firstDifference, runRecorded, tellRule } from "./recording.js";

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
const told = read("stories.json") as RecordedStories;
const ran = read("sequences.json") as RecordedSequences;

describe(`the embedded kernel answers as Linux ${told.kernel} did`, () => {
  it("has a recording of every rule, and of no other", () => {
    const rules = (of: Readonly<Record<string, object>>): string[] =>
      Object.entries(of).flatMap(([name, story]) => Object.keys(story).map((rule) => `${name}: ${rule}`));
    expect(rules(stories)).toEqual(rules(told.stories));
  });

  for (const [name, story] of Object.entries(stories)) {
    it(`to the rules of ${name}`, async () => {
      for (const [rule, tell] of Object.entries(story)) {
        using machine = await openEmbedded(told.possibleCpus);
        const difference = firstDifference(tellRule(machine, tell), told.stories[name]?.[rule] ?? "", []);
        if (difference !== undefined) throw new Error(`${rule}\n${difference}`);
      }
    });
  }

  it(`to ${ran.sequences.length} random sequences`, async () => {
    using machine = await openEmbedded(ran.possibleCpus);
    for (const [n, recorded] of ran.sequences.entries()) {
      const { answers, steps } = runRecorded(machine, ran.seed, n);
      const difference = firstDifference(answers, recorded, steps);
      if (difference !== undefined) throw new Error(`Sequence ${n}\n${difference}`);
    }
  });

  it("and where it does not, that is seen", async () => {
    const kernel = await EmbeddedKernel.create({ possibleCpus: ran.possibleCpus, maxMemory: 2 ** 28 });
    using machine = openMachine(new PlantedKernel(kernel, ({ ret }) => (ret === -EEXIST ? -ENOENT : ret)));
    const differences = ran.sequences.slice(0, 300).map((recorded, n) => {
      const { answers, steps } = runRecorded(machine, ran.seed, n);
      return firstDifference(answers, recorded, steps);
    });
    expect(differences.find((difference) => difference !== undefined)).toContain(`recorded: ${-EEXIST}`);
  });
});

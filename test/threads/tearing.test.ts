/**
 * No reader sees half of a value, or another key's: whatever it reads by, and however often elems are used again.
 */
import { EmbeddedKernel } from "tsbpf";
import { describe, expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { each, run } from "./crew.js";
import { type Kind, fillAll, kinds, shapes } from "./tearing.js";

describe.each(Object.keys(kinds) as Kind[])("readers of a %s", (kind) => {
  it("see whole values of the key they asked for", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 3 });
    const check = watchLeaks(kernel);
    const maps = shapes.map((shape) => {
      const map = kinds[kind].create(kernel, shape);
      fillAll(kernel, kind, map.fd, shape);
      return map;
    });
    const values = await run(
      kernel,
      "tear",
      each((index) => ({
        kind,
        ids: maps.map((map) => map.id),
        role: index % 2 === 0 ? "write" : "read",
        ms: 1500,
        seed: index + 1,
      })),
    );
    for (const n of values) expect(n).toBeGreaterThan(1000);
    for (const map of maps) map.close();
    check();
  });
});

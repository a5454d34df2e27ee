/**
 * No reader sees half of a value, or another key's: whatever it reads by, and however often elems are used again.
 */
import { EmbeddedKernel } from "tsbpf";
import { describe, expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { RawMap } from "../raw_map.js";
import { each, run } from "./crew.js";
import { type Kind, keys, kinds, putKey, putValue, shapes, valueLayout } from "./tearing.js";

describe.each(Object.keys(kinds) as Kind[])("readers of a %s", (kind) => {
  it("see whole values of the key they asked for", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 3 });
    const check = watchLeaks(kernel);
    const maps = shapes.map((shape) => {
      const map = kinds[kind].create(kernel, shape);
      fill(kernel, kind, map.fd, shape);
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

/** Gives all keys a value, so that those of arrays are none that nobody wrote. */
function fill(kernel: EmbeddedKernel, kind: Kind, fd: number, shape: (typeof shapes)[number]): void {
  const { all, slot } = valueLayout(kind, shape, kernel.possibleCpus);
  using raw = new RawMap(kernel, fd, kinds[kind].keyed ? shape.keySize : 4, all);
  for (let key = 0; key < keys; key++) {
    putKey(raw.key, key);
    for (let at = 0; at < all; at += slot) putValue(raw.value, at, shape.valueSize, key, key);
    expect(raw.update()).toBe(0);
  }
}

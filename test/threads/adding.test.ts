/**
 * Nothing added is lost: workers add to the same keys, and the totals are exact.
 */
import { EmbeddedKernel } from "tsbpf";
import { describe, expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { keys, kinds } from "./adding.js";
import { crewSize, each, run } from "./crew.js";

type Kind = keyof typeof kinds;
const names = Object.keys(kinds) as Kind[];
const groups = {
  hashes: names.filter((name) => name.startsWith("hash")),
  arrays: names.filter((name) => name.startsWith("array")),
  "per-CPU maps": names.filter((name) => name.startsWith("per-CPU")),
};

describe.each(Object.entries(groups))("workers that add to %s", (_, group) => {
  it("lose nothing", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: crewSize });
    const check = watchLeaks(kernel);
    const maps = group.map((kind) => ({ kind, map: kinds[kind].create(kernel) }));
    const ids = maps.map(({ kind, map }) => ({ kind, id: map.id }));
    const added = await run(
      kernel,
      "add",
      each((index) => ({ maps: ids, ms: 2000, seed: index + 1 })),
    );
    maps.forEach(({ kind, map }, m) => {
      for (let i = 0; i < keys; i++) {
        const sum = { times: 0, total: 0 };
        for (const worker of added) {
          sum.times += worker[m]![i]!.times;
          sum.total += worker[m]![i]!.total;
        }
        // Else nothing met anything.
        expect(sum.times).toBeGreaterThan(100);
        expect(map.get(i), `${kind}, key ${i}`).toEqual(kinds[kind].wanted(sum));
      }
      map.close();
    });
    check();
  });
});

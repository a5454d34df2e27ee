/**
 * A thread dies at each step of each operation that has to do with the lives of maps, fds, names, holders, buffers and threads.
 */
import { afterAll, describe, expect, it } from "vitest";
import { exhaust, report } from "./harness.js";
import { groups, lifeScenario } from "./lives.js";

describe.each(Object.entries(groups))("%s", (_, lives) => {
  it.each(lives)("$name", async (life) => {
    expect(await exhaust(lifeScenario(life))).toBeGreaterThan(1);
  });
});

afterAll(() => console.log(report()));

/**
 * Routes come and go while others are looked up: an answer is always a route that the address is in, and never a shorter one than one
 * that stays; walks miss none of these, and meet none twice.
 */
import { EmbeddedKernel } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { each, run } from "./crew.js";
import { createRoutes } from "./routing.js";

// The more are so many that tables for lookups come and go.
it.each([
  { which: 0, count: 400 },
  { which: 1, count: 400 },
  { which: 0, count: 21_800 },
  { which: 1, count: 21_800 },
])("$count routes, values of kind $which", async ({ which, count }) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 1 });
  const check = watchLeaks(kernel);
  const routes = createRoutes(kernel, count, which);
  const steps = await run(
    kernel,
    "routing",
    each((index) => ({
      id: routes.id,
      count,
      which,
      role: index % 2 === 0 ? "write" : "read",
      ms: 1500,
      seed: index + 1,
    })),
  );
  for (const n of steps) expect(n).toBeGreaterThan(1000);
  expect(kernel.check()).toEqual([]);
  routes.close();
  check();
});

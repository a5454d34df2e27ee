/**
 * Every story on every kernel.
 */
import { describe, it } from "vitest";
import { forEachKernel } from "../kernels.js";
import { watchLeaks } from "../leaks.js";
import { openMachine } from "../machine/open.js";
import { stories } from "./stories.js";
import { Teller } from "./story.js";

forEachKernel((_, open) => {
  for (const [name, story] of Object.entries(stories)) {
    describe(name, () => {
      for (const [rule, tell] of Object.entries(story)) {
        it(rule, async () => {
          using machine = openMachine(await open());
          const check = watchLeaks(machine.kernel);
          tell(new Teller(machine));
          machine.reset();
          check();
        });
      }
    });
  }
});

/**
 * A full map refuses without a lock: but not a key that another thread is just inserting or deleting.
 */
import { EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";

const COUNT = 500_000;

it("sets of the only key are never refused", { timeout: 120_000 }, async () => {
  using kernel = await EmbeddedKernel.create();
  const check = watchLeaks(kernel);
  const map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 1 });
  const refused = await run(
    kernel,
    "setOrDelete",
    each((index) => ({ id: map.id, sets: index < crewSize / 2, count: COUNT })),
  );
  expect(refused).toEqual(each(() => 0));
  map.delete(7);
  map.set(8, 1);
  expect(() => map.set(7, 1)).toThrow("E2BIG");
  map.close();
  check();
});

/**
 * A thread dies at each step of freezing a map: it is frozen, or it is not, and holds what it held.
 */
import { expect, it } from "vitest";
import { mapFreeze } from "../../src/kernels/syscalls.js";
import { EPERM } from "../../src/uapi/index.js";
import { type Content, Hands, expectContent } from "./hands.js";
import { type Scenario, exhaust } from "./harness.js";
import { arrays, hashes, perCpuHashes } from "./shapes.js";

interface State {
  readonly hands: Hands;
  readonly content: Content;
}

const KEYS = [0, 1, 2];

it.each([hashes[0]!, hashes[2]!, perCpuHashes[0]!, arrays[2]!])("$name", async (shape) => {
  const scenario: Scenario<State> = {
    name: `freeze: ${shape.name}`,
    setUp({ survivor }) {
      const hands = new Hands(survivor, shape);
      hands.putAll(KEYS, 1);
      return { hands, content: hands.read(shape.maxEntries) };
    },
    act: (victim, { hands }) => mapFreeze(victim, hands.fd),
    end: () => {},
    verify({ survivor }, { hands, content }, died) {
      const isFrozen = survivor.fdinfo(hands.fd)!.includes("frozen:\t1");
      if (!died && !isFrozen) throw new Error("It is not frozen");
      expectContent("The map", hands.read(shape.maxEntries), content);
      const ret = hands.update(survivor, 1, hands.value(1, 2));
      expect(ret).toBe(isFrozen ? -EPERM : 0);
      if (!isFrozen) expect(mapFreeze(survivor, hands.fd)).toBe(0);
      hands.close();
    },
  };
  expect(await exhaust(scenario)).toBeGreaterThan(1);
});

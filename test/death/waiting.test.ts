/**
 * No wait is without end: who waits for a lock longer than a second learns which one it is, who holds it and what that was doing;
 * and all works once the holder was reaped.
 */
import { expect, it } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { KernelBug } from "../../src/kernels/error.js";
import { Hands, type Shape } from "./hands.js";
import { World } from "./harness.js";
import { arrays, hashes } from "./shapes.js";

interface Case {
  readonly name: string;
  readonly shape: Shape;
  /** What the victim dies in, and everybody else waits in. */
  readonly act: (kernel: EmbeddedKernel, hands: Hands) => unknown;
  /** What the error says of the lock and of what its holder was doing. */
  readonly says: readonly RegExp[];
}

const plain = hashes[0]!;

const cases: readonly Case[] = [
  {
    name: "a line of a hash",
    shape: hashes.find(({ valueSize, keySize }) => valueSize === 48 && keySize === 4)!,
    act: (kernel, hands) => hands.update(kernel, 1, hands.value(1, 2)),
    says: [/hash|line|bucket/i, /update/i],
  },
  {
    name: "a stripe of an array",
    shape: arrays.find(({ valueSize }) => valueSize === 12)!,
    act: (kernel, hands) => hands.update(kernel, 1, hands.value(1, 2)),
    says: [/array|stripe|elem/i, /update/i],
  },
  {
    name: "the tables",
    shape: plain,
    act: (kernel) => kernel.usage(),
    says: [/tables/i],
  },
  {
    name: "the pages",
    shape: plain,
    act: (kernel) => kernel.alloc(100)[Symbol.dispose](),
    says: [/pages/i],
  },
];

it.each(cases)("$name", async ({ shape, act, says }) => {
  const world = await World.create();
  const { survivor } = world;
  const before = world.usage();
  const hands = new Hands(survivor, shape);
  hands.putAll([0, 1, 2], 1);
  // The first step at which somebody else would have to wait.
  let victim: EmbeddedKernel;
  for (let nth = 1; ; nth++) {
    victim = await world.victim();
    const where = await world.dieAt(nth, () => act(victim, hands));
    expect(where, "a step at which a lock is held").toBeDefined();
    const second = await world.victim();
    const waits = (await world.dieAt(Infinity, () => act(second, hands))) !== undefined;
    survivor.reap(second.slot);
    if (waits) break;
    survivor.reap(victim.slot);
  }
  const start = performance.now();
  let error: unknown;
  try {
    act(survivor, hands);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(KernelBug);
  expect(performance.now() - start).toBeGreaterThan(900);
  const { message } = error as KernelBug;
  console.log(message);
  for (const text of [...says, new RegExp(`\\b${victim.slot}\\b`)]) expect(message).toMatch(text);
  // Who has waited in vain lives on.
  survivor.reap(victim.slot);
  expect(survivor.check()).toEqual([]);
  act(survivor, hands);
  hands.useFully();
  hands.close();
  expect(survivor.check()).toEqual([]);
  expect(world.usage()).toEqual(before);
});

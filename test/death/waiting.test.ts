/**
 * No wait is without end: who waits for a lock longer than a second learns which one it is, who holds it and what that was doing;
 * and all works once the holder was reaped.
 */
import { expect, it } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { KernelBug } from "../../src/kernels/embedded/kernel_bug.js";
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
    says: [/map with id \d+/, /BPF_MAP_UPDATE_ELEM/],
  },
  {
    name: "a stripe of an array",
    shape: arrays.find(({ valueSize }) => valueSize === 12)!,
    act: (kernel, hands) => hands.update(kernel, 1, hands.value(1, 2)),
    says: [/map with id \d+/, /BPF_MAP_UPDATE_ELEM/],
  },
  {
    name: "the tables",
    shape: plain,
    act: (kernel) => kernel.usage(),
    says: [/the tables/, /a call of the host's/],
  },
  {
    name: "the pages",
    shape: plain,
    act: (kernel) => kernel.alloc(100)[Symbol.dispose](),
    says: [/the pages/, /a call of the host's/],
  },
];

/** The first step at which somebody who does the same would have to wait. */
async function stepThatHolds(world: World, act: (kernel: EmbeddedKernel) => unknown): Promise<number> {
  for (let nth = 1; ; nth++) {
    const victims = [await world.victim(), await world.victim()] as const;
    expect(await world.dieAt(nth, () => act(victims[0])), "a step with a lock held").toBeDefined();
    const end = await world.dieAt(Infinity, () => act(victims[1]));
    world.survivor.reap(...victims.map(({ slot }) => slot));
    if (end !== undefined) return nth;
  }
}

it.each(cases)("$name", async ({ shape, act, says }) => {
  const world = await World.create();
  const { survivor } = world;
  const before = world.usage();
  const hands = new Hands(survivor, shape);
  hands.putAll([0, 1, 2], 1);
  const nth = await stepThatHolds(world, (kernel) => act(kernel, hands));
  const victim = await world.victim();
  await world.dieAt(nth, () => act(victim, hands));
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
  for (const text of [...says, new RegExp(`slot ${victim.slot} `)]) expect(message).toMatch(text);
  expect((error as KernelBug).holder).toBe(victim.slot);
  // Who has waited in vain lives on.
  survivor.reap(victim.slot);
  expect(survivor.check()).toEqual([]);
  act(survivor, hands);
  hands.useFully(hands.read(shape.maxEntries));
  hands.close();
  expect(survivor.check()).toEqual([]);
  expect(world.usage()).toEqual(before);
});

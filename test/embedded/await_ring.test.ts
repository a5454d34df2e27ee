/**
 * Waiting for a ring, against wakers that come at the worst moment: test/models/ringbuf.pml, in code.
 */
import { expect, it } from "vitest";
import { Waits, awaitRing } from "../../src/kernels/embedded/direct_ring.js";
import type { Engine } from "../../src/kernels/embedded/engine.js";

const ARMED = 1;

it("does not sleep on a word that was woken between arming and looking", { timeout: 5000 }, async () => {
  const memory = new SharedArrayBuffer(64);
  const words = new Int32Array(memory);
  let isReady = false;
  let arms = 0;
  const wake = (): void => {
    const was = Atomics.load(words, 1);
    if ((was & ARMED) === 0) return;
    Atomics.store(words, 1, (was + 2) & ~ARMED);
    Atomics.notify(words, 1);
  };
  const engine = {
    hold: () => 4096 * 3,
    put: () => undefined,
    wakeWord: () => 4,
    poll(_map: number, arm: number) {
      if (arm === 0) return isReady ? 1 : 0;
      Atomics.or(words, 1, ARMED);
      // A writer that found the ring full wakes, and there is nothing to read yet.
      if (++arms === 1) wake();
      return 0;
    },
  } as unknown as Engine;
  setTimeout(() => {
    isReady = true;
    wake();
  }, 20);
  expect(await awaitRing(engine, memory, new Waits(), 3, "readable", {})).toBe(true);
});

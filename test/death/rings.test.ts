/**
 * A writer of a ring buffer, or who drains one that user space writes, dies at each step: a record is there whole, or not at all, and
 * others' records still come.
 */
import { afterAll, expect, it } from "vitest";
import type { RingRecord } from "../../src/maps/_ring.js";
import { RingBuffer } from "../../src/maps/ring_buffer.js";
import { UserRingBuffer } from "../../src/maps/user_ring_buffer.js";
import { type Scenario, exhaust, report } from "./harness.js";

interface State {
  readonly ring: RingBuffer;
  readonly victims: RingBuffer;
  readonly record: RingRecord | undefined;
}

const SIZE = 4096;
const theirs = new Uint8Array(100).fill(7);
const ours = new Uint8Array(100).fill(9);

interface Act {
  readonly name: string;
  /** How far the ring is written and read before, so that a record does or does not meet its end. */
  readonly from: number;
  /** Whether the victim has a reservation from the start. */
  readonly reserved?: boolean;
  act(state: State): void;
  /** Whether the record is there when the victim has lived. */
  readonly written: boolean;
}

const fill = ({ record }: State): RingRecord => {
  record!.bytes.set(theirs);
  return record!;
};

const acts: Act[] = [0, SIZE - 56].flatMap((from): Act[] => [
  { name: "output", from, written: true, act: ({ victims }) => victims.output(theirs) },
  { name: "reserve", from, written: false, act: ({ victims }) => victims.reserve(100) },
  { name: "submit", from, reserved: true, written: true, act: (state) => fill(state).submit() },
  { name: "discard", from, reserved: true, written: false, act: (state) => fill(state).discard() },
]);

function scenario({ name, from, reserved, act, written }: Act): Scenario<State> {
  return {
    name: `${name} at ${from}`,
    setUp({ survivor }, victim) {
      const ring = RingBuffer.create(survivor, { size: SIZE });
      if (from > 0) {
        ring.output(new Uint8Array(from - 8));
        ring.poll();
        ring.poll();
      }
      const victims = RingBuffer.fromId(victim, ring.id);
      return { ring, victims, record: reserved === true ? victims.reserve(100) : undefined };
    },
    act: (_, state) => act(state),
    verify(world, { ring, victims }, died) {
      if (!ring.output(ours)) throw new Error("There is no room for a record behind the victim's");
      const found = ring.poll();
      const isThere = written && (!died || found.length > 1);
      expect(found).toEqual(isThere ? [theirs, ours] : [ours]);
      ring.poll();
      expect(ring.pending).toBe(0);
      // The fds are the kernel's: the victim's is still open.
      world.survivor.close(victims.fd);
      ring.close();
    },
  };
}

it.each(acts)("$name, from $from on", async (act) => {
  expect(await exhaust(scenario(act))).toBeGreaterThan(1);
});

it("drain: the record stays, or is taken out", async () => {
  interface Drained {
    readonly ring: UserRingBuffer;
    readonly victims: UserRingBuffer;
  }
  const taken: Scenario<Drained> = {
    name: "drain",
    setUp({ survivor }, victim) {
      const ring = UserRingBuffer.create(survivor, { size: SIZE });
      ring.push(theirs);
      ring.push(ours);
      return { ring, victims: UserRingBuffer.fromId(victim, ring.id) };
    },
    act: (_, { victims }) => victims.drain(1),
    verify(world, { ring, victims }, died) {
      const found = ring.drain();
      const isThere = died && found.length > 1;
      expect(found).toEqual(isThere ? [theirs, ours] : [ours]);
      expect(ring.pending).toBe(0);
      world.survivor.close(victims.fd);
      ring.close();
    },
  };
  expect(await exhaust(taken)).toBeGreaterThan(1);
});

afterAll(() => console.log(report()));

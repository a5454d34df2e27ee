/**
 * A thread dies while it puts rings into a perf_event_array, takes them out, closes one of the two, or sends by it: elems hold what they
 * held, or what they were to hold; a ring is there as long as something holds it; and a record is whole, or is not there.
 */
import { afterAll, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import type { Kernel, UserBuffer } from "../../src/kernels/kernel.js";
import { fillAttr, mapCreate, mapGetFdById, mapGetInfoByFd } from "../../src/kernels/syscalls.js";
import { RingBuffer } from "../../src/maps/ring_buffer.js";
import { Program } from "../../src/program/program.js";
import {
  BPF_ATTR_SIZE,
  BPF_F_PRESERVE_ELEMS,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_XDP,
  bpfAttr,
} from "../../src/uapi/index.js";
import { type Scenario, exhaust, exhaustPairs, reaping, report } from "./harness.js";

const ENTRIES = 3;
const PACKET = 64;

interface State {
  readonly attr: UserBuffer;
  readonly elem: UserBuffer;
  /** Two fds of one array, and the rings: of a and b the fds are open, c is held by elems alone. */
  readonly array: number;
  readonly other: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly program: Program;
  readonly maps: number;
  /** Fds that the victim may have closed. */
  readonly closed: number[];
}

function elem(kernel: Kernel, { attr, elem }: State, map: number, index: number, ring?: number): number {
  new Int32Array(elem.bytes.buffer, elem.bytes.byteOffset, 2).set([index, ring ?? 0]);
  const key = { map_fd: map, key: elem.address };
  fillAttr(attr, bpfAttr.mapElem, ring === undefined ? key : { ...key, value: elem.address + 4 });
  return kernel.bpf(ring === undefined ? BPF_MAP_DELETE_ELEM : BPF_MAP_UPDATE_ELEM, attr);
}

/** Sends 8 bytes and the first 16 of the packet by elem 0. */
const text = (array: number): string => `
  *(u64 *)(r10 - 8) = 7
  r2 = map[fd:${array}]
  r3 = ${16 * 2 ** 32} ll
  r4 = r10
  r4 += -8
  r5 = 8
  call 25
  exit`;

function run(kernel: Kernel, { attr, elem, program }: State): number {
  fillAttr(attr, bpfAttr.test, { prog_fd: program.fd, data_in: elem.address + 8, data_size_in: PACKET });
  return kernel.bpf(BPF_PROG_TEST_RUN, attr);
}

interface Act {
  readonly name: string;
  act(victim: EmbeddedKernel, state: State): number;
  readonly mapFlags?: number;
  /** How many elems hold something afterwards, and how many of the rings there are then. */
  readonly elems: readonly number[];
  readonly closes?: "array" | "other" | "a";
}

const acts: readonly Act[] = [
  { name: "put", act: (k, s) => elem(k, s, s.array, 2, s.b), elems: [2, 3] },
  { name: "put another", act: (k, s) => elem(k, s, s.array, 0, s.b), elems: [2] },
  { name: "put in the place of the last", act: (k, s) => elem(k, s, s.array, 1, s.b), elems: [2] },
  { name: "put the same by another fd", act: (k, s) => elem(k, s, s.other, 0, s.a), elems: [2] },
  { name: "take out", act: (k, s) => elem(k, s, s.array, 0), elems: [2, 1] },
  { name: "take out the last", act: (k, s) => elem(k, s, s.array, 1), elems: [2, 1] },
  { name: "close the fd of one", act: (k, s) => k.close(s.other), elems: [2, 1], closes: "other" },
  {
    name: "close the fd of one, which is preserved",
    act: (k, s) => k.close(s.other),
    mapFlags: BPF_F_PRESERVE_ELEMS,
    elems: [2],
    closes: "other",
  },
  { name: "close a ring", act: (k, s) => k.close(s.a), elems: [2], closes: "a" },
  { name: "send", act: run, elems: [2] },
];

function scenario({ name, act, elems, mapFlags = 0, closes }: Act): Scenario<State> {
  return {
    name,
    setUp({ survivor }) {
      const attr = survivor.alloc(BPF_ATTR_SIZE);
      const room = survivor.alloc(8 + PACKET);
      room.bytes.set(
        Uint8Array.from({ length: PACKET }, (_, i) => i),
        8,
      );
      const base = { mapType: BPF_MAP_TYPE_PERF_EVENT_ARRAY, keySize: 4, valueSize: 4, maxEntries: ENTRIES, mapFlags };
      const array = mapCreate(survivor, base);
      const info = mapGetInfoByFd(survivor, array);
      if (typeof info === "number") throw new Error(`Info gave ${info}`);
      const other = mapGetFdById(survivor, info.id);
      const rings = Array.from({ length: 3 }, () => RingBuffer.create(survivor, { size: 4096 }));
      const [a, b, c] = rings.map((ring) => mapGetFdById(survivor, ring.id)) as [number, number, number];
      for (const ring of rings) ring.close();
      const program = Program.load(survivor, {
        name: "send",
        type: BPF_PROG_TYPE_XDP,
        license: "GPL",
        insns: assemble(text(array)),
      });
      const maps = survivor.usage().maps;
      const state: State = { attr, elem: room, array, other, a, b, c, program, maps, closed: [] };
      expect(elem(survivor, state, array, 0, a)).toBe(0);
      expect(elem(survivor, state, other, 1, c)).toBe(0);
      survivor.close(c);
      return state;
    },
    act: (victim, state) => {
      expect(act(victim, state)).toBe(0);
    },
    verify({ survivor }, state, died) {
      const { array, other, a, b, program, attr, elem: room, maps } = state;
      const held = survivor.count(array);
      if (died) expect(elems).toContain(held);
      else expect(held).toBe(elems.at(-1));
      // c goes when no elem holds it.
      expect(survivor.usage().maps).toBeOneOf([maps, maps - 1]);
      if (name === "send") expectRecord(survivor, a, died);
      // The array is all there.
      for (let index = 0; index < ENTRIES; index++) expect(elem(survivor, state, array, index, b)).toBe(0);
      expect(survivor.usage().maps).toBe(closes === "a" && survivor.fdinfo(a) === undefined ? maps - 2 : maps - 1);
      expect(run(survivor, state)).toBe(0);
      expect(survivor.count(array)).toBe(ENTRIES);
      program.close();
      for (const fd of [array, other, a, b]) {
        const isOpen = survivor.fdinfo(fd) !== undefined;
        if (!died || closes === undefined || isOpen)
          expect(isOpen).toBe(died || closes === undefined || fd !== state[closes]);
        if (isOpen) survivor.close(fd);
      }
      for (const buffer of [attr, room]) buffer[Symbol.dispose]();
    },
  };
}

/** The record is there, or, of a thread that died, perhaps not. */
function expectRecord(survivor: EmbeddedKernel, fd: number, died: boolean): void {
  const info = mapGetInfoByFd(survivor, fd);
  if (typeof info === "number") throw new Error(`Info gave ${info}`);
  using ring = RingBuffer.fromId(survivor, info.id);
  const record = new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0, ...Array.from({ length: 16 }, (_, i) => i), 0, 0, 0, 0]);
  const found = ring.poll();
  if (!died || found.length > 0) expect(found).toEqual([record]);
  ring.poll();
}

it.each(acts)("$name", async (act) => {
  expect(await exhaust(scenario(act))).toBeGreaterThan(1);
});

it.each(acts.filter(({ name }) => ["take out the last", "close the fd of one"].includes(name)))(
  "$name, and who reaps it dies",
  async (act) => {
    expect(await exhaustPairs(scenario(act), { ...reaping, stride: 41 })).toBeGreaterThan(1);
  },
);

afterAll(() => console.log(report()));

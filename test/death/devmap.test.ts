/**
 * A thread dies while it changes or closes maps of devices with programs: each elem is what it was, or what it was to be, and a program is
 * there exactly as long as an elem or an fd holds it.
 */
import { afterAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import type { Kernel, UserBuffer } from "../../src/kernels/kernel.js";
import { fillAttr, mapCreate } from "../../src/kernels/syscalls.js";
import { Program } from "../../src/program/program.js";
import {
  BPF_ATTR_SIZE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_UPDATE_ELEM,
  BPF_PROG_TYPE_XDP,
  BPF_XDP_DEVMAP,
  ENOENT,
  bpfAttr,
} from "../../src/uapi/index.js";
import { type Scenario, exhaust, exhaustPairs, reaping, report } from "./harness.js";

/** The fd of a is open, b is held by elems alone; none is no program. */
type Name = "a" | "b" | "none";
/** By key. */
type Content = Readonly<Record<number, Name>>;

interface State {
  readonly attr: UserBuffer;
  readonly elem: UserBuffer;
  readonly map: number;
  readonly a: Program;
  readonly ids: Readonly<Record<Name, number>>;
}

function call(kernel: Kernel, { attr, elem, map }: State, cmd: number, key: number, progFd?: number): number {
  const words = new Int32Array(elem.bytes.buffer, elem.bytes.byteOffset, 3);
  words[0] = key;
  if (progFd !== undefined) words.set([1, progFd], 1);
  const fields = { map_fd: map, key: elem.address };
  fillAttr(attr, bpfAttr.mapElem, cmd === BPF_MAP_DELETE_ELEM ? fields : { ...fields, value: elem.address + 4 });
  return kernel.bpf(cmd, attr);
}

const set = (kernel: Kernel, state: State, key: number, progFd: number): number =>
  call(kernel, state, BPF_MAP_UPDATE_ELEM, key, progFd);
const remove = (kernel: Kernel, state: State, key: number): number => call(kernel, state, BPF_MAP_DELETE_ELEM, key);

function contentOf(kernel: Kernel, state: State): Content {
  const found: Record<number, Name> = {};
  for (let key = 0; key < 4; key++) {
    const ret = call(kernel, state, BPF_MAP_LOOKUP_ELEM, key);
    if (ret === -ENOENT) continue;
    expect(ret).toBe(0);
    const [, ifindex, id] = new Int32Array(state.elem.bytes.buffer, state.elem.bytes.byteOffset, 3);
    expect(ifindex).toBe(1);
    const name = (["a", "b", "none"] as const).find((each) => state.ids[each] === id);
    if (name === undefined) throw new Error(`Key ${key} has program ${id}`);
    found[key] = name;
  }
  return found;
}

const before: Content = { 1: "a", 2: "b" };

interface Act {
  readonly name: string;
  readonly act: (kernel: Kernel, state: State) => number;
  /** undefined: the map is gone. */
  readonly after: Content | undefined;
}

const acts: readonly Act[] = [
  { name: "a new elem", act: (k, s) => set(k, s, 0, s.a.fd), after: { ...before, 0: "a" } },
  { name: "another program", act: (k, s) => set(k, s, 2, s.a.fd), after: { ...before, 2: "a" } },
  { name: "the same program", act: (k, s) => set(k, s, 1, s.a.fd), after: before },
  { name: "no program", act: (k, s) => set(k, s, 2, 0), after: { ...before, 2: "none" } },
  { name: "delete", act: (k, s) => remove(k, s, 1), after: { 2: "b" } },
  { name: "delete the last of a program", act: (k, s) => remove(k, s, 2), after: { 1: "a" } },
  { name: "close", act: (k, s) => k.close(s.map), after: undefined },
];

function scenario(mapType: number, { name, act, after }: Act): Scenario<State> {
  return {
    name,
    setUp({ survivor }) {
      const [a, b] = ["a", "b"].map((each) =>
        Program.load(survivor, {
          name: each,
          type: BPF_PROG_TYPE_XDP,
          license: "GPL",
          expectedAttachType: BPF_XDP_DEVMAP,
          insns: assemble("r0 = 2\nexit"),
        }),
      ) as [Program, Program];
      const state: State = {
        attr: survivor.alloc(BPF_ATTR_SIZE),
        elem: survivor.alloc(12),
        map: mapCreate(survivor, { mapType, keySize: 4, valueSize: 8, maxEntries: 4 }),
        a,
        ids: { a: a.id, b: b.id, none: 0 },
      };
      expect(set(survivor, state, 1, a.fd)).toBe(0);
      expect(set(survivor, state, 2, b.fd)).toBe(0);
      b.close();
      return state;
    },
    act: (victim, state) => {
      expect(act(victim, state)).toBe(0);
    },
    verify({ survivor }, state, died) {
      const isThere = survivor.fdinfo(state.map) !== undefined;
      if (after !== undefined) expect(isThere).toBe(true);
      else if (!died) expect(isThere).toBe(false);
      if (isThere) {
        const found = contentOf(survivor, state);
        expect([...(after === undefined ? [] : [after]), ...(died ? [before] : [])]).toContainEqual(found);
        expectProgram(survivor, state.ids.b, Object.values(found).includes("b"));
        // All of it is there.
        for (let key = 0; key < 4; key++) expect(set(survivor, state, key, state.a.fd)).toBe(0);
        expect(contentOf(survivor, state)).toEqual({ 0: "a", 1: "a", 2: "a", 3: "a" });
        expect(survivor.check()).toEqual([]);
        expect(survivor.close(state.map)).toBe(0);
      }
      expectProgram(survivor, state.ids.b, false);
      expectProgram(survivor, state.ids.a, true);
      state.a.close();
      for (const buffer of [state.attr, state.elem]) buffer[Symbol.dispose]();
    },
  };
}

function expectProgram(kernel: Kernel, id: number, isThere: boolean): void {
  const open = (): void => Program.fromId(kernel, id).close();
  if (isThere) open();
  else expect(open).toThrow("ENOENT");
}

describe.each([
  ["devmap", BPF_MAP_TYPE_DEVMAP],
  ["devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH],
])("%s", (_, mapType) => {
  it.each(acts)("$name", async (act) => {
    expect(await exhaust(scenario(mapType, act))).toBeGreaterThan(1);
  });

  it.each(acts.filter(({ name }) => ["another program", "close"].includes(name)))(
    "$name, and who reaps it dies",
    async (act) => {
      expect(await exhaustPairs(scenario(mapType, act), { ...reaping, stride: 41 })).toBeGreaterThan(1);
    },
  );
});

afterAll(() => console.log(report()));

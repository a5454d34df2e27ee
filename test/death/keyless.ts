/**
 * Operations on maps without keys to die in: pushes and pops on queues and stacks, values added to bloom filters. Whenever
 * the thread dies, the map holds what it held before, or what the operation makes of it.
 */
import { expect } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import type { Kernel, UserBuffer } from "../../src/kernels/kernel.js";
import { fillAttr, mapCreate } from "../../src/kernels/syscalls.js";
import {
  BPF_ATTR_SIZE,
  BPF_EXIST,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_UPDATE_ELEM,
  E2BIG,
  ENOENT,
  bpfAttr,
} from "../../src/uapi/index.js";
import type { Scenario } from "./harness.js";

/** A map without keys. */
export interface KeylessShape {
  readonly name: string;
  readonly mapType: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

export interface KeylessOp {
  readonly op: "push" | "overwrite" | "pop" | "peek";
  /** Values pushed and popped before: then the ring's first slot is another. */
  readonly turned: number;
  /** Values that are there before. */
  readonly held: number;
}

interface State {
  readonly fd: number;
  readonly attr: UserBuffer;
  readonly value: UserBuffer;
  /** Versions of values, the oldest first. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  ret: number | undefined;
}

const NEW = 200;

const bytesOf = ({ valueSize }: KeylessShape, version: number): Uint8Array =>
  Uint8Array.from({ length: valueSize }, (_, i) => version * 101 + i * 13);

function call(kernel: Kernel, cmd: number, { fd, attr, value }: State, flags = 0): number {
  fillAttr(attr, bpfAttr.mapElem, { map_fd: fd, key: 0, value: value.address, flags });
  return kernel.bpf(cmd, attr);
}

function push(kernel: Kernel, state: State, shape: KeylessShape, version: number, flags = 0): number {
  state.value.bytes.set(bytesOf(shape, version));
  return call(kernel, BPF_MAP_UPDATE_ELEM, state, flags);
}

/** All that is in the map, taken out: versions in the order in which they come. */
function popAll(kernel: Kernel, state: State, shape: KeylessShape): number[] {
  const versions: number[] = [];
  for (;;) {
    const ret = call(kernel, BPF_MAP_LOOKUP_AND_DELETE_ELEM, state);
    if (ret === -ENOENT) return versions;
    expect(ret).toBe(0);
    const found = Buffer.from(state.value.bytes).toString("hex");
    const version = [...Array(256).keys()].find((v) => Buffer.from(bytesOf(shape, v)).toString("hex") === found);
    if (version === undefined) throw new Error(`A value is torn: ${found}`);
    versions.push(version);
  }
}

function created(kernel: EmbeddedKernel, { mapType, valueSize, maxEntries }: KeylessShape): number {
  return mapCreate(kernel, { mapType, keySize: 0, valueSize, maxEntries });
}

/** What the operation makes of these values. */
function outcome({ op }: KeylessOp, { mapType, maxEntries }: KeylessShape, before: readonly number[]): number[] {
  if (op === "peek") return [...before];
  if (op === "pop") return mapType === BPF_MAP_TYPE_STACK ? before.slice(0, -1) : before.slice(1);
  if (before.length < maxEntries) return [...before, NEW];
  return op === "push" ? [...before] : [...before.slice(1), NEW];
}

function wantedReturn({ op, held }: KeylessOp, { maxEntries }: KeylessShape): number {
  if (op === "pop" || op === "peek") return held === 0 ? -ENOENT : 0;
  return op === "push" && held === maxEntries ? -E2BIG : 0;
}

export function queueScenario(shape: KeylessShape, op: KeylessOp): Scenario<State> {
  return {
    name: `${op.op} on ${shape.name} of ${op.held} after ${op.turned}`,
    setUp({ survivor }) {
      const before = Array.from({ length: op.held }, (_, i) => i + 1);
      const state: State = {
        fd: created(survivor, shape),
        attr: survivor.alloc(BPF_ATTR_SIZE),
        value: survivor.alloc(shape.valueSize),
        before,
        after: outcome(op, shape, before),
        ret: undefined,
      };
      for (let i = 0; i < op.turned; i++) {
        push(survivor, state, shape, 99);
        call(survivor, BPF_MAP_LOOKUP_AND_DELETE_ELEM, state);
      }
      for (const version of before) push(survivor, state, shape, version);
      if (op.op === "push" || op.op === "overwrite") state.value.bytes.set(bytesOf(shape, NEW));
      return state;
    },
    act(victim, state) {
      const cmds = { push: BPF_MAP_UPDATE_ELEM, overwrite: BPF_MAP_UPDATE_ELEM } as const;
      if (op.op === "push" || op.op === "overwrite") {
        state.ret = call(victim, cmds[op.op], state, op.op === "overwrite" ? BPF_EXIST : 0);
      } else {
        state.ret = call(victim, op.op === "pop" ? BPF_MAP_LOOKUP_AND_DELETE_ELEM : BPF_MAP_LOOKUP_ELEM, state);
      }
    },
    end: (state) => expect(state.ret).toBe(wantedReturn(op, shape)),
    verify({ survivor }, state, died) {
      const inOrder = (versions: readonly number[]): readonly number[] =>
        shape.mapType === BPF_MAP_TYPE_STACK ? versions.toReversed() : versions;
      const found = popAll(survivor, state, shape);
      const allowed = [...(died ? [inOrder(state.before)] : []), inOrder(state.after)];
      expect(allowed).toContainEqual(found);
      // The capacity is whole.
      for (let i = 0; i < shape.maxEntries; i++) expect(push(survivor, state, shape, i)).toBe(0);
      expect(push(survivor, state, shape, NEW)).toBe(-E2BIG);
      expect(popAll(survivor, state, shape)).toEqual(inOrder([...Array(shape.maxEntries).keys()]));
      close(survivor, state);
    },
  };
}

/** Adding to a bloom filter: what was added before stays, and the new value can be added again. */
export function bloomScenario(valueSize: number): Scenario<State> {
  const shape = { name: "bloom filter", mapType: BPF_MAP_TYPE_BLOOM_FILTER, valueSize, maxEntries: 20 };
  const asks = (kernel: Kernel, state: State, version: number): number => {
    state.value.bytes.set(bytesOf(shape, version));
    return call(kernel, BPF_MAP_LOOKUP_ELEM, state);
  };
  return {
    name: `adding to a bloom filter of values of ${valueSize}`,
    setUp({ survivor }) {
      const state: State = {
        fd: created(survivor, shape),
        attr: survivor.alloc(BPF_ATTR_SIZE),
        value: survivor.alloc(valueSize),
        before: [1, 2, 3],
        after: [1, 2, 3, NEW],
        ret: undefined,
      };
      for (const version of state.before) push(survivor, state, shape, version);
      return state;
    },
    act: (victim, state) => {
      state.ret = push(victim, state, shape, NEW);
    },
    end: (state) => expect(state.ret).toBe(0),
    verify({ survivor }, state, died) {
      for (const version of state.before) expect(asks(survivor, state, version)).toBe(0);
      if (died) expect(push(survivor, state, shape, NEW)).toBe(0);
      expect(asks(survivor, state, NEW)).toBe(0);
      close(survivor, state);
    },
  };
}

function close(survivor: EmbeddedKernel, { fd, attr, value }: State): void {
  attr[Symbol.dispose]();
  value[Symbol.dispose]();
  expect(survivor.close(fd)).toBe(0);
}

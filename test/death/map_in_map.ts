/**
 * Operations on maps of maps to die in. Whenever the thread dies, each elem holds the map that it held, or the one that it was to
 * hold; a map lives exactly as long as an elem or an fd holds it, and the kernel's check has counted the same references.
 */
import { expect } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import type { DirectMap, Kernel, UserBuffer } from "../../src/kernels/kernel.js";
import { fillAttr, mapCreate, mapGetInfoByFd, viewOf } from "../../src/kernels/syscalls.js";
import {
  BPF_ATTR_SIZE,
  BPF_F_NO_PREALLOC,
  BPF_F_ZERO_SEED,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
  E2BIG,
  EEXIST,
  EINVAL,
  ENOENT,
  bpfAttr,
} from "../../src/uapi/index.js";
import type { Scenario } from "./harness.js";

/** A map of maps. */
export interface OuterShape {
  readonly name: string;
  readonly mapType: number;
  readonly keySize: number;
  readonly mapFlags: number;
}

const KEYS = 5;
const IDS = ["a", "b", "c"] as const;
/** Inner maps: a and b are open, c is not. */
type Name = (typeof IDS)[number];
/** Keys, and the inner maps that they have. */
type Content = Readonly<Record<number, Name>>;

export const shapes: readonly OuterShape[] = [
  { name: "array of maps", mapType: BPF_MAP_TYPE_ARRAY_OF_MAPS, keySize: 4, mapFlags: 0 },
  { name: "hash of maps, keys of 4", mapType: BPF_MAP_TYPE_HASH_OF_MAPS, keySize: 4, mapFlags: BPF_F_ZERO_SEED },
  {
    name: "hash of maps, keys of 16, not preallocated",
    mapType: BPF_MAP_TYPE_HASH_OF_MAPS,
    keySize: 16,
    mapFlags: BPF_F_ZERO_SEED | BPF_F_NO_PREALLOC,
  },
  { name: "hash of maps, keys of 300", mapType: BPF_MAP_TYPE_HASH_OF_MAPS, keySize: 300, mapFlags: BPF_F_ZERO_SEED },
  {
    name: "hash of maps, keys of 300, not preallocated",
    mapType: BPF_MAP_TYPE_HASH_OF_MAPS,
    keySize: 300,
    mapFlags: BPF_F_ZERO_SEED | BPF_F_NO_PREALLOC,
  },
];

const isArray = ({ mapType }: OuterShape): boolean => mapType === BPF_MAP_TYPE_ARRAY_OF_MAPS;

interface State {
  readonly attr: UserBuffer;
  readonly keys: UserBuffer;
  readonly values: UserBuffer;
  readonly outer: number;
  /** Fds of a and b. */
  readonly fds: Readonly<Record<"a" | "b", number>>;
  readonly ids: ReadonlyMap<number, Name>;
  /** Fds that were open before the operation. */
  readonly open: ReadonlySet<number>;
  readonly mapsBefore: number;
  direct: DirectMap | undefined;
  ret: number | undefined;
}

/** A row of the table. */
export interface OuterOp {
  readonly name: string;
  readonly before: Content;
  readonly act: (hands: Hands, kernel: EmbeddedKernel) => number;
  /** What it returns when nobody dies: 0 unless told; "fd" for an fd. */
  readonly wanted?: number | "fd";
  /** What is there afterwards, and for a death in the middle, between; undefined: the map is gone. */
  readonly after: Content | undefined;
  readonly between?: readonly Content[];
  readonly arraysNot?: boolean;
  /** Opens the short way first. */
  readonly isDirect?: boolean;
}

/** Fds that any test here may open. */
const MANY_FDS = 40;

function openFds(kernel: EmbeddedKernel): Set<number> {
  return new Set([...Array(MANY_FDS).keys()].filter((fd) => kernel.fdinfo(fd) !== undefined));
}

/** The survivor's buffers, with which any thread makes calls. */
class Hands {
  readonly shape: OuterShape;
  readonly state: State;

  constructor(shape: OuterShape, state: State) {
    this.shape = shape;
    this.state = state;
  }

  #putKey(at: number, key: number): void {
    const { keySize } = this.shape;
    const view = viewOf(this.state.keys);
    view.setUint32(at * keySize, key, true);
    view.setUint32((at + 1) * keySize - 4, key, true);
  }

  #elem(kernel: Kernel, cmd: number, key: number, flags = 0): number {
    const { attr, keys, values, outer } = this.state;
    this.#putKey(0, key);
    const value = cmd === BPF_MAP_DELETE_ELEM ? 0 : values.address;
    fillAttr(attr, bpfAttr.mapElem, { map_fd: outer, key: keys.address, value, flags });
    return kernel.bpf(cmd, attr);
  }

  set(kernel: Kernel, key: number, fd: number, flags = 0): number {
    viewOf(this.state.values).setUint32(0, fd, true);
    return this.#elem(kernel, BPF_MAP_UPDATE_ELEM, key, flags);
  }

  delete(kernel: Kernel, key: number): number {
    return this.#elem(kernel, BPF_MAP_DELETE_ELEM, key);
  }

  lookup(kernel: Kernel, key: number): number {
    const ret = this.#elem(kernel, BPF_MAP_LOOKUP_ELEM, key);
    return ret === 0 ? viewOf(this.state.values).getUint32(0, true) : ret;
  }

  batch(kernel: Kernel, cmd: number, entries: readonly (readonly [key: number, fd: number])[], count: number): number {
    const { attr, keys, values, outer } = this.state;
    entries.forEach(([key, fd], i) => {
      this.#putKey(i, key);
      viewOf(values).setUint32(4 * i, fd, true);
    });
    const reads = cmd === BPF_MAP_LOOKUP_BATCH || cmd === BPF_MAP_LOOKUP_AND_DELETE_BATCH;
    fillAttr(attr, bpfAttr.batch, {
      out_batch: reads ? values.address + 4 * KEYS : 0,
      keys: keys.address,
      values: values.address,
      count,
      map_fd: outer,
    });
    return kernel.bpf(cmd, attr);
  }

  directSet(key: number, fd: number): number {
    const direct = this.state.direct!;
    this.#putDirect(direct, key);
    new DataView(direct.value.bytes.buffer, direct.value.bytes.byteOffset).setUint32(0, fd, true);
    return this.shape.keySize === 4 ? direct.updateElem4(key, 0) : direct.updateElem(0);
  }

  directDelete(key: number): number {
    const direct = this.state.direct!;
    this.#putDirect(direct, key);
    return this.shape.keySize === 4 ? direct.deleteElem4(key) : direct.deleteElem();
  }

  #putDirect({ key: { bytes } }: DirectMap, key: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    view.setUint32(0, key, true);
    view.setUint32(bytes.length - 4, key, true);
  }

  create(kernel: Kernel): number {
    return mapCreateAt(kernel, this.state.attr, this.shape, this.state.fds.a);
  }

  /** What the map holds, or an errno. */
  content(kernel: Kernel): Record<number, Name> {
    const found: Record<number, Name> = {};
    for (let key = 0; key < KEYS; key++) {
      const id = this.lookup(kernel, key);
      if (id === -ENOENT) continue;
      const name = this.state.ids.get(id);
      if (name === undefined) throw new Error(`Key ${key} holds ${id}, which is no inner map's id`);
      found[key] = name;
    }
    return found;
  }
}

function mapCreateAt(kernel: Kernel, attr: UserBuffer, shape: OuterShape, innerFd: number): number {
  fillAttr(attr, bpfAttr.mapCreate, {
    map_type: shape.mapType,
    key_size: shape.keySize,
    value_size: 4,
    max_entries: KEYS,
    map_flags: shape.mapFlags,
    inner_map_fd: innerFd,
  });
  return kernel.bpf(BPF_MAP_CREATE, attr);
}

const abc: Content = { 1: "a", 2: "c" };

export const ops: readonly OuterOp[] = [
  { name: "a new elem", before: abc, act: (h, k) => h.set(k, 0, h.state.fds.b), after: { ...abc, 0: "b" } },
  { name: "another map", before: abc, act: (h, k) => h.set(k, 1, h.state.fds.b), after: { ...abc, 1: "b" } },
  {
    name: "another map, of one that goes",
    before: abc,
    act: (h, k) => h.set(k, 2, h.state.fds.b),
    after: { ...abc, 2: "b" },
  },
  { name: "the same map", before: abc, act: (h, k) => h.set(k, 1, h.state.fds.a), after: abc },
  { name: "no fd", before: abc, act: (h, k) => h.set(k, 0, 0x7ffffff0), wanted: -9, after: abc },
  { name: "itself", before: abc, act: (h, k) => h.set(k, 0, h.state.outer), wanted: -EINVAL, after: abc },
  {
    name: "one too many",
    before: { 0: "a", 1: "a", 2: "c", 3: "b", 4: "b" },
    act: (h, k) => h.set(k, KEYS, h.state.fds.b),
    wanted: -E2BIG,
    after: { 0: "a", 1: "a", 2: "c", 3: "b", 4: "b" },
  },
  {
    name: "a key that is there",
    before: abc,
    act: (h, k) => h.set(k, 1, h.state.fds.b, 1),
    wanted: -EEXIST,
    after: abc,
    arraysNot: true,
  },
  { name: "delete", before: abc, act: (h, k) => h.delete(k, 1), after: { 2: "c" } },
  { name: "delete one that goes", before: abc, act: (h, k) => h.delete(k, 2), after: { 1: "a" } },
  { name: "delete what is not there", before: abc, act: (h, k) => h.delete(k, 3), wanted: -ENOENT, after: abc },
  {
    name: "a new elem by the short way",
    isDirect: true,
    before: abc,
    act: (h) => h.directSet(0, h.state.fds.b),
    after: { ...abc, 0: "b" },
  },
  {
    name: "another map by the short way, of one that goes",
    isDirect: true,
    before: abc,
    act: (h) => h.directSet(2, h.state.fds.b),
    after: { ...abc, 2: "b" },
  },
  {
    name: "delete by the short way, one that goes",
    isDirect: true,
    before: abc,
    act: (h) => h.directDelete(2),
    after: { 1: "a" },
  },
  {
    name: "an update of many",
    before: abc,
    act: (h, k) =>
      h.batch(
        k,
        BPF_MAP_UPDATE_BATCH,
        [
          [2, h.state.fds.b],
          [3, h.state.fds.a],
        ],
        2,
      ),
    after: { 1: "a", 2: "b", 3: "a" },
    between: [{ 1: "a", 2: "b" }],
  },
  {
    name: "a deletion of many",
    before: { ...abc, 4: "c" },
    act: (h, k) =>
      h.batch(
        k,
        BPF_MAP_DELETE_BATCH,
        [
          [2, 0],
          [4, 0],
        ],
        2,
      ),
    after: { 1: "a" },
    between: [{ 1: "a", 4: "c" }],
    arraysNot: true,
  },
  {
    name: "all taken",
    before: abc,
    act: (h, k) => h.batch(k, BPF_MAP_LOOKUP_AND_DELETE_BATCH, [], KEYS),
    wanted: -ENOENT,
    after: {},
    between: [{ 1: "a" }, { 2: "c" }],
    arraysNot: true,
  },
  {
    name: "a walk",
    before: abc,
    act: (h, k) => h.batch(k, BPF_MAP_LOOKUP_BATCH, [], KEYS),
    wanted: -ENOENT,
    after: abc,
  },
  { name: "create", before: abc, act: (h, k) => h.create(k), wanted: "fd", after: abc },
  {
    name: "close the last fd",
    before: { ...abc, 4: "c", 0: "b" },
    act: (h, k) => k.close(h.state.outer),
    after: undefined,
  },
];

function createInner(kernel: Kernel): number {
  return mapCreate(kernel, { mapType: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, maxEntries: 2 });
}

export function outerScenario(shape: OuterShape, op: OuterOp): Scenario<State> {
  return {
    name: `${shape.name}: ${op.name}`,
    setUp({ survivor }, victim) {
      const attr = survivor.alloc(BPF_ATTR_SIZE);
      const [a, b, c] = [createInner(survivor), createInner(survivor), createInner(survivor)] as const;
      const fdOf = { a, b, c };
      const ids = new Map<number, Name>();
      for (const name of IDS) {
        const info = mapGetInfoByFd(survivor, fdOf[name]);
        if (typeof info === "number") throw new Error(`Info gave ${info}`);
        ids.set(info.id, name);
      }
      const outer = mapCreateAt(survivor, attr, shape, a);
      const state: State = {
        attr,
        keys: survivor.alloc(KEYS * shape.keySize),
        values: survivor.alloc(8 * KEYS),
        outer,
        fds: { a, b },
        ids,
        open: new Set(),
        mapsBefore: 0,
        direct: undefined,
        ret: undefined,
      };
      const hands = new Hands(shape, state);
      for (const [key, name] of Object.entries(op.before)) {
        expect(hands.set(survivor, Number(key), fdOf[name])).toBe(0);
      }
      expect(survivor.close(c)).toBe(0);
      expect(hands.content(survivor)).toEqual(op.before);
      if (op.isDirect === true) state.direct = victim.direct(outer)!;
      return { ...state, open: openFds(survivor), mapsBefore: survivor.usage().maps };
    },
    act(victim, state) {
      state.ret = op.act(new Hands(shape, state), victim);
    },
    end({ ret, direct }) {
      if (op.wanted === "fd") expect(ret).toBeGreaterThanOrEqual(0);
      else expect(ret).toBe(op.wanted ?? 0);
      direct?.[Symbol.dispose]();
    },
    verify({ survivor }, state, died) {
      // What was created is empty, and goes.
      for (const fd of openFds(survivor)) if (!state.open.has(fd)) expect(survivor.close(fd)).toBe(0);
      const isThere = survivor.fdinfo(state.outer) !== undefined;
      if (op.after !== undefined) expect(isThere).toBe(true);
      else if (!died) expect(isThere).toBe(false);
      const hands = new Hands(shape, state);
      if (isThere) {
        const found = hands.content(survivor);
        const allowed = op.after === undefined ? [] : [op.after];
        if (died || op.after === undefined) allowed.push(op.before, ...(op.between ?? []));
        expect(allowed).toContainEqual(found);
        expectMaps(survivor, state, found, op);
        useFully(hands, survivor);
        expect(survivor.close(state.outer)).toBe(0);
      } else {
        expect(survivor.usage().maps).toBe(state.mapsBefore - 1 - (Object.values(op.before).includes("c") ? 1 : 0));
      }
      expect(survivor.check()).toEqual([]);
      for (const fd of Object.values(state.fds)) expect(survivor.close(fd)).toBe(0);
      for (const buffer of [state.attr, state.keys, state.values]) buffer[Symbol.dispose]();
    },
  };
}

/** The map that no fd holds is there if an elem holds it, and only then. */
function expectMaps(survivor: EmbeddedKernel, { mapsBefore }: State, found: Content, { before }: OuterOp): void {
  const hasC = (content: Content): number => (Object.values(content).includes("c") ? 1 : 0);
  expect(survivor.usage().maps).toBe(mapsBefore - hasC(before) + hasC(found));
}

/** All of the capacity is there. Leaves it full. */
function useFully(hands: Hands, survivor: EmbeddedKernel): void {
  for (let key = 0; key < KEYS; key++) expect([0, -ENOENT]).toContain(hands.delete(survivor, key));
  expect(hands.content(survivor)).toEqual({});
  for (let key = 0; key < KEYS; key++) expect(hands.set(survivor, key, hands.state.fds.a)).toBe(0);
  expect(hands.set(survivor, KEYS, hands.state.fds.a)).toBe(-E2BIG);
  expect(survivor.check()).toEqual([]);
}

export const opsFor = (shape: OuterShape): OuterOp[] => ops.filter(({ arraysNot }) => !(arraysNot && isArray(shape)));

/**
 * Operations on one elem to die in: each on a prepared map, through system calls and the short way. Whenever the thread dies, the
 * map must hold what it held before, or what the operation makes of it.
 */
import { expect } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import type { DirectMap } from "../../src/kernels/kernel.js";
import { BPF_EXIST, BPF_NOEXIST, E2BIG, EEXIST, EINVAL, ENOENT } from "../../src/uapi/index.js";
import {
  type Content,
  Hands,
  type Shape,
  added,
  difference,
  expectReturned,
  isHash,
  isLru,
  isPerCpu,
} from "./hands.js";
import { type Scenario, exhaust } from "./harness.js";

/** How the victim makes its call: bpf(2), the short way, or the short way with the key as an argument. */
export type Way = "bpf" | "direct" | "direct4";

export interface ElemOp {
  readonly op: "update" | "delete" | "add" | "lookup" | "nextKey" | "lookupBatch" | "take" | "takeBatch";
  /** The keys that the map has before, in the order in which they came. */
  readonly before: readonly number[];
  /** Those that went again. */
  readonly removed?: readonly number[];
  readonly key: number;
  readonly flags?: number;
  /** What the operation returns when nobody dies: 0 unless told. */
  readonly wanted?: number;
}

/** The ways in which an operation can be asked for. */
export function waysOf({ op }: ElemOp, { keySize }: Shape): Way[] {
  if (op === "nextKey" || op === "lookupBatch" || op === "take" || op === "takeBatch") return ["bpf"];
  const short: Way[] = keySize === 4 ? ["direct", "direct4"] : ["direct"];
  return op === "add" ? short : ["bpf", ...short];
}

const range = (n: number): number[] => [...Array(n).keys()];

/** All that can be done with a map of this shape, at a few places. */
export function opsOf(shape: Shape): ElemOp[] {
  const { maxEntries } = shape;
  const all = range(maxEntries);
  const some = [...new Set([0, 1, maxEntries >> 1, maxEntries - 1])];
  if (!isHash(shape)) {
    return [
      ...[0, maxEntries - 1].flatMap((key): ElemOp[] => [
        { op: "update", before: all, key },
        { op: "add", before: all, key },
      ]),
      { op: "update", before: all, key: 1, flags: BPF_NOEXIST, wanted: -EEXIST },
      { op: "update", before: all, key: maxEntries, wanted: -E2BIG },
      { op: "delete", before: all, key: 1, wanted: -EINVAL },
      { op: "add", before: all, key: maxEntries, wanted: -E2BIG },
      { op: "lookup", before: all, key: 1 },
      { op: "nextKey", before: all, key: 1 },
      { op: "lookupBatch", before: all, key: 0 },
    ];
  }
  const without = (key: number): number[] => all.filter((other) => other !== key);
  return [
    { op: "update", before: [], key: 0 },
    { op: "add", before: [], key: 0 },
    { op: "delete", before: [], key: 0, wanted: -ENOENT },
    { op: "delete", before: [0], key: 0 },
    ...some.flatMap((key): ElemOp[] => [
      // The last that fits.
      { op: "update", before: without(key), key },
      { op: "add", before: without(key), key },
      // Of a full map.
      { op: "delete", before: all, key },
      { op: "take", before: all, key },
      { op: "update", before: all, key },
      { op: "add", before: all, key },
    ]),
    { op: "update", before: all, key: 1, flags: BPF_EXIST },
    { op: "update", before: all, key: 1, flags: BPF_NOEXIST, wanted: -EEXIST },
    { op: "update", before: without(1), key: 1, flags: BPF_NOEXIST },
    { op: "update", before: without(1), key: 1, flags: BPF_EXIST, wanted: -ENOENT },
    // An LRU hash makes room.
    { op: "update", before: all, key: maxEntries, wanted: isLru(shape) ? 0 : -E2BIG },
    { op: "add", before: all, key: maxEntries, wanted: isLru(shape) ? 0 : -E2BIG },
    { op: "lookup", before: all, key: 1 },
    { op: "lookup", before: without(1), key: 1, wanted: -ENOENT },
    { op: "nextKey", before: all, key: 1 },
    { op: "lookupBatch", before: all, key: 0 },
    { op: "take", before: without(1), key: 1, wanted: -ENOENT },
    { op: "takeBatch", before: all, key: 0 },
  ];
}

/** Lines have at most so many cells. */
const MAX_CELLS = 8;

/** What can be done with a hash whose keys are all in one bucket: its lines come and go one after the other. */
export function opsOfCrowd({ maxEntries }: Shape): ElemOp[] {
  const ops: ElemOp[] = [];
  for (let n = 1; n <= maxEntries; n++) {
    const before = range(n);
    ops.push({ op: "update", before: range(n - 1), key: n - 1 }, { op: "delete", before, key: n - 1 });
    // Where there is room in the middle.
    ops.push({ op: "update", before, removed: [n >> 1], key: n >> 1 });
  }
  // The line in the middle, or the last one, goes: its elems are gone but for one.
  for (let cells = 2; cells <= MAX_CELLS; cells++) {
    for (let first = cells; first + cells <= maxEntries; first += cells) {
      ops.push({
        op: "delete",
        before: range(maxEntries),
        removed: range(cells - 1).map((i) => first + i),
        key: first + cells - 1,
      });
    }
  }
  return ops;
}

/**
 * What the map may hold besides when a thread died in an operation: an update of per-CPU values writes one after the other,
 * each of them whole.
 */
export function contentsBetween(hands: Hands, before: Content, { op, key }: ElemOp, value: Uint8Array): Content[] {
  const old = before.get(key);
  if (makesRoom(hands, before, op, key)) return withRoom(hands, before);
  if (!isPerCpu(hands.shape) || op !== "update" || old === undefined) return [];
  const slot = value.length / hands.cpus;
  return range(hands.cpus - 1).map((cpu) => {
    const mixed = value.slice();
    mixed.set(old.subarray((cpu + 1) * slot), (cpu + 1) * slot);
    return new Map(before).set(key, mixed);
  });
}

/** Whether an elem of a full LRU hash goes for this one. */
function makesRoom({ shape }: Hands, before: Content, op: string, key: number): boolean {
  return isLru(shape) && before.size === shape.maxEntries && !before.has(key) && (op === "update" || op === "add");
}

/** What may be left when one elem has gone: the oldest, or any. */
function withRoom({ shape }: Hands, before: Content): Content[] {
  const keys = [...before.keys()].slice(0, shape.exact === true ? 1 : before.size);
  return keys.map((gone) => new Map([...before].filter(([key]) => key !== gone)));
}

/** What the map may hold after an operation that ended. Of an add to per-CPU values: for each CPU that the thread may have had. */
export function contentsAfter(hands: Hands, before: Content, elemOp: ElemOp, value: Uint8Array): Content[] {
  const { op, key, wanted } = elemOp;
  if ((wanted ?? 0) !== 0) return [before];
  if (makesRoom(hands, before, op, key))
    return withRoom(hands, before).flatMap((left) => contentsAfter(hands, left, elemOp, value));
  const after = new Map(before);
  switch (op) {
    case "update":
      return [after.set(key, value)];
    case "takeBatch":
      return [new Map()];
    case "take":
    case "delete":
      after.delete(key);
      return [after];
    case "add": {
      const old = before.get(key) ?? new Uint8Array(value.length);
      const cpus = isPerCpu(hands.shape) ? hands.cpus : 1;
      return range(cpus).map((cpu) => new Map(before).set(key, added(hands.shape, old, value, cpu)));
    }
    default:
      return [before];
  }
}

interface State extends Call {
  readonly hands: Hands;
  readonly before: Content;
  readonly value: Uint8Array;
  returned: number | undefined;
}

export function nameOf(shape: Shape, { op, before, removed = [], key, flags }: ElemOp, way: Way): string {
  const less = removed.length === 0 ? "" : ` less ${removed.join()}`;
  const of = `${before.length} of ${shape.maxEntries} elems${less}`;
  const has = before.includes(key) && !removed.includes(key) ? "present" : "absent";
  return `${shape.name}, ${of}: ${op} of key ${key}, ${has}, flags ${flags ?? 0}, by ${way}`;
}

/** The victim's call, and what it gives back when it has lived through it. */
interface Call {
  readonly call: () => number;
  readonly end: () => void;
}

/** Binds the call that the victim makes. */
export function bindCall(victim: EmbeddedKernel, hands: Hands, way: Way, op: ElemOp, value: Uint8Array): Call {
  const { key, flags } = op;
  if (way === "bpf") {
    const call = {
      update: () => hands.update(victim, key, value, flags),
      delete: () => hands.remove(victim, key),
      lookup: () => errnoOf(hands.lookup(victim, key)),
      nextKey: () => errnoOf(hands.nextKey(victim, key)),
      lookupBatch: () => (hands.lookupBatch(victim), 0),
      take: () => hands.take(victim, key),
      takeBatch: () => (hands.takeBatch(victim), 0),
      add: undefined,
    }[op.op]!;
    return { call, end: () => {} };
  }
  const direct: DirectMap = victim.direct(hands.fd, { lanes: hands.shape.lanes })!;
  direct.key.bytes.set(hands.keyBytes(key));
  direct.value.bytes.set(value.subarray(0, direct.value.bytes.length));
  const short = way === "direct4";
  const call = {
    update: () => (short ? direct.updateElem4(key, flags ?? 0) : direct.updateElem(flags ?? 0)),
    delete: () => (short ? direct.deleteElem4(key) : direct.deleteElem()),
    add: () => (short ? direct.addElem4(key) : direct.addElem()),
    lookup: () => (short ? direct.lookupElem4(key) : direct.lookupElem()),
  }[op.op as "update" | "delete" | "add" | "lookup"];
  return { call, end: () => direct[Symbol.dispose]() };
}

const errnoOf = (result: Uint8Array | number): number => (typeof result === "number" && result < 0 ? result : 0);

export function elemScenario(shape: Shape, op: ElemOp, way: Way): Scenario<State> {
  return {
    name: nameOf(shape, op, way),
    setUp({ survivor }, victim) {
      const hands = new Hands(survivor, shape);
      const before = new Map(hands.putAll(op.before, 1));
      for (const key of op.removed ?? []) {
        expectReturned("A deletion", hands.remove(survivor, key), 0);
        before.delete(key);
      }
      const value = hands.value(op.key, 2);
      return { hands, before, value, ...bindCall(victim, hands, way, op, value), returned: undefined };
    },
    act(_, state) {
      state.returned = state.call();
    },
    end: ({ end }) => end(),
    verify(_, state, died) {
      verifyElems(state, op, died);
      state.hands.close();
    },
  };
}

function verifyElems({ hands, before, value, returned }: State, op: ElemOp, died: boolean): void {
  const found = hands.read(hands.shape.maxEntries + 2);
  const after = contentsAfter(hands, before, op, value);
  // A batch deletes one after the other: of those that are left each is whole.
  if (died && op.op === "takeBatch") {
    const left = new Map([...before].filter(([key]) => found.has(key)));
    const text = difference(found, left);
    if (text !== undefined) throw new Error(`What a batch has left is not what was there: ${text}`);
    hands.useFully(found);
    return;
  }
  const allowed = died ? [before, ...after, ...contentsBetween(hands, before, op, value)] : after;
  if (!died) expectReturned("The operation", returned!, op.wanted ?? 0);
  const differences = allowed.map((content) => difference(found, content));
  if (!differences.includes(undefined)) {
    throw new Error(`The map is not as before (${differences[0]}), nor as after (${differences.slice(1).join("; ")})`);
  }
  hands.useFully(found);
}

/** More scenarios that fail tell nothing new. */
const MAX_FAILURES = 5;

/** Runs operations in the ways that there are. Returns how many deaths there were; throws all that failed. */
export async function exhaustAll(
  shape: Shape,
  ops: readonly ElemOp[],
  waysOf: (op: ElemOp, shape: Shape) => Way[],
): Promise<number> {
  let deaths = 0;
  const failures: string[] = [];
  for (const op of ops) {
    for (const way of waysOf(op, shape)) {
      try {
        const died = await exhaust(elemScenario(shape, op, way));
        // What is refused by the short way, or finds nothing, may write nothing.
        if (way === "bpf" || op.wanted === undefined) expect(died, op.op).toBeGreaterThan(1);
        deaths += died;
      } catch (error) {
        failures.push((error as Error).message);
        if (failures.length === MAX_FAILURES) expect.fail(failures.join("\n"));
      }
    }
  }
  expect(failures.join("\n")).toBe("");
  return deaths;
}

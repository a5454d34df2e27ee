/**
 * A program's functions as graphs of basic blocks, in reverse postorder, with their dominators.
 */
import { type Insn, decodeInsns } from "../../../insn/insn.js";

/** A program's instructions, and where they are. */
export interface Listing {
  readonly insns: readonly Insn[];
  /** Slots by instruction. */
  readonly slots: readonly number[];
  /** Instructions by slot; -1 inside of lddw. */
  readonly indexes: Int32Array;
}

/** Lists instructions as they lie in memory. */
export function listingOf(bytes: Uint8Array): Listing {
  const insns = decodeInsns(bytes);
  const slots: number[] = [];
  const indexes = new Int32Array(bytes.length / 8).fill(-1);
  let slot = 0;
  for (const [i, { opcode }] of insns.entries()) {
    slots.push(slot);
    indexes[slot] = i;
    slot += opcode.slots;
  }
  return { insns, slots, indexes };
}

/** Where a jump leads that leads nowhere: it ends in a fault. */
export const NOWHERE = -1;

/** Instructions that run one after the other. */
export interface Block {
  /** Its first instruction, and the one behind its last. */
  readonly start: number;
  readonly end: number;
  /** Where its jump leads when it is taken, as a number in `blocks`; undefined if it has none. */
  readonly taken: number | undefined;
  /** What follows when it is not taken, or when there is none; undefined if nothing does. */
  readonly next: number | undefined;
}

/** A function's graph. Blocks are in reverse postorder: the first is where it begins. */
export interface Graph {
  readonly blocks: readonly Block[];
  /** By block: the nearest block that all ways to it lead through. The first is its own. */
  readonly idom: Int32Array;
  /** By block: how many edges come from blocks before it. */
  readonly forward: Int32Array;
  /** By block: whether an edge comes from itself or a later one. */
  readonly isHeader: Uint8Array;
  /** Whether each loop can be entered through its header only. */
  readonly isReducible: boolean;
}

/** The instruction that a jump leads to. */
export function jumpTarget({ insns, slots, indexes }: Listing, i: number): number {
  const { opcode, off, imm } = insns[i]!;
  const far = opcode.form === "jump" && opcode.op === "ja" && opcode.code === 0x06;
  return indexes[slots[i]! + opcode.slots + (far ? imm : off)] ?? NOWHERE;
}

/** The instruction that a local call or lddw's function begins with: in both, the distance counts from the slot behind the first. */
export function calleeOf({ insns, slots, indexes }: Listing, i: number): number {
  return indexes[slots[i]! + 1 + insns[i]!.imm] ?? NOWHERE;
}

const endsBlock = (form: string): boolean => form === "jump" || form === "exit";

/** The graph of the function that begins with an instruction. */
export function graphOf(listing: Listing, entry: number): Graph {
  const starts = startsOf(listing, entry);
  const raw = new Map<number, { end: number; taken: number | undefined; next: number | undefined }>();
  for (const start of starts) raw.set(start, blockAt(listing, starts, start));
  const order = reversePostorder(raw, entry);
  const numbers = new Map(order.map((start, n) => [start, n]));
  const numberOf = (start: number | undefined): number | undefined =>
    start === undefined ? undefined : numbers.get(start)!;
  const blocks = order.map((start): Block => {
    const { end, taken, next } = raw.get(start)!;
    return { start, end, taken: numberOf(taken), next: numberOf(next) };
  });
  return { blocks, ...dominatorsOf(blocks) };
}

/** Where blocks begin: at targets of jumps, and behind jumps, as far as the function can get. */
function startsOf(listing: Listing, entry: number): Set<number> {
  const { insns } = listing;
  const starts = new Set([entry]);
  const seen = new Uint8Array(insns.length);
  const todo = [entry];
  while (todo.length > 0) {
    for (let i = todo.pop()!; i !== NOWHERE && i < insns.length && seen[i] === 0; i++) {
      seen[i] = 1;
      const { form, op } = insns[i]!.opcode;
      if (!endsBlock(form)) continue;
      if (form === "jump") {
        for (const target of op === "ja" ? [jumpTarget(listing, i)] : [jumpTarget(listing, i), i + 1]) {
          starts.add(target < insns.length ? target : NOWHERE);
          todo.push(target);
        }
      }
      break;
    }
  }
  return starts;
}

function blockAt(
  listing: Listing,
  starts: ReadonlySet<number>,
  start: number,
): { end: number; taken: number | undefined; next: number | undefined } {
  const { insns } = listing;
  if (start === NOWHERE) return { end: NOWHERE, taken: undefined, next: undefined };
  const place = (i: number): number => (i < insns.length ? i : NOWHERE);
  for (let i = start; i < insns.length; i++) {
    const { form, op } = insns[i]!.opcode;
    if (form === "exit") return { end: i + 1, taken: undefined, next: undefined };
    if (form === "jump") {
      const taken = place(jumpTarget(listing, i));
      return { end: i + 1, taken, next: op === "ja" ? undefined : place(i + 1) };
    }
    if (starts.has(i + 1)) return { end: i + 1, taken: undefined, next: i + 1 };
  }
  // Falls off the end: what is reached is no instruction, and the block says so by an end behind the last.
  return { end: insns.length, taken: undefined, next: undefined };
}

function reversePostorder(
  blocks: ReadonlyMap<number, { taken: number | undefined; next: number | undefined }>,
  entry: number,
): number[] {
  const order: number[] = [];
  const seen = new Set([entry]);
  const stack: { start: number; rest: number[] }[] = [];
  const push = (start: number): void => {
    const { taken, next } = blocks.get(start)!;
    stack.push({ start, rest: [taken, next].filter((to) => to !== undefined).toReversed() });
  };
  push(entry);
  while (stack.length > 0) {
    const { start, rest } = stack.at(-1)!;
    const to = rest.pop();
    if (to === undefined) {
      order.push(start);
      stack.pop();
    } else if (!seen.has(to)) {
      seen.add(to);
      push(to);
    }
  }
  return order.toReversed();
}

/** As in Cooper, Harvey, Kennedy: "A Simple, Fast Dominance Algorithm". */
function dominatorsOf(blocks: readonly Block[]): Omit<Graph, "blocks"> {
  const n = blocks.length;
  const before: number[][] = Array.from({ length: n }, () => []);
  const forward = new Int32Array(n);
  const isHeader = new Uint8Array(n);
  for (const [from, { taken, next }] of blocks.entries()) {
    for (const to of [taken, next]) {
      if (to === undefined) continue;
      before[to]!.push(from);
      if (to > from) forward[to]!++;
      else isHeader[to] = 1;
    }
  }
  const idom = new Int32Array(n).fill(-1);
  idom[0] = 0;
  for (let changed = true; changed;) {
    changed = false;
    for (let b = 1; b < n; b++) {
      let best = -1;
      for (const p of before[b]!) {
        if (idom[p] === -1) continue;
        best = best === -1 ? p : meet(idom, p, best);
      }
      if (idom[b] !== best) {
        idom[b] = best;
        changed = true;
      }
    }
  }
  let isReducible = true;
  for (const [from, { taken, next }] of blocks.entries()) {
    for (const to of [taken, next]) {
      if (to !== undefined && to <= from && meet(idom, from, to) !== to) isReducible = false;
    }
  }
  return { idom, forward, isHeader, isReducible };
}

function meet(idom: Int32Array, a: number, b: number): number {
  let [x, y] = [a, b];
  while (x !== y) {
    while (x > y) x = idom[x]!;
    while (y > x) y = idom[y]!;
  }
  return x;
}

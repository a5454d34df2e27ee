/**
 * The job of tearing: writers set values whose words all derive from the key and one number, readers check every value.
 */
import { ArrayMap, type EmbeddedKernel, HashMap, PerCpuArray, PerCpuHashMap, bytes } from "tsbpf";
import { BPF_F_NO_PREALLOC, ENOENT } from "tsbpf/uapi";
import { RawMap } from "../raw_map.js";
import { forMs, randomFrom } from "./clock.js";

export const keys = 32;

/** Keys of a word and of many bytes; values of a word, and of some and many of them. */
export const shapes = [
  { keySize: 4, valueSize: 8 },
  { keySize: 8, valueSize: 16 },
  { keySize: 16, valueSize: 24 },
  { keySize: 5, valueSize: 100 },
  { keySize: 4, valueSize: 1000 },
];

/** Fills a key: its number, and bytes made of it. An array's has no more than the number. */
export function putKey(view: DataView, key: number): void {
  view.setUint32(0, key, true);
  for (let i = 4; i < view.byteLength; i++) view.setUint8(i, key * 7 + i);
}

/** The number of a key, which must be one that `putKey` made. */
function numberOf(view: DataView, how: string): number {
  const key = view.getUint32(0, true);
  if (key >= keys) throw new Error(`${how} gave key ${key}`);
  for (let i = 4; i < view.byteLength; i++) {
    if (view.getUint8(i) !== ((key * 7 + i) & 0xff)) throw new Error(`${how} gave key ${key}, torn at byte ${i}`);
  }
  return key;
}

/** Fills a value: the key's number, another number, and words made of both; then a byte of it for what is left. */
export function putValue(view: DataView, offset: number, size: number, key: number, n: number): void {
  view.setUint32(offset, key, true);
  view.setUint32(offset + 4, n, true);
  let word = Math.imul(n, 0x9e3779b1) ^ key;
  let i = 8;
  for (; i + 4 <= size; i += 4) {
    view.setInt32(offset + i, word, true);
    word = (word + 0x6d2b79f5) | 0;
  }
  for (; i < size; i++) view.setUint8(offset + i, n);
}

/** Throws unless the value is one that `putValue` made for the key. */
export function checkValue(view: DataView, offset: number, size: number, key: number, how: string): void {
  const n = view.getUint32(offset + 4, true);
  const wrong = (what: string): Error => new Error(`${how}, ${size} bytes, key ${key}, number ${n}: ${what}`);
  if (view.getUint32(offset, true) !== key) throw wrong(`the value is that of key ${view.getUint32(offset, true)}`);
  let word = Math.imul(n, 0x9e3779b1) ^ key;
  let i = 8;
  for (; i + 4 <= size; i += 4) {
    if (view.getInt32(offset + i, true) !== word) throw wrong(`torn at byte ${i}`);
    word = (word + 0x6d2b79f5) | 0;
  }
  for (; i < size; i++) if (view.getUint8(offset + i) !== (n & 0xff)) throw wrong(`torn at byte ${i}`);
}

/** A map of bytes, so that what was read comes as it was. */
interface Typed {
  readonly id: number;
  readonly fd: number;
  get(key: Uint8Array): unknown;
  entries(): Iterable<[Uint8Array, unknown]>;
  close(): void;
}

type Shape = (typeof shapes)[number];

const codecs = ({ keySize, valueSize }: Shape) => ({ key: bytes(keySize), value: bytes(valueSize), maxEntries: keys });

/** An array, by keys of bytes as others have them. */
function byBytes(array: ArrayMap<Uint8Array> | PerCpuArray<Uint8Array>): Typed {
  return {
    id: array.id,
    fd: array.fd,
    get: (key) => array.get(key[0]!),
    *entries() {
      for (const [index, value] of array.entries()) yield [Uint8Array.of(index, 0, 0, 0), value];
    },
    close: () => array.close(),
  };
}

/** How maps of each kind are made, and opened by their id. `keyed`: they have keys of any size, which come and go. */
export const kinds = {
  hash: {
    keyed: true,
    create: (kernel: EmbeddedKernel, shape: Shape): Typed => HashMap.create(kernel, codecs(shape)),
    open: (kernel: EmbeddedKernel, id: number, shape: Shape): Typed => HashMap.fromId(kernel, id, codecs(shape)),
  },
  "hash that is not preallocated": {
    keyed: true,
    create: (kernel: EmbeddedKernel, shape: Shape): Typed =>
      HashMap.create(kernel, { ...codecs(shape), mapFlags: BPF_F_NO_PREALLOC }),
    open: (kernel: EmbeddedKernel, id: number, shape: Shape): Typed => HashMap.fromId(kernel, id, codecs(shape)),
  },
  array: {
    keyed: false,
    create: (kernel: EmbeddedKernel, shape: Shape): Typed => byBytes(ArrayMap.create(kernel, codecs(shape))),
    open: (kernel: EmbeddedKernel, id: number, shape: Shape): Typed =>
      byBytes(ArrayMap.fromId(kernel, id, codecs(shape))),
  },
  "per-CPU hash": {
    keyed: true,
    create: (kernel: EmbeddedKernel, shape: Shape): Typed => PerCpuHashMap.create(kernel, codecs(shape)),
    open: (kernel: EmbeddedKernel, id: number, shape: Shape): Typed => PerCpuHashMap.fromId(kernel, id, codecs(shape)),
  },
  "per-CPU array": {
    keyed: false,
    create: (kernel: EmbeddedKernel, shape: Shape): Typed => byBytes(PerCpuArray.create(kernel, codecs(shape))),
    open: (kernel: EmbeddedKernel, id: number, shape: Shape): Typed =>
      byBytes(PerCpuArray.fromId(kernel, id, codecs(shape))),
  },
};

export type Kind = keyof typeof kinds;

/** Bytes of a value as system calls have it, and from one CPU's to the next; a map that is not per-CPU has one. */
export function valueLayout(kind: Kind, { valueSize }: Shape, possibleCpus: number): { all: number; slot: number } {
  if (!kind.startsWith("per-CPU")) return { all: valueSize, slot: valueSize };
  const slot = (valueSize + 7) & ~7;
  return { all: slot * possibleCpus, slot };
}

export interface TearArg {
  readonly kind: Kind;
  /** Of the maps of each of `shapes`. */
  readonly ids: readonly number[];
  readonly role: "write" | "read";
  readonly ms: number;
  readonly seed: number;
}

/** Writes, or reads and checks. Returns how many values. */
export function tear(kernel: EmbeddedKernel, { kind, ids, role, ms, seed }: TearArg): number {
  const random = randomFrom(seed);
  const works = shapes.map((shape, s) => {
    const work = role === "write" ? writer : reader;
    return work(kernel, kind, ids[s]!, shape, random);
  });
  let values = 0;
  for (const goOn = forMs(ms); goOn();) for (const { step } of works) values += step();
  for (const { close } of works) close();
  return values;
}

interface Work {
  /** Does a little; returns how many values it wrote or checked. */
  step(): number;
  close(): void;
}

/** Keys and values that a writer has ready: writing one is the call alone, so that as many as can be happen. */
const prepared = 12;

function writer(kernel: EmbeddedKernel, kind: Kind, id: number, shape: Shape, random: (below: number) => number): Work {
  const { keyed, open } = kinds[kind];
  const typed = open(kernel, id, shape);
  const { all, slot } = valueLayout(kind, shape, kernel.possibleCpus);
  const keySize = keyed ? shape.keySize : 4;
  const raws = Array.from({ length: prepared }, () => new RawMap(kernel, typed.fd, keySize, all));
  const refill = ({ key, value }: RawMap): void => {
    const number = random(keys);
    putKey(key, number);
    for (let at = 0; at < all; at += slot) putValue(value, at, shape.valueSize, number, random(2 ** 31));
  };
  for (const raw of raws) refill(raw);
  return {
    step() {
      for (let burst = 0; burst < 2 * prepared; burst++) {
        const raw = raws[burst % prepared]!;
        if (keyed && random(3) === 0) expectOneOf(raw.remove(), 0, -ENOENT);
        else expectOneOf(raw.update(), 0);
      }
      refill(raws[random(prepared)]!);
      return prepared;
    },
    close() {
      for (const raw of raws) raw[Symbol.dispose]();
      typed.close();
    },
  };
}

function reader(kernel: EmbeddedKernel, kind: Kind, id: number, shape: Shape, random: (below: number) => number): Work {
  const { keyed, open } = kinds[kind];
  const typed = open(kernel, id, shape);
  const { all, slot } = valueLayout(kind, shape, kernel.possibleCpus);
  const raw = new RawMap(kernel, typed.fd, keyed ? shape.keySize : 4, all);
  const keyBytes = new Uint8Array(raw.key.byteLength);
  let checked = 0;
  const check = (view: DataView, step: number, key: number, how: string): void => {
    for (let at = 0; at < view.byteLength; at += step) checkValue(view, at, shape.valueSize, key, how);
    checked++;
  };
  const checkTyped = (value: unknown, key: number, how: string): void => {
    // Bytes, or (per-CPU) a list of them.
    for (const part of value instanceof Uint8Array ? [value] : (value as Uint8Array[])) {
      check(viewOf(part), part.length, key, how);
    }
  };
  return {
    step() {
      checked = 0;
      for (let burst = 0; burst < 6; burst++) {
        const key = random(keys);
        putKey(raw.key, key);
        if (expectOneOf(raw.lookup(), 0, -ENOENT) === 0) check(raw.value, slot, key, "lookup");
        putKey(viewOf(keyBytes), key);
        const got = typed.get(keyBytes);
        if (got !== undefined) checkTyped(got, key, "get");
      }
      // The key that is found may be gone when it is looked up, but is never one that nobody wrote.
      if (expectOneOf(raw.nextKey(), 0, -ENOENT) === 0) {
        const next = numberOf(raw.next, "get_next_key");
        putKey(raw.key, next);
        if (expectOneOf(raw.lookup(), 0, -ENOENT) === 0) check(raw.value, slot, next, "lookup of the next key");
      }
      if (random(6) === 0) {
        for (const [key, value] of typed.entries()) checkTyped(value, numberOf(viewOf(key), "walk"), "walk");
      }
      return checked;
    },
    close() {
      raw[Symbol.dispose]();
      typed.close();
    },
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function expectOneOf(ret: number, ...wanted: number[]): number {
  if (!wanted.includes(ret)) throw new Error(`bpf() returned ${ret}: expected ${wanted.join(" or ")}`);
  return ret;
}

/** Gives all keys a value, so that those of arrays are none that nobody wrote. */
export function fillAll(kernel: EmbeddedKernel, kind: Kind, fd: number, shape: (typeof shapes)[number]): void {
  const { all, slot } = valueLayout(kind, shape, kernel.possibleCpus);
  using raw = new RawMap(kernel, fd, kinds[kind].keyed ? shape.keySize : 4, all);
  for (let key = 0; key < keys; key++) {
    putKey(raw.key, key);
    for (let at = 0; at < all; at += slot) putValue(raw.value, at, shape.valueSize, key, key);
    if (raw.update() !== 0) throw new Error(`Key ${key} cannot be set`);
  }
}

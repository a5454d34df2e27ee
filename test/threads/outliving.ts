/**
 * The jobs of outliving: makers fill maps, tell of them, and close them; others go on looking at them through fds that are closed and
 * are other maps' next, or hold them beyond their last fd. Memory is overwritten as soon as it is free: what is read from a map that
 * was freed shows.
 */
import { ArrayMap, BpfError, type EmbeddedKernel, HashMap, PerCpuArray, PerCpuHashMap, bytes, u32, u64 } from "tsbpf";
import {
  BPF_ATTR_MAP_BATCH_END,
  BPF_F_NO_PREALLOC,
  BPF_MAP_LOOKUP_BATCH,
  EBADF,
  ENOENT,
  ENOSPC,
  bpfAttr,
} from "tsbpf/uapi";
import { RawMap } from "../raw_map.js";
import { forMs, randomFrom } from "./clock.js";
import { expectOneOf } from "./tearing.js";

/** Elems of a map: keys 0 to elems - 1. */
const elems = 64;
const VALUE_BYTES = 32;
const codecs = { key: u32, value: bytes(VALUE_BYTES) };
// No fd is of anything but a map.
const options = {
  btf: false,
  ...codecs,
  maxEntries: elems,
};

/** A map of any type, on a kernel of one CPU. */
interface AnyMap {
  readonly id: number;
  readonly fd: number;
  get(key: number): unknown;
  set(key: number, value: never): boolean;
  keys(): Iterable<number>;
  close(): void;
}

/** Maps of all types. On a kernel of one CPU their values look the same to bpf(). */
const kinds: readonly {
  readonly isPerCpu: boolean;
  create(kernel: EmbeddedKernel): AnyMap;
  fromId(kernel: EmbeddedKernel, id: number): AnyMap;
}[] = [
  {
    isPerCpu: false,
    create: (kernel) => HashMap.create(kernel, options),
    fromId: (kernel, id) => HashMap.fromId(kernel, id, codecs),
  },
  {
    isPerCpu: false,
    create: (kernel) => HashMap.create(kernel, { ...options, mapFlags: BPF_F_NO_PREALLOC }),
    fromId: (kernel, id) => HashMap.fromId(kernel, id, codecs),
  },
  {
    isPerCpu: false,
    create: (kernel) => ArrayMap.create(kernel, options),
    fromId: (kernel, id) => ArrayMap.fromId(kernel, id, codecs),
  },
  {
    isPerCpu: true,
    create: (kernel) => PerCpuHashMap.create(kernel, options),
    fromId: (kernel, id) => PerCpuHashMap.fromId(kernel, id, codecs),
  },
  {
    isPerCpu: true,
    create: (kernel) => PerCpuArray.create(kernel, options),
    fromId: (kernel, id) => PerCpuArray.fromId(kernel, id, codecs),
  },
];

/** Words by which a maker tells of its map: a count that is odd while there is none, its fd, its id, its kind. */
export const NEWS_WORDS = 4;

export interface OutliveArg {
  /** A maker's news each. */
  readonly news: SharedArrayBuffer;
  readonly role: "make" | "look" | "hold";
  readonly index: number;
  readonly ms: number;
  readonly seed: number;
}

/** Returns how many maps were made; how many answers were right while a map was closed, or was not; how many maps were held. */
export function outlive(kernel: EmbeddedKernel, { news, role, index, ms, seed }: OutliveArg): number {
  const words = new Int32Array(news);
  const random = randomFrom(seed);
  if (role === "make") return make(kernel, words.subarray(index * NEWS_WORDS), forMs(ms), random);
  const pick = (): Int32Array => words.subarray(random(words.length / NEWS_WORDS) * NEWS_WORDS);
  return role === "look" ? look(kernel, pick, forMs(ms), random) : hold(kernel, pick, forMs(ms), random);
}

/** The value of a key in the map of this id: no other map and no other key has it. */
function fillValue(view: DataView, id: number, key: number): void {
  view.setUint32(0, id, true);
  view.setUint32(4, key, true);
  let word = Math.imul(id, 0x9e3779b1) ^ key;
  for (let at = 8; at < VALUE_BYTES; at += 4) {
    view.setInt32(at, word, true);
    word = (word + 0x6d2b79f5) | 0;
  }
}

const wanted = new DataView(new ArrayBuffer(VALUE_BYTES));

/** Whether a value is that of this key in the map of this id. */
function isValue(view: DataView, offset: number, id: number, key: number): boolean {
  fillValue(wanted, id, key);
  for (let at = 0; at < VALUE_BYTES; at += 4) {
    if (view.getInt32(offset + at, true) !== wanted.getInt32(at, true)) return false;
  }
  return true;
}

function textOf(view: DataView, offset: number): string {
  return Array.from({ length: VALUE_BYTES / 4 }, (_, i) => view.getUint32(offset + 4 * i, true).toString(16)).join(" ");
}

function make(
  kernel: EmbeddedKernel,
  news: Int32Array,
  goOn: () => boolean,
  random: (below: number) => number,
): number {
  const value = new Uint8Array(VALUE_BYTES);
  let made = 0;
  for (; goOn(); made++) {
    const kind = random(kinds.length);
    const map = kinds[kind]!.create(kernel);
    for (let key = 0; key < elems; key++) {
      fillValue(new DataView(value.buffer), map.id, key);
      map.set(key, (kinds[kind]!.isPerCpu ? [value] : value) as never);
    }
    Atomics.store(news, 1, map.fd);
    Atomics.store(news, 2, map.id);
    Atomics.store(news, 3, kind);
    Atomics.add(news, 0, 1);
    for (let pause = random(3000); pause > 0; pause--) Atomics.load(news, 0);
    Atomics.add(news, 0, 1);
    map.close();
    spoil(kernel);
  }
  return made;
}

const SPOILED = 0xeeee_eeee_eeee_eeeen;
/** Fills pages that the map may have had. Values of 8 bytes: an fd that leads here gives no more of it. */
function spoil(kernel: EmbeddedKernel): void {
  using map = ArrayMap.create(kernel, { value: u64, maxEntries: 2000, btf: false });
  for (let i = 0; i < 2000; i++) map.set(i, SPOILED);
}

/** Bytes where nothing was written. */
const UNTOUCHED = 0x55;

/** Looks through fds. What a map has that was open all the while is known; of another one it must be whole at least. */
function look(
  kernel: EmbeddedKernel,
  pick: () => Int32Array,
  goOn: () => boolean,
  random: (below: number) => number,
): number {
  using raw = new RawMap(kernel, -1, 4, VALUE_BYTES);
  const batch = new Batch(kernel);
  let answers = 0;
  while (goOn()) {
    const news = pick();
    const before = Atomics.load(news, 0);
    const fd = Atomics.load(news, 1);
    const id = Atomics.load(news, 2);
    const key = random(elems);
    raw.fd = fd;
    raw.key.setUint32(0, key, true);
    new Uint8Array(raw.value.buffer, raw.value.byteOffset, VALUE_BYTES).fill(UNTOUCHED);
    const what = random(4);
    const ret = what === 0 ? raw.nextKey() : what === 1 ? batch.lookup(fd) : raw.lookup();
    const wasOpen = before % 2 === 0 && Atomics.load(news, 0) === before;
    if (what === 0) {
      // A spoiled map has more elems.
      const next = ret === 0 ? raw.next.getUint32(0, true) : 0;
      expectOneOf(ret, 0, -ENOENT, ...(wasOpen ? [] : [-EBADF]));
      if (next >= (wasOpen ? elems : 2000)) throw new Error(`Key ${next} follows ${key} in map ${id}`);
    } else if (what === 1) {
      expectOneOf(ret, 0, -ENOENT, -ENOSPC, ...(wasOpen ? [] : [-EBADF]));
      if (ret !== -EBADF) batch.check(wasOpen ? id : undefined);
    } else {
      expectOneOf(ret, 0, ...(wasOpen ? [] : [-EBADF, -ENOENT]));
      if (ret === 0) checkFound(raw.value, wasOpen ? id : undefined, key);
    }
    answers++;
  }
  batch[Symbol.dispose]();
  return answers;
}

/** Throws unless a value is the key's, of the map of this id; or, where another map may have been asked, of any, or not set yet, or spoiled. */
function checkFound(value: DataView, id: number | undefined, key: number): void {
  if (isValue(value, 0, id ?? value.getUint32(0, true), key)) return;
  const isSet = Array.from({ length: VALUE_BYTES }, (_, i) => value.getUint8(i)).some((byte) => byte !== 0);
  const isSpoiled = value.getUint8(8) === UNTOUCHED && value.getUint8(VALUE_BYTES - 1) === UNTOUCHED;
  if (id !== undefined || (isSet && !isSpoiled)) throw new Error(`Map ${id}, key ${key} has ${textOf(value, 0)}`);
}

/** Elems that a batch has room for, and where its keys and values lie behind attr and the cursor. */
const BATCH = 32;
const CURSOR_OFF = 64;
const KEYS_OFF = 128;
const VALUES_OFF = KEYS_OFF + 4 * BATCH;

/** BPF_MAP_LOOKUP_BATCH from the first elem on. */
class Batch {
  readonly #buffer: ReturnType<EmbeddedKernel["alloc"]>;
  readonly #view: DataView;
  readonly #call: () => number;

  constructor(kernel: EmbeddedKernel) {
    const buffer = kernel.alloc(VALUES_OFF + VALUE_BYTES * BATCH);
    const { bytes, address } = buffer;
    this.#buffer = buffer;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const { out_batch, keys, values } = bpfAttr.batch;
    this.#view.setBigUint64(out_batch.off, BigInt(address + CURSOR_OFF), true);
    this.#view.setBigUint64(keys.off, BigInt(address + KEYS_OFF), true);
    this.#view.setBigUint64(values.off, BigInt(address + VALUES_OFF), true);
    this.#call = kernel.prepare(BPF_MAP_LOOKUP_BATCH, {
      ...buffer,
      bytes: bytes.subarray(0, BPF_ATTR_MAP_BATCH_END),
    });
  }

  lookup(fd: number): number {
    this.#view.setInt32(bpfAttr.batch.map_fd.off, fd, true);
    this.#view.setUint32(bpfAttr.batch.count.off, BATCH, true);
    this.#buffer.bytes.subarray(VALUES_OFF).fill(UNTOUCHED);
    return this.#call();
  }

  /** All elems are of one map: that of this id, if it is known. */
  check(known: number | undefined): void {
    const count = this.#view.getUint32(bpfAttr.batch.count.off, true);
    // Values of 8 bytes: it was a spoiled map, or one that is about to be.
    const isSpoiled = this.#view.getUint8(VALUES_OFF + 8 * BATCH) === UNTOUCHED && count === BATCH;
    if (known === undefined && isSpoiled) return;
    let id = known;
    for (let i = 0; i < count; i++) {
      const at = VALUES_OFF + VALUE_BYTES * i;
      const key = this.#view.getUint32(KEYS_OFF + 4 * i, true);
      const found = this.#view.getUint32(at, true);
      // An array that is being filled: its elems are set one after the other.
      if (known === undefined && found === 0) continue;
      id ??= found;
      if (!isValue(this.#view, at, id, key))
        throw new Error(`Map ${id}, elem ${i} of a batch: key ${key} has ${textOf(this.#view, at)}`);
    }
  }

  [Symbol.dispose](): void {
    this.#buffer[Symbol.dispose]();
  }
}

/** Opens maps by id, and uses them for longer than their makers do. */
function hold(
  kernel: EmbeddedKernel,
  pick: () => Int32Array,
  goOn: () => boolean,
  random: (below: number) => number,
): number {
  let held = 0;
  while (goOn()) {
    const news = pick();
    const before = Atomics.load(news, 0);
    const id = Atomics.load(news, 2);
    const kind = kinds[Atomics.load(news, 3)]!;
    if (before % 2 !== 0 || Atomics.load(news, 0) !== before) continue;
    const map = openById(kernel, kind, id);
    if (map === undefined) continue;
    for (let left = random(3) * elems; left > 0; left--) {
      const key = random(elems);
      const found = map.get(key) as Uint8Array | [Uint8Array] | undefined;
      const value = found instanceof Uint8Array ? found : found?.[0];
      const view = new DataView(value?.buffer ?? new ArrayBuffer(VALUE_BYTES), value?.byteOffset);
      if (!isValue(view, 0, id, key)) throw new Error(`Map ${id}, which is held, has ${textOf(view, 0)} for ${key}`);
      // An update of a large value takes memory, and gives some back.
      if (random(4) === 0) map.set(key, (kind.isPerCpu ? [value] : value) as never);
    }
    const keys = [...map.keys()];
    if (keys.length !== elems) throw new Error(`Map ${id}, which is held, has ${keys.length} of ${elems} keys`);
    map.close();
    held++;
  }
  return held;
}

function openById(kernel: EmbeddedKernel, kind: (typeof kinds)[number], id: number): AnyMap | undefined {
  try {
    return kind.fromId(kernel, id);
  } catch (error) {
    // Closed meanwhile. No other error will do: an id is never another map's.
    if (error instanceof BpfError && error.errno === -ENOENT) return undefined;
    throw error;
  }
}

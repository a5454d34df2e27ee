/**
 * The work of threads that are terminated, and of those that go on: each changes keys of its own in maps of all types, adds to
 * keys of all, creates, names and closes maps. What it is about to do and what it has done, it writes into a journal, which
 * outlives it.
 */
import {
  ArrayMap,
  ArrayOfMaps,
  type EmbeddedKernel,
  HashMap,
  HashOfMaps,
  type KernelHandle,
  PerCpuArray,
  type UserBuffer,
  bytes,
  u32,
  u64,
} from "tsbpf";
import { kinds as addingKinds, keys as hotKeys } from "./adding.js";
import { randomFrom } from "./clock.js";
import { CpusDiffer, kinds as losingKinds } from "./losing.js";

/** Keys of one thread in each map. */
export const ownKeys = 16;
/** From one thread's first key to the next one's, in hashes. */
const KEYS_APART = 100_000;

/** A map whose keys and values are numbers from 1 on: as losing.ts has them, and arrays. */
type Numbers = Pick<ReturnType<(typeof losingKinds)["hash"]["create"]>, "id" | "set" | "get" | "delete" | "close">;

interface OwnKind {
  readonly isArray: boolean;
  /** Whether each elem is a map. */
  readonly isOuter?: boolean;
  create(kernel: EmbeddedKernel, maxEntries: number): Numbers;
  open(kernel: EmbeddedKernel, id: number): Numbers;
}

/** An array as a map of numbers: zero is absent. */
function numbersOf<V>(
  map: { id: number; set(key: number, value: V): void; get(key: number): V | undefined; close(): void },
  toValue: (n: number) => V,
  toNumber: (value: V) => number,
): Numbers {
  return {
    id: map.id,
    set(key, value) {
      map.set(key, toValue(value));
      return true;
    },
    get: (key) => toNumber(map.get(key)!) || undefined,
    delete: () => false,
    close: () => map.close(),
  };
}

/** A number in each word of a value: one that is torn has two. */
function longValue(n: number, size: number): Uint8Array {
  return new Uint8Array(new Uint32Array(size / 4).fill(n).buffer);
}

function numberIn(value: Uint8Array): number {
  const words = new Uint32Array(value.slice().buffer);
  if (words.some((word) => word !== words[0])) throw new Error(`A value is torn: ${words.join()}`);
  return words[0]!;
}

const array = (value: number) => ({
  create: (kernel: EmbeddedKernel, maxEntries: number) =>
    numbersOf(ArrayMap.create(kernel, { value: bytes(value), maxEntries }), (n) => longValue(n, value), numberIn),
  open: (kernel: EmbeddedKernel, id: number) =>
    numbersOf(ArrayMap.fromId(kernel, id, { value: bytes(value) }), (n) => longValue(n, value), numberIn),
});

const perCpuNumbers = (map: PerCpuArray<bigint>): Numbers =>
  numbersOf(
    map,
    (n) => Array.from({ length: map.kernel.possibleCpus }, () => BigInt(n)) as never,
    (values) => {
      const all = [...(values as Iterable<bigint>)];
      if (all.some((value) => value !== all[0])) throw new CpusDiffer(all.map(Number));
      return Number(all[0]);
    },
  );

/** A hash of maps as a map of numbers: each in a map of its own. */
function numbersIn(outer: HashOfMaps<number, ArrayMap<number>>): Numbers & { count(): number } {
  return {
    id: outer.id,
    set(key, value, mode?: "create" | "replace") {
      using inner = newNumber(outer.kernel as EmbeddedKernel);
      inner.set(0, value);
      return outer.set(key, inner, mode === undefined ? {} : { mode });
    },
    get(key) {
      using inner = outer.get(key);
      return inner?.get(0);
    },
    delete: (key) => outer.delete(key),
    count: () => outer.count(),
    close: () => outer.close(),
  };
}

const newNumber = (kernel: EmbeddedKernel): ArrayMap<number> => ArrayMap.create(kernel, { value: u32, maxEntries: 1 });

/** The maps in which each thread has keys of its own. */
export const ownKinds: readonly (readonly [string, OwnKind])[] = [
  ...Object.entries(losingKinds).map(([name, kind]) => [name, { ...kind, isArray: false }] as const),
  [
    "hash of maps",
    {
      isArray: false,
      isOuter: true,
      create: (kernel, maxEntries) =>
        numbersIn(HashOfMaps.create(kernel, { key: u32, maxEntries, inner: () => newNumber(kernel) })),
      open: (kernel, id) =>
        numbersIn(
          HashOfMaps.fromId(kernel, id, { key: u32, openInner: (of) => ArrayMap.fromId(kernel, of, { value: u32 }) }),
        ),
    },
  ],
  [
    "array of u64",
    {
      isArray: true,
      create: (kernel, maxEntries) => numbersOf(ArrayMap.create(kernel, { value: u64, maxEntries }), BigInt, Number),
      open: (kernel, id) => numbersOf(ArrayMap.fromId(kernel, id, { value: u64 }), BigInt, Number),
    },
  ],
  ["array of 12 bytes", { isArray: true, ...array(12) }],
  ["array of 5,000 bytes", { isArray: true, ...array(5000) }],
  [
    "per-CPU array of u64",
    {
      isArray: true,
      create: (kernel, maxEntries) => perCpuNumbers(PerCpuArray.create(kernel, { value: u64, maxEntries })),
      open: (kernel, id) => perCpuNumbers(PerCpuArray.fromId(kernel, id, { value: u64 })),
    },
  ],
];

/** A thread's key number i in a map of this kind. */
export function keyOf({ isArray }: OwnKind, owner: number, i: number): number {
  return isArray ? owner * ownKeys + i : owner * KEYS_APART + i;
}

/** The maps to whose keys all threads add. */
export const hotKinds = Object.entries(addingKinds);

/** What a thread adds to a hot key for the nth time, from 1 on: so that the times tell the total. */
const deltaOf = (nth: number): number => 1 + ((nth * 7919) % 1000);

/** How often something was added, and how much in all. */
export interface Sum {
  readonly times: number;
  readonly total: number;
}

/**
 * What a thread was about to do, and has done: words in memory that outlives it; the next thread in its place goes on with
 * them.
 *
 * For each of its own keys: the value that it is about to write (0 for none), and the one that is written. For each hot key: how
 * often it was about to add, and has added. A word each, so that there is no state between.
 */
export class Journal {
  static readonly #hotAt: number = 2 * ownKinds.length * ownKeys;
  static readonly bytes: number = 4 * (Journal.#hotAt + 2 * hotKinds.length * hotKeys);
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Of an own key: `[intended, done]`. */
  own(kind: number, i: number): Entry {
    return new Entry(this.#words, 2 * (kind * ownKeys + i));
  }

  /** Of a hot key: `[times begun, times done]`. */
  hot(kind: number, key: number): Entry {
    return new Entry(this.#words, Journal.#hotAt + 2 * (kind * hotKeys + key));
  }
}

/** Two words of a journal: what is intended, and what is done. */
export class Entry {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  get intended(): number {
    return Atomics.load(this.#words, this.#at);
  }

  get done(): number {
    return Atomics.load(this.#words, this.#at + 1);
  }

  intend(value: number): void {
    Atomics.store(this.#words, this.#at, value);
  }

  complete(value: number): void {
    Atomics.store(this.#words, this.#at + 1, value);
  }
}

/** The sum of what was added from one time on up to another. */
export function sumBetween(after: number, upTo: number): Sum {
  let total = 0;
  for (let nth = after + 1; nth <= upTo; nth++) total += deltaOf(nth);
  return { times: upTo - after, total };
}

/** What a worker is started with. */
export interface Orders {
  readonly handle: KernelHandle;
  /** The maps of ownKinds and of hotKinds. */
  readonly ownIds: readonly number[];
  readonly hotIds: readonly number[];
  readonly journal: SharedArrayBuffer;
  /** The number of its place. */
  readonly owner: number;
  readonly seed: number;
  /** Of a thread that goes on: where it is told to pause or to stop. */
  readonly control?: SharedArrayBuffer;
  /** Of a thread that ends by itself: how. */
  readonly ending?: Ending;
}

export type Ending = "exit" | "throw" | "throw in a callback" | "run out of memory";

/** Words of `control`: the command, and how many have come to rest. */
export const COMMAND = 0;
export const RESTING = 1;
export const GO_ON = 0;
export const REST = 1;
export const STOP = 2;

/** Where a thread's maps have their names. */
export const nameOf = (owner: number): string => `/sys/fs/bpf/of_${owner}`;
/** A directory that comes and goes, with one name in it. */
export const directoryOf = (owner: number): string => `/sys/fs/bpf/directory_of_${owner}`;

/** A map that is worked with, and its kind's number. */
interface OpenOwn {
  readonly kind: number;
  readonly map: Numbers;
}

interface OpenHot {
  readonly kind: number;
  readonly map: ReturnType<(typeof hotKinds)[number][1]["open"]>;
}

/** A thread at work: `step` does one thing, chosen at random. */
class Work {
  readonly #kernel: EmbeddedKernel;
  readonly #journal: Journal;
  readonly #owner: number;
  readonly #random: (below: number) => number;
  readonly #own: OpenOwn[] = [];
  readonly #hot: OpenHot[] = [];
  readonly #buffers: UserBuffer[] = [];

  /** @param share Of the maps, one in how many is worked with. */
  constructor(kernel: EmbeddedKernel, { journal, owner, seed, ownIds, hotIds }: Orders, share: number) {
    this.#kernel = kernel;
    this.#journal = new Journal(journal);
    this.#owner = owner;
    this.#random = randomFrom(seed);
    const isMine = (): boolean => this.#random(share) === 0;
    ownIds.forEach((id, kind) => {
      if (isMine()) this.#own.push({ kind, map: ownKinds[kind]![1].open(kernel, id) });
    });
    hotIds.forEach((id, kind) => {
      if (isMine()) this.#hot.push({ kind, map: hotKinds[kind]![1].open(kernel, id) });
    });
  }

  step(): void {
    const what = this.#random(40);
    if (what < 22 && this.#own.length > 0) this.#useOwn(this.#own[this.#random(this.#own.length)]!);
    else if (what < 32 && this.#hot.length > 0) this.#add(this.#hot[this.#random(this.#hot.length)]!);
    else if (what < 34) this.#createAndClose();
    else if (what < 35) this.#nest();
    else if (what < 37) this.#nameAndOpen();
    else if (what < 39) this.#allocate();
    else this.#kernel.usage();
  }

  #useOwn({ kind, map }: OpenOwn): void {
    const [name, ownKind] = ownKinds[kind]!;
    const i = this.#random(ownKeys);
    const key = keyOf(ownKind, this.#owner, i);
    const entry = this.#journal.own(kind, i);
    const had = entry.done;
    const value = 1 + this.#random(2 ** 30);
    const expectSame = (what: string, found: number | boolean, wanted: number | boolean): void => {
      if (found !== wanted) throw new Error(`${name}: ${what} of key ${key} gave ${found}: expected ${wanted}`);
    };
    switch (this.#random(6)) {
      case 0:
      case 1:
      case 2: {
        const mode = [undefined, "create", "replace"][ownKind.isArray ? 0 : this.#random(3)] as "create" | undefined;
        const sets = mode === undefined || (mode === "create") === (had === 0);
        if (sets) entry.intend(value);
        expectSame(`set (${mode})`, map.set(key, value, mode), sets);
        if (sets) entry.complete(value);
        break;
      }
      case 3:
        if (ownKind.isArray) break;
        entry.intend(0);
        expectSame("delete", map.delete(key), had !== 0);
        entry.complete(0);
        break;
      default:
        expectSame("get", map.get(key) ?? 0, had);
    }
  }

  #add({ kind, map }: OpenHot): void {
    const key = this.#random(hotKeys);
    const entry = this.#journal.hot(kind, key);
    const nth = entry.done + 1;
    entry.intend(nth);
    map.add(key, deltaOf(nth));
    entry.complete(nth);
  }

  #createAndClose(): void {
    const [name, kind] = ownKinds[this.#random(ownKinds.length)]!;
    const size = 1 + this.#random(40);
    const map = kind.create(this.#kernel, size);
    for (let key = 0; key < size; key++) map.set(key, key + 1);
    for (let key = 0; key < size; key++) {
      if (map.get(key) !== key + 1) throw new Error(`${name}: key ${key} has ${map.get(key)}`);
    }
    if (!kind.isArray) map.delete(0);
    map.close();
  }

  /** A map of maps of its own: inner maps come, are exchanged, and go. */
  #nest(): void {
    const codecs = { key: u32, value: u64 };
    const newInner = (n: number): HashMap<number, bigint> => {
      const inner = HashMap.create(this.#kernel, { ...codecs, maxEntries: 4 });
      inner.set(n, BigInt(n));
      return inner;
    };
    const options = { maxEntries: 6, inner: () => newInner(0) };
    const isHash = this.#random(2) === 0;
    const outer = isHash
      ? HashOfMaps.create(this.#kernel, { key: u32, ...options })
      : ArrayOfMaps.create(this.#kernel, options);
    for (let n = 1; n < 12; n++) {
      const inner = newInner(n);
      outer.set(n % 6, inner);
      inner.close();
      if (this.#random(3) === 0) outer.delete(this.#random(6));
    }
    outer.forEach((inner, key) => {
      const found = [...inner.keys()];
      if (found.length !== 1 || found[0]! % 6 !== key) throw new Error(`Key ${key} holds a map of ${found.join()}`);
    });
    outer.close();
  }

  #nameAndOpen(): void {
    const codecs = { key: u32, value: u64 };
    const map = HashMap.create(this.#kernel, { ...codecs, maxEntries: 4 });
    map.set(1, 1n);
    const path = nameOf(this.#owner);
    const directory = directoryOf(this.#owner);
    this.#mustBeDone("mkdir", this.#kernel.mkdir(directory));
    map.pin(`${directory}/name`);
    const other = HashMap.create(this.#kernel, { ...codecs, maxEntries: 4 });
    other.pin(path);
    other.close();
    this.#mustBeDone("rename", this.#kernel.rename(`${directory}/name`, path));
    map.close();
    const again = HashMap.open(this.#kernel, path, codecs);
    if (again.get(1) !== 1n) throw new Error(`A map that was opened by its name has ${again.get(1)}`);
    this.#mustBeDone("unlink", this.#kernel.unlink(path));
    this.#mustBeDone("rmdir", this.#kernel.rmdir(directory));
    again.close();
  }

  #mustBeDone(what: string, ret: number): void {
    if (ret !== 0) throw new Error(`${what} of thread ${this.#owner} returned ${ret}`);
  }

  #allocate(): void {
    if (this.#buffers.length === 4) this.#buffers.splice(this.#random(4), 1)[0]![Symbol.dispose]();
    const buffer = this.#kernel.alloc(1 + this.#random(40_000));
    buffer.bytes.fill(this.#owner);
    this.#buffers.push(buffer);
  }

  /** Gives back what it has between two steps. */
  rest(): void {
    for (const buffer of this.#buffers.splice(0)) buffer[Symbol.dispose]();
  }

  close(): void {
    this.rest();
    for (const { map } of [...this.#own, ...this.#hot]) map.close();
  }
}

/** Goes on until it is told to stop; rests when told. */
export function goOn(kernel: EmbeddedKernel, orders: Orders): void {
  const work = new Work(kernel, orders, 1);
  const control = new Int32Array(orders.control!);
  const restWhileTold = (): void => {
    work.rest();
    Atomics.add(control, RESTING, 1);
    while (Atomics.load(control, COMMAND) === REST) Atomics.wait(control, COMMAND, REST);
    Atomics.sub(control, RESTING, 1);
  };
  restWhileTold();
  for (let steps = 1; ; steps++) {
    const command = Atomics.load(control, COMMAND);
    if (command === STOP) break;
    if (command === REST) restWhileTold();
    work.step();
    // Victims need some time of the processors too, or none would get far.
    if (steps % 500 === 0) Atomics.wait(control, COMMAND, GO_ON, 1);
  }
  work.close();
}

/** Works until it is terminated, or ends as it was told. Does not return. */
export function goOnUntilTheEnd(kernel: EmbeddedKernel, orders: Orders): never {
  const work = new Work(kernel, orders, 3);
  const { ending, seed } = orders;
  const hoard: unknown[] = [];
  for (let stepsLeft = randomFrom(seed + 1)(400); ; stepsLeft--) {
    work.step();
    if (ending === "run out of memory") hoard.push(Array.from({ length: 20_000 }, () => ({ stepsLeft })));
    else if (ending !== undefined && stepsLeft <= 0) end(kernel, orders, ending);
  }
}

function end(kernel: EmbeddedKernel, { ownIds }: Orders, ending: "exit" | "throw" | "throw in a callback"): void {
  if (ending === "exit") process.exit(1);
  if (ending === "throw") throw new Error("The end of a worker");
  const value = {
    ...u32,
    write() {
      throw new Error("The end of a worker, in a callback");
    },
  };
  HashMap.fromId(kernel, ownIds[0]!, { key: u32, value }).set(1, 1);
}

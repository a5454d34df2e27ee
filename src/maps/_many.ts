/**
 * Many: operations on lists of keys. The keys, and values, travel in a chunk of memory that the kernel can read, as many at a
 * time as there is room for; a list that does not fit is encoded on JavaScript's heap first, so that nothing is half done
 * when one of its keys or values is refused.
 */
import type { Codec } from "../codec/codec.js";
import { type Access, type Chunk, align8, refusalOf } from "./_access.js";
import { Column } from "./_column.js";
import type { MapFd } from "./_map_fd.js";

/** Keys in a chunk: enough that the call does not count, while keys and values stay in the nearest cache. */
const MOST_KEYS = 1024;
const MOST_BYTES = 64 * 1024;

/** How far an operation came before it failed. */
export interface SomeDone extends Readonly<Record<string, unknown>> {
  /** The key that failed, in the list. */
  readonly index: number;
  /** How many keys before it were set, or deleted. */
  readonly done: number;
  /** The list's length. */
  readonly of: number;
}

/** Makes the exception for a key. */
type Failure<K> = (key: K, ret: number, about: SomeDone) => Error;

/** Keys and values, encoded. */
interface Columns<K, V> {
  readonly bytes: Uint8Array;
  readonly valuesOff: number;
  readonly keys: Column<K>;
  readonly values: Column<V>;
}

/** A map's operations on many keys. */
export class Many<K, V> {
  readonly #mapFd: MapFd;
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;
  /** Asked for each call: a getter of the user's may have closed the map. */
  readonly #access: () => Access;
  readonly #keyStep: number;
  readonly #valueStep: number;
  /** Keys in a chunk. */
  readonly #room: number;
  /** Kept from one operation to the next. Codecs and getters may be the user's: one that comes back here finds none. */
  #chunk: (Chunk & Columns<K, V>) | undefined;

  /** @param value As system calls have it: of a per-CPU map, all slots. */
  constructor(mapFd: MapFd, key: Codec<K>, value: Codec<V>, access: () => Access) {
    this.#mapFd = mapFd;
    this.#access = access;
    this.#key = key;
    this.#value = value;
    this.#keyStep = align8(key.size);
    this.#valueStep = align8(value.size);
    this.#room = Math.max(1, Math.min(MOST_KEYS, Math.floor(MOST_BYTES / (this.#keyStep + this.#valueStep))));
  }

  get(keys: Iterable<K> | readonly K[], failure: (key: K, ret: number) => Error): (V | undefined)[] {
    const list = listOf("keys", keys);
    // oxlint-disable-next-line unicorn/no-new-array -- a list that grows takes three times as long to fill (measured)
    const found = new Array<V | undefined>(list.length);
    if (list.length === 0) return found;
    this.#withChunk((chunk) => {
      const { keys, values, rets } = chunk;
      for (let from = 0; from < list.length; from += this.#room) {
        const n = Math.min(this.#room, list.length - from);
        keys.writeAll(list, from, n, "keys");
        const done = this.#access().lookupMany(chunk, n);
        if (done < n) throw failure(list[from + done]!, rets[done]!);
        values.readAll(rets, n, found, from);
      }
    });
    return found;
  }

  set(entries: Iterable<readonly [K, V]>, flags: number, failure: Failure<K>): number {
    const list = listOf("entries", entries);
    return this.#apply(
      list.length,
      (columns) => this.#writeEntries(columns, list),
      (chunk, n) => this.#access().updateMany(chunk, n, flags),
      refusalOf(flags) !== 0,
      (index, ret, about) => failure(list[index]![0], ret, about),
    );
  }

  remove(keys: Iterable<K> | readonly K[], failure: Failure<K>): number {
    const list = listOf("keys", keys);
    return this.#apply(
      list.length,
      ({ keys }) => keys.writeAll(list, 0, list.length, "keys"),
      (chunk, n) => this.#access().removeMany(chunk, n),
      true,
      (index, ret, about) => failure(list[index]!, ret, about),
    );
  }

  /** Gives the chunk back to the kernel: with the map. */
  close(): void {
    this.#chunk?.buffer[Symbol.dispose]();
    this.#chunk = undefined;
  }

  /**
   * Encodes a list as a whole, then calls for chunk after chunk.
   *
   * @param mayPass Whether keys may be passed over without a failure.
   * @returns How many keys were not.
   */
  #apply(
    length: number,
    encode: (columns: Columns<K, V>) => void,
    call: (chunk: Chunk, n: number) => number,
    mayPass: boolean,
    failure: (index: number, ret: number, about: SomeDone) => Error,
  ): number {
    if (length === 0) return 0;
    let hits = 0;
    this.#withChunk((chunk) => {
      const whole = length <= this.#room ? chunk : this.#columnsOn(new Uint8Array(this.#bytesOf(length)), length);
      encode(whole);
      for (let from = 0; from < length; from += this.#room) {
        const n = Math.min(this.#room, length - from);
        if (whole !== chunk) this.#copy(whole, from, chunk, n);
        const done = call(chunk, n);
        hits += mayPass ? zeroes(chunk.rets, done) : done;
        if (done < n) {
          const index = from + done;
          throw failure(index, chunk.rets[done]!, { index, done: hits, of: length });
        }
      }
    });
    return hits;
  }

  #writeEntries({ keys, values }: Columns<K, V>, list: readonly (readonly [K, V])[]): void {
    let i = 0;
    try {
      for (; i < list.length; i++) {
        const entry = list[i]!;
        keys.write(i, entry[0], "key");
        values.write(i, entry[1], "value");
      }
    } catch (error) {
      const entry: unknown = list[i];
      if (typeof entry !== "object" || entry === null) {
        throw new TypeError(`entries[${i}]: wanted a key and a value in a list of two, found ${String(entry)}`, {
          cause: error,
        });
      }
      this.#key.check(list[i]![0], `entries[${i}][0]`);
      this.#value.check(list[i]![1], `entries[${i}][1]`);
      throw error;
    }
  }

  #bytesOf(n: number): number {
    return n * (this.#keyStep + this.#valueStep);
  }

  #columnsOn(bytes: Uint8Array, n: number): Columns<K, V> {
    const valuesOff = n * this.#keyStep;
    return {
      bytes,
      valuesOff,
      keys: new Column(this.#key, bytes, 0, this.#keyStep),
      values: new Column(this.#value, bytes, valuesOff, this.#valueStep),
    };
  }

  #copy(whole: Columns<K, V>, from: number, chunk: Columns<K, V>, n: number): void {
    const keys = whole.bytes.subarray(from * this.#keyStep, (from + n) * this.#keyStep);
    const valuesFrom = whole.valuesOff + from * this.#valueStep;
    chunk.bytes.set(keys);
    chunk.bytes.set(whole.bytes.subarray(valuesFrom, valuesFrom + n * this.#valueStep), chunk.valuesOff);
  }

  #withChunk(run: (chunk: Chunk & Columns<K, V>) => void): void {
    const chunk = this.#chunk ?? this.#openChunk();
    this.#chunk = undefined;
    try {
      run(chunk);
    } finally {
      if (this.#chunk === undefined && this.#mapFd.isOpen) this.#chunk = chunk;
      else chunk.buffer[Symbol.dispose]();
    }
  }

  #openChunk(): Chunk & Columns<K, V> {
    const retsOff = this.#bytesOf(this.#room);
    const buffer = this.#mapFd.kernel.alloc(retsOff + 4 * this.#room);
    const { bytes } = buffer;
    const columns = this.#columnsOn(bytes, this.#room);
    const rets = new Int32Array(bytes.buffer, bytes.byteOffset + retsOff, this.#room);
    return { ...columns, buffer, keysOff: 0, retsOff, rets };
  }
}

/** @throws {TypeError} for what is no list */
function listOf<T>(what: string, values: Iterable<T> | readonly T[]): readonly T[] {
  if (Array.isArray(values)) return values as readonly T[];
  if (typeof (values as Partial<Iterable<T>> | undefined)?.[Symbol.iterator] !== "function")
    throw new TypeError(
      `${what}: wanted a list or another iterable, found ${values === null ? "null" : typeof values}`,
    );
  return Array.from(values);
}

function zeroes(rets: Int32Array, n: number): number {
  let count = 0;
  for (let i = 0; i < n; i++) if (rets[i] === 0) count++;
  return count;
}

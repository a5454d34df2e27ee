/**
 * What the maps of keys and values have in common: elems by key, walks, the map's life.
 *
 * An operation writes the key in place, calls, and reads the value in place: no allocation but for the value read.
 */
import {
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  BPF_NOEXIST,
} from "../uapi/bpf.js";
import { EBADF, EEXIST, ENOENT, EOPNOTSUPP, EPERM } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import { u32 } from "../codec/number.js";
import { type Access, type ElemShape, closedAccess, openAccess, openSyscalls } from "./_access.js";
import { Column } from "./_column.js";
import { Many, type SomeDone } from "./_many.js";
import type { FailureAbout, MapFd } from "./_map_fd.js";
import { openMapped } from "./_mapped_array.js";
import { wordView } from "../codec/_words.js";
import { type Straight, straightFor } from "./_straight.js";
import { TakeCall } from "./_take.js";
import { TypedMap } from "./_typed_map.js";
import { BatchWalk, ENTRIES, KEYS, VALUES, type Walk, WalkBuffer } from "./_walk.js";

/** How `set` treats a key that is or is not there: BPF_NOEXIST, BPF_EXIST. */
export interface SetOptions {
  /** "create": only if the key is not there. "replace": only if it is. */
  readonly mode?: "create" | "replace";
  /** Writes under the lock that the value has (`spinLock`): BPF_F_LOCK. */
  readonly lock?: boolean;
}

/** How `get` reads. */
export interface GetOptions {
  /** Reads under the lock that the value has (`spinLock`): BPF_F_LOCK. */
  readonly lock?: boolean;
}

/** How keys travel: written in place, or as arguments. Hashes and arrays have call sites of their own: see `#lookup`. */
const IN_PLACE = 0;
const AS_KEY = 1;
const AS_INDEX = 2;

/** A map of keys and values, behind HashMap, ArrayMap and their per-CPU kinds. */
export class KeyedMap<K, V> extends TypedMap {
  readonly key: Codec<K>;
  readonly value: Codec<V>;
  readonly #shape: ElemShape;
  #access: Access;
  #straight: Straight<K, V> | undefined;
  readonly #way: typeof IN_PLACE | typeof AS_KEY | typeof AS_INDEX;
  #keyView: DataView;
  #valueAt: Column<V>;
  /** What `add` adds: of a per-CPU map, one CPU's value. */
  readonly #delta: Codec<unknown>;
  #deltaAt: Column<unknown>;
  /** Whether `add` can be: a codec works its lanes out each time it is asked. */
  readonly #hasLanes: boolean;
  readonly #walks: WalkBuffer<K, V>;
  readonly #many: Many<K, V>;
  /** Made when it is first needed. */
  #take: TakeCall<K, V> | undefined;

  /**
   * @param slot Of a per-CPU map, the codec of one CPU's value.
   * @param isMapped Of an array, whether to reach its elems by a mapping where there is no shorter way.
   */
  protected constructor(mapFd: MapFd, key: Codec<K>, value: Codec<V>, slot?: Codec<unknown>, isMapped = false) {
    super(mapFd);
    this.key = key;
    this.value = value;
    this.#way = (key as Codec<unknown>) !== u32 ? IN_PLACE : isArray(mapFd.info.type) ? AS_INDEX : AS_KEY;
    this.#delta = slot ?? value;
    const { lanes } = this.#delta;
    this.#hasLanes = lanes !== undefined;
    this.#shape = {
      keySize: key.size,
      valueSize: value.size,
      isPerCpu: slot !== undefined,
      maxEntries: mapFd.info.maxEntries,
      lanes,
    };
    try {
      this.#access = openAccess(mapFd.kernel, mapFd.fd, this.#shape, isMapped ? openMapped : openSyscalls);
    } catch (error) {
      mapFd.close();
      throw error;
    }
    this.#straight = slot === undefined ? straightFor(this.#access, key, value, this.#lookupFailure) : undefined;
    this.#keyView = wordView(this.#access.key);
    this.#valueAt = new Column(value, this.#access.value);
    this.#deltaAt = slot === undefined ? this.#valueAt : new Column(slot, this.#access.value);
    this.#walks = new WalkBuffer(mapFd, key, value);
    this.#many = new Many(mapFd, key, value, () => this.#access);
  }

  override get codecs(): object {
    return { key: this.key, value: this.#delta };
  }

  /**
   * Returns the value of a key.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM.
   *
   * @returns The value, or `undefined` when the key is not there (ENOENT).
   * @throws {TypeError | RangeError} for a key that the codec does not take
   * @throws {BpfError} EPERM when the fd is write-only; EINVAL when it is to lock and values have no lock; EBADF when the map is
   * closed
   */
  get(key: K, options?: GetOptions): V | undefined {
    const isLocked = options?.lock === true;
    const straight = this.#straight;
    if (straight !== undefined && !isLocked) return straight.get(key);
    const ret = isLocked ? this.#lookupLocked(key) : this.#lookup(key);
    if (ret === 0) return this.#valueAt.read(0);
    if (ret === -ENOENT) return undefined;
    throw this.#lookupFailure(key, ret);
  }

  /** Whether the key is there. */
  has(key: K): boolean {
    const ret = this.#lookup(key);
    if (ret === 0) return true;
    if (ret === -ENOENT) return false;
    throw this.#lookupFailure(key, ret);
  }

  /**
   * Sets the value of a key.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @returns `false` when the mode refused it: "create" and the key is there, "replace" and it is not; else `true`.
   * @throws {TypeError | RangeError} for a key or value that its codec does not take
   * @throws {BpfError} E2BIG when the map is full, or the index out of range; ENOMEM; EPERM when the fd is read-only or
   * the map frozen; EINVAL when it is to lock and values have no lock; EBADF when the map is closed
   */
  set(key: K, value: V, options?: SetOptions): boolean {
    const flags = options === undefined ? 0 : flagsOf(options);
    const straight = this.#straight;
    const ret = straight !== undefined ? straight.set(key, value, flags) : this.#set(key, value, flags);
    if (ret === 0) return true;
    if (ret === -EEXIST && (flags & BPF_NOEXIST) !== 0) return false;
    if (ret === -ENOENT && (flags & BPF_EXIST) !== 0) return false;
    throw this.#updateFailure(key, flags, ret);
  }

  /**
   * Returns the values of many keys, in the keys' order: `undefined` for those that are not there.
   *
   * As many calls of `get` would, in less time; values are as of their own lookup each.
   *
   * @throws {TypeError | RangeError} for a key that the codec does not take
   * @throws {BpfError} as `get`
   */
  getMany(keys: Iterable<K> | readonly K[]): (V | undefined)[] {
    return this.#many.get(keys, this.#lookupFailure);
  }

  /**
   * Sets the values of many keys, in their order.
   *
   * All keys and values are looked at before the first is set. As many calls of `set` would, in less time: other threads
   * may see some of them set and others not yet.
   *
   * @returns How many were set: those that the mode refused do not count.
   * @throws {TypeError | RangeError} for a key or value that its codec does not take; nothing was set
   * @throws {BpfError} as `set`. The message and `details.done` say how many were set before, `details.index`
   * which entry failed
   */
  setMany(entries: Iterable<readonly [K, V]>, options?: SetOptions): number {
    const flags = options === undefined ? 0 : flagsOf(options);
    return this.#many.set(entries, flags, (key, ret, about) => this.#updateFailure(key, flags, ret, about));
  }

  /** A walk over the map's keys. */
  keys(): Walk<K> {
    return new BatchWalk(this.#walks, KEYS);
  }

  /** A walk over the map's values. */
  values(): Walk<V> {
    return new BatchWalk(this.#walks, VALUES);
  }

  /**
   * A walk over the map's keys and values, in no order that means anything for hashes.
   *
   * Kernel name: BPF_MAP_LOOKUP_BATCH. The map may change meanwhile: the walk ends all the same, yields no key twice, and
   * misses none that stayed. Values are as of their batch, some thousands of elems. A walk may be left at any time.
   *
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed, or was closed meanwhile
   */
  entries(): Walk<[K, V]> {
    return new BatchWalk(this.#walks, ENTRIES);
  }

  [Symbol.iterator](): Walk<[K, V]> {
    return this.entries();
  }

  /**
   * Calls a function with each value and its key, as JavaScript's Map does: a walk that makes no pair for each elem.
   *
   * @throws {BpfError} as `entries`; and what the function throws, which ends the walk
   */
  forEach(give: (value: V, key: K, map: this) => void): void {
    const walk = new BatchWalk<[K, V], K, V>(this.#walks, ENTRIES);
    try {
      walk.each((value, key) => give(value, key, this));
    } finally {
      walk.return();
    }
  }

  /**
   * How many elems the map holds: of an array all of them, always.
   *
   * Of others it is a walk on Linux, whose system calls do not tell; none on the embedded kernel. While other threads change the
   * map, it is a number of elems that it had at one moment of the call (on the embedded kernel; those that are just being inserted
   * or deleted count), or that a walk has met.
   *
   * @throws {BpfError} as a walk
   */
  count(): number {
    const { count } = this.#access;
    if (count !== undefined) return count();
    const { kernel, fd, info } = this.mapFd;
    // What is refused, the walk refuses, and says why.
    if (isArray(info.type) && this.#access.lookup4(0) === 0) return info.maxEntries;
    const known = kernel.count?.(fd) ?? -EOPNOTSUPP;
    return known >= 0 ? known : new BatchWalk(this.#walks, KEYS).rest();
  }

  /**
   * How full the map is, from 0 to 1: `count()` of `maxEntries`.
   *
   * @throws {BpfError} as `count`
   */
  pressure(): number {
    return this.count() / this.maxEntries;
  }

  override close(): void {
    if (!this.mapFd.isOpen) return;
    this.#walks.close();
    this.#many.close();
    this.#take?.close();
    this.#access.close();
    // Keys and values are looked at all the same.
    this.#access = closedAccess;
    this.#straight = undefined;
    this.#keyView = wordView(new Uint8Array(this.key.size));
    this.#valueAt = new Column(this.value);
    this.#deltaAt = new Column(this.#delta);
    this.mapFd.close();
  }

  /** Reaches elems by the mapping from now on, or no more. */
  protected mapElems(isMapped: boolean): void {
    this.#access.close();
    this.#access = closedAccess;
    this.#access = openAccess(this.kernel, this.fd, this.#shape, isMapped ? openMapped : openSyscalls);
    this.#straight = straightFor(this.#access, this.key, this.value, this.#lookupFailure);
    this.#keyView = wordView(this.#access.key);
    this.#valueAt = new Column(this.value, this.#access.value);
    this.#deltaAt = this.#valueAt;
  }

  /** BPF_MAP_DELETE_ELEM: whether the key was there. */
  protected remove(key: K): boolean {
    const ret = this.#remove(key);
    if (ret === 0) return true;
    if (ret === -ENOENT) return false;
    throw this.#removeFailure(key, ret);
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM: the value, if the key was there. */
  protected takeOut(key: K): V | undefined {
    if (!this.mapFd.isOpen) throw this.#takeFailure(key, -EBADF);
    this.#take ??= new TakeCall(this.mapFd, this.key, this.value);
    const ret = this.#take.call(key);
    if (ret === 0) return this.#take.value;
    if (ret === -ENOENT) return undefined;
    throw this.#takeFailure(key, ret);
  }

  /** What is known of a failed update beside key and map. */
  protected aboutUpdate(): FailureAbout {
    return {};
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_BATCH of all: what each takes. */
  protected *takeBatches(): Generator<[K, V][], void, void> {
    const walk = new BatchWalk<[K, V], K, V>(this.#walks, ENTRIES, BPF_MAP_LOOKUP_AND_DELETE_BATCH);
    for (let batch = walk.batch(); batch !== undefined; batch = walk.batch()) yield batch;
  }

  #takeFailure(key: K, ret: number): Error {
    return this.#failure("take", "from", key, ret, BPF_MAP_LOOKUP_AND_DELETE_ELEM);
  }

  /** The same for many: how many were there. */
  protected removeMany(keys: Iterable<K> | readonly K[]): number {
    return this.#many.remove(keys, (key, ret, about) => this.#removeFailure(key, ret, about));
  }

  /** Adds `delta` to the value of a key, or (per-CPU) to this thread's CPU's. */
  protected addTo(key: K, delta: unknown): void {
    if (!this.#hasLanes)
      throw new TypeError(`Cannot add to values of type ${this.#delta.type}: wanted integers, or structs of them`);
    const straight = this.#straight;
    const ret = straight !== undefined ? straight.add(key, delta as V) : this.#add(key, delta);
    if (ret === 0) return;
    // Without a command of its own, adding is reading and writing: an fd that may not do one fails with it.
    const cmd = ret === -EPERM && this.#access.lookup() === -EPERM ? BPF_MAP_LOOKUP_ELEM : BPF_MAP_UPDATE_ELEM;
    throw this.#failure("add to the value of", "in", key, ret, cmd);
  }

  // The cases for hashes and for arrays read alike: V8 inlines the function that a call site meets if it meets one only.

  #lookup(key: K): number {
    if (this.#way === AS_KEY) return this.#access.lookup4(u32Of(this.key, key));
    if (this.#way === AS_INDEX) return this.#access.lookup4(u32Of(this.key, key));
    this.key.write(this.#keyView, 0, key, "key");
    return this.#access.lookup();
  }

  #lookupLocked(key: K): number {
    this.key.write(this.#keyView, 0, key, "key");
    return this.#access.lookupLocked();
  }

  #set(key: K, value: V, flags: number): number {
    this.#valueAt.write(0, value, "value");
    if (this.#way === AS_KEY) return this.#access.update4(u32Of(this.key, key), flags);
    if (this.#way === AS_INDEX) return this.#access.update4(u32Of(this.key, key), flags);
    this.key.write(this.#keyView, 0, key, "key");
    return this.#access.update(flags);
  }

  #remove(key: K): number {
    if (this.#way === AS_KEY) return this.#access.remove4(u32Of(this.key, key));
    this.key.write(this.#keyView, 0, key, "key");
    return this.#access.remove();
  }

  #add(key: K, delta: unknown): number {
    this.#deltaAt.write(0, delta, "delta");
    if (this.#way === AS_KEY) return this.#access.add4(u32Of(this.key, key));
    if (this.#way === AS_INDEX) return this.#access.add4(u32Of(this.key, key));
    this.key.write(this.#keyView, 0, key, "key");
    return this.#access.add();
  }

  readonly #lookupFailure = (key: K, ret: number): Error =>
    this.#failure("look up", "in", key, ret, BPF_MAP_LOOKUP_ELEM);

  #updateFailure(key: K, flags: number, ret: number, about?: SomeDone): Error {
    const isReplace = (flags & BPF_EXIST) !== 0;
    return this.#failure(isReplace ? "replace" : "insert", isReplace ? "in" : "into", key, ret, BPF_MAP_UPDATE_ELEM, {
      ...about,
      ...this.aboutUpdate(),
    });
  }

  #removeFailure(key: K, ret: number, about?: SomeDone): Error {
    return this.#failure("delete", "from", key, ret, BPF_MAP_DELETE_ELEM, about);
  }

  #failure(verb: string, preposition: string, key: K, ret: number, cmd: number, about: Partial<SomeDone> = {}): Error {
    const before = about.done === undefined ? "" : ` (${about.done} of ${about.of} were done before it)`;
    const what = `${verb} key ${hexOf(this.key, key)}${before} ${preposition}`;
    return this.mapFd.failure(what, ret, cmd, { key, ...about });
  }
}

const isArray = (type: number): boolean => type === BPF_MAP_TYPE_ARRAY || type === BPF_MAP_TYPE_PERCPU_ARRAY;

/** A key that travels as an argument, checked. */
function u32Of<K>(codec: Codec<K>, key: K): number {
  if (typeof key !== "number" || key >>> 0 !== key) codec.check(key, "key");
  return key as number;
}

function flagsOf({ mode, lock }: SetOptions): number {
  const locked = lock === true ? BPF_F_LOCK : 0;
  if (mode === undefined) return locked;
  if (mode === "create") return locked | BPF_NOEXIST;
  if (mode === "replace") return locked | BPF_EXIST;
  throw new TypeError(`options.mode is ${JSON.stringify(mode)}: wanted "create" or "replace"`);
}

/** A key for people: "0x00000007" if it is one integer, else its bytes in hex, the first 32 of them. */
function hexOf<K>(codec: Codec<K>, key: K): string {
  const bytes = new Uint8Array(codec.size);
  codec.write(new DataView(bytes.buffer), 0, key);
  const isInteger = codec.lanes?.length === 1;
  const shown = [...(isInteger ? bytes.toReversed() : bytes.subarray(0, 32))].map((b) =>
    b.toString(16).padStart(2, "0"),
  );
  return isInteger ? `0x${shown.join("")}` : `${shown.join(" ")}${bytes.length > 32 ? " ..." : ""}`;
}

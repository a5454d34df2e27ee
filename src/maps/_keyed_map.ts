/**
 * What the maps of keys and values have in common: elems by key, walks, the map's life.
 *
 * An operation writes the key in place, calls, and reads the value in place: no allocation but for the value read.
 */
import { BPF_EXIST, BPF_MAP_DELETE_ELEM, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_NOEXIST } from "../uapi/bpf.js";
import { EEXIST, ENOENT, EPERM } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import { u32, u64 } from "../codec/number.js";
import type { Kernel } from "../kernels/kernel.js";
import type { MapInfo } from "../kernels/syscalls.js";
import { type Access, closedAccess, openAccess } from "./_access.js";
import type { MapFd } from "./_map_fd.js";
import { Walk, walk } from "./_walk.js";

/** How `set` treats a key that is or is not there: BPF_NOEXIST, BPF_EXIST. */
export interface SetOptions {
  /** "create": only if the key is not there. "replace": only if it is. */
  readonly mode?: "create" | "replace";
}

/** A map of keys and values, behind HashMap, ArrayMap and their per-CPU kinds. */
export class KeyedMap<K, V> {
  readonly kernel: Kernel;
  readonly key: Codec<K>;
  readonly value: Codec<V>;
  protected readonly mapFd: MapFd;
  protected access: Access;
  /** Whether keys travel as arguments. */
  readonly #byArgument: boolean;
  /** The value's place, where it is a u64: Node 20 does not inline DataView's 64-bit accesses (20 ns against 5, measured). */
  #u64: BigUint64Array | undefined;
  /** Whether `add` can be: a codec works its lanes out each time it is asked. */
  readonly #hasLanes: boolean;

  /** @param slot Of a per-CPU map, the codec of one CPU's value. */
  protected constructor(mapFd: MapFd, key: Codec<K>, value: Codec<V>, slot?: Codec<unknown>) {
    this.mapFd = mapFd;
    this.kernel = mapFd.kernel;
    this.key = key;
    this.value = value;
    this.#byArgument = (key as Codec<unknown>) === u32;
    const { lanes } = slot ?? value;
    this.#hasLanes = lanes !== undefined;
    try {
      const shape = { keySize: key.size, valueSize: value.size, isPerCpu: slot !== undefined, lanes };
      this.access = openAccess(mapFd.kernel, mapFd.fd, shape);
    } catch (error) {
      mapFd.close();
      throw error;
    }
    const { view, valueOff } = this.access;
    if ((value as Codec<unknown>) === u64) this.#u64 = new BigUint64Array(view.buffer, view.byteOffset + valueOff, 1);
  }

  /** The map's fd, for raw commands; -1 once the map is closed. */
  get fd(): number {
    return this.mapFd.fd;
  }

  /** The map's id, by which other processes (or threads) find it. */
  get id(): number {
    return this.mapFd.info.id;
  }

  get name(): string {
    return this.mapFd.info.name;
  }

  get maxEntries(): number {
    return this.mapFd.info.maxEntries;
  }

  /**
   * Returns the value of a key.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM.
   *
   * @returns The value, or `undefined` when the key is not there (ENOENT).
   * @throws {TypeError | RangeError} for a key that the codec does not take
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed
   */
  get(key: K): V | undefined {
    const { access } = this;
    const ret = this.#lookup(key);
    if (ret === 0) return this.#readValue(access);
    if (ret === -ENOENT) return undefined;
    throw this.#failure("look up", "in", key, ret, BPF_MAP_LOOKUP_ELEM);
  }

  /** Whether the key is there. */
  has(key: K): boolean {
    const ret = this.#lookup(key);
    if (ret === 0) return true;
    if (ret === -ENOENT) return false;
    throw this.#failure("look up", "in", key, ret, BPF_MAP_LOOKUP_ELEM);
  }

  /**
   * Sets the value of a key.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @returns `false` when the mode refused it: "create" and the key is there, "replace" and it is not; else `true`.
   * @throws {TypeError | RangeError} for a key or value that its codec does not take
   * @throws {BpfError} E2BIG when the map is full, or the index out of range; ENOMEM; EPERM when the fd is read-only or
   * the map frozen; EBADF when the map is closed
   */
  set(key: K, value: V, options?: SetOptions): boolean {
    const { access } = this;
    this.#writeValue(access, value);
    const flags = options === undefined ? 0 : flagsOf(options);
    let ret: number;
    if (this.#byArgument) {
      ret = access.update4(u32Of(this.key, key), flags);
    } else {
      this.key.write(access.view, access.keyOff, key, "key");
      ret = access.update(flags);
    }
    if (ret === 0) return true;
    if ((ret === -EEXIST && flags === BPF_NOEXIST) || (ret === -ENOENT && flags === BPF_EXIST)) return false;
    throw this.#failure(
      flags === BPF_EXIST ? "replace" : "insert",
      flags === BPF_EXIST ? "in" : "into",
      key,
      ret,
      BPF_MAP_UPDATE_ELEM,
    );
  }

  /** A walk over the map's keys. */
  keys(): Walk<K> {
    const { read, size } = this.key;
    return new Walk(this.#batches(), ({ view, keysOff }, i) => read(view, keysOff + i * size));
  }

  /** A walk over the map's values. */
  values(): Walk<V> {
    const { read, size } = this.value;
    return new Walk(this.#batches(), ({ view, valuesOff }, i) => read(view, valuesOff + i * size));
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
    const { read: readKey, size: keySize } = this.key;
    const { read: readValue, size: valueSize } = this.value;
    return new Walk(this.#batches(), ({ view, keysOff, valuesOff }, i) => [
      readKey(view, keysOff + i * keySize),
      readValue(view, valuesOff + i * valueSize),
    ]);
  }

  [Symbol.iterator](): Walk<[K, V]> {
    return this.entries();
  }

  /**
   * How many elems the map holds: without a walk on the embedded kernel.
   *
   * @throws {BpfError} as a walk
   */
  count(): number {
    const { count } = this.access;
    if (count !== undefined) return count();
    let sum = 0;
    for (const batch of this.#batches()) sum += batch.count;
    return sum;
  }

  /**
   * What the kernel says of the map.
   *
   * Kernel name: BPF_OBJ_GET_INFO_BY_FD.
   *
   * @throws {BpfError} EBADF when the map is closed
   */
  info(): MapInfo {
    return this.mapFd.look();
  }

  /**
   * Gives the map a name in a bpffs: it stays while it has one.
   *
   * Kernel name: BPF_OBJ_PIN.
   *
   * @throws {TypeError | RangeError} for a path that is no string, or has a NUL in it
   * @throws {BpfError} EEXIST, ENOENT (no such directory), EPERM (no bpffs, or a "." in the name); EBADF when the map is
   * closed
   */
  pin(path: string): void {
    this.mapFd.pin(path);
  }

  /** Closes the map's fd: the map goes when it was the last thing that held it. Twice is no error. */
  close(): void {
    if (!this.mapFd.isOpen) return;
    this.access.close();
    this.#u64 = undefined;
    this.access = closedAccess(this.key.size, this.value.size);
    this.mapFd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** BPF_MAP_DELETE_ELEM: whether the key was there. */
  protected remove(key: K): boolean {
    const { access } = this;
    let ret: number;
    if (this.#byArgument) {
      ret = access.remove4(u32Of(this.key, key));
    } else {
      this.key.write(access.view, access.keyOff, key, "key");
      ret = access.remove();
    }
    if (ret === 0) return true;
    if (ret === -ENOENT) return false;
    throw this.#failure("delete", "from", key, ret, BPF_MAP_DELETE_ELEM);
  }

  /** Adds `delta` to the value of a key, or (per-CPU) to this thread's CPU's. */
  protected addTo<D>(key: K, delta: D, of: Codec<D>): void {
    const { access } = this;
    if (!this.#hasLanes)
      throw new TypeError(`Cannot add to values of type ${of.type}: wanted integers, or structs of them`);
    of.write(access.view, access.valueOff, delta, "delta");
    let ret: number;
    if (this.#byArgument) {
      ret = access.add4(u32Of(this.key, key));
    } else {
      this.key.write(access.view, access.keyOff, key, "key");
      ret = access.add();
    }
    if (ret === 0) return;
    // Without a command of its own, adding is reading and writing: an fd that may not do one fails with it.
    const cmd = ret === -EPERM && this.access.lookup() === -EPERM ? BPF_MAP_LOOKUP_ELEM : BPF_MAP_UPDATE_ELEM;
    throw this.#failure("add to the value of", "in", key, ret, cmd);
  }

  #readValue(access: Access): V {
    if (this.#u64 !== undefined) return this.#u64[0] as V;
    return this.value.read(access.view, access.valueOff);
  }

  #writeValue(access: Access, value: V): void {
    const word = this.#u64;
    if (word === undefined || typeof value !== "bigint") {
      this.value.write(access.view, access.valueOff, value, "value");
      return;
    }
    // What does not fit comes back as another number.
    word[0] = value;
    if (word[0] !== value) this.value.check(value, "value");
  }

  #lookup(key: K): number {
    const { access } = this;
    if (this.#byArgument) {
      return access.lookup4(u32Of(this.key, key));
    }
    this.key.write(access.view, access.keyOff, key, "key");
    return access.lookup();
  }

  #batches(): ReturnType<typeof walk> {
    return walk(this.mapFd, this.key.size, this.value.size);
  }

  #failure(verb: string, preposition: string, key: K, ret: number, cmd: number): Error {
    return this.mapFd.failure(`${verb} key ${hexOf(this.key, key)} ${preposition}`, ret, cmd, { key });
  }
}

/** A key that travels as an argument, checked. */
function u32Of<K>(codec: Codec<K>, key: K): number {
  if (typeof key !== "number" || key >>> 0 !== key) codec.check(key, "key");
  return key as number;
}

function flagsOf({ mode }: SetOptions): number {
  if (mode === undefined) return 0;
  if (mode === "create") return BPF_NOEXIST;
  if (mode === "replace") return BPF_EXIST;
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

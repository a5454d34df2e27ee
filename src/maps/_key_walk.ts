/**
 * Walks by BPF_MAP_GET_NEXT_KEY, for map types that have no batches: a call for each key, and one for its value.
 *
 * When the key that a walk has come to is deleted, the kernel begins again at the first: so a walk leaves out what it has met.
 */
import { BPF_MAP_GET_NEXT_KEY } from "../uapi/bpf.js";
import { EBADF, ENOENT } from "../uapi/errno.js";
import { bpfAttr } from "../uapi/layouts.js";
import { BPF_ATTR_MAP_GET_NEXT_KEY_END } from "../uapi/offsets.js";
import type { Codec } from "../codec/codec.js";
import type { UserBuffer } from "../kernels/kernel.js";
import { viewOf } from "../kernels/syscalls.js";
import { align8 } from "./_access.js";
import type { MapFd } from "./_map_fd.js";
import type { Walk } from "./_walk.js";

const KEY_OFF = align8(BPF_ATTR_MAP_GET_NEXT_KEY_END);

/** BPF_MAP_GET_NEXT_KEY of one map, with a buffer that its walks share: each has its cursor to itself. */
export class NextKey<K> {
  readonly #mapFd: MapFd;
  readonly #key: Codec<K>;
  readonly #nextOff: number;
  /** From the first walk on. */
  #buffer: UserBuffer | undefined;

  constructor(mapFd: MapFd, key: Codec<K>) {
    this.#mapFd = mapFd;
    this.#key = key;
    this.#nextOff = KEY_OFF + align8(key.size);
  }

  /**
   * The bytes of the key that follows, or of the first one; undefined after the last.
   *
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed
   */
  after(cursor: Uint8Array | undefined): Uint8Array | undefined {
    const ret = this.#mapFd.isOpen ? this.#getNextKey(cursor) : -EBADF;
    if (ret === -ENOENT) return undefined;
    if (ret < 0) throw this.#mapFd.failure("walk over", ret, BPF_MAP_GET_NEXT_KEY);
    return this.#buffer!.bytes.slice(this.#nextOff, this.#nextOff + this.#key.size);
  }

  decode(bytes: Uint8Array): K {
    return this.#key.read(viewOf({ bytes }), 0);
  }

  #getNextKey(cursor: Uint8Array | undefined): number {
    const { kernel, fd } = this.#mapFd;
    this.#buffer ??= kernel.alloc(this.#nextOff + this.#key.size);
    const { address, bytes } = this.#buffer;
    if (cursor !== undefined) bytes.set(cursor, KEY_OFF);
    const { map_fd, key, next_key } = bpfAttr.mapElem;
    const view = viewOf(this.#buffer);
    view.setUint32(map_fd.off, fd, true);
    view.setBigUint64(key.off, cursor === undefined ? 0n : BigInt(address + KEY_OFF), true);
    view.setBigUint64(next_key.off, BigInt(address + this.#nextOff), true);
    return kernel.bpf(BPF_MAP_GET_NEXT_KEY, this.#buffer, BPF_ATTR_MAP_GET_NEXT_KEY_END);
  }

  close(): void {
    this.#buffer?.[Symbol.dispose]();
    this.#buffer = undefined;
  }
}

/** A walk over keys, and what is made of each. */
export class KeyWalk<T, K> implements Walk<T> {
  readonly #nextKey: NextKey<K>;
  readonly #make: (key: K) => T | undefined;
  readonly #met = new Set<string>();
  #at: Uint8Array | undefined;
  #isOver = false;

  /** @param make Gives undefined for a key that is left out. */
  constructor(nextKey: NextKey<K>, make: (key: K) => T | undefined) {
    this.#nextKey = nextKey;
    this.#make = make;
  }

  next(): IteratorResult<T, void> {
    while (!this.#isOver) {
      // So it is after an exception.
      this.#isOver = true;
      const found = this.#nextKey.after(this.#at);
      if (found === undefined) break;
      this.#at = found;
      const key = String.fromCharCode(...found);
      const value = this.#met.has(key) ? undefined : this.#make(this.#nextKey.decode(found));
      this.#met.add(key);
      this.#isOver = false;
      if (value !== undefined) return { done: false, value };
    }
    return { done: true, value: undefined };
  }

  return(): IteratorResult<T, void> {
    this.#isOver = true;
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

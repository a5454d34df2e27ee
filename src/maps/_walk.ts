/**
 * Walks: all elems of a map, by BPF_MAP_LOOKUP_BATCH, on either kernel.
 *
 * Safe against concurrent change: a batch cursor only moves forward (a bucket, an index), and an elem does not change its
 * bucket: so a walk ends, and meets no key twice. What is inserted or deleted meanwhile may be met or not.
 */
import { BPF_MAP_LOOKUP_BATCH } from "../uapi/bpf.js";
import { ENOENT, ENOSPC } from "../uapi/errno.js";
import { bpfAttr } from "../uapi/layouts.js";
import { BPF_ATTR_MAP_BATCH_END } from "../uapi/offsets.js";
import { viewOf } from "../kernels/syscalls.js";
import type { MapFd } from "./_map_fd.js";

/** Of keys and values, for a batch to begin with: large enough that the call does not count, small enough for the cache. */
const BATCH_BYTES = 64 * 1024;
const IN_BATCH_OFF = 64;
const CURSOR_BYTES = 8;
const OUT_BATCH_OFF = IN_BATCH_OFF + CURSOR_BYTES;
const KEYS_OFF = OUT_BATCH_OFF + CURSOR_BYTES;

const align8 = (size: number): number => (size + 7) & ~7;

/** A batch that was read: `count` keys from keysOff on, and as many values from valuesOff on. */
export interface Batch {
  readonly view: DataView;
  readonly count: number;
  readonly keysOff: number;
  readonly valuesOff: number;
}

/**
 * The map's elems, a batch at a time.
 *
 * Batches are copies on JavaScript's heap: a walk that nobody ends holds nothing of the kernel's.
 *
 * @param valueSize As system calls have it: of a per-CPU map, all slots.
 * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed, meanwhile too
 */
export function* walk(mapFd: MapFd, keySize: number, valueSize: number): Generator<Batch, void> {
  let room = Math.max(1, Math.min(mapFd.info.maxEntries, Math.floor(BATCH_BYTES / (keySize + valueSize))));
  let cursor: Uint8Array | undefined;
  while (true) {
    const { ret, batch, next } = lookupBatch(mapFd, keySize, valueSize, room, cursor);
    if (ret === -ENOSPC) {
      // A bucket has more elems than the batch has room for.
      room *= 2;
      continue;
    }
    if (ret < 0 && ret !== -ENOENT) throw mapFd.failure("walk over", ret, BPF_MAP_LOOKUP_BATCH);
    if (batch.count > 0) yield batch;
    if (ret === -ENOENT) return;
    cursor = next;
  }
}

/**
 * What `keys`, `values` and `entries` give: the elems of batches, one by one.
 *
 * A class, since a generator costs twice as much an elem (33 against 16 ns, measured on Node 20).
 */
export class Walk<T> implements IterableIterator<T, void> {
  readonly #batches: Generator<Batch, void>;
  readonly #read: (batch: Batch, index: number) => T;
  #batch: Batch | undefined;
  #next = 0;
  #count = 0;

  /** @param read Reads the elem of this index from a batch. */
  constructor(batches: Generator<Batch, void>, read: (batch: Batch, index: number) => T) {
    this.#batches = batches;
    this.#read = read;
  }

  next(): IteratorResult<T, void> {
    while (this.#batch === undefined || this.#next === this.#count) {
      const { done, value } = this.#batches.next();
      if (done === true) return { done: true, value: undefined };
      this.#batch = value;
      this.#count = value.count;
      this.#next = 0;
    }
    return { done: false, value: this.#read(this.#batch, this.#next++) };
  }

  /** Ends the walk. */
  return(): IteratorResult<T, void> {
    this.#next = this.#count;
    this.#batches.return();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** One batch of at most `room` elems, from the cursor on or (without one) from the map's first. */
function lookupBatch(
  { kernel, fd }: MapFd,
  keySize: number,
  valueSize: number,
  room: number,
  cursor: Uint8Array | undefined,
): { ret: number; batch: Batch; next: Uint8Array } {
  const valuesOff = KEYS_OFF + align8(room * keySize);
  using buffer = kernel.alloc(valuesOff + room * valueSize);
  const view = viewOf(buffer);
  const { in_batch, out_batch, keys, values, count, map_fd } = bpfAttr.batch;
  const point = (off: number, to: number): void => view.setBigUint64(off, BigInt(buffer.address + to), true);
  if (cursor !== undefined) {
    buffer.bytes.set(cursor, IN_BATCH_OFF);
    point(in_batch.off, IN_BATCH_OFF);
  }
  point(out_batch.off, OUT_BATCH_OFF);
  point(keys.off, KEYS_OFF);
  point(values.off, valuesOff);
  view.setUint32(count.off, room, true);
  view.setUint32(map_fd.off, fd, true);
  const ret = kernel.bpf(BPF_MAP_LOOKUP_BATCH, buffer, BPF_ATTR_MAP_BATCH_END);

  const n = ret === 0 || ret === -ENOENT ? view.getUint32(count.off, true) : 0;
  const elems = new Uint8Array(n * (keySize + valueSize));
  elems.set(buffer.bytes.subarray(KEYS_OFF, KEYS_OFF + n * keySize));
  elems.set(buffer.bytes.subarray(valuesOff, valuesOff + n * valueSize), n * keySize);
  return {
    ret,
    batch: { view: viewOf({ bytes: elems }), count: n, keysOff: 0, valuesOff: n * keySize },
    next: buffer.bytes.slice(OUT_BATCH_OFF, OUT_BATCH_OFF + CURSOR_BYTES),
  };
}

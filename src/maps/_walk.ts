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
import type { Kernel } from "../kernels/kernel.js";
import { viewOf } from "../kernels/syscalls.js";

/** Of keys and values, for a batch to begin with: large enough that the call does not count, small enough for the cache. */
const BATCH_BYTES = 256 * 1024;
const CURSORS_OFF = 64;
const CURSOR_BYTES = 8;
const KEYS_OFF = CURSORS_OFF + 2 * CURSOR_BYTES;

const align8 = (size: number): number => (size + 7) & ~7;

/** A batch that was read: `count` keys from keysOff on, and as many values from valuesOff on. */
export interface Batch {
  readonly view: DataView;
  readonly count: number;
  readonly keysOff: number;
  readonly valuesOff: number;
}

/**
 * The map's elems, a batch at a time. A batch is good until the next one is asked for.
 *
 * @param valueSize As system calls have it: of a per-CPU map, all slots.
 * @param fail Makes the exception for an errno.
 */
export function* walk(
  kernel: Kernel,
  fd: number,
  keySize: number,
  valueSize: number,
  maxEntries: number,
  fail: (ret: number) => Error,
): Generator<Batch, void> {
  let room = Math.max(1, Math.min(maxEntries, Math.floor(BATCH_BYTES / (keySize + valueSize))));
  let cursor = new Uint8Array(0);
  while (true) {
    using buffer = kernel.alloc(KEYS_OFF + align8(room * keySize) + room * valueSize);
    const view = viewOf(buffer);
    const { in_batch, out_batch, keys, values, count, map_fd } = bpfAttr.batch;
    const [even, odd] = [CURSORS_OFF, CURSORS_OFF + CURSOR_BYTES];
    const keysOff = KEYS_OFF;
    const valuesOff = keysOff + align8(room * keySize);
    const point = (off: number, to: number): void =>
      view.setBigUint64(off, to === 0 ? 0n : BigInt(buffer.address + to), true);
    buffer.bytes.set(cursor, even);
    point(in_batch.off, cursor.length === 0 ? 0 : even);
    point(out_batch.off, odd);
    point(keys.off, keysOff);
    point(values.off, valuesOff);
    view.setUint32(map_fd.off, fd, true);
    const attr = { ...buffer, bytes: buffer.bytes.subarray(0, BPF_ATTR_MAP_BATCH_END) };
    const call = kernel.prepare(BPF_MAP_LOOKUP_BATCH, attr);
    let ret: number;
    while (true) {
      view.setUint32(count.off, room, true);
      ret = call();
      if (ret < 0 && ret !== -ENOENT) break;
      const n = view.getUint32(count.off, true);
      if (n > 0) yield { view, count: n, keysOff, valuesOff };
      if (ret === -ENOENT) return;
      // The next call begins where this one ended.
      buffer.bytes.copyWithin(even, odd, odd + CURSOR_BYTES);
      point(in_batch.off, even);
      cursor = buffer.bytes.slice(even, even + CURSOR_BYTES);
    }
    if (ret !== -ENOSPC) throw fail(ret);
    // A bucket has more elems than the batch has room for.
    room *= 2;
  }
}

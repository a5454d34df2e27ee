/**
 * Reading all elems of a map, by batches where the type has them, and what is known of a map without reading them.
 */
import type { UserBuffer } from "../kernels/kernel.js";
import type { MapInfo } from "../kernels/syscalls.js";
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
} from "../uapi/bpf.js";
import { ENOENT, ENOSPC } from "../uapi/errno.js";
import { valueBufferSize } from "./elem_format.js";
import type { OpenMap } from "./map_handle.js";
import type { Syscalls } from "./syscalls.js";

/** Of keys and values, for a batch to begin with. */
const BATCH_BYTES = 64 * 1024;
/** A bucket, an index, or a key: of an LPM trie at most 260 bytes. */
const CURSOR_BYTES = 264;
const PAGE_BYTES = 4096;

/** An elem: the bytes are copies. */
export interface Elem {
  readonly key: Uint8Array;
  /** Of a per-CPU map, all CPUs' values. */
  readonly value: Uint8Array;
}

/** Says whether all elems are there from the start, and none ever goes. */
export function isArray({ type }: MapInfo): boolean {
  return type === BPF_MAP_TYPE_ARRAY || type === BPF_MAP_TYPE_PERCPU_ARRAY;
}

/**
 * How much a map holds, as far as that is known without reading its elems: elems, or of a ring buffer bytes. The embedded
 * kernel tells it of most types, Linux of none.
 */
export function countOf(bpf: Syscalls, { fd, info }: OpenMap): number | undefined {
  if (isArray(info)) return info.maxEntries;
  if (info.type === BPF_MAP_TYPE_RINGBUF) return pendingBytes(bpf, fd);
  const known = bpf.kernel.count?.(fd);
  return known === undefined || known < 0 ? undefined : known;
}

/** Bytes in a ring buffer that were reserved and not read yet. */
function pendingBytes({ kernel }: Syscalls, fd: number): number | undefined {
  try {
    using positions = kernel.mmap(fd, 2 * PAGE_BYTES);
    const view = new DataView(positions.bytes.buffer, positions.bytes.byteOffset);
    // The consumer's page, then the producer's.
    return (view.getUint32(PAGE_BYTES, true) - view.getUint32(0, true)) >>> 0;
  } catch {
    return undefined;
  }
}

/**
 * Yields the elems of a map. What is changed meanwhile may be met or not; no key is met twice.
 *
 * @returns 0, or the negative errno that ended the walk: of a map that has no keys, or whose elems cannot be read.
 */
export function* elemsOf(bpf: Syscalls, map: OpenMap): Generator<Elem, number> {
  const { info } = map;
  if (info.keySize === 0) return -ENOENT;
  const valueSize = valueBufferSize(info, bpf.kernel.possibleCpus);
  const met = info.type === BPF_MAP_TYPE_LPM_TRIE ? new Set<string>() : undefined;
  using cursors = new Cursors(bpf);
  let room = Math.max(1, Math.min(info.maxEntries, Math.floor(BATCH_BYTES / (info.keySize + valueSize))));
  let isFirst = true;
  while (true) {
    const batch = readBatch(bpf, map, cursors, isFirst, room, valueSize);
    if (batch.ret === -ENOSPC) {
      // A bucket has more elems than the batch has room for.
      room *= 2;
      continue;
    }
    if (batch.ret < 0 && batch.ret !== -ENOENT) return isFirst ? yield* elemsOneByOne(bpf, map, valueSize) : batch.ret;
    for (const elem of batch.elems) {
      // A trie's cursor is a key: when that goes, the kernel begins anew.
      const key = met === undefined ? "" : textOf(elem.key);
      if (met?.has(key) === true) continue;
      met?.add(key);
      yield elem;
    }
    if (batch.ret === -ENOENT) return 0;
    cursors.swap();
    isFirst = false;
  }
}

/** Where a walk is and where it goes next. */
class Cursors {
  from: UserBuffer;
  to: UserBuffer;

  constructor({ kernel }: Syscalls) {
    this.from = kernel.alloc(CURSOR_BYTES);
    this.to = kernel.alloc(CURSOR_BYTES);
  }

  swap(): void {
    [this.from, this.to] = [this.to, this.from];
  }

  [Symbol.dispose](): void {
    this.from[Symbol.dispose]();
    this.to[Symbol.dispose]();
  }
}

function readBatch(
  bpf: Syscalls,
  { fd, info }: OpenMap,
  cursors: Cursors,
  isFirst: boolean,
  room: number,
  valueSize: number,
): { readonly ret: number; readonly elems: Elem[] } {
  using keys = bpf.kernel.alloc(room * info.keySize);
  using values = bpf.kernel.alloc(Math.max(room * valueSize, 1));
  const { ret, count } = bpf.lookupBatch(fd, isFirst ? undefined : cursors.from, cursors.to, keys, values, room);
  const elems: Elem[] = [];
  if (ret === 0 || ret === -ENOENT) {
    for (let i = 0; i < count; i++) {
      const key = keys.bytes.slice(i * info.keySize, (i + 1) * info.keySize);
      elems.push({ key, value: values.bytes.slice(i * valueSize, (i + 1) * valueSize) });
    }
  }
  return { ret, elems };
}

/** Of a type without batches. */
function* elemsOneByOne(bpf: Syscalls, { fd, info }: OpenMap, valueSize: number): Generator<Elem, number> {
  using key = bpf.kernel.alloc(info.keySize);
  using nextKey = bpf.kernel.alloc(info.keySize);
  using value = bpf.kernel.alloc(Math.max(valueSize, 1));
  const met = new Set<string>();
  let ret = bpf.getNextKey(fd, undefined, nextKey);
  for (; ret === 0; ret = bpf.getNextKey(fd, key, nextKey)) {
    key.bytes.set(nextKey.bytes);
    // When the key goes that the walk is at, the kernel begins anew.
    const text = textOf(key.bytes);
    if (met.has(text)) continue;
    met.add(text);
    if (bpf.lookupElem(fd, key, value) !== 0) continue;
    yield { key: key.bytes.slice(0, info.keySize), value: value.bytes.slice(0, valueSize) };
  }
  return ret === -ENOENT ? 0 : ret;
}

/** Bytes as a key of a JavaScript Map. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

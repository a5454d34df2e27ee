/**
 * Pools: where a hash map's elems come from and go back to.
 *
 * Elems lie in chunks and never leave the map before its end, so that a reader who still holds a pointer to a freed elem
 * reads an elem of the same map, and sees by the stripe's seq that it is not the one it looked for. A map that is
 * preallocated (in Linux's words: its elems are reserved at create) has one chunk for all; with BPF_F_NO_PREALLOC chunks
 * come as they are needed. Either way a chunk is address space first: its pages are touched as elems are taken.
 *
 * Chunk:      0  address of the chunk before, or 0
 *            64  elems, elemSize apart
 *             .  slots of CPU 0, of CPU 1, ... (per-CPU maps): each CPU's together, slotsSize apart
 *
 * Free elems are a stack, linked through their `next` word. Its head carries a tag that changes with each push and pop,
 * so that a head that looks the same is the same (ABA).
 *
 * Threads: take and give from any. The stack is lock-free; fresh elems are taken under `poolLock`.
 */
import { allocKernel, freePages, keepRun, runBytes } from "../mem/pages";
import { BpfMap } from "../map";
import { sb } from "../super";
import { lock, unlock } from "../lock";
import { isPerCpu } from "../map_types";
import { roundUp8 } from "./_value";

const CHUNK_HEAD: usize = 64;
/** Bytes of a chunk that is allocated on demand. */
const CHUNK_BYTES: u64 = 128 * 1024;

@unmanaged
export class Pool extends BpfMap {
  /** Free elems: address in the low half, tag in the high half. */
  freeHead: u64;
  poolLock: u32;
  /** The chunk that fresh elems come from, and how many have come. */
  chunk: u32;
  fresh: u32;
  /** Elems of a chunk. */
  chunkElems: u32;
  /** Elems of a chunk that are allowed beyond what `chunk` has: 0 once all chunks that may be are there. */
  elemsLeft: u32;
  elemSize: u32;
  valueOff: u32;
  /** Per-CPU maps: bytes of one slot, and from a CPU's slot of an elem to the next CPU's. */
  slotSize: u32;
  slotsSize: u32;
  /** Elems that the map holds. */
  count: u32;
}

// @ts-ignore: decorator
@inline
function freeHeadWord(pool: Pool): usize {
  return changetype<usize>(pool) + offsetof<Pool>("freeHead");
}

// @ts-ignore: decorator
@inline
export function poolLock(pool: Pool): usize {
  return changetype<usize>(pool) + offsetof<Pool>("poolLock");
}

// @ts-ignore: decorator
@inline
export function countWord(pool: Pool): usize {
  return changetype<usize>(pool) + offsetof<Pool>("count");
}

/** What a pool of `elems` elems needs beyond the map's head; a value that is replaced lives twice for a moment. */
export function initPool(pool: Pool, keyBytes: u32, prealloc: bool): bool {
  const perCpu = isPerCpu(pool.type);
  const valueSize = pool.valueSize;
  // An elem's value is aligned to 8 where it has 8 bytes, to 4 where it has 4: words are read in one access.
  const valueAlign: u32 = perCpu || valueSize < 4 ? 4 : valueSize < 8 ? 4 : 8;
  pool.valueOff = (keyBytes + valueAlign - 1) & ~(valueAlign - 1);
  const elemAlign: u32 = valueAlign == 8 || pool.keySize >= 8 ? 8 : 4;
  const valueBytes = perCpu ? 4 : valueSize;
  const elemSize = (<u64>pool.valueOff + valueBytes + elemAlign - 1) & ~(<u64>elemAlign - 1);
  pool.elemSize = <u32>elemSize;
  pool.slotSize = perCpu ? roundUp8(valueSize) : 0;

  const cpus = sb().possibleCpus;
  const all = <u64>pool.maxEntries + cpus;
  const each = elemSize + <u64>pool.slotSize * cpus;
  const perChunk = prealloc ? all : max<u64>(1, min<u64>(all, (CHUNK_BYTES - CHUNK_HEAD) / each));
  pool.chunkElems = <u32>min<u64>(perChunk, u32.MAX_VALUE);
  pool.elemsLeft = <u32>min<u64>(all, u32.MAX_VALUE);
  const slots = <u64>pool.slotSize * pool.chunkElems;
  if (slots > <u64>u32.MAX_VALUE - 64) return false;
  pool.slotsSize = (<u32>slots + 63) & ~63;
  // Nothing is fresh in a chunk that is not there.
  pool.fresh = pool.chunkElems;
  return !prealloc || addChunk(pool);
}

/** Frees all chunks. */
export function freePool(pool: Pool): void {
  for (let chunk = pool.chunk; chunk != 0; ) {
    const before = load<u32>(chunk);
    freePages(chunk);
    chunk = before;
  }
}

/** After an image was loaded: what of the memory is the pool's. */
export function keepChunks(pool: Pool): void {
  for (let chunk = pool.chunk; chunk != 0; chunk = load<u32>(chunk)) keepRun(chunk);
}

function addChunk(pool: Pool): bool {
  if (pool.elemsLeft == 0) return false;
  const elems = <u64>pool.elemSize * pool.chunkElems;
  const bytes = slotsOff(pool, elems) + <u64>pool.slotsSize * (pool.slotSize != 0 ? sb().possibleCpus : 0);
  const chunk = allocKernel(bytes, true);
  if (chunk == 0) return false;
  store<u32>(chunk, pool.chunk);
  pool.chunk = <u32>chunk;
  pool.fresh = 0;
  pool.elemsLeft -= min(pool.elemsLeft, pool.chunkElems);
  pool.memory += runBytes(chunk);
  return true;
}

// @ts-ignore: decorator
@inline
function slotsOff(pool: Pool, elemsBytes: u64): u64 {
  return (CHUNK_HEAD + elemsBytes + 63) & ~(<u64>63);
}

/** An elem that is in no list, or 0 when memory is out. Its slots (per-CPU) are there, with bytes of whatever was. */
export function takeElem(pool: Pool): usize {
  while (true) {
    const elem = popFree(pool);
    if (elem != 0) return elem;
    lock(poolLock(pool));
    const fresh = takeFresh(pool);
    const exhausted = fresh == 0 && pool.elemsLeft != 0;
    unlock(poolLock(pool));
    if (fresh != 0) return fresh;
    if (exhausted) return 0;
    // All elems are there, and all are taken: other threads are about to give back those that they have replaced.
  }
}

function popFree(pool: Pool): usize {
  const head = freeHeadWord(pool);
  while (true) {
    const was = atomic.load<u64>(head);
    const elem = <usize>was;
    if (elem == 0) return 0;
    const next = atomic.load<u32>(elem);
    const tag = ((was >> 32) + 1) << 32;
    if (atomic.cmpxchg<u64>(head, was, tag | next) == was) return elem;
  }
}

function takeFresh(pool: Pool): usize {
  if (pool.fresh == pool.chunkElems && !addChunk(pool)) return 0;
  const n = pool.fresh++;
  const elem = <usize>pool.chunk + CHUNK_HEAD + <usize>n * pool.elemSize;
  if (pool.slotSize != 0) {
    const slots = <usize>pool.chunk + <usize>slotsOff(pool, <u64>pool.elemSize * pool.chunkElems);
    store<u32>(elem + pool.valueOff, <u32>(slots + <usize>n * pool.slotSize));
  }
  return elem;
}

/** Puts an elem back that no list has any more. */
export function giveElem(pool: Pool, elem: usize): void {
  const head = freeHeadWord(pool);
  while (true) {
    const was = atomic.load<u64>(head);
    atomic.store<u32>(elem, <u32>was);
    const tag = ((was >> 32) + 1) << 32;
    if (atomic.cmpxchg<u64>(head, was, tag | <u64>elem) == was) return;
  }
}

/** How many elems were ever taken out of chunks: each is in a bucket, free, or in a thread's hands. */
export function elemsTaken(pool: Pool): u32 {
  let taken: u32 = 0;
  for (let chunk = pool.chunk; chunk != 0; chunk = load<u32>(chunk)) {
    taken += chunk == pool.chunk ? pool.fresh : pool.chunkElems;
  }
  return taken;
}

/** Whether an address is that of an elem that was ever taken. */
export function isElem(pool: Pool, elem: usize): bool {
  for (let chunk = pool.chunk; chunk != 0; chunk = load<u32>(chunk)) {
    const first = <usize>chunk + CHUNK_HEAD;
    const taken = chunk == pool.chunk ? pool.fresh : pool.chunkElems;
    if (elem >= first && elem - first < <usize>taken * pool.elemSize) return (elem - first) % pool.elemSize == 0;
  }
  return false;
}

export function firstFree(pool: Pool): usize {
  return <usize>pool.freeHead;
}

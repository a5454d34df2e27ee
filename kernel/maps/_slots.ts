/**
 * Slots: pieces of equal size that a map hands out to its buckets and takes back, without a lock.
 *
 * They lie in chunks, one for all of them, or (BPF_F_NO_PREALLOC) as many as are needed. A slot begins so:
 *
 *       0  home   the bucket that has it, or 0; at homeOff, where something else comes first
 *       4  index  where there are many chunks
 *
 * Home is the truth; a bitmap, a bit a slot, says where to look: a set bit is of a slot that is taken, most likely. So a
 * thread that ends between the two leaves nothing but a bit that is wrong, and a slot that nobody finds by its bit is found
 * by its home.
 *
 * Before it takes a slot, and before it gives one back, a task notes the slot in its record (`spareLine`, `spareSlot`). Who
 * reaps it knows which bucket it was changing, and looks whether that bucket leads to the slot: see _htab_ops.ts.
 */
import { allocKernel, freePages, ownRun, runBytes } from "../mem/pages";

@unmanaged
export class Slots {
  /** Where a word for each chunk lies: its address, or 0. */
  chunks: u32;
  chunkCount: u32;
  /** Slots of a chunk: 1 << chunkBits. */
  chunkBits: u32;
  /** Bytes from one slot to the next, and to its home word. */
  stride: u32;
  homeOff: u32;
  count: u32;
  /** Of a chunk, beyond its slots: bytes for each of its slots. */
  extra: u32;
  /** Where the bitmap lies. */
  bits: u32;
  /** The word of the bitmap to begin with. */
  hint: u32;
  /** Slots from here on were never taken. */
  top: u32;
}

/** Of a chunk that is allocated on demand. */
const CHUNK_BYTES: u32 = 128 * 1024;
/** All slots in one chunk. */
const ONE_CHUNK: u32 = 31;

/** Bytes of the bitmap of so many slots. */
export function bitmapBytes(count: u32): u32 {
  return ((count + 63) >> 6) * 8;
}

/** How many slots go into a chunk that is allocated on demand, as a power of two. */
export function chunkBitsFor(bytesEach: u64, prealloc: bool): u32 {
  if (prealloc) return ONE_CHUNK;
  return bytesEach >= CHUNK_BYTES ? 0 : 31 - clz<u32>(<u32>(CHUNK_BYTES / bytesEach));
}

export function chunksFor(count: u32, chunkBits: u32): u32 {
  return chunkBits == ONE_CHUNK ? 1 : ((count - 1) >> chunkBits) + 1;
}

/** Slots of the nth chunk: the last one may have fewer. */
function slotsIn(slots: Slots, chunk: u32): u32 {
  return slots.chunkBits == ONE_CHUNK ? slots.count : min<u32>(1 << slots.chunkBits, slots.count - (chunk << slots.chunkBits));
}

// @ts-ignore: decorator
@inline
function chunkWord(slots: Slots, chunk: u32): usize {
  return <usize>slots.chunks + 4 * <usize>chunk;
}

/** Allocates the nth chunk. False when memory is out. */
export function addChunk(slots: Slots, chunk: u32): bool {
  const run = allocKernel(<u64>slotsIn(slots, chunk) * (slots.stride + slots.extra) + 64);
  if (run == 0) return false;
  // Another thread may have been faster.
  if (atomic.cmpxchg<u32>(chunkWord(slots, chunk), 0, <u32>run) != 0) freePages(run);
  return true;
}

export function freeChunks(slots: Slots): void {
  for (let chunk: u32 = 0; chunk < slots.chunkCount; chunk++) {
    const at: usize = load<u32>(chunkWord(slots, chunk));
    if (at != 0) freePages(at);
  }
}

export function ownChunks(slots: Slots, owner: u32): void {
  for (let chunk: u32 = 0; chunk < slots.chunkCount; chunk++) {
    const at: usize = load<u32>(chunkWord(slots, chunk));
    if (at != 0) ownRun(at, owner);
  }
}

/** Bytes of all chunks. */
export function chunksBytes(slots: Slots): u32 {
  let bytes: u32 = 0;
  for (let chunk: u32 = 0; chunk < slots.chunkCount; chunk++) {
    const at: usize = load<u32>(chunkWord(slots, chunk));
    if (at != 0) bytes += runBytes(at);
  }
  return bytes;
}

/** The address of a slot whose chunk is there. */
// @ts-ignore: decorator
@inline
export function slotAt(slots: Slots, index: u32): usize {
  const chunk: usize = load<u32>(chunkWord(slots, index >> slots.chunkBits));
  return chunk + <usize>(index & ((1 << slots.chunkBits) - 1)) * slots.stride;
}

/** Where what the nth chunk has beyond its slots begins, aligned to 64. */
export function extraAt(slots: Slots, index: u32): usize {
  const chunk = index >> slots.chunkBits;
  const behind = <usize>load<u32>(chunkWord(slots, chunk)) + <usize>slotsIn(slots, chunk) * slots.stride;
  return (behind + 63) & ~63;
}

/** A slot's number in its chunk. */
// @ts-ignore: decorator
@inline
export function indexInChunk(slots: Slots, index: u32): u32 {
  return index & ((1 << slots.chunkBits) - 1);
}

/** How many slots the chunk of a slot has. */
export function chunkSize(slots: Slots, index: u32): u32 {
  return slotsIn(slots, index >> slots.chunkBits);
}

// @ts-ignore: decorator
@inline
export function homeOf(slots: Slots, slot: usize): u32 {
  return atomic.load<u32>(slot + slots.homeOff);
}

// @ts-ignore: decorator
@inline
export function indexOf(slots: Slots, slot: usize): u32 {
  if (slots.chunkBits == ONE_CHUNK) return <u32>((slot - slotAt(slots, 0)) / slots.stride);
  return load<u32>(slot + slots.homeOff, 4);
}

/** All slots are taken, or memory for more is out. */
export const NO_SLOT: usize = 0;
export const NO_MEMORY: usize = 1;

/** Takes a slot for a bucket, and notes it at `spare` before; or NO_SLOT, NO_MEMORY. */
export function takeSlot(slots: Slots, home: u32, spare: usize): usize {
  const words = (slots.count + 63) >> 6;
  let word = min(slots.hint, words - 1);
  for (let n: u32 = 0; n < words; n++) {
    const bits = <usize>slots.bits + 8 * <usize>word;
    let free = ~atomic.load<u64>(bits);
    while (free != 0) {
      const index = (word << 6) + <u32>ctz<u64>(free);
      if (index >= slots.count) break;
      if (!hasChunk(slots, index) && !addChunk(slots, index >> slots.chunkBits)) return takeAny(slots, home, spare, NO_MEMORY);
      if (claim(slots, index, home, spare)) {
        slots.hint = word;
        return slotAt(slots, index);
      }
      free &= free - 1;
    }
    if (++word == words) word = 0;
  }
  return takeAny(slots, home, spare, NO_SLOT);
}

// @ts-ignore: decorator
@inline
export function hasChunk(slots: Slots, index: u32): bool {
  return atomic.load<u32>(chunkWord(slots, index >> slots.chunkBits)) != 0;
}

/** Looks at the homes of all slots that there are. */
function takeAny(slots: Slots, home: u32, spare: usize, otherwise: usize): usize {
  for (let index: u32 = 0; index < slots.count; index++) {
    if (!hasChunk(slots, index) || homeOf(slots, slotAt(slots, index)) != 0) continue;
    if (claim(slots, index, home, spare)) return slotAt(slots, index);
  }
  return otherwise;
}

function claim(slots: Slots, index: u32, home: u32, spare: usize): bool {
  const slot = slotAt(slots, index);
  store<u32>(spare, <u32>slot);
  raiseTop(slots, index + 1);
  if (atomic.cmpxchg<u32>(slot + slots.homeOff, 0, home) != 0) return false;
  if (slots.chunkBits != ONE_CHUNK) store<u32>(slot + slots.homeOff, index, 4);
  atomic.or<u64>(<usize>slots.bits + 8 * <usize>(index >> 6), <u64>1 << (index & 63));
  return true;
}

function raiseTop(slots: Slots, top: u32): void {
  const at = changetype<usize>(slots) + offsetof<Slots>("top");
  for (let was = atomic.load<u32>(at); was < top; was = atomic.load<u32>(at)) atomic.cmpxchg<u32>(at, was, top);
}

/** Gives a slot back, that no bucket leads to any more. */
export function giveSlot(slots: Slots, slot: usize, index: u32): void {
  atomic.store<u32>(slot + slots.homeOff, 0);
  atomic.and<u64>(<usize>slots.bits + 8 * <usize>(index >> 6), ~(<u64>1 << (index & 63)));
  slots.hint = index >> 6;
}

/** Whether an address is that of a slot that was taken. */
export function isSlot(slots: Slots, slot: usize): bool {
  for (let index: u32 = 0; index < slots.top; index += 1 << slots.chunkBits) {
    const first = hasChunk(slots, index) ? slotAt(slots, index) : 0;
    if (first == 0 || slot < first || slot - first >= <usize>chunkSize(slots, index) * slots.stride) continue;
    return (slot - first) % slots.stride == 0;
  }
  return false;
}

/** How many slots are taken. For check.ts: nothing changes meanwhile. */
export function slotsTaken(slots: Slots): u32 {
  let taken: u32 = 0;
  for (let index: u32 = 0; index < slots.top; index++) {
    if (hasChunk(slots, index) && homeOf(slots, slotAt(slots, index)) != 0) taken++;
  }
  return taken;
}

/**
 * Hash tables: the structure that HASH, LRU_HASH and their per-CPU kinds have in common (their operations: _htab_ops.ts). Behaves as
 * kernel/bpf/hashtab.c.
 *
 *      map       head, holds, stripes of the CPUs' values (per-CPU), bitmaps: one run of pages
 *      lines     a run of its own: as many as hold the map's elems with some room to spare, then overflow lines
 *      slots     runs of their own (_slots.ts): elems that are too large for a line, and all per-CPU ones
 *
 * A line is a bucket, in one cache line where key and value have 4 bytes:
 *
 *       0  lock   see lock.ts         } a stripe: _stripe.ts
 *       4  seq                        }
 *       8  home   of an overflow line: the number of the line whose elems it holds, plus 1; 0 if it is free (_slots.ts)
 *      12  next   address of an overflow line, or 0
 *      16  tags   a byte a cell: 0 if it is empty, else 0x80 and seven bits of the key's hash
 *      24  keys   of `cells` elems, keyStride apart; or addresses of their slots ("slotted")
 *       .  values at valuesOff, aligned, valueStride apart; where key and value have 4 bytes each, each behind its key ("pairs")
 *       .  of an LRU table, the last 16 bytes: how warm each cell is, and who went (_lru.ts)
 *
 *      slot  0  home, index   as above
 *            8  key           padded to 8
 *            .  value, at valueOff; or the address of CPU 0's value, which lies in the same chunk: CPU 0's together, CPU 1's, ...
 *
 * An elem never moves. So the common hit looks at one line, a walk goes by lines and cells, and whoever has found a value may go on
 * using it.
 *
 * Threads: lookups take no lock. Whoever changes a bucket holds the lock of its line, and each change is one store: an elem
 * is there from the moment its tag is stored, and no more once the tag is 0. Then seq rises, before anybody can use the cell for
 * something else: so a reader that saw the elem, and finds seq unchanged, read it as it was. Values of more than a word
 * are written in place with seq odd (_value.ts). The value of a pair is replaced without a lock, by one compare-and-swap of the two
 * (_htab_ops.ts `replacePair`).
 *
 * Overflow lines and slots are as many as are needed, with the keys spread by a hash that nobody can foresee.
 * Differs from Linux: when they are not enough all the same, an insert is refused with ENOMEM.
 */
import {
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
} from "../../src/uapi/bpf";
import { E2BIG, EINVAL, ENOMEM, ENOTSUPP } from "../../src/uapi/errno";
import { allocKernel, freePages, ownRun, runBytes } from "../mem/pages";
import { MAX_TASKS, nextRandom, sb } from "../super";
import { BpfMap, HOLDS_BYTES, initHead } from "../map";
import { CreateAttr } from "../attr";
import { isLruHash, isPerCpu } from "../map_types";
import { keepOrder } from "../order";
import {
  Slots,
  addChunk,
  bitmapBytes,
  chunkBitsFor,
  chunkSize,
  chunksBytes,
  chunksFor,
  extraAt,
  freeChunks,
  hasChunk,
  homeOf,
  ownChunks,
  slotAt,
} from "./_slots";
import { clearStripes, initStripes, loadSeq, rowBytes, stripesFor } from "./_stripe";
import { roundUp8 } from "./_value";

const CREATE_FLAGS: u32 =
  BPF_F_NO_COMMON_LRU |
  BPF_F_NO_PREALLOC |
  BPF_F_NUMA_NODE |
  BPF_F_RDONLY |
  BPF_F_WRONLY |
  BPF_F_RDONLY_PROG |
  BPF_F_WRONLY_PROG |
  BPF_F_ZERO_SEED;

/** Linux's limits: what one kmalloc gives less its htab_elem, a per-CPU unit, and a bucket array of 4 GiB. */
const MAX_ELEM_BYTES: u64 = 4 * 1024 * 1024 - 48;
const MAX_PERCPU_BYTES: u32 = 32768;
const MAX_BUCKETS: u32 = 1 << 27;

export const HOME_OFF: usize = 8;
export const NEXT_OFF: usize = 12;
export const TAGS_OFF: usize = 16;
export const KEYS_OFF: u32 = 24;
const MAX_CELLS: u32 = 8;
/** A key of 4 bytes, and a value of 4: a word of 8 that is read, and replaced, in one access. */
export const PAIR_BYTES: u32 = 8;
export const PAIR_VALUE_OFF: u32 = 4;
const CACHE_LINE: u32 = 64;
/** Of a key and its value: larger elems are slotted, since a line that holds few elems takes as much memory as a full one. */
const MAX_CELL_BYTES: u64 = 40;
/** Elems to a line of n cells when the map is full, in sixteenths of n: more, and lines overflow; less, and caches hold fewer. */
const FILL_SIXTEENTHS: u32 = 12;
/**
 * The same for LRU tables, which are full all the time, and where buckets that the hand has just passed hold few: they use 0.3 to
 * 0.45 of an overflow line for each line (simulated, and measured).
 */
const LRU_FILL_SIXTEENTHS: u32 = 11;
/**
 * Overflow lines: half as many as lines, and some more for maps of few. At the fill above, a full map uses 0.15 to 0.18 of a line
 * for each line, and 0.4 after its keys were exchanged at random many times; of 14 lines, up to 0.57 (simulated).
 */
const LEAST_OVERFLOW: u32 = 64;
/** Of a line of an LRU table: a byte a cell, and eight bytes more. */
const LRU_BYTES: u32 = 16;

@unmanaged
export class Htab extends BpfMap {
  lines: u32;
  lineSize: u32;
  /** How many lines there are, without overflow lines. */
  lineCount: u32;
  cells: u32;
  keyStride: u32;
  valuesOff: u32;
  valueStride: u32;
  /** 1 where elems lie in slots. */
  slotted: u32;
  /** From a slot's begin to its value. */
  valueOff: u32;
  /** Per-CPU: bytes of one CPU's value. */
  slotSize: u32;
  /** Of an LRU table: where in a line its cells' warmth lies (_lru.ts); else 0. */
  heatOff: u32;
  /** Where the state of an LRU table lies that keeps the true order (_lru_exact.ts); else 0. */
  exact: u32;
  /** A random odd number: the map's hash function. */
  seed: u64;
  /** Of a hash of maps: its Template (_map_in_map.ts). */
  private template0: u64;
  private template1: u64;
  private template2: u64;
  private pad3: u64;
  private pad4: u64;
  private pad5: u64;
  private pad6: u64;
  /** How many elems it holds: see _count.ts. On a cache line that lookups do not read. */
  count: u64;
  /** Of an LRU table: the number of the bucket that the next elem to go is looked for in. */
  hand: u32;
  /** How many elems came: its clock. Threads may count some as one. */
  born: u32;
}

/** Overflow lines, and slots: behind the head. */
const OVERFLOW_AT: usize = (offsetof<Htab>() + 7) & ~7;
const SLOTS_AT: usize = OVERFLOW_AT + offsetof<Slots>();
const HEAD_BYTES: u32 = (<u32>SLOTS_AT + <u32>offsetof<Slots>() + 63) & ~63;

/** A key that is neither u32 nor u64: where it lies. The type argument K of all below is u32, u64, this, or Key16. */
@unmanaged
export class KeyBytes {}

/** The same where it has 16 bytes, as many a flow has: told by its size. */
@unmanaged
export class Key16 {
  low: u64;
  high: u64;
}

// @ts-ignore: decorator
@inline
export function overflowOf(map: Htab): Slots {
  return changetype<Slots>(changetype<usize>(map) + OVERFLOW_AT);
}

// @ts-ignore: decorator
@inline
export function slotsOf(map: Htab): Slots {
  return changetype<Slots>(changetype<usize>(map) + SLOTS_AT);
}

// @ts-ignore: decorator
@inline
export function countWord(map: Htab): usize {
  return changetype<usize>(map) + offsetof<Htab>("count");
}

/** Refusals of BPF_MAP_CREATE that are the hash family's, in htab_map_alloc_check's order. */
export function htabAllocCheck(attr: CreateAttr): i32 {
  const perCpu = isPerCpu(attr.mapType);
  const lru = isLruHash(attr.mapType);
  const noCommonLru = (attr.mapFlags & BPF_F_NO_COMMON_LRU) != 0;
  if ((attr.mapFlags & ~CREATE_FLAGS) != 0 || !attr.accessOk()) return -EINVAL;
  if (noCommonLru && !lru) return -EINVAL;
  if (lru && (attr.mapFlags & BPF_F_NO_PREALLOC) != 0) return -ENOTSUPP;
  if ((perCpu || noCommonLru) && attr.wantsNumaNode()) return -EINVAL;
  if (attr.maxEntries == 0 || attr.keySize == 0 || attr.valueSize == 0) return -EINVAL;
  if (<u64>attr.keySize + attr.valueSize >= MAX_ELEM_BYTES) return -E2BIG;
  if (perCpu && roundUp8(attr.valueSize) > MAX_PERCPU_BYTES) return -E2BIG;
  return 0;
}

/** The map, or a negative errno. */
export function htabAlloc(attr: CreateAttr): isize {
  const maxEntries = maxEntriesFor(attr);
  if (maxEntries > MAX_BUCKETS) return -E2BIG;
  const shape = allocKernel(offsetof<Htab>());
  if (shape == 0) return -ENOMEM;
  const map = changetype<Htab>(shape);
  const perCpu = isPerCpu(attr.mapType);
  initHead(map, attr, 0);
  map.maxEntries = <u32>maxEntries;
  shapeElems(map, perCpu);
  shapeLines(map);
  const made = allocShaped(map, perCpu ? sb().possibleCpus : 0);
  freePages(shape);
  return made;
}

/** On Linux each CPU has lists of its own with BPF_F_NO_COMMON_LRU, of equal length: a multiple of the CPUs. */
function maxEntriesFor(attr: CreateAttr): u64 {
  if ((attr.mapFlags & BPF_F_NO_COMMON_LRU) == 0) return attr.maxEntries;
  const cpus = <u64>sb().possibleCpus;
  return ((<u64>attr.maxEntries + cpus - 1) / cpus) * cpus;
}

/** Where keys and values lie in a line or a slot. */
function shapeElems(map: Htab, perCpu: bool): void {
  const keySize = map.keySize;
  const valueSize = map.valueSize;
  map.slotted = perCpu || <u64>keySize + valueSize > MAX_CELL_BYTES ? 1 : 0;
  if (map.slotted == 0 && keySize == 4 && valueSize == 4) {
    map.keyStride = PAIR_BYTES;
    map.valueStride = PAIR_BYTES;
    map.valuesOff = KEYS_OFF + PAIR_VALUE_OFF;
  } else if (map.slotted == 0) {
    map.keyStride = keySize >= 8 ? roundUp8(keySize) : (keySize + 3) & ~3;
    // A value is aligned to 8 where it has 8 bytes, else to 4: words are read in one access.
    map.valueStride = valueSize >= 8 ? roundUp8(valueSize) : (valueSize + 3) & ~3;
  } else {
    map.keyStride = 4;
    map.valueOff = 8 + roundUp8(keySize);
    map.slotSize = perCpu ? roundUp8(valueSize) : 0;
  }
}

/** Of 5 to 8 cells a line, as many as waste least; as many lines as max_entries then fill to FILL_SIXTEENTHS. */
function shapeLines(map: Htab): void {
  const lruBytes: u32 = isLruHash(map.type) ? LRU_BYTES : 0;
  const pairs = hasPairs(map);
  for (let cells: u32 = 5; cells <= MAX_CELLS; cells++) {
    const keysEnd = KEYS_OFF + cells * map.keyStride;
    const valueAlign: u32 = map.valueStride >= 8 ? 7 : 3;
    const valuesOff = pairs ? map.valuesOff : (keysEnd + valueAlign) & ~valueAlign;
    const end = pairs ? keysEnd : valuesOff + cells * map.valueStride;
    const size = (end + lruBytes + CACHE_LINE - 1) & ~(CACHE_LINE - 1);
    if (map.cells != 0 && size * map.cells > map.lineSize * cells) continue;
    map.cells = cells;
    map.valuesOff = valuesOff;
    map.lineSize = size;
  }
  map.heatOff = lruBytes == 0 ? 0 : map.lineSize - lruBytes;
  const fill = lruBytes == 0 ? FILL_SIXTEENTHS : LRU_FILL_SIXTEENTHS;
  map.lineCount = <u32>((<u64>map.maxEntries * 16) / (map.cells * fill)) + 1;
  // So that there is a key of another line's for each line: _htab_ops.ts `takePair`.
  if (pairs) map.lineCount = max<u32>(map.lineCount, 2);
}

/** Allocates a map of this shape. */
function allocShaped(shape: Htab, cpus: u32): isize {
  const elems = shape.maxEntries;
  const overflow = shape.lineCount / 2 + min(elems, LEAST_OVERFLOW);
  const stripes = stripesFor(elems);
  const stripesBytes = cpus == 0 ? 0 : rowBytes(stripes) * cpus;
  const slotBytes = shape.valueOff + (cpus == 0 ? roundUp8(shape.valueSize) : 8);
  const extra = shape.slotSize * cpus;
  const prealloc = (shape.mapFlags & BPF_F_NO_PREALLOC) == 0;
  const chunkBits = chunkBitsFor(<u64>slotBytes + extra, prealloc);
  // Slots on demand are taken before they are counted: each task may have one too many.
  const slots = shape.slotted == 0 ? 0 : prealloc ? elems : elems + MAX_TASKS;
  const chunks = slots == 0 ? 0 : chunksFor(slots, chunkBits);
  const bitmaps = bitmapBytes(overflow) + bitmapBytes(slots);
  const run = allocKernel(<u64>(HEAD_BYTES + HOLDS_BYTES + stripesBytes) + bitmaps + 4 * (1 + chunks));
  if (run == 0) return -ENOMEM;
  const map = changetype<Htab>(run);
  memory.copy(run, changetype<usize>(shape), offsetof<Htab>());
  map.holds = <u32>run + HEAD_BYTES;
  map.seed = (map.mapFlags & BPF_F_ZERO_SEED) != 0 ? 0xd6e8feb86659fd93 : nextRandom() | 1;
  let at = run + HEAD_BYTES + HOLDS_BYTES;
  if (cpus != 0) initStripes(map, at, stripes, cpus);
  at += stripesBytes;
  initSlots(overflowOf(map), overflow, map.lineSize, HOME_OFF, at, at + bitmaps, chunkBitsFor(0, true));
  at += bitmapBytes(overflow);
  if (chunks != 0) {
    initSlots(slotsOf(map), slots, slotBytes, 0, at, at + bitmapBytes(slots) + 4, chunkBits);
    slotsOf(map).extra = extra;
  }
  if (!allocParts(map)) {
    htabFree(map);
    return -ENOMEM;
  }
  return run;
}

function initSlots(slots: Slots, count: u32, stride: u32, homeOff: usize, bits: usize, chunks: usize, chunkBits: u32): void {
  slots.count = count;
  slots.stride = stride;
  slots.homeOff = <u32>homeOff;
  slots.bits = <u32>bits;
  slots.chunks = <u32>chunks;
  slots.chunkBits = chunkBits;
  slots.chunkCount = chunksFor(count, chunkBits);
}

/** The lines, and the slots if they are there from the start. */
function allocParts(map: Htab): bool {
  const overflow = overflowOf(map);
  const lines = allocKernel(<u64>map.lineSize * (<u64>map.lineCount + overflow.count));
  if (lines == 0) return false;
  map.lines = <u32>lines;
  // Its only chunk: the lines behind the others.
  store<u32>(overflow.chunks, map.lines + map.lineSize * map.lineCount);
  const slots = slotsOf(map);
  return slots.chunkCount != 1 || addChunk(slots, 0);
}

/** Bytes of all that the map has allocated. */
export function htabMemory(map: Htab): u32 {
  const exactBytes = map.exact == 0 ? 0 : runBytes(map.exact);
  const timerBytes = map.timers == 0 ? 0 : runBytes(map.timers);
  return runBytes(changetype<usize>(map)) + runBytes(map.lines) + chunksBytes(slotsOf(map)) + exactBytes + timerBytes;
}

export function htabFree(map: Htab): void {
  freeChunks(slotsOf(map));
  if (map.exact != 0) freePages(map.exact);
  if (map.timers != 0) freePages(map.timers);
  if (map.lines != 0) freePages(map.lines);
  freePages(changetype<usize>(map));
}

export function htabOwnRuns(map: Htab, owner: u32): void {
  ownChunks(slotsOf(map), owner);
  if (map.exact != 0) ownRun(map.exact, owner);
  if (map.timers != 0) ownRun(map.timers, owner);
  ownRun(map.lines, owner);
  ownRun(changetype<usize>(map), owner);
}

/** Forgets what tasks have left: locks, and who has changed the count last. None of them is there. */
export function htabClearLocks(map: Htab): void {
  map.count = <u64>(<u32>map.count);
  if (map.slotSize != 0) clearStripes(map);
  if (map.exact != 0) store<u32>(map.exact, 0);
  for (let i: u32 = 0; i < map.lineCount; i++) {
    // Most are free: a store would take memory for lines that were never used.
    if (load<u32>(lineAt(map, i)) != 0) store<u32>(lineAt(map, i), 0);
  }
}

/** Bytes of a value, 4 or 8, of a table whose elems lie in lines, with keys of 4 or 8 bytes; 0 for all others. */
// @ts-ignore: decorator
@inline
export function valueWord(map: Htab): u32 {
  const isWords = (map.keySize == 4 || map.keySize == 8) && (map.valueSize == 4 || map.valueSize == 8);
  return isWords && map.slotted == 0 ? map.valueSize : 0;
}

/** Whether each value lies behind its key, in one word. */
// @ts-ignore: decorator
@inline
export function hasPairs(map: Htab): bool {
  return map.valuesOff == KEYS_OFF + PAIR_VALUE_OFF;
}

/** `keyStride`, of a table as `valueWord` is for. */
// @ts-ignore: decorator
@inline
export function keyStrideOf<K, V>(): usize {
  return sizeof<K>() == 4 && sizeof<V>() == 4 ? PAIR_BYTES : sizeof<K>();
}

/** `valueStride`, of such a table. */
// @ts-ignore: decorator
@inline
export function valueStrideOf<K, V>(): usize {
  return sizeof<K>() == 4 && sizeof<V>() == 4 ? PAIR_BYTES : sizeof<V>();
}

// @ts-ignore: decorator
@inline
export function hashOf<K>(map: Htab, key: K): u32 {
  if (isInteger<K>()) return hashWord(<u64>key, map.seed);
  if (offsetof<K>() == 16) return hash16(changetype<usize>(key), map.seed);
  return hashBytes(changetype<usize>(key), map.keySize, map.seed);
}

/**
 * Two rounds of multiplying, with a fold between: after one, keys that follow each other would all meet in few lines for one in
 * some hundred seeds (those near to a fraction of 2^64).
 */
// @ts-ignore: decorator
@inline
function hashWord(key: u64, seed: u64): u32 {
  const h = (key ^ seed) * 0x9e3779b97f4a7c15;
  return <u32>(((h ^ (h >> 32)) * seed) >> 32);
}

/**
 * A word more: xor, multiply, fold. The seed is odd, and so is each product's factor.
 *
 * Words are read as two halves: JavaScript has just written the key, four bytes at a time at most, and a load that
 * needs two stores at once waits until both have left for the cache (18 against 3 ns for a key of 16 bytes, measured).
 */
// @ts-ignore: decorator
@inline
function mix(hash: u64, at: usize, seed: u64): u64 {
  const h = (hash ^ (<u64>load<u32>(at) | (<u64>load<u32>(at, 4) << 32))) * seed;
  return h ^ (h >> 32);
}

// @ts-ignore: decorator
@inline
function lastMix(hash: u64): u32 {
  return <u32>((hash * 0xd6e8feb86659fd93) >> 32);
}

// @ts-ignore: decorator
@inline
function hash16(at: usize, seed: u64): u32 {
  return lastMix(mix(mix(seed ^ 16, at, seed), at + 8, seed));
}

export function hashBytes(at: usize, bytes: u32, seed: u64): u32 {
  let h = seed ^ bytes;
  for (; bytes >= 8; bytes -= 8, at += 8) {
    h = mix(h, at, seed);
  }
  if (bytes != 0) {
    let tail: u64 = 0;
    if (bytes & 4) {
      tail = load<u32>(at);
      at += 4;
    }
    if (bytes & 2) {
      tail = (tail << 16) | load<u16>(at);
      at += 2;
    }
    if (bytes & 1) tail = (tail << 8) | load<u8>(at);
    h = (h ^ tail) * seed;
    h ^= h >> 32;
  }
  return lastMix(h);
}

/** The number of the line that a hash leads to: by its upper bits, so that a tag, by its lowest, tells more. */
// @ts-ignore: decorator
@inline
export function lineOf(map: Htab, hash: u32): u32 {
  return <u32>((<u64>hash * map.lineCount) >> 32);
}

// @ts-ignore: decorator
@inline
export function lineAt(map: Htab, index: u32): usize {
  return <usize>map.lines + <usize>index * map.lineSize;
}

// @ts-ignore: decorator
@inline
export function tagOf(hash: u32): u32 {
  return (hash & 0x7f) | 0x80;
}

// @ts-ignore: decorator
@inline
export function nextLine(line: usize): usize {
  return atomic.load<u32>(line + NEXT_OFF);
}

/** The slot of the nth cell of a line. */
// @ts-ignore: decorator
@inline
export function slotOf(line: usize, i: u32): usize {
  return load<u32>(line + 4 * <usize>i, KEYS_OFF);
}

/** Where the key of the nth cell of a line lies. */
// @ts-ignore: decorator
@inline
export function keyAt(map: Htab, line: usize, i: u32): usize {
  return map.slotted == 0 ? line + KEYS_OFF + i * map.keyStride : slotOf(line, i) + 8;
}

/** Where its value lies, or (per-CPU) the address of CPU 0's. */
// @ts-ignore: decorator
@inline
export function valueAt(map: Htab, line: usize, i: u32): usize {
  return map.slotted == 0 ? line + map.valuesOff + i * map.valueStride : slotOf(line, i) + map.valueOff;
}

/** Which cells of a line have this tag, a bit each. */
// @ts-ignore: decorator
@inline
export function cellsWith(line: usize, tag: u32): u32 {
  const tags = v128.load_zero<u64>(line, TAGS_OFF);
  return <u32>i8x16.bitmask(i8x16.eq(tags, i8x16.splat(<i8>tag))) & 0xff;
}

// @ts-ignore: decorator
@inline
export function hasKey<K>(map: Htab, line: usize, i: u32, key: K): bool {
  const at = keyAt(map, line, i);
  if (isInteger<K>()) return load<K>(at) == key;
  if (offsetof<K>() == 16) {
    const wanted = changetype<usize>(key);
    return load<u64>(at) == load<u64>(wanted) && load<u64>(at, 8) == load<u64>(wanted, 8);
  }
  return sameBytes(at, changetype<usize>(key), map.keySize);
}

function sameBytes(elemKey: usize, key: usize, bytes: u32): bool {
  for (; bytes >= 8; bytes -= 8, elemKey += 8, key += 8) {
    if (load<u64>(elemKey) != load<u64>(key)) return false;
  }
  if (bytes & 4) {
    if (load<u32>(elemKey) != load<u32>(key)) return false;
    elemKey += 4;
    key += 4;
  }
  for (bytes &= 3; bytes != 0; bytes--, elemKey++, key++) {
    if (load<u8>(elemKey) != load<u8>(key)) return false;
  }
  return true;
}

/** Writes the key of a cell that no reader looks at yet. */
// @ts-ignore: decorator
@inline
export function putKey<K>(map: Htab, line: usize, i: u32, key: K): void {
  if (isInteger<K>()) store<K>(keyAt(map, line, i), key);
  else memory.copy(keyAt(map, line, i), changetype<usize>(key), map.keySize);
}

/** How many lines a reader follows before it looks whether it was led onto another bucket's. */
const LINES_BEFORE_CHECK: u32 = 16;

/**
 * Where the tag of a key's elem lies, or 0.
 *
 * For a thread that does not hold the home line's lock, what is read of the elem counts only if seq is still `seq` afterwards.
 */
// @ts-ignore: decorator
@inline
export function findTag<K>(map: Htab, home: usize, key: K, hash: u32, seq: u32): usize {
  const tag = tagOf(hash);
  let line = home;
  let steps: u32 = 0;
  do {
    for (let found = cellsWith(line, tag); found != 0; found &= found - 1) {
      keepOrder();
      const i = <u32>ctz<u32>(found);
      if (hasKey<K>(map, line, i, key)) return line + TAGS_OFF + i;
    }
    line = nextLine(line);
    if (++steps % LINES_BEFORE_CHECK == 0 && loadSeq(home) != seq) return 0;
  } while (line != 0);
  return 0;
}

/** The line that a tag lies in: lines begin at multiples of 64, and tags lie in the first 64 bytes. */
// @ts-ignore: decorator
@inline
export function lineOfTag(tag: usize): usize {
  return tag & ~(<usize>CACHE_LINE - 1);
}

/** The cell of a tag: its number in its line. */
// @ts-ignore: decorator
@inline
export function cellOfTag(tag: usize): u32 {
  return <u32>(tag & (CACHE_LINE - 1)) - <u32>TAGS_OFF;
}

/** Where the value of a tag's elem lies. */
// @ts-ignore: decorator
@inline
export function valueOfTag(map: Htab, tag: usize): usize {
  return valueAt(map, lineOfTag(tag), cellOfTag(tag));
}

/** Which cells of a line hold an elem, a bit each. */
// @ts-ignore: decorator
@inline
export function fullCells(map: Htab, line: usize): u32 {
  return ~cellsWith(line, 0) & ((1 << map.cells) - 1);
}

/** Whether these bytes are within one value: of those that lie in slots, in the value of one CPU. */
export function htabHolds(map: Htab, address: usize, bytes: u32): bool {
  if (map.slotted == 0) {
    const off = address - <usize>map.lines;
    if (address < <usize>map.lines || off / map.lineSize >= <usize>(map.lineCount + overflowOf(map).count)) return false;
    const behind = off % map.lineSize - map.valuesOff;
    const cell = behind / map.valueStride;
    return off % map.lineSize >= map.valuesOff && cell < map.cells && (behind % map.valueStride) + bytes <= map.valueSize;
  }
  const slots = slotsOf(map);
  for (let index: u32 = 0; index < slots.count; index += chunkSize(slots, index)) {
    if (!hasChunk(slots, index)) continue;
    const start = slotAt(slots, index);
    const count = chunkSize(slots, index);
    if (map.slotSize != 0) {
      const values = extraAt(slots, index);
      const off = address - values;
      if (address >= values && off < <usize>count * map.slotSize * sb().possibleCpus) return (off % map.slotSize) + bytes <= map.valueSize;
    } else if (address >= start && address < start + <usize>count * slots.stride) {
      const off = (address - start) % slots.stride;
      return off >= map.valueOff && off - map.valueOff + bytes <= map.valueSize;
    }
  }
  return false;
}

/** The line whose lock guards the elem that has its value here: of what `htabHolds`, and is not per-CPU. */
export function stripeOfValue(map: Htab, address: usize): usize {
  let line: usize;
  if (map.slotted == 0) {
    line = <usize>map.lines + ((address - <usize>map.lines) / map.lineSize) * map.lineSize;
    const home = line < lineAt(map, map.lineCount) ? 0 : atomic.load<u32>(line + HOME_OFF);
    return home == 0 ? line : lineAt(map, home - 1);
  }
  const slots = slotsOf(map);
  for (let index: u32 = 0; index < slots.count; index += chunkSize(slots, index)) {
    if (!hasChunk(slots, index)) continue;
    const start = slotAt(slots, index);
    if (address < start || address >= start + <usize>chunkSize(slots, index) * slots.stride) continue;
    const home = homeOf(slots, start + ((address - start) / slots.stride) * slots.stride);
    if (home != 0) return lineAt(map, home - 1);
  }
  return map.lines;
}

/** All lines in a row: the map's own, then the overflow lines that were ever used. */
// @ts-ignore: decorator
@inline
export function linesInAll(map: Htab): u32 {
  return map.lineCount + overflowOf(map).top;
}

/** The home line of the nth line in a row; 0 for an overflow line that is free. */
// @ts-ignore: decorator
@inline
export function homeLine(map: Htab, n: u32): usize {
  if (n < map.lineCount) return lineAt(map, n);
  const home = atomic.load<u32>(lineAt(map, n) + HOME_OFF);
  return home == 0 ? 0 : lineAt(map, home - 1);
}

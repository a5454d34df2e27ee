/**
 * LRU: which elem of a full hash table (_htab.ts) goes, to make room for a new one. Linux does the same with lists
 * (kernel/bpf/bpf_lru_list.c): what both promise is that an update never fails for lack of room.
 *
 * The last bytes of each line, and `hand` in the map's head:
 *
 *      heatOff      heat    a byte a cell: three bits for how often the elem was used, up to MAX_HEAT, which cools by one when the
 *                           hand passes; five for when it came: a 16th to a 32nd of the elems come in one such time (of a small
 *                           table's, a quarter to an eighth)
 *      heatOff + 8  ghosts  of a line of the map's own: a byte of the hash of the last eight of its elems that went, newest first
 *
 * The hand goes round over the buckets. A bucket where all elems have some heat cools, and the hand goes on; where one has none,
 * the oldest without heat of some buckets from there on goes. A new elem has none: so a scan takes the places of scans, and not
 * those of what is used again and again. Who comes back after it went is no scan, and begins warm. Elems lie where their hash leads,
 * so the hand meets them in no order of age: which goes is less exact than a list of all would be, but no use has to be written
 * into one, and no lock is taken for it. (Heats, ghosts and ahead were chosen by simulation; test/bench/hit_rates.test.ts.)
 *
 * What is asked for with the true order (_lru_exact.ts) has stamps instead, and no hand.
 *
 * Differs from Linux: elems go one by one, not many at once, so a full map stays full. There are no lists of single CPUs, with
 * BPF_F_NO_COMMON_LRU neither.
 *
 * Threads: all here are hints. Uses that threads note at the same time may count as one, and the hand may skip a bucket. An elem goes as
 * any that is deleted: under its bucket's lock (_htab_ops.ts).
 */
import {
  Htab,
  Key16,
  KeyBytes,
  TAGS_OFF,
  cellOfTag,
  hashOf,
  homeLine,
  keyAt,
  lineAt,
  lineOfTag,
  nextLine,
} from "./_htab";
import { awaitInserts, isExact, isOldest, oldest, stamp, stampOf } from "./_lru_exact";
import { awaitWriter } from "./_stripe";

const MAX_HEAT: u32 = 5;
/** Of an elem that went, and comes back. */
const COMES_BACK_HEAT: u32 = 2;
const HEAT_MASK: u32 = 7;
const TIME_SHIFT: u32 = 3;
const TIME_MASK: u32 = 31;
/** Times that pass while all elems are exchanged once, at least, as a power of two. */
const TIMES_BITS: u32 = 4;
/** The same of small tables. */
const SMALL_TIMES_BITS: u32 = 2;
/** Up to so many elems a table is small: what was used often must not stay for long there, since few others have room beside it. */
const SMALL_ENTRIES: u32 = 256;
const GHOSTS_OFF: usize = 8;
/** Buckets that are looked at for one elem: then the least warm of the last one goes. */
const BUCKETS: i32 = 64;
/** Lines of a bucket that are looked at. */
const CHAIN: i32 = 16;
/** Buckets from the hand on whose elems are compared by age: where there are few, chance would tell which is near to it. */
const AHEAD: u32 = 2;
const AHEAD_OF_FEW: u32 = 16;
const FEW_BUCKETS: u32 = 64;

const CELL_MASK: u32 = 7;
const CELLS: v128 = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0);

/** A byte each. */
const ONES: u64 = 0x0101010101010101;
const HIGH_BITS: u64 = 0x8080808080808080;

// @ts-ignore: decorator
@inline
export function isLru(map: Htab): bool {
  return map.heatOff != 0;
}

// @ts-ignore: decorator
@inline
function isSmall(map: Htab): bool {
  return map.maxEntries <= SMALL_ENTRIES;
}

// @ts-ignore: decorator
@inline
function heatOf(map: Htab, tag: usize): usize {
  return lineOfTag(tag) + map.heatOff + cellOfTag(tag);
}

/** Notes that an elem was used. */
// @ts-ignore: decorator
@inline
export function noteUse(map: Htab, tag: usize): void {
  if (isExact(map)) stamp(map, tag);
  else warm(map, tag);
}

// @ts-ignore: decorator
@inline
function warm(map: Htab, tag: usize): void {
  const at = heatOf(map, tag);
  const heat = <u32>load<u8>(at);
  // What is used most is not written to: threads that read it share its line.
  if ((heat & HEAT_MASK) < MAX_HEAT) store<u8>(at, <u8>(heat + 1));
}

/** The heat that a new elem begins with. The caller holds the lock of its home line. */
export function noteNew(map: Htab, home: usize, tag: usize, hash: u32): void {
  if (isExact(map)) {
    stamp(map, tag);
    return;
  }
  const ghosts = load<u64>(home + map.heatOff + GHOSTS_OFF) ^ (ONES * <u64>ghostOf(hash));
  // Whether one of the bytes is zero.
  const isBack = ((ghosts - ONES) & ~ghosts & HIGH_BITS) != 0;
  map.born++;
  store<u8>(heatOf(map, tag), <u8>((timeOf(map) << TIME_SHIFT) | (isBack ? COMES_BACK_HEAT : 0)));
}

/** The time it is: it goes on with each new elem, and begins anew after TIME_MASK. */
// @ts-ignore: decorator
@inline
function timeOf(map: Htab): u32 {
  const bits: u32 = 31 - clz<u32>(map.maxEntries);
  const times = isSmall(map) ? SMALL_TIMES_BITS : TIMES_BITS;
  return (map.born >> (bits > times ? bits - times : 0)) & TIME_MASK;
}

/** How long ago an elem came. */
// @ts-ignore: decorator
@inline
function ageOf(map: Htab, tag: usize, now: u32): u32 {
  return (now - (<u32>load<u8>(heatOf(map, tag)) >> TIME_SHIFT)) & TIME_MASK;
}

/** Notes that an elem goes to make room. The caller holds the lock of its home line. */
export function noteGone(map: Htab, home: usize, tag: usize): void {
  if (isExact(map)) return;
  const at = home + map.heatOff + GHOSTS_OFF;
  store<u64>(at, (load<u64>(at) << 8) | <u64>ghostOf(hashOfElem(map, lineOfTag(tag), cellOfTag(tag))));
}

/** The lowest bits: others lead to the line. Never 0. */
// @ts-ignore: decorator
@inline
function ghostOf(hash: u32): u32 {
  const bits = hash & 0xff;
  return bits != 0 ? bits : 1;
}

function hashOfElem(map: Htab, line: usize, cell: u32): u32 {
  const key = keyAt(map, line, cell);
  const bytes = map.keySize;
  if (bytes == 4) return hashOf<u32>(map, load<u32>(key));
  if (bytes == 8) return hashOf<u64>(map, load<u64>(key));
  if (bytes == 16) return hashOf<Key16>(map, changetype<Key16>(key));
  return hashOf<KeyBytes>(map, changetype<KeyBytes>(key));
}

/**
 * The tag of an elem that may go, or 0 if some buckets in a row have none. The caller takes the lock of its home line, and looks
 * whether it is there still.
 *
 * @param patient Whether buckets that are locked are waited for; else they are skipped.
 */
export function nextToGo(map: Htab, patient: bool): usize {
  if (isExact(map)) {
    if (patient) awaitInserts(map);
    return oldest(map);
  }
  const hand = changetype<usize>(map) + offsetof<Htab>("hand");
  let n = load<u32>(hand);
  const now = timeOf(map);
  let last: usize = 0;
  for (let looked = 0; looked < BUCKETS; looked++) {
    const home = lineAt(map, n);
    const isBusy = atomic.load<u32>(home) != 0;
    if (isBusy && patient) awaitWriter(map, home);
    if (patient || !isBusy) {
      const tag = oldestCold(map, home, now);
      if (tag != 0) {
        // Often the same as before: threads share its line.
        if (looked != 0) store<u32>(hand, n);
        return olderAhead(map, n, tag, now);
      }
      last = home;
      coolDown(map, home);
    }
    if (++n == map.lineCount) n = 0;
  }
  store<u32>(hand, n);
  return last != 0 ? coldestOf(map, last) : 0;
}

/** The oldest elem without heat of the buckets from the nth on, where `tag` is one of the nth. */
function olderAhead(map: Htab, n: u32, tag: usize, now: u32): usize {
  let best = tag;
  let age = ageOf(map, tag, now);
  const ahead = min<u32>(map.lineCount, map.lineCount < FEW_BUCKETS ? AHEAD_OF_FEW : AHEAD);
  for (let i: u32 = 1; i < ahead; i++) {
    if (++n == map.lineCount) n = 0;
    const home = lineAt(map, n);
    if (atomic.load<u32>(home) != 0) continue;
    const other = oldestCold(map, home, now);
    if (other == 0 || ageOf(map, other, now) <= age) continue;
    best = other;
    age = ageOf(map, other, now);
  }
  return best;
}

/**
 * The tag of the oldest elem of a bucket that has no heat, or 0. Of those of an age one in its last line: a line that holds nothing
 * is given back. (Without a lock the way from line to line may lead into another bucket's.)
 */
function oldestCold(map: Htab, home: usize, now: u32): usize {
  let found: usize = 0;
  let most: u32 = 0;
  let line = home;
  for (let lines = 0; line != 0 && lines < CHAIN; lines++, line = nextLine(line)) {
    const heats = load<u64>(line + map.heatOff);
    const cold = load<u64>(line + TAGS_OFF) & HIGH_BITS & ~warmBytes(heats);
    if (cold == 0) continue;
    // Where there is no heat, a byte of age and cell: the largest of eight tells both.
    const ages = i8x16.sub(i8x16.splat(<i8>(now << TIME_SHIFT)), i64x2.splat(heats));
    const keys = v128.and(v128.or(ages, CELLS), i8x16.shr_s(i64x2.splat(cold), 7));
    const four = i8x16.max_u(keys, i64x2.shr_u(keys, 32));
    const two = i8x16.max_u(four, i64x2.shr_u(four, 16));
    const key = <u32>i8x16.extract_lane_u(i8x16.max_u(two, i64x2.shr_u(two, 8)), 0);
    if (key >> TIME_SHIFT < most) continue;
    most = key >> TIME_SHIFT;
    found = line + TAGS_OFF + (key & CELL_MASK);
  }
  return found;
}

/** The tag of the elem of a bucket that is the least warm, or the oldest; or 0. */
export function coldestOf(map: Htab, home: usize): usize {
  let best: usize = 0;
  let least = u64.MAX_VALUE;
  let line = home;
  for (let lines = 0; line != 0 && lines < CHAIN; lines++, line = nextLine(line)) {
    for (let cell: u32 = 0; cell < map.cells; cell++) {
      const tag = line + TAGS_OFF + cell;
      if (load<u8>(tag) == 0) continue;
      const use = isExact(map) ? stampOf(map, tag) : <u64>(<u32>load<u8>(heatOf(map, tag)) & HEAT_MASK);
      if (use >= least) continue;
      least = use;
      best = tag;
    }
  }
  return best;
}

/** Takes one from each heat of a bucket that is not 0. In a small table those above 2 count as 2. */
function coolDown(map: Htab, home: usize): void {
  let line = home;
  for (let lines = 0; line != 0 && lines < CHAIN; lines++, line = nextLine(line)) {
    const heats = load<u64>(line + map.heatOff);
    store<u64>(line + map.heatOff, isSmall(map) ? oneOrNone(heats) : heats - (warmBytes(heats) >> 7));
  }
}

/** The same bytes, with a heat of 1 for those of 2 and more, and none for the others. */
// @ts-ignore: decorator
@inline
function oneOrNone(heats: u64): u64 {
  return (heats & ~(<u64>HEAT_MASK * ONES)) | (((heats >> 1) | (heats >> 2)) & ONES);
}

/** The highest bit of each byte with some heat. */
// @ts-ignore: decorator
@inline
function warmBytes(heats: u64): u64 {
  return ((heats & (<u64>HEAT_MASK * ONES)) + 0x7f * ONES) & HIGH_BITS;
}

/** Whether an elem that `nextToGo` gave may go still. The caller holds the lock of its home line, `home`. */
export function mayGo(map: Htab, home: usize, tag: usize): bool {
  if (load<u8>(tag) == 0 || homeOfTag(map, tag) != home) return false;
  return !isExact(map) || isOldest(map, tag);
}

/** The home line of an elem's bucket, or 0 if its line is nobody's. */
export function homeOfTag(map: Htab, tag: usize): usize {
  return homeLine(map, <u32>((lineOfTag(tag) - map.lines) / map.lineSize));
}

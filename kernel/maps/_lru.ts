/**
 * LRU: which elem of a full hash table (_htab.ts) goes, to make room for a new one. Linux does the same with lists
 * (kernel/bpf/bpf_lru_list.c): what both promise is that an update never fails for lack of room.
 *
 * The last bytes of each line, and `hand` in the map's head:
 *
 *      heatOff      heat    a byte a cell: how often the elem was used, up to MAX_HEAT; it cools by one when the hand passes
 *      heatOff + 8  ghosts  of a line of the map's own: a byte of the hash of the last eight of its elems that went, newest first
 *
 * The hand goes round over the lines. The first elem without heat that it meets goes; a line where all have some cools, and
 * the hand goes on. A new elem has none: so a scan takes the places of scans, and not those of what is used again and again. Who
 * comes back after it went is no scan, and begins warm. Elems lie where their hash leads, so the hand meets them in no order of
 * age: which goes is less exact than a list of all would be, but no use has to be written into one, and no lock is taken for it.
 *
 * Differs from Linux: elems go one by one, not many at once, so a full map stays full. There are no lists of single CPUs, with
 * BPF_F_NO_COMMON_LRU neither.
 *
 * Threads: all here are hints. Uses that threads note at the same time may count as one, and the hand may skip a line. An elem goes as
 * any that is deleted: under its bucket's lock (_htab_ops.ts).
 */
import { Htab, KeyBytes, Key16, cellOfTag, hashOf, homeLine, keyAt, lineAt, lineOfTag, linesInAll, nextLine, TAGS_OFF } from "./_htab";
import { awaitWriter } from "./_stripe";

export const MAX_HEAT: u32 = 7;
/** Of an elem that went, and comes back. */
const COMES_BACK_HEAT: u8 = 3;
const GHOSTS_OFF: usize = 8;
/** Lines that are looked at for one elem: then the least warm of them goes. */
const LINES: i32 = 64;

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
function heatOf(map: Htab, tag: usize): usize {
  return lineOfTag(tag) + map.heatOff + cellOfTag(tag);
}

/** Notes that an elem was used. */
// @ts-ignore: decorator
@inline
export function noteUse(map: Htab, tag: usize): void {
  const at = heatOf(map, tag);
  const heat = <u32>load<u8>(at);
  // What is used most is not written to: threads that read it share its line.
  if (heat < MAX_HEAT) store<u8>(at, <u8>(heat + 1));
}

/** The heat that a new elem begins with. The caller holds the lock of its home line. */
export function noteNew(map: Htab, home: usize, tag: usize, hash: u32): void {
  const ghosts = load<u64>(home + map.heatOff + GHOSTS_OFF) ^ (ONES * <u64>ghostOf(hash));
  // Whether one of the bytes is zero.
  const isBack = ((ghosts - ONES) & ~ghosts & HIGH_BITS) != 0;
  store<u8>(heatOf(map, tag), isBack ? COMES_BACK_HEAT : 0);
}

/** Notes that an elem goes to make room. The caller holds the lock of its home line. */
export function noteGone(map: Htab, home: usize, tag: usize): void {
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
 * The tag of an elem that may go, or 0 if some lines in a row have none. The caller takes the lock of its home line, and looks
 * whether it is there still.
 *
 * @param patient Whether lines that are locked are waited for; else they are skipped.
 */
export function nextToGo(map: Htab, patient: bool): usize {
  const hand = changetype<usize>(map) + offsetof<Htab>("hand");
  let best: usize = 0;
  let least = <u32>u8.MAX_VALUE;
  let n = atomic.load<u32>(hand);
  for (let looked = 0; looked < LINES; looked++) {
    const lines = linesInAll(map);
    if (n >= lines) n = 0;
    const next = n + 1;
    const home = homeLine(map, n);
    const isBusy = home != 0 && atomic.load<u32>(home) != 0;
    if (isBusy && patient) awaitWriter(map, home);
    if (home != 0 && (patient || !isBusy)) {
      const line = lineAt(map, n);
      const tag = coldest(map, line);
      const heat = tag != 0 ? <u32>load<u8>(heatOf(map, tag)) : <u32>u8.MAX_VALUE;
      if (heat == 0) {
        atomic.store<u32>(hand, n);
        return tag;
      }
      if (heat < least) {
        least = heat;
        best = tag;
      }
      coolDown(line + map.heatOff);
    }
    n = next;
  }
  atomic.store<u32>(hand, n);
  return best;
}

/** The tag of the elem that is the least warm of a line's, or 0. */
function coldest(map: Htab, line: usize): usize {
  const heats = line + map.heatOff;
  let best: usize = 0;
  let least = <u32>u8.MAX_VALUE;
  for (let cell: u32 = 0; cell < map.cells; cell++) {
    if (load<u8>(line + TAGS_OFF + cell) == 0) continue;
    const heat = <u32>load<u8>(heats + cell);
    if (heat >= least) continue;
    least = heat;
    best = line + TAGS_OFF + cell;
    if (heat == 0) break;
  }
  return best;
}

/** The tag of the elem that is the least warm of a bucket's. The caller holds the lock of its line. */
export function coldestOfBucket(map: Htab, home: usize): usize {
  let best: usize = 0;
  let least = <u32>u8.MAX_VALUE;
  for (let line = home; line != 0; line = nextLine(line)) {
    const tag = coldest(map, line);
    if (tag == 0 || <u32>load<u8>(heatOf(map, tag)) >= least) continue;
    least = load<u8>(heatOf(map, tag));
    best = tag;
  }
  return best;
}

/** Takes one from each heat of a line that is not 0. No heat is above MAX_HEAT. */
function coolDown(heats: usize): void {
  const all = load<u64>(heats);
  const warm = ((all + 0x7f * ONES) & HIGH_BITS) >> 7;
  store<u64>(heats, all - warm);
}

/** The home line of an elem's bucket, or 0 if its line is nobody's. */
export function homeOfTag(map: Htab, tag: usize): usize {
  return homeLine(map, <u32>((lineOfTag(tag) - map.lines) / map.lineSize));
}

/**
 * Walks over hash tables: BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_BATCH and BPF_MAP_LOOKUP_AND_DELETE_BATCH.
 *
 * A place in a walk is the number of a line in the row of all lines (overflow lines behind the others) times 8, plus a cell's. No
 * elem moves: so a walk that goes on from a place ends, meets no elem twice, and misses none that stayed. Batches go by buckets, a
 * home line and its overflow lines each: they meet no key twice either, for one that was deleted and comes back is in its bucket
 * still. Threads: no lock, unless writers keep disturbing; what was copied counts if the home line's seq is unchanged.
 */
import { EFAULT, EINVAL, ENOENT, ENOSPC } from "../../src/uapi/errno";
import { mayLock } from "../_btf_fields";
import { BatchAttr, putBatchCount } from "../attr";
import { unlock } from "../lock";
import { isMapInMap } from "../map_types";
import { isUser } from "../mem/pages";
import { keepOrder } from "../order";
import { sb } from "../super";
import { me } from "../task";
import {
  Htab,
  KEYS_OFF,
  KeyBytes,
  TAGS_OFF,
  cellOfTag,
  cellsWith,
  findTag,
  fullCells,
  hashOf,
  homeLine,
  keyAt,
  keyStrideOf,
  lineAt,
  lineOf,
  lineOfTag,
  linesInAll,
  nextLine,
  valueAt,
  valueStrideOf,
} from "./_htab";
import { isPerCpuTable, readValue, removeElem } from "./_htab_ops";
import { exchangeRefs } from "./_map_in_map";
import { awaitWriter, loadSeq, lockStripe } from "./_stripe";
import { copy } from "./_value";

const PLACES: u32 = 8;
/** Tries without a lock before a walk takes that of a line. */
const OPTIMISTIC_COPIES: i32 = 64;

/** The key that follows, or the first one if `key` is not there or 0; or -ENOENT. */
export function htabGetNextKey(map: Htab, key: usize, next: usize): i32 {
  return firstFrom(map, key == 0 ? 0 : placeBehind(map, key), next);
}

/** The place behind a key's, or 0 if it is not there. */
function placeBehind(map: Htab, key: usize): u32 {
  const bytes = map.keySize;
  if (bytes == 4) return placeBehindKey<u32>(map, load<u32>(key));
  if (bytes == 8) return placeBehindKey<u64>(map, load<u64>(key));
  return placeBehindKey<KeyBytes>(map, changetype<KeyBytes>(key));
}

function placeBehindKey<K>(map: Htab, key: K): u32 {
  const hash = hashOf<K>(map, key);
  const home = lineAt(map, lineOf(map, hash));
  while (true) {
    const seq = loadSeq(home);
    const tag = findTag<K>(map, home, key, hash, seq);
    keepOrder();
    if (seq & 1) awaitWriter(map, home);
    if (loadSeq(home) != seq) continue;
    if (tag == 0) return 0;
    const line = lineOfTag(tag);
    return <u32>((line - map.lines) / map.lineSize) * PLACES + cellOfTag(tag) + 1;
  }
}

/** The key of the first elem from a place on. */
function firstFrom(map: Htab, place: u32, next: usize): i32 {
  let cell = place % PLACES;
  for (let n = place / PLACES; n < linesInAll(map); n++, cell = 0) {
    if (copyKey(map, n, cell, next)) return 0;
  }
  return -ENOENT;
}

/** Copies the key of the first elem of the nth line from a cell on; false if there is none. */
function copyKey(map: Htab, n: u32, cell: u32, to: usize): bool {
  let tries = 0;
  while (true) {
    const home = homeLine(map, n);
    if (home == 0) return false;
    const isLocked = tries++ >= OPTIMISTIC_COPIES;
    if (isLocked) lockStripe(map, home);
    const seq = loadSeq(home);
    const isStable = (seq & 1) == 0 && homeLine(map, n) == home;
    let full: u32 = 0;
    if (isStable) {
      const line = lineAt(map, n);
      full = fullCells(map, line) & (<u32>-1 << cell);
      keepOrder();
      if (full != 0) copy(to, keyAt(map, line, <u32>ctz<u32>(full)), map.keySize);
    }
    keepOrder();
    const isSame = isStable && loadSeq(home) == seq;
    if (isLocked) unlock(home);
    if (isSame) return full != 0;
    if (seq & 1) awaitWriter(map, home);
  }
}

/**
 * BPF_MAP_LOOKUP_BATCH: whole buckets; the cursor is the place of the next one. Behaves as __htab_map_lookup_and_delete_batch.
 *
 * A key that is deleted and comes back comes back into its bucket, which was delivered as a whole: so no batch has it again.
 *
 * @returns 0; -ENOENT when the last bucket was reached; -ENOSPC when the first one has more elems than there is room for; -EFAULT
 */
export function htabLookupBatch(map: Htab, batch: BatchAttr, user: usize): i32 {
  if (!mayLock(map, batch.elemFlags) || batch.flags != 0) return -EINVAL;
  const count = batch.count;
  if (count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  let n: u32 = 0;
  if (batch.inBatch != 0) {
    if (!isUser(batch.inBatch, 4)) return -EFAULT;
    n = load<u32>(<usize>batch.inBatch) / PLACES;
  }
  if (n >= map.lineCount) return -ENOENT;
  const keySize = map.keySize;
  const valueSize = isPerCpuTable(map) ? map.slotSize * sb().possibleCpus : map.valueSize;
  // Most often all that is given is user memory; if not, each elem's share of it is looked at.
  const isMapped = isUser(batch.keys, <u64>count * keySize) && isUser(batch.values, <u64>count * valueSize);
  let done: u32 = 0;
  let ret: i32 = -ENOENT;
  while (true) {
    const toKeys = batch.keys + <u64>done * keySize;
    const toValues = batch.values + <u64>done * valueSize;
    const copied = isMapped ? copyLines(map, n, <usize>toKeys, <usize>toValues, count - done) : 0;
    if (isMapped) n = me().walked;
    done += copied;
    while (n < map.lineCount && isEmptyBucket(map, n)) n++;
    // Linux's batch of the last elems says that they are: empty buckets behind them do not count.
    if (n == map.lineCount) break;
    const got = copyBucket(map, n, count - done, toKeys + <u64>copied * keySize, toValues + <u64>copied * valueSize, isMapped);
    if (got == -EFAULT) return got;
    if (got == -ENOSPC) {
      ret = done != 0 ? 0 : -ENOSPC;
      break;
    }
    done += got;
    n++;
  }
  if (!isUser(batch.outBatch, 4)) return -EFAULT;
  store<u32>(<usize>batch.outBatch, n * PLACES);
  if (!putBatchCount(user, done)) return -EFAULT;
  return ret;
}

// @ts-ignore: decorator
@inline
function isEmptyBucket(map: Htab, n: u32): bool {
  const home = lineAt(map, n);
  return fullCells(map, home) == 0 && nextLine(home) == 0;
}

/** Copies all elems of the nth bucket, as they are at one moment. Returns how many; -ENOSPC if there is no room for all; -EFAULT. */
function copyBucket(map: Htab, n: u32, room: u32, toKeys: u64, toValues: u64, isMapped: bool): i32 {
  const home = lineAt(map, n);
  let tries = 0;
  while (true) {
    const isLocked = tries++ >= OPTIMISTIC_COPIES;
    if (isLocked) lockStripe(map, home);
    const seq = loadSeq(home);
    const isStable = (seq & 1) == 0;
    const copied = isStable ? copyChain(map, n, seq, room, toKeys, toValues, isMapped) : 0;
    keepOrder();
    const isSame = isStable && loadSeq(home) == seq;
    if (isLocked) unlock(home);
    if (isSame) return copied;
    if (seq & 1) awaitWriter(map, home);
  }
}

/** The same; what it returns counts if the home line's seq is still `seq` afterwards. */
function copyChain(map: Htab, n: u32, seq: u32, room: u32, toKeys: u64, toValues: u64, isMapped: bool): i32 {
  const home = lineAt(map, n);
  const keySize = map.keySize;
  const valueSize = isPerCpuTable(map) ? map.slotSize * sb().possibleCpus : map.valueSize;
  let copied: u32 = 0;
  for (let line = home; line != 0; line = nextLine(line)) {
    let full = fullCells(map, line);
    keepOrder();
    // An overflow line that was given back leads anywhere.
    if (loadSeq(home) != seq) return 0;
    for (; full != 0; full &= full - 1) {
      if (copied == room) return -ENOSPC;
      if (!isMapped && !(isUser(toKeys, keySize) && isUser(toValues, valueSize))) return -EFAULT;
      const i = <u32>ctz<u32>(full);
      copy(<usize>toKeys, keyAt(map, line, i), keySize);
      readValue(map, valueAt(map, line, i), n, <usize>toValues);
      toKeys += keySize;
      toValues += valueSize;
      copied++;
    }
  }
  return copied;
}

/**
 * BPF_MAP_LOOKUP_AND_DELETE_BATCH: whole buckets, each under the lock of its line. The cursor is the place of the next one.
 *
 * Differs from Linux: an elem whose key and value cannot be written stays. A thread that ends in the middle takes with it what it
 * has deleted, and no more.
 *
 * @returns as htabLookupBatch
 */
export function htabLookupAndDeleteBatch(map: Htab, batch: BatchAttr, user: usize): i32 {
  if (!mayLock(map, batch.elemFlags) || batch.flags != 0) return -EINVAL;
  const count = batch.count;
  if (count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  let n: u32 = 0;
  if (batch.inBatch != 0) {
    if (!isUser(batch.inBatch, 4)) return -EFAULT;
    n = load<u32>(<usize>batch.inBatch) / PLACES;
  }
  if (n >= map.lineCount) return -ENOENT;
  let done: u32 = 0;
  let ret: i32 = -ENOENT;
  while (n < map.lineCount) {
    const home = lineAt(map, n);
    lockStripe(map, home);
    const fits = elemsOf(map, home) <= count - done;
    const taken = fits ? takeBucket(map, n, batch, done) : 0;
    unlock(home);
    if (taken < 0) return taken;
    if (!fits) {
      ret = done != 0 ? 0 : -ENOSPC;
      break;
    }
    done += taken;
    n++;
  }
  if (!isUser(batch.outBatch, 4)) return -EFAULT;
  store<u32>(<usize>batch.outBatch, n * PLACES);
  if (!putBatchCount(user, done)) return -EFAULT;
  return ret;
}

/** How many elems a bucket has. The caller holds the lock. */
function elemsOf(map: Htab, home: usize): u32 {
  let n: u32 = 0;
  for (let line = home; line != 0; line = nextLine(line)) n += popcnt<u32>(fullCells(map, line));
  return n;
}

/** The line of a bucket that has an elem, or 0. The caller holds the lock. */
function firstFull(map: Htab, home: usize): usize {
  let line = home;
  while (line != 0 && fullCells(map, line) == 0) line = nextLine(line);
  return line;
}

/** Delivers and deletes all elems of a bucket. Returns how many, or -EFAULT. The caller holds the lock, and has room for them. */
function takeBucket(map: Htab, index: u32, batch: BatchAttr, done: u32): i32 {
  const home = lineAt(map, index);
  const keySize = map.keySize;
  const valueSize = isPerCpuTable(map) ? map.slotSize * sb().possibleCpus : map.valueSize;
  let taken: u32 = 0;
  // The last elem of an overflow line takes the line along: so it is looked for anew.
  for (let line = firstFull(map, home); line != 0; line = firstFull(map, home)) {
    const toKey = batch.keys + <u64>(done + taken) * keySize;
    const toValue = batch.values + <u64>(done + taken) * valueSize;
    if (!isUser(toKey, keySize) || !isUser(toValue, valueSize)) return -EFAULT;
    const cell = <u32>ctz<u32>(fullCells(map, line));
    // Of a hash of maps, whose caller holds the tables lock.
    const inner = isMapInMap(map.type) ? load<u32>(valueAt(map, line, cell)) : 0;
    copy(<usize>toKey, keyAt(map, line, cell), keySize);
    removeElem(map, home, line + TAGS_OFF + cell, index, <usize>toValue);
    if (inner != 0) exchangeRefs(0, inner);
    taken++;
  }
  return taken;
}

/**
 * Copies whole buckets, from the nth on, as long as they have one line, there is room for a full one and nobody disturbs: keys
 * and values of a word, which most maps have. `walked` in this task's record says with which line to go on.
 *
 * @returns How many elems there were.
 */
function copyLines(map: Htab, n: u32, toKeys: usize, toValues: usize, room: u32): u32 {
  const isInLine = map.slotted == 0;
  const key = map.keySize;
  const value = map.valueSize;
  if (isInLine && key == 4 && value == 4) return copyWords<u32, u32>(map, n, toKeys, toValues, room);
  if (isInLine && key == 4 && value == 8) return copyWords<u32, u64>(map, n, toKeys, toValues, room);
  if (isInLine && key == 8 && value == 4) return copyWords<u64, u32>(map, n, toKeys, toValues, room);
  if (isInLine && key == 8 && value == 8) return copyWords<u64, u64>(map, n, toKeys, toValues, room);
  me().walked = n;
  return 0;
}

function copyWords<K, V>(map: Htab, n: u32, toKeys: usize, toValues: usize, room: u32): u32 {
  const from = toKeys;
  const lines = map.lineCount;
  const lineSize = map.lineSize;
  const valuesOff = map.valuesOff;
  const mask = (1 << map.cells) - 1;
  const end = toKeys + <usize>room * sizeof<K>();
  const most = map.cells * sizeof<K>();
  for (let line = lineAt(map, n); n < lines && end - toKeys >= most; n++, line += lineSize) {
    if (nextLine(line) != 0) break;
    const seq = loadSeq(line);
    const full = ~cellsWith(line, 0) & mask;
    keepOrder();
    let key = toKeys;
    let value = toValues;
    for (let left = full; left != 0; left &= left - 1) {
      const i = <usize>ctz<u32>(left);
      store<K>(key, load<K>(line + i * keyStrideOf<K, V>(), KEYS_OFF));
      store<V>(value, load<V>(line + valuesOff + i * valueStrideOf<K, V>()));
      key += sizeof<K>();
      value += sizeof<V>();
    }
    keepOrder();
    if (loadSeq(line) != seq || (seq & 1) != 0) break;
    toKeys = key;
    toValues = value;
  }
  me().walked = n;
  return <u32>((toKeys - from) / sizeof<K>());
}

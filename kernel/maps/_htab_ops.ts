/**
 * Operations on hash tables, for every kind of key and of value. See _htab.ts for the structure and who may do what when.
 *
 * The type argument K is the key: u32, u64, or KeyBytes for all other sizes. A key of bytes must not change during an
 * update: the caller has copied it out of user memory. Of a value, `0` for its address stands for "do not copy".
 */
import { BPF_EXIST, BPF_NOEXIST } from "../../src/uapi/bpf";
import { E2BIG, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, ENOSPC } from "../../src/uapi/errno";
import { BatchAttr, putBatchCount } from "../attr";
import { isUser } from "../mem/pages";
import { lock, unlock } from "../lock";
import { sb } from "../super";
import { currentCpu } from "../task";
import { Htab, KeyBytes, bucketAt, bucketCount, bucketIndex, findElem, findLink, hashOf, keyOff, putKey } from "./_htab";
import { countWord, giveElem, takeElem } from "./_pool";
import { bumpSeq, loadSeq, slotStripeOf, stripeOf } from "./_stripe";
import { Lanes, addLanes, addSlot, addWord, copyIn, copyOut, copyWord, isWord, readSlot, writeSlot } from "./_value";

/** Tries without a lock before a lookup takes it: writers that never pause must not starve it. */
const OPTIMISTIC_LOOKUPS: i32 = 64;

// @ts-ignore: decorator
@inline
function isPerCpuTable(map: Htab): bool {
  return map.slotSize != 0;
}

/** Copies an elem's value out: of a per-CPU table the slots of all CPUs, one behind the other. */
// @ts-ignore: decorator
@inline
function readValue(map: Htab, elem: usize, index: u32, to: usize): void {
  if (isPerCpuTable(map)) readSlots(map, elem, index, to);
  else copyOut(to, elem + map.valueOff, map.valueSize);
}

function readSlots(map: Htab, elem: usize, index: u32, to: usize): void {
  const bytes = map.slotSize;
  let from: usize = load<u32>(elem + map.valueOff);
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    readSlot(slotStripeOf(map, index, cpu), to, from, bytes);
    from += map.slotsSize;
    to += bytes;
  }
}

function writeSlots(map: Htab, elem: usize, index: u32, from: usize): void {
  const bytes = map.slotSize;
  let to: usize = load<u32>(elem + map.valueOff);
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    writeSlot(slotStripeOf(map, index, cpu), to, from, bytes);
    to += map.slotsSize;
    from += bytes;
  }
}

/**
 * Writes the first value of an elem that no list has: what is at `from`, or zeroes with its lanes added. Of a per-CPU table
 * the slots of all CPUs, zeroes if `from` is 0.
 */
function fillValue(map: Htab, elem: usize, index: u32, from: usize, lanes: Lanes | null): void {
  if (!isPerCpuTable(map)) {
    const to = elem + map.valueOff;
    if (lanes == null) {
      copyIn(to, from, map.valueSize);
    } else {
      memory.fill(to, 0, map.valueSize);
      addLanes(to, from, lanes);
    }
  } else if (from != 0) {
    writeSlots(map, elem, index, from);
  } else {
    let slot: usize = load<u32>(elem + map.valueOff);
    for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
      memory.fill(slot, 0, map.slotSize);
      slot += map.slotsSize;
    }
  }
}

/** Copies the value of a key to `to`, unless that is 0. */
// @ts-ignore: decorator
@inline
export function lookup<K>(map: Htab, key: K, to: usize): i32 {
  const hash = hashOf<K>(map, key);
  const index = bucketIndex(map, hash);
  const bucket = bucketAt(map, index);
  const stripe = stripeOf(map, index);
  for (let tries = 0; tries < OPTIMISTIC_LOOKUPS; tries++) {
    const seq = loadSeq(stripe);
    const elem = findElem<K>(map, key, hash, bucket, stripe, seq);
    if (elem != 0 && to != 0) readValue(map, elem, index, to);
    if (loadSeq(stripe) == seq) return elem != 0 ? 0 : -ENOENT;
  }
  return lookupLocked<K>(map, key, hash, to);
}

function lookupLocked<K>(map: Htab, key: K, hash: u32, to: usize): i32 {
  const index = bucketIndex(map, hash);
  const stripe = stripeOf(map, index);
  lock(stripe);
  const elem: usize = load<u32>(findLink<K>(map, key, hash, bucketAt(map, index)));
  if (elem != 0 && to != 0) readValue(map, elem, index, to);
  unlock(stripe);
  return elem != 0 ? 0 : -ENOENT;
}

/** BPF_MAP_UPDATE_ELEM, with the value at `value`. */
// @ts-ignore: decorator
@inline
export function update<K>(map: Htab, key: K, value: usize, flags: u64): i32 {
  if (flags > <u64>BPF_EXIST) return -EINVAL;
  const hash = hashOf<K>(map, key);
  const index = bucketIndex(map, hash);
  const stripe = stripeOf(map, index);
  lock(stripe);
  const link = findLink<K>(map, key, hash, bucketAt(map, index));
  const elem: usize = load<u32>(link);
  let ret: i32 = 0;
  if (elem == 0) ret = flags == <u64>BPF_EXIST ? -ENOENT : insert<K>(map, key, hash, index, value, null);
  else if (flags == <u64>BPF_NOEXIST) ret = -EEXIST;
  else if (isPerCpuTable(map)) writeSlots(map, elem, index, value);
  else if (isWord(map.valueSize)) copyWord(elem + map.valueOff, value, map.valueSize);
  else ret = replace(map, link, elem, stripe, value, null);
  unlock(stripe);
  return ret;
}

/** Counts one elem more, unless the map is full. The count is never too high, not even for a moment. */
function reserveElem(map: Htab): bool {
  while (true) {
    const count = atomic.load<u32>(countWord(map));
    if (count >= map.maxEntries) return false;
    if (atomic.cmpxchg<u32>(countWord(map), count, count + 1) == count) return true;
  }
}

/** Links a new elem at its bucket's head. The caller holds the stripe. */
function insert<K>(map: Htab, key: K, hash: u32, index: u32, value: usize, lanes: Lanes | null): i32 {
  if (!reserveElem(map)) return -E2BIG;
  const elem = takeElem(map);
  if (elem == 0) {
    atomic.sub<u32>(countWord(map), 1);
    return -ENOMEM;
  }
  putKey<K>(map, elem, key, hash);
  fillValue(map, elem, index, value, lanes);
  const bucket = bucketAt(map, index);
  atomic.store<u32>(elem, load<u32>(bucket));
  atomic.store<u32>(bucket, <u32>elem);
  return 0;
}

/**
 * Puts a new elem in the place of `elem`, with a new value: that at `value`, or the old one with lanes of `value` added.
 * The caller holds the stripe.
 */
function replace(map: Htab, link: usize, elem: usize, stripe: usize, value: usize, lanes: Lanes | null): i32 {
  const fresh = takeElem(map);
  if (fresh == 0) return -ENOMEM;
  const valueOff = map.valueOff;
  // next, hash and key are the old elem's.
  copyIn(fresh, elem, valueOff);
  if (lanes == null) {
    copyIn(fresh + valueOff, value, map.valueSize);
  } else {
    copyIn(fresh + valueOff, elem + valueOff, map.valueSize);
    addLanes(fresh + valueOff, value, lanes);
  }
  atomic.store<u32>(link, <u32>fresh);
  bumpSeq(stripe);
  giveElem(map, elem);
  return 0;
}

/** BPF_MAP_DELETE_ELEM. */
// @ts-ignore: decorator
@inline
export function remove<K>(map: Htab, key: K): i32 {
  const hash = hashOf<K>(map, key);
  const index = bucketIndex(map, hash);
  const stripe = stripeOf(map, index);
  lock(stripe);
  const link = findLink<K>(map, key, hash, bucketAt(map, index));
  const elem: usize = load<u32>(link);
  if (elem != 0) {
    atomic.store<u32>(link, load<u32>(elem));
    bumpSeq(stripe);
    giveElem(map, elem);
    atomic.sub<u32>(countWord(map), 1);
  }
  unlock(stripe);
  return elem != 0 ? 0 : -ENOENT;
}

/** Adds to the value of a key, lane by lane; an absent one starts at zero. Of a per-CPU table, to this thread's CPU. */
// @ts-ignore: decorator
@inline
export function add<K>(map: Htab, key: K, delta: usize, lanes: Lanes): i32 {
  const hash = hashOf<K>(map, key);
  const index = bucketIndex(map, hash);
  if (isPerCpuTable(map)) return addToSlot<K>(map, key, hash, index, delta, lanes);
  const stripe = stripeOf(map, index);
  lock(stripe);
  const link = findLink<K>(map, key, hash, bucketAt(map, index));
  const elem: usize = load<u32>(link);
  let ret: i32 = 0;
  if (elem == 0) ret = insert<K>(map, key, hash, index, delta, lanes);
  else if (isWord(map.valueSize)) addWord(elem + map.valueOff, delta, map.valueSize, lanes);
  else ret = replace(map, link, elem, stripe, delta, lanes);
  unlock(stripe);
  return ret;
}

/**
 * The same on a per-CPU table. The bucket's stripe is held, so that the elem stays: threads that add on one key meet
 * there, but for the time of an add only.
 */
function addToSlot<K>(map: Htab, key: K, hash: u32, index: u32, delta: usize, lanes: Lanes): i32 {
  const cpu = currentCpu();
  if (cpu < 0) return cpu;
  const stripe = stripeOf(map, index);
  lock(stripe);
  let elem: usize = load<u32>(findLink<K>(map, key, hash, bucketAt(map, index)));
  let ret: i32 = 0;
  if (elem == 0) {
    ret = insert<K>(map, key, hash, index, 0, null);
    elem = load<u32>(bucketAt(map, index));
  }
  if (ret == 0) {
    const slot = <usize>load<u32>(elem + map.valueOff) + <usize>map.slotsSize * cpu;
    addSlot(slotStripeOf(map, index, cpu), slot, delta, map.slotSize, lanes);
  }
  unlock(stripe);
  return ret;
}

// By the key's address: what system calls have.

export function htabLookupElem(map: Htab, key: usize, to: usize): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return lookup<u32>(map, load<u32>(key), to);
  if (bytes == 8) return lookup<u64>(map, load<u64>(key), to);
  return lookup<KeyBytes>(map, changetype<KeyBytes>(key), to);
}

export function htabUpdateElem(map: Htab, key: usize, value: usize, flags: u64): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return update<u32>(map, load<u32>(key), value, flags);
  if (bytes == 8) return update<u64>(map, load<u64>(key), value, flags);
  return update<KeyBytes>(map, changetype<KeyBytes>(key), value, flags);
}

export function htabDeleteElem(map: Htab, key: usize): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return remove<u32>(map, load<u32>(key));
  if (bytes == 8) return remove<u64>(map, load<u64>(key));
  return remove<KeyBytes>(map, changetype<KeyBytes>(key));
}

export function htabAddElem(map: Htab, key: usize, delta: usize, lanes: Lanes): i32 {
  const bytes = map.keySize;
  if (bytes == 4) return add<u32>(map, load<u32>(key), delta, lanes);
  if (bytes == 8) return add<u64>(map, load<u64>(key), delta, lanes);
  return add<KeyBytes>(map, changetype<KeyBytes>(key), delta, lanes);
}

/** BPF_MAP_GET_NEXT_KEY: the key that follows, or the first one if `key` is not there or 0; or -ENOENT. */
export function htabGetNextKey(map: Htab, key: usize, next: usize): i32 {
  if (key == 0) return firstFrom(map, 0, next);
  const bytes = map.keySize;
  if (bytes == 4) return nextKey<u32>(map, load<u32>(key), next);
  if (bytes == 8) return nextKey<u64>(map, load<u64>(key), next);
  return nextKey<KeyBytes>(map, changetype<KeyBytes>(key), next);
}

function nextKey<K>(map: Htab, key: K, next: usize): i32 {
  const hash = hashOf<K>(map, key);
  const index = bucketIndex(map, hash);
  const stripe = stripeOf(map, index);
  while (true) {
    const seq = loadSeq(stripe);
    const elem = findElem<K>(map, key, hash, bucketAt(map, index), stripe, seq);
    const follower: usize = elem != 0 ? <usize>atomic.load<u32>(elem) : 0;
    if (follower != 0) copyKeyOut(map, follower, next);
    if (loadSeq(stripe) != seq) continue;
    if (follower != 0) return 0;
    return firstFrom(map, elem != 0 ? index + 1 : 0, next);
  }
}

/** The first key of the first bucket from `index` on that has one. */
function firstFrom(map: Htab, index: u32, next: usize): i32 {
  for (const buckets = bucketCount(map); index < buckets; index++) {
    const stripe = stripeOf(map, index);
    while (true) {
      const seq = loadSeq(stripe);
      const elem: usize = atomic.load<u32>(bucketAt(map, index));
      if (elem == 0) break;
      copyKeyOut(map, elem, next);
      if (loadSeq(stripe) == seq) return 0;
    }
  }
  return -ENOENT;
}

// @ts-ignore: decorator
@inline
function copyKeyOut(map: Htab, elem: usize, to: usize): void {
  copyOut(to, elem + keyOff(map), map.keySize);
}

/**
 * BPF_MAP_LOOKUP_BATCH: copies whole buckets, as many as there is room for. The cursor is a bucket's index, and a key
 * never changes its bucket: so a walk by batches ends, and meets no key twice. Behaves as
 * __htab_map_lookup_and_delete_batch.
 *
 * @returns 0; -ENOENT when the last bucket was reached; -ENOSPC when not even the first one had room; -EFAULT
 */
export function htabLookupBatch(map: Htab, batch: BatchAttr, user: usize): i32 {
  if (batch.flags != 0) return -EINVAL;
  if (batch.count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  let index: u32 = 0;
  if (batch.inBatch != 0) {
    if (!isUser(batch.inBatch, 4)) return -EFAULT;
    index = load<u32>(<usize>batch.inBatch);
  }
  const buckets = bucketCount(map);
  if (index >= buckets) return -ENOENT;
  const keySize = map.keySize;
  const valueSize = isPerCpuTable(map) ? map.slotSize * sb().possibleCpus : map.valueSize;
  let done: u32 = 0;
  let ret = -ENOENT;
  for (; index < buckets; index++) {
    const bucket = bucketAt(map, index);
    if (atomic.load<u32>(bucket) == 0) continue;
    const toKeys = batch.keys + <u64>done * keySize;
    const toValues = batch.values + <u64>done * valueSize;
    const stripe = stripeOf(map, index);
    lock(stripe);
    const n = chainLength(bucket);
    const fits = n <= batch.count - done;
    const mapped = isUser(toKeys, <u64>n * keySize) && isUser(toValues, <u64>n * valueSize);
    if (fits && mapped) copyBucket(map, index, <usize>toKeys, <usize>toValues, valueSize);
    unlock(stripe);
    if (!fits) {
      ret = done == 0 ? -ENOSPC : 0;
      break;
    }
    if (!mapped) return -EFAULT;
    done += n;
  }
  if (!isUser(batch.outBatch, 4)) return -EFAULT;
  store<u32>(<usize>batch.outBatch, index);
  return putBatchCount(user, done) ? ret : -EFAULT;
}

function chainLength(bucket: usize): u32 {
  let n: u32 = 0;
  for (let elem = load<u32>(bucket); elem != 0; elem = load<u32>(elem)) n++;
  return n;
}

function copyBucket(map: Htab, index: u32, toKeys: usize, toValues: usize, valueSize: u32): void {
  for (let elem: usize = load<u32>(bucketAt(map, index)); elem != 0; elem = load<u32>(elem)) {
    copyKeyOut(map, elem, toKeys);
    readValue(map, elem, index, toValues);
    toKeys += map.keySize;
    toValues += valueSize;
  }
}

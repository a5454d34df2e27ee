/**
 * Hash tables: the structure that HASH and PERCPU_HASH have in common (their operations: _htab_ops.ts). Behaves as
 * kernel/bpf/hashtab.c.
 *
 *      map       head, stripes, buckets: one run of pages
 *      bucket    u32: address of its first elem, or 0
 *      elem       0  next   address of the next elem of the bucket, or 0; in a free elem, of the next free one
 *                 4  key    if it has 4 bytes; else
 *                 4  hash   where the key has neither 4 nor 8 bytes: compared before the key
 *                 8  key    padded to 8
 *                 .  value  (HASH), or the address of CPU 0's slot (PERCPU_HASH)
 *
 * Threads: lookups take no lock. An update holds the stripe of its bucket, and publishes with one store: it links a
 * finished elem, or unlinks one. seq rises after an elem was unlinked and before it is given back: so a reader that saw an
 * unlinked elem, and finds seq unchanged, read the elem before anybody could use it for something else.
 */
import {
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
} from "../../src/uapi/bpf";
import { E2BIG, EINVAL, ENOMEM } from "../../src/uapi/errno";
import { allocKernel, freePages, keepRun, runBytes } from "../mem/pages";
import { nextRandom, sb } from "../super";
import { initHead } from "../map";
import { CreateAttr } from "../attr";
import { Pool, freePool, initPool, keepChunks } from "./_pool";
import { loadSeq, rowBytes, stripeOf, stripesFor } from "./_stripe";
import { roundUp8 } from "./_value";
import { isPerCpu } from "../map_types";

const CREATE_FLAGS: u32 =
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

/** A reader that has gone this far may have been led onto another list: it looks at seq. */
const STEPS_BEFORE_CHECK: u32 = 64;

@unmanaged
export class Htab extends Pool {
  buckets: u32;
  /** A hash's top bits are its bucket: hash >> shift. */
  shift: u32;
  /** A random odd number: the map's hash function (multiply-shift, universal for keys of 4 and 8 bytes). */
  seed: u64;
}

/** A key that is neither u32 nor u64: where it lies. The type argument K of all below is u32, u64 or this. */
@unmanaged
export class KeyBytes {}

/** Refusals of BPF_MAP_CREATE that are the hash family's, in htab_map_alloc_check's order. */
export function htabAllocCheck(attr: CreateAttr): i32 {
  const perCpu = isPerCpu(attr.mapType);
  if ((attr.mapFlags & ~CREATE_FLAGS) != 0 || !attr.accessOk()) return -EINVAL;
  if (perCpu && attr.wantsNumaNode()) return -EINVAL;
  if (attr.maxEntries == 0 || attr.keySize == 0 || attr.valueSize == 0) return -EINVAL;
  if (<u64>attr.keySize + attr.valueSize >= MAX_ELEM_BYTES) return -E2BIG;
  if (perCpu && roundUp8(attr.valueSize) > MAX_PERCPU_BYTES) return -E2BIG;
  return 0;
}

/** The map, or a negative errno. */
export function htabAlloc(attr: CreateAttr): isize {
  if (attr.maxEntries > MAX_BUCKETS) return -E2BIG;
  const perCpu = isPerCpu(attr.mapType);
  const bits = max<u32>(1, 32 - clz<u32>(attr.maxEntries - 1));
  const buckets: u32 = 1 << bits;
  const stripes = stripesFor(buckets);
  const row = rowBytes(stripes);
  const rows = perCpu ? 1 + sb().possibleCpus : 1;
  const head = (<u32>offsetof<Htab>() + 63) & ~63;
  const run = allocKernel(<u64>head + <u64>row * rows + 4 * <u64>buckets);
  if (run == 0) return -ENOMEM;
  const map = changetype<Htab>(run);
  initHead(map, attr);
  map.memory = runBytes(run);
  map.stripes = <u32>run + head;
  map.stripeMask = stripes - 1;
  map.stripeRow = row;
  map.buckets = map.stripes + row * rows;
  map.shift = 32 - bits;
  map.seed = (attr.mapFlags & BPF_F_ZERO_SEED) != 0 ? 0x9e3779b97f4a7c15 : nextRandom() | 1;
  const keyBytes: u32 = map.keySize == 4 ? 8 : 8 + roundUp8(map.keySize);
  if (!initPool(map, keyBytes, (attr.mapFlags & BPF_F_NO_PREALLOC) == 0)) {
    freePages(run);
    return -ENOMEM;
  }
  return run;
}

export function htabFree(map: Htab): void {
  freePool(map);
  freePages(changetype<usize>(map));
}

/** After an image was loaded: what of the memory is the map's. */
export function htabKeepRuns(map: Htab): void {
  keepChunks(map);
  keepRun(changetype<usize>(map));
}

// @ts-ignore: decorator
@inline
export function hashOf<K>(map: Htab, key: K): u32 {
  if (isInteger<K>()) return <u32>((<u64>key * map.seed) >> 32);
  return hashBytes(changetype<usize>(key), map.keySize, map.seed);
}

/** A word at a time: xor, multiply, fold. The seed is odd, and so is each product's factor. */
function hashBytes(at: usize, bytes: u32, seed: u64): u32 {
  let h = seed ^ bytes;
  for (; bytes >= 8; bytes -= 8, at += 8) {
    h = (h ^ load<u64>(at)) * seed;
    h ^= h >> 32;
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
  return <u32>((h * 0xd6e8feb86659fd93) >> 32);
}

// @ts-ignore: decorator
@inline
export function bucketIndex(map: Htab, hash: u32): u32 {
  return hash >> map.shift;
}

// @ts-ignore: decorator
@inline
export function bucketAt(map: Htab, index: u32): usize {
  return <usize>map.buckets + 4 * <usize>index;
}

// @ts-ignore: decorator
@inline
export function keyOff(map: Htab): u32 {
  return map.keySize == 4 ? 4 : 8;
}

// @ts-ignore: decorator
@inline
export function hasKey<K>(map: Htab, elem: usize, key: K, hash: u32): bool {
  if (isInteger<K>()) return atomic.load<K>(elem, sizeof<K>()) == key;
  return atomic.load<u32>(elem, 4) == hash && sameBytes(elem + 8, changetype<usize>(key), map.keySize);
}

/** Whether an elem's key is the one at `key`: read so that no load is moved behind a later look at seq (_stripe.ts). */
function sameBytes(elemKey: usize, key: usize, bytes: u32): bool {
  for (; bytes >= 8; bytes -= 8, elemKey += 8, key += 8) {
    if (atomic.load<u64>(elemKey) != load<u64>(key)) return false;
  }
  for (; bytes != 0; bytes--, elemKey++, key++) {
    if (atomic.load<u8>(elemKey) != load<u8>(key)) return false;
  }
  return true;
}

/** Writes the key, and what stands before it, into an elem that no list has. */
// @ts-ignore: decorator
@inline
export function putKey<K>(map: Htab, elem: usize, key: K, hash: u32): void {
  if (isInteger<K>()) {
    store<K>(elem, key, sizeof<K>());
  } else {
    store<u32>(elem, hash, 4);
    memory.copy(elem + 8, changetype<usize>(key), map.keySize);
  }
}

/**
 * The elem of a key, or 0, as seen by a thread that holds no lock: what was read of it counts only if the stripe's seq is
 * still `seq` afterwards.
 */
// @ts-ignore: decorator
@inline
export function findElem<K>(map: Htab, key: K, hash: u32, bucket: usize, stripe: usize, seq: u32): usize {
  let elem: usize = atomic.load<u32>(bucket);
  for (let steps: u32 = 1; elem != 0; steps++) {
    if (hasKey<K>(map, elem, key, hash)) return elem;
    if (steps % STEPS_BEFORE_CHECK == 0 && loadSeq(stripe) != seq) return 0;
    elem = atomic.load<u32>(elem);
  }
  return 0;
}

/** The word that points to the elem of a key, or to nothing (then it holds 0). The caller holds the stripe. */
// @ts-ignore: decorator
@inline
export function findLink<K>(map: Htab, key: K, hash: u32, bucket: usize): usize {
  let link = bucket;
  for (let elem: usize = load<u32>(link); elem != 0; elem = load<u32>(link)) {
    if (hasKey<K>(map, elem, key, hash)) return link;
    link = elem;
  }
  return link;
}

// @ts-ignore: decorator
@inline
export function bucketCount(map: Htab): u32 {
  return 1 << (32 - map.shift);
}

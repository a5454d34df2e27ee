/**
 * BPF_MAP_TYPE_BLOOM_FILTER: a set that knows surely what it does not hold. Behaves as kernel/bpf/bloom_filter.c.
 *
 *      map    head, holds: one run of pages
 *      bits   a power of two of them, at least 64: a run of its own
 *
 * A value's bits are at h1 + i * h2, h1 and h2 the halves of one hash: as good as hashes of their own (Kirsch, Mitzenmacher:
 * Less Hashing, Same Performance). Differs from Linux: which values are held to be there by mistake.
 *
 * Threads: bits are set by atomic or, and read without a lock. Who asks while a value is being added may be told "absent"
 * still. A thread that ends in the middle has set some of the bits, which makes mistakes a little likelier, and nothing else.
 */
import {
  BPF_ANY,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
} from "../../src/uapi/bpf";
import { E2BIG, EINVAL, ENOENT, ENOMEM, ENOTSUPP, EOPNOTSUPP } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { BpfMap, HOLDS_BYTES, initHead } from "../map";
import {
  ALLOC,
  ALLOC_CHECK,
  CHECK,
  CLEAR_LOCKS,
  COUNT,
  DELETE_ELEM,
  FREE,
  GET_NEXT_KEY,
  LOOKUP_ELEM,
  MEM_USAGE,
  OWN_RUNS,
  REPAIR,
  UPDATE_ELEM,
} from "../map_types";
import { allocKernel, freePages, ownRun, runBytes } from "../mem/pages";
import { nextRandom } from "../super";
import { hashBytes } from "./_htab";

const CREATE_FLAGS: u32 =
  BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
/** What one kmalloc gives. */
const MAX_VALUE_BYTES: u32 = 4 * 1024 * 1024;
/** Bits of map_extra that say how many hashes. */
const HASHES_MASK: u64 = 0xf;
const DEFAULT_HASHES: u32 = 5;

@unmanaged
export class BloomFilter extends BpfMap {
  seed: u64;
  bits: u32;
  /** How many bits, less 1. */
  bitMask: u32;
  hashes: u32;
}

/** What Linux looks at when it allocates, after a token's fd. */
function allocCheck(attr: CreateAttr): i32 {
  if (attr.maxEntries == 0 || attr.keySize != 0 || attr.valueSize == 0) return -EINVAL;
  if ((attr.mapFlags & ~CREATE_FLAGS) != 0 || !attr.accessOk()) return -EINVAL;
  if ((attr.mapExtra & ~HASHES_MASK) != 0) return -EINVAL;
  return 0;
}

/** How many bits less 1: for n values and k hashes some n * k / ln 2, up to a power of two. */
function bitMaskFor(maxEntries: u32, hashes: u32): u32 {
  const bits = ((<u64>maxEntries * hashes) / 5) * 7;
  if (bits > 1 << 31) return u32.MAX_VALUE;
  return bits <= 64 ? 63 : <u32>(((<u64>1 << (64 - clz<u64>(bits - 1))) - 1));
}

/** The map, or a negative errno. */
function alloc(attr: CreateAttr): isize {
  const refused = allocCheck(attr);
  if (refused != 0) return refused;
  const hashes = attr.mapExtra != 0 ? <u32>attr.mapExtra : DEFAULT_HASHES;
  const mask = bitMaskFor(attr.maxEntries, hashes);
  const head = (<u32>offsetof<BloomFilter>() + 63) & ~63;
  const run = allocKernel(<u64>(head + HOLDS_BYTES));
  if (run == 0) return -ENOMEM;
  const bits = allocKernel((<u64>mask + 1) >> 3);
  if (bits == 0) {
    freePages(run);
    return -ENOMEM;
  }
  const map = changetype<BloomFilter>(run);
  initHead(map, attr, run + head);
  map.bits = <u32>bits;
  map.bitMask = mask;
  map.hashes = hashes;
  // Odd, as hashBytes wants it.
  map.seed = (attr.mapFlags & BPF_F_ZERO_SEED) != 0 ? 0x9e3779b97f4a7c15 : nextRandom() | 1;
  return run;
}

// @ts-ignore: decorator
@inline
function hashOf(map: BloomFilter, value: usize): u64 {
  const low = hashBytes(value, map.valueSize, map.seed);
  const high = hashBytes(value, map.valueSize, map.seed ^ 0x5851f42d4c957f2c);
  return (<u64>high << 32) | <u64>low;
}

/** The word in which a value's ith bit lies, of 32 bits. */
// @ts-ignore: decorator
@inline
function bitOf(map: BloomFilter, hash: u64, i: u32): u32 {
  return (<u32>hash + i * (<u32>(hash >> 32) | 1)) & map.bitMask;
}

function pushElem(map: BloomFilter, value: usize, flags: u64): i32 {
  if (flags != <u64>BPF_ANY) return -EINVAL;
  const hash = hashOf(map, value);
  for (let i: u32 = 0; i < map.hashes; i++) {
    const bit = bitOf(map, hash, i);
    atomic.or<u32>(<usize>map.bits + 4 * <usize>(bit >> 5), 1 << (bit & 31));
  }
  return 0;
}

/** 0 if the value may have been added; -ENOENT if it surely was not. */
function peekElem(map: BloomFilter, value: usize): i32 {
  const hash = hashOf(map, value);
  for (let i: u32 = 0; i < map.hashes; i++) {
    const bit = bitOf(map, hash, i);
    if ((atomic.load<u32>(<usize>map.bits + 4 * <usize>(bit >> 5)) & (1 << (bit & 31))) == 0) return -ENOENT;
  }
  return 0;
}

export function bloomFilterOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const bloom = changetype<BloomFilter>(map);
  switch (op) {
    case ALLOC_CHECK:
      return changetype<CreateAttr>(map).valueSize > MAX_VALUE_BYTES ? -E2BIG : 0;
    case ALLOC:
      return <i32>alloc(changetype<CreateAttr>(map));
    case FREE:
      freePages(bloom.bits);
      freePages(map);
      return 0;
    case LOOKUP_ELEM:
      return peekElem(bloom, b);
    case UPDATE_ELEM:
      return pushElem(bloom, b, flags);
    case DELETE_ELEM:
      return -EOPNOTSUPP;
    case GET_NEXT_KEY:
      return -EOPNOTSUPP;
    case COUNT:
      return -EOPNOTSUPP;
    case MEM_USAGE:
      return <i32>(runBytes(map) + runBytes(bloom.bits));
    case OWN_RUNS:
      ownRun(bloom.bits, <u32>a);
      ownRun(map, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      return 0;
    case REPAIR:
      return 0;
    case CHECK:
      return 0;
    default:
      return -ENOTSUPP;
  }
}

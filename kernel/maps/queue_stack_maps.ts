/**
 * BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK. Behaves as kernel/bpf/queue_stack_maps.c.
 *
 *      map       head, holds, one stripe: one run of pages
 *      values    max_entries + 1 slots of value_size rounded up to 8, a ring: a run of its own
 *
 * One word says which slots are in use: so whatever a thread does to a slot, it is not seen before that word is stored, and a
 * thread that ends earlier has done nothing. The slot more than max_entries is for a value that pushes the oldest one out.
 *
 *      bits  0..31  first   the slot of the oldest value
 *      bits 32..63  count   values, the newest in slot (first + count - 1) mod slots
 *
 * Threads: all under the map's stripe.
 */
import {
  BPF_EXIST,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_MAP_TYPE_STACK,
  BPF_NOEXIST,
} from "../../src/uapi/bpf";
import { E2BIG, EINVAL, ENOENT, ENOMEM, ENOTSUPP } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { finding } from "../finding";
import { unlock } from "../lock";
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
  LOOKUP_AND_DELETE_ELEM,
  LOOKUP_ELEM,
  MEM_USAGE,
  OWN_RUNS,
  REPAIR,
  UPDATE_ELEM,
} from "../map_types";
import { allocKernel, freePages, ownRun, runBytes } from "../mem/pages";
import { clearStripes, initStripes, lockStripe, rowBytes, stripeOf } from "./_stripe";
import { copy, roundUp8 } from "./_value";

const CREATE_FLAGS: u32 =
  BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
/** What one kmalloc gives. */
const MAX_VALUE_BYTES: u32 = 4 * 1024 * 1024;

/** See src/kernels/embedded/check.ts. */
const BAD_STATE: u32 = 80;

@unmanaged
export class QueueStackMap extends BpfMap {
  /** first and count; see above. */
  state: u64;
  values: u32;
  slotSize: u32;
}

// @ts-ignore: decorator
@inline
function stateOf(map: QueueStackMap): u64 {
  return atomic.load<u64>(changetype<usize>(map) + offsetof<QueueStackMap>("state"));
}

/** What is in use from now on: the one store that others see. */
// @ts-ignore: decorator
@inline
function setState(map: QueueStackMap, first: u32, count: u32): void {
  atomic.store<u64>(changetype<usize>(map) + offsetof<QueueStackMap>("state"), (<u64>count << 32) | <u64>first);
}

/** The slot `n` behind the oldest value's. */
// @ts-ignore: decorator
@inline
function slotFrom(map: QueueStackMap, first: u32, n: u32): u32 {
  return <u32>((<u64>first + n) % (<u64>map.maxEntries + 1));
}

// @ts-ignore: decorator
@inline
function slot(map: QueueStackMap, index: u32): usize {
  return <usize>map.values + <usize>index * map.slotSize;
}

function allocCheck(attr: CreateAttr): i32 {
  if (attr.maxEntries == 0 || attr.keySize != 0 || attr.valueSize == 0) return -EINVAL;
  if ((attr.mapFlags & ~CREATE_FLAGS) != 0 || !attr.accessOk()) return -EINVAL;
  return attr.valueSize > MAX_VALUE_BYTES ? -E2BIG : 0;
}

/** The map, or a negative errno. */
function alloc(attr: CreateAttr): isize {
  const head = (<u32>offsetof<QueueStackMap>() + 63) & ~63;
  const run = allocKernel(<u64>(head + HOLDS_BYTES + rowBytes(1)));
  if (run == 0) return -ENOMEM;
  const slotSize = roundUp8(attr.valueSize);
  const values = allocKernel(<u64>slotSize * (<u64>attr.maxEntries + 1));
  if (values == 0) {
    freePages(run);
    return -ENOMEM;
  }
  const map = changetype<QueueStackMap>(run);
  initHead(map, attr, run + head);
  initStripes(map, run + head + HOLDS_BYTES, 1, 1);
  map.values = <u32>values;
  map.slotSize = slotSize;
  return run;
}

function free(map: QueueStackMap): void {
  freePages(map.values);
  freePages(changetype<usize>(map));
}

/** Push: BPF_EXIST lets the oldest value go when there is no room. */
function pushElem(map: QueueStackMap, value: usize, flags: u64): i32 {
  if (flags == <u64>BPF_NOEXIST || flags > <u64>BPF_EXIST) return -EINVAL;
  const stripe = stripeOf(map, 0);
  lockStripe(map, stripe);
  const state = stateOf(map);
  const first = <u32>state;
  const count = <u32>(state >> 32);
  const isFull = count == map.maxEntries;
  let ret: i32 = 0;
  if (isFull && flags != <u64>BPF_EXIST) {
    ret = -E2BIG;
  } else {
    copy(slot(map, slotFrom(map, first, count)), value, map.valueSize);
    if (isFull) setState(map, slotFrom(map, first, 1), count);
    else setState(map, first, count + 1);
  }
  unlock(stripe);
  return ret;
}

/** Copies the value that is next to `to`, unless that is 0; `pops`: and takes it away. */
function peekElem(map: QueueStackMap, to: usize, pops: bool): i32 {
  const stripe = stripeOf(map, 0);
  lockStripe(map, stripe);
  const state = stateOf(map);
  const first = <u32>state;
  const count = <u32>(state >> 32);
  if (count != 0) {
    const isStack = map.type == BPF_MAP_TYPE_STACK;
    const from = slot(map, isStack ? slotFrom(map, first, count - 1) : first);
    if (to != 0) copy(to, from, map.valueSize);
    if (pops) setState(map, isStack ? first : slotFrom(map, first, 1), count - 1);
  }
  unlock(stripe);
  return count != 0 ? 0 : -ENOENT;
}

function check(map: QueueStackMap): void {
  const state = stateOf(map);
  const first = <u32>state;
  const count = <u32>(state >> 32);
  if (first > map.maxEntries || count > map.maxEntries) finding(BAD_STATE, <u32>changetype<usize>(map), first, count);
}

export function queueStackOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const qs = changetype<QueueStackMap>(map);
  switch (op) {
    case ALLOC_CHECK:
      return allocCheck(changetype<CreateAttr>(map));
    case ALLOC:
      return <i32>alloc(changetype<CreateAttr>(map));
    case FREE:
      free(qs);
      return 0;
    case LOOKUP_ELEM:
      return peekElem(qs, b, false);
    case LOOKUP_AND_DELETE_ELEM:
      // No flags here: not even those that the command itself lets pass.
      return flags != 0 ? -EINVAL : peekElem(qs, b, true);
    case UPDATE_ELEM:
      return pushElem(qs, b, flags);
    case DELETE_ELEM:
      return -EINVAL;
    case GET_NEXT_KEY:
      return -EINVAL;
    case COUNT:
      return <i32>(stateOf(qs) >> 32);
    case MEM_USAGE:
      return <i32>(runBytes(map) + runBytes(qs.values));
    case OWN_RUNS:
      ownRun(qs.values, <u32>a);
      ownRun(map, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      clearStripes(qs);
      return 0;
    case REPAIR:
      return 0;
    case CHECK:
      check(qs);
      return 0;
    default:
      return -ENOTSUPP;
  }
}

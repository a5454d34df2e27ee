/**
 * Arrays: what ARRAY and PERCPU_ARRAY have in common. Behaves as kernel/bpf/arraymap.c.
 *
 *      map       head, holds, stripes: one run of pages
 *      values    elem i at i * slotSize, slotSize = value_size rounded up to 8; of a per-CPU array the same for each CPU,
 *                slotsSize apart. A run of its own: user memory if the map is BPF_F_MMAPABLE
 *
 * Threads: a value of one word is read and written in one access, without a lock; a larger one under its stripe, and read
 * between two looks at the stripe's seq.
 */
import {
  BPF_EXIST,
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_NOEXIST,
} from "../../src/uapi/bpf";
import { E2BIG, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM } from "../../src/uapi/errno";
import { mayLock } from "../_btf_fields";
import { BatchAttr, CreateAttr, putBatchCount } from "../attr";
import { allocKernel, allocShared, freePages, isUser, ownRun, runBytes } from "../mem/pages";
import { BpfMap, HOLDS_BYTES, initHead } from "../map";
import { isPerCpu } from "../map_types";
import { sb } from "../super";
import { currentCpu } from "../task";
import { initStripes, rowBytes, slotStripeOf, stripeOf, stripesFor } from "./_stripe";
import { Lanes, addSlot, readSlot, roundUp8, settleWrite, writeSlot } from "./_value";

const PERCPU_CREATE_FLAGS: u32 =
  BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG | BPF_F_NUMA_NODE;
const CREATE_FLAGS: u32 = PERCPU_CREATE_FLAGS | BPF_F_MMAPABLE | BPF_F_INNER_MAP;
/** value_size is rounded up to 8 in an int. */
const MAX_VALUE_BYTES: u32 = 0x7fffffff;
/** A per-CPU unit in Linux. */
const MAX_PERCPU_BYTES: u32 = 32768;

@unmanaged
export class ArrayMap extends BpfMap {
  values: u32;
  /** Bytes from one elem to the next. */
  slotSize: u32;
  /** From a CPU's slot to the next CPU's; 0 in an array that is not per-CPU. */
  slotsSize: u32;
  /** What is copied of a slot: value_size; of a per-CPU array all of the slot, its padding too. */
  copySize: u32;
  /** Of an array of maps: its Template (_map_in_map.ts). */
  private template0: u64;
  private template1: u64;
  private template2: u64;
}

/** Refusals of BPF_MAP_CREATE that are the arrays', in array_map_alloc_check's order. */
export function arrayAllocCheck(attr: CreateAttr): i32 {
  const perCpu = isPerCpu(attr.mapType);
  if (attr.maxEntries == 0 || attr.keySize != 4 || attr.valueSize == 0) return -EINVAL;
  if ((attr.mapFlags & ~(perCpu ? PERCPU_CREATE_FLAGS : CREATE_FLAGS)) != 0 || !attr.accessOk()) return -EINVAL;
  if (perCpu && attr.wantsNumaNode()) return -EINVAL;
  if (attr.valueSize > MAX_VALUE_BYTES) return -E2BIG;
  if (perCpu && roundUp8(attr.valueSize) > MAX_PERCPU_BYTES) return -E2BIG;
  return 0;
}

/** The same for arrays of fds: fd_array_map_alloc_check. */
export function fdArrayAllocCheck(attr: CreateAttr): i32 {
  if (attr.maxEntries == 0 || attr.keySize != 4 || attr.valueSize != 4) return -EINVAL;
  return (attr.mapFlags & ~(BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_NUMA_NODE)) != 0 ? -EINVAL : 0;
}

/** The map, or a negative errno. */
export function arrayAlloc(attr: CreateAttr): isize {
  const perCpu = isPerCpu(attr.mapType);
  const cpus = perCpu ? sb().possibleCpus : 0;
  const slotSize = roundUp8(attr.valueSize);
  const bytes = <u64>slotSize * attr.maxEntries * max<u32>(cpus, 1);
  const stripes = stripesFor(attr.maxEntries);
  const rows = max<u32>(cpus, 1);
  const head = (<u32>offsetof<ArrayMap>() + 63) & ~63;
  const run = allocKernel(<u64>(head + HOLDS_BYTES) + <u64>rowBytes(stripes) * rows);
  if (run == 0) return -ENOMEM;
  const values = (attr.mapFlags & BPF_F_MMAPABLE) != 0 ? allocShared(bytes) : allocKernel(bytes);
  if (values == 0) {
    freePages(run);
    return -ENOMEM;
  }
  const map = changetype<ArrayMap>(run);
  initHead(map, attr, run + head);
  initStripes(map, run + head + HOLDS_BYTES, stripes, rows);
  map.values = <u32>values;
  map.slotSize = slotSize;
  map.slotsSize = perCpu ? slotSize * attr.maxEntries : 0;
  map.copySize = perCpu ? slotSize : attr.valueSize;
  return run;
}

export function arrayFree(map: ArrayMap): void {
  if (map.timers != 0) freePages(map.timers);
  freePages(map.values);
  freePages(changetype<usize>(map));
}

/** Bytes of all that the map has allocated. */
export function arrayMemory(map: ArrayMap): u32 {
  const timerBytes = map.timers == 0 ? 0 : runBytes(map.timers);
  return runBytes(changetype<usize>(map)) + runBytes(map.values) + timerBytes;
}

export function arrayOwnRuns(map: ArrayMap, owner: u32): void {
  ownRun(map.values, owner);
  if (map.timers != 0) ownRun(map.timers, owner);
  ownRun(changetype<usize>(map), owner);
}

/** Finishes what a task that has ended did under a stripe. */
export function arrayRepair(stripe: usize, id: u32): void {
  settleWrite(stripe, id);
}

// @ts-ignore: decorator
@inline
function slot(map: ArrayMap, index: u32): usize {
  return <usize>map.values + <usize>index * map.slotSize;
}

/** Where the value of an index lies, of a per-CPU array that of a CPU; or 0. */
// @ts-ignore: decorator
@inline
export function arrayFind(map: ArrayMap, index: u32, cpu: u32): usize {
  return index < map.maxEntries ? slot(map, index) + <usize>map.slotsSize * cpu : 0;
}

/** Whether these bytes are within one value. */
export function arrayHolds(map: ArrayMap, address: usize, bytes: u32): bool {
  const each = map.slotSize;
  const all = map.slotsSize != 0 ? <u64>map.slotsSize * sb().possibleCpus : <u64>each * map.maxEntries;
  const off = address - <usize>map.values;
  return address >= <usize>map.values && <u64>off + bytes <= all && (off % each) + bytes <= map.valueSize;
}

/** Copies the value of an index to `to`, unless that is 0: of a per-CPU array the slots of all CPUs. */
// @ts-ignore: decorator
@inline
export function arrayLookup(map: ArrayMap, index: u32, to: usize): i32 {
  if (index >= map.maxEntries) return -ENOENT;
  if (to != 0) readElem(map, index, to);
  return 0;
}

// @ts-ignore: decorator
@inline
function readElem(map: ArrayMap, index: u32, to: usize): void {
  if (map.slotsSize == 0) readSlot(map, stripeOf(map, index), to, slot(map, index), map.copySize);
  else readSlots(map, index, to);
}

function readSlots(map: ArrayMap, index: u32, to: usize): void {
  let from = slot(map, index);
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    readSlot(map, slotStripeOf(map, index, cpu), to, from, map.copySize);
    from += map.slotsSize;
    to += map.slotSize;
  }
}

/** BPF_MAP_UPDATE_ELEM: all elems exist. */
// @ts-ignore: decorator
@inline
export function arrayUpdate(map: ArrayMap, index: u32, value: usize, flags: u64): i32 {
  if (flags > <u64>BPF_EXIST) return -EINVAL;
  if (index >= map.maxEntries) return -E2BIG;
  if (flags == <u64>BPF_NOEXIST) return -EEXIST;
  if (map.slotsSize == 0) return writeSlot(map, stripeOf(map, index), slot(map, index), value, map.copySize);
  return writeSlots(map, index, value);
}

function writeSlots(map: ArrayMap, index: u32, from: usize): i32 {
  let to = slot(map, index);
  for (let cpu: u32 = 0, cpus = sb().possibleCpus; cpu < cpus; cpu++) {
    const ret = writeSlot(map, slotStripeOf(map, index, cpu), to, from, map.copySize);
    if (ret != 0) return ret;
    to += map.slotsSize;
    from += map.slotSize;
  }
  return 0;
}

/** Adds to the value of an index, lane by lane: of a per-CPU array, to this thread's CPU's. */
// @ts-ignore: decorator
@inline
export function arrayAdd(map: ArrayMap, index: u32, delta: usize, lanes: Lanes): i32 {
  if (index >= map.maxEntries) return -E2BIG;
  if (map.slotsSize == 0) return addSlot(map, stripeOf(map, index), slot(map, index), delta, map.copySize, lanes);
  const cpu = currentCpu();
  if (cpu < 0) return cpu;
  const to = slot(map, index) + <usize>map.slotsSize * cpu;
  return addSlot(map, slotStripeOf(map, index, cpu), to, delta, map.copySize, lanes);
}

/** BPF_MAP_GET_NEXT_KEY: a key that is 0 (none given) or out of range is followed by the first. */
export function arrayGetNextKey(map: ArrayMap, key: usize, next: usize): i32 {
  const index: u32 = key == 0 ? u32.MAX_VALUE : load<u32>(key);
  if (index >= map.maxEntries) {
    store<u32>(next, 0);
    return 0;
  }
  if (index == map.maxEntries - 1) return -ENOENT;
  store<u32>(next, index + 1);
  return 0;
}

/**
 * BPF_MAP_LOOKUP_BATCH: the cursor is the key delivered last. Behaves as generic_map_lookup_batch.
 *
 * @returns 0; -ENOENT when the last elem was reached; -EFAULT
 */
export function arrayLookupBatch(map: ArrayMap, batch: BatchAttr, user: usize): i32 {
  if (!mayLock(map, batch.elemFlags)) return -EINVAL;
  if (batch.count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  let index: u32 = 0;
  if (batch.inBatch != 0) {
    if (!isUser(batch.inBatch, 4)) return -EFAULT;
    index = load<u32>(<usize>batch.inBatch) + 1;
    // As get_next_key has it: a key out of range is followed by the first.
    if (index == 0 || index > map.maxEntries) index = 0;
  }
  const valueSize = map.slotsSize == 0 ? map.valueSize : map.slotSize * sb().possibleCpus;
  const n = min(batch.count, map.maxEntries - index);
  if (!isUser(batch.keys, <u64>n * 4) || !isUser(batch.values, <u64>n * valueSize)) return -EFAULT;
  let toKey = <usize>batch.keys;
  let toValue = <usize>batch.values;
  for (let i: u32 = 0; i < n; i++, toKey += 4, toValue += valueSize) {
    store<u32>(toKey, index + i);
    readElem(map, index + i, toValue);
  }
  if (!putBatchCount(user, n)) return -EFAULT;
  if (n != 0) {
    if (!isUser(batch.outBatch, 4)) return -EFAULT;
    store<u32>(<usize>batch.outBatch, index + n - 1);
  }
  return n < batch.count ? -ENOENT : 0;
}

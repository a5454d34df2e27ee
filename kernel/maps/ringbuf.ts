/**
 * BPF_MAP_TYPE_RINGBUF and BPF_MAP_TYPE_USER_RINGBUF. Behaves as kernel/bpf/ringbuf.c.
 *
 *      map       head, holds: one run of pages
 *      ring      a run of user memory, as mmap(2) shows it
 *                page 0    consumer_pos, 8 bytes
 *                page 1    producer_pos, 8 bytes
 *                page 2..  max_entries bytes of records
 *
 *      record    0  u32 len | BUSY 1 << 31 | DISCARD 1 << 30
 *                4  u32 page of the record, counted from page 0 | task that has reserved it << 20
 *                8  len bytes, and padding up to a multiple of 8
 *
 * Differs from Linux: the data is there once, not twice in a row. So no record crosses the end: what is left there becomes a
 * discarded record. And the task in a header is how a record whose writer has ended is found; Linux has zeroes there.
 *
 * Threads: writers reserve under the ring's lock, and one store of producer_pos publishes the header, which is BUSY unless the
 * record is there as well. A submit is one store of the header. The reader moves consumer_pos, and takes no lock. Both store first and then load what the other has
 * stored: either the reader sees the record, or the writer sees that somebody waits.
 *
 * A writer may end anywhere: before the store of producer_pos nothing has happened, after it `ringLetGo` discards the record.
 */
import {
  BPF_F_NUMA_NODE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_USER_RINGBUF,
  BPF_RB_AVAIL_DATA,
  BPF_RB_CONS_POS,
  BPF_RB_FORCE_WAKEUP,
  BPF_RB_NO_WAKEUP,
  BPF_RB_PROD_POS,
  BPF_RB_RING_SIZE,
  BPF_RINGBUF_BUSY_BIT,
  BPF_RINGBUF_DISCARD_BIT,
  BPF_RINGBUF_HDR_SZ,
} from "../../src/uapi/bpf";
import { EOPNOTSUPP, E2BIG, EAGAIN, EINVAL, ENODATA, ENOMEM, ENOTSUPP, EPERM } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { lock, unlock } from "../lock";
import { BpfMap, HOLDS_BYTES, initHead } from "../map";
import { ALLOC, ALLOC_CHECK, CHECK, CLEAR_LOCKS, COUNT, FREE, LET_GO, MEM_USAGE, MMAP, OWN_RUNS, POLL, REPAIR } from "../map_types";
import { allocKernel, allocShared, freePages, ownRun, runBytes } from "../mem/pages";
import { PAGE_SHIFT, PAGE_SIZE } from "../super";
import { ME, me } from "../task";
import { roundUp8 } from "./_value";

const BUSY: u32 = <u32>BPF_RINGBUF_BUSY_BIT;
const DISCARD: u32 = <u32>BPF_RINGBUF_DISCARD_BIT;
const HEADER: u32 = <u32>BPF_RINGBUF_HDR_SZ;
const LEN_MASK: u32 = ~(BUSY | DISCARD);
const DATA: u32 = 2 * PAGE_SIZE;
const TASK_SHIFT: u32 = 20;
/** Records of up to so many bytes are copied under the lock, and are never BUSY. */
const COPIED_LOCKED: u32 = 1024;
/** No task: in its place, all of them. */
const ANYBODY: u32 = 0;
/** Somebody waits for the ring; the rest of `waiting` counts wakes. */
const ARMED: u32 = 1;

@unmanaged
export class Ringbuf extends BpfMap {
  ring: u32;
  lock: u32;
  /** The word on which the host waits. */
  waiting: u32;
  /** Records that found no room. */
  lost: u32;
}

/** What Linux looks at when it allocates, after a token's fd. */
function ringAllocCheck(attr: CreateAttr): i32 {
  if ((attr.mapFlags & ~(<u32>BPF_F_NUMA_NODE)) != 0) return -EINVAL;
  const size = attr.maxEntries;
  if (attr.keySize != 0 || attr.valueSize != 0 || popcnt<u32>(size) != 1 || size % PAGE_SIZE != 0) return -EINVAL;
  return 0;
}

function ringAlloc(attr: CreateAttr): isize {
  const refused = ringAllocCheck(attr);
  if (refused != 0) return refused;
  const head = (<u32>offsetof<Ringbuf>() + 63) & ~63;
  const run = allocKernel(head + HOLDS_BYTES);
  if (run == 0) return -ENOMEM;
  const ring = allocShared(<u64>DATA + attr.maxEntries);
  if (ring == 0) {
    freePages(run);
    return -ENOMEM;
  }
  const map = changetype<Ringbuf>(run);
  initHead(map, attr, run + head);
  map.ring = <u32>ring;
  return run;
}

// @ts-ignore: decorator
@inline
function consumed(map: Ringbuf): u32 {
  return atomic.load<u32>(map.ring);
}

// @ts-ignore: decorator
@inline
function produced(map: Ringbuf): usize {
  return <usize>map.ring + PAGE_SIZE;
}

// @ts-ignore: decorator
@inline
function recordAt(map: Ringbuf, pos: u32): usize {
  return <usize>map.ring + DATA + (pos & (map.maxEntries - 1));
}

function takeLock(map: Ringbuf): usize {
  me().map = <u32>changetype<usize>(map);
  const word = changetype<usize>(map) + offsetof<Ringbuf>("lock");
  lock(word);
  return word;
}

/** What `publish` is to follow: nobody reads it before. */
function putHeader(map: Ringbuf, at: usize, len: u32, task: u32): void {
  store<u32>(at, len);
  store<u32>(at, <u32>((at - map.ring) >> PAGE_SHIFT) | (task << TASK_SHIFT), 4);
}

/** One store, which gives the reader what lies at producer_pos. */
function publish(map: Ringbuf, bytes: u32): void {
  atomic.store<u64>(produced(map), load<u64>(produced(map)) + bytes);
}

/** Where at producer_pos a record of so many bytes, header included, has room; 0 where it has none. Under the lock. */
function place(map: Ringbuf, bytes: u32): usize {
  const ringSize = map.maxEntries;
  let pos = <u32>load<u64>(produced(map));
  const used = pos - consumed(map);
  let room: u32 = used > ringSize ? 0 : ringSize - used;
  const toEnd = ringSize - (pos & (ringSize - 1));
  if (bytes > toEnd) {
    // Even if the record does not fit: a reader who has read all frees it, and then a record as large as the ring does.
    if (toEnd > room) return 0;
    putHeader(map, recordAt(map, pos), (toEnd - HEADER) | DISCARD, 0);
    publish(map, toEnd);
    pos += toEnd;
    room -= toEnd;
  }
  return bytes <= room ? recordAt(map, pos) : 0;
}

/** Bytes of a record and its header, or 0 for one that no ring of this size holds. */
function bytesFor(map: Ringbuf, size: u32): u32 {
  if (map.type != BPF_MAP_TYPE_RINGBUF || size > u32.MAX_VALUE / 4) return 0;
  const bytes = roundUp8(size + HEADER);
  return bytes <= map.maxEntries ? bytes : 0;
}

/** Counts a record that found no room. Under the lock, of which it lets go. */
function lose(map: Ringbuf, word: usize): void {
  map.lost++;
  unlock(word);
  // The rest at the end may be all that the reader has to read.
  wakeWaiter(map);
}

/** Room for a record of `size` bytes: the address of its data, or 0 where there is none. */
export function ringReserve(map: Ringbuf, size: u32): usize {
  const bytes = bytesFor(map, size);
  if (bytes == 0) return 0;
  const word = takeLock(map);
  const at = place(map, bytes);
  if (at == 0) {
    lose(map, word);
    return 0;
  }
  putHeader(map, at, size | BUSY, ME);
  publish(map, bytes);
  unlock(word);
  return at + HEADER;
}

/** Ends a reservation of this task. `mark`: 0, or DISCARD. */
function commit(map: Ringbuf, data: usize, flags: u32, mark: u32): i32 {
  const at = data - HEADER;
  const offset = <u32>at - map.ring - DATA;
  if (at < <usize>map.ring + DATA || offset >= map.maxEntries || (offset & 7) != 0) return -EINVAL;
  const header = load<u32>(at);
  if ((header & BUSY) == 0 || load<u32>(at, 4) >> TASK_SHIFT != ME) return -EINVAL;
  atomic.store<u32>(at, (header & LEN_MASK) | mark);
  wakeFor(map, at, flags);
  return 0;
}

/** Wakes the reader for a record that is ready, if it has come as far: as the record, or as what is discarded at the end before it. */
function wakeFor(map: Ringbuf, record: usize, flags: u32): void {
  if ((flags & BPF_RB_FORCE_WAKEUP) != 0) return wakeWaiter(map);
  if ((flags & BPF_RB_NO_WAKEUP) != 0) return;
  const offset = <u32>record - map.ring - DATA;
  const at = consumed(map) & (map.maxEntries - 1);
  if (at == offset || offset == 0) wakeWaiter(map);
}

function wakeWaiter(map: Ringbuf): void {
  const word = changetype<usize>(map) + offsetof<Ringbuf>("waiting");
  const was = atomic.load<u32>(word);
  if ((was & ARMED) == 0) return;
  atomic.store<u32>(word, (was + 2) & ~ARMED);
  atomic.notify(word, -1);
}

export function ringSubmit(map: Ringbuf, data: usize, flags: u32): i32 {
  return commit(map, data, flags, 0);
}

export function ringDiscard(map: Ringbuf, data: usize, flags: u32): i32 {
  return commit(map, data, flags, DISCARD);
}

/** bpf_ringbuf_output. */
export function ringOutput(map: Ringbuf, from: usize, size: u32, flags: u32): i32 {
  if ((flags & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) != 0) return -EINVAL;
  if (size > COPIED_LOCKED) {
    const to = ringReserve(map, size);
    if (to == 0) return -EAGAIN;
    memory.copy(to, from, size);
    return commit(map, to, flags, 0);
  }
  const bytes = bytesFor(map, size);
  if (bytes == 0) return -EAGAIN;
  const word = takeLock(map);
  const at = place(map, bytes);
  if (at == 0) {
    lose(map, word);
    return -EAGAIN;
  }
  memory.copy(at + HEADER, from, size);
  putHeader(map, at, size, 0);
  publish(map, bytes);
  unlock(word);
  wakeFor(map, at, flags);
  return 0;
}

/** bpf_ringbuf_query; 0 for what it does not know. */
export function ringQuery(map: Ringbuf, what: u32): u64 {
  switch (what) {
    case BPF_RB_AVAIL_DATA:
      return <u32>atomic.load<u64>(produced(map)) - consumed(map);
    case BPF_RB_RING_SIZE:
      return map.maxEntries;
    case BPF_RB_CONS_POS:
      return atomic.load<u64>(map.ring);
    case BPF_RB_PROD_POS:
      return atomic.load<u64>(produced(map));
    default:
      return 0;
  }
}

/**
 * Takes the next record out of a ring that user space writes: copies it to `to`, and returns its length; or -EAGAIN, -ENODATA (the
 * record is not ready), -E2BIG (more than `room` bytes), -EINVAL (what no record can be: nothing is taken).
 *
 * Of a task that ends in here the record stays, or is taken: one store of consumer_pos decides.
 */
export function ringDrain(map: Ringbuf, to: usize, room: u32): i32 {
  if (map.type == BPF_MAP_TYPE_RINGBUF) return -ENOTSUPP;
  const word = takeLock(map);
  const pos = consumed(map);
  const ret = drainOne(map, to, room);
  unlock(word);
  if (consumed(map) != pos) wakeWaiter(map);
  return ret;
}

function drainOne(map: Ringbuf, to: usize, room: u32): i32 {
  while (true) {
    const pos = load<u64>(map.ring);
    const unread = <u32>atomic.load<u64>(produced(map)) - <u32>pos;
    if (unread == 0) return -EAGAIN;
    if (unread > map.maxEntries || (unread & 7) != 0) return -EINVAL;
    const at = recordAt(map, <u32>pos);
    const header = atomic.load<u32>(at);
    if ((header & BUSY) != 0) return -ENODATA;
    const len = header & LEN_MASK;
    const bytes = roundUp8(len + HEADER);
    const toEnd = map.maxEntries - (<u32>pos & (map.maxEntries - 1));
    if (bytes > unread || bytes > toEnd) return -EINVAL;
    if ((header & DISCARD) == 0) {
      if (len > room) return -E2BIG;
      memory.copy(to, at + HEADER, len);
    }
    atomic.store<u64>(map.ring, pos + bytes);
    if ((header & DISCARD) == 0) return <i32>len;
  }
}

/** Whether there is a record to read, or room to write; `arm`: have the next one wake who waits. The engine's side never waits. */
function ringPoll(map: Ringbuf, arm: bool, forRoom: bool): i32 {
  const isUser = map.type == BPF_MAP_TYPE_USER_RINGBUF;
  if (arm) atomic.or<u32>(changetype<usize>(map) + offsetof<Ringbuf>("waiting"), ARMED);
  if (forRoom != isUser) return 0;
  const pos = consumed(map);
  if (isUser) return <u32>atomic.load<u64>(produced(map)) - pos < map.maxEntries ? 1 : 0;
  // Differs from Linux: a record that is reserved and not submitted yet is nothing to read.
  if (<u32>atomic.load<u64>(produced(map)) == pos) return 0;
  return (atomic.load<u32>(recordAt(map, pos)) & BUSY) == 0 ? 1 : 0;
}

/** What ringbuf_map_mmap_kern and ringbuf_map_mmap_user refuse. Differs from Linux: the data ends where it would begin again. */
function ringMmap(map: Ringbuf, offset: u32, bytes: u32, writable: bool): i32 {
  if (writable) {
    const ofReader = offset == 0;
    if (map.type == BPF_MAP_TYPE_RINGBUF ? !ofReader || bytes != PAGE_SIZE : ofReader) return -EPERM;
  }
  if (<u64>offset + bytes > <u64>DATA + map.maxEntries) return -EINVAL;
  return <i32>(map.ring + offset);
}

/** Discards what a task that has ended, or leaves, has reserved; and wakes who waits, whom it may have been about to wake. */
function ringLetGo(map: Ringbuf, id: u32): void {
  if (map.type == BPF_MAP_TYPE_RINGBUF) discardAllOf(map, id);
  const waiting = changetype<usize>(map) + offsetof<Ringbuf>("waiting");
  atomic.store<u32>(waiting, (atomic.load<u32>(waiting) + 2) & ~ARMED);
  atomic.notify(waiting, -1);
}

function discardAllOf(map: Ringbuf, id: u32): void {
  const word = takeLock(map);
  const end = <u32>load<u64>(produced(map));
  let pos = consumed(map);
  // A reader may have written there what it liked: then there is no telling which records there are.
  while (end - pos <= map.maxEntries && end != pos && (pos & 7) == 0) {
    const at = recordAt(map, pos);
    const header = atomic.load<u32>(at);
    const isTheirs = id == ANYBODY || load<u32>(at, 4) >> TASK_SHIFT == id;
    if ((header & BUSY) != 0 && isTheirs) {
      atomic.store<u32>(at, (header & LEN_MASK) | DISCARD);
    }
    pos += roundUp8((header & LEN_MASK) + HEADER);
  }
  unlock(word);
}

export function ringbufOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const ring = changetype<Ringbuf>(map);
  switch (op) {
    case ALLOC_CHECK:
      return 0;
    case ALLOC:
      return <i32>ringAlloc(changetype<CreateAttr>(map));
    case FREE:
      freePages(ring.ring);
      freePages(map);
      return 0;
    case COUNT:
      return -EOPNOTSUPP;
    case MEM_USAGE:
      return <i32>(runBytes(map) + runBytes(ring.ring));
    case OWN_RUNS:
      ownRun(ring.ring, <u32>a);
      ownRun(map, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      ring.lock = 0;
      ring.waiting = 0;
      ringLetGo(ring, ANYBODY);
      return 0;
    case REPAIR:
      // One store of a position does all that is done under the lock.
      return 0;
    case CHECK:
      return 0;
    case MMAP:
      return ringMmap(ring, <u32>a, <u32>b, (flags & 1) != 0);
    case POLL:
      return ringPoll(ring, a != 0, b != 0);
    case LET_GO:
      ringLetGo(ring, <u32>a);
      return 0;
    default:
      return -ENOTSUPP;
  }
}

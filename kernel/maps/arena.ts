/**
 * BPF_MAP_TYPE_ARENA: pages that all who map them see at one address. Behaves as kernel/bpf/arena.c.
 *
 *      map      head, holds: one run of pages
 *      pages    max_entries of them: a run of user memory, zeroed
 *
 * Differs from Linux: pages lie where there is room for them, since map_extra can be no address of this memory; it is what a
 * mapping must ask for all the same. Who asks for no address gets the one there is. Pages are there from the start, with
 * BPF_F_SEGV_ON_FAULT too: a page that was never touched costs the system nothing.
 *
 * Threads: the engine reads and writes no page. `mapped` is stored once.
 */
import { BPF_F_MMAPABLE, BPF_F_NO_USER_CONV, BPF_F_SEGV_ON_FAULT } from "../../src/uapi/bpf";
import { E2BIG, EINVAL, ENOMEM, ENOTSUPP, EOPNOTSUPP, ERANGE } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { finding } from "../finding";
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
  MMAP,
  OWN_RUNS,
  REPAIR,
  UPDATE_ELEM,
} from "../map_types";
import { allocKernel, allocShared, freePages, ownRun, runBytes } from "../mem/pages";
import { PAGE_SHIFT, PAGE_SIZE } from "../super";

const CREATE_FLAGS: u32 = BPF_F_MMAPABLE | BPF_F_SEGV_ON_FAULT | BPF_F_NO_USER_CONV;
const MAX_BYTES: u64 = 1 << 32;

/** Findings of CHECK: texts in src/kernels/embedded/check.ts. */
const WRONG_PAGES: u32 = 82;
const MAPPED_BEYOND: u32 = 83;

@unmanaged
export class Arena extends BpfMap {
  pages: u32;
  /** Bytes that its first mapping had, and all others have; 0 before. */
  mapped: u32;
}

/** Refusals in arena_map_alloc's order. */
function refusal(attr: CreateAttr): i32 {
  const flags = attr.mapFlags;
  if (attr.keySize != 0 || attr.valueSize != 0 || attr.maxEntries == 0) return -EINVAL;
  if ((flags & BPF_F_MMAPABLE) == 0 || (flags & ~CREATE_FLAGS) != 0) return -EINVAL;
  const address = attr.mapExtra;
  if ((address & (PAGE_SIZE - 1)) != 0) return -EINVAL;
  const bytes = <u64>attr.maxEntries << PAGE_SHIFT;
  if (bytes > MAX_BYTES) return -E2BIG;
  // The lower halves of two addresses in it say which is higher.
  if (address >> 32 != (address + bytes - 1) >> 32) return -ERANGE;
  return 0;
}

function alloc(attr: CreateAttr): isize {
  const refused = refusal(attr);
  if (refused != 0) return refused;
  const head = (<u32>offsetof<Arena>() + 63) & ~63;
  const run = allocKernel(head + HOLDS_BYTES);
  if (run == 0) return -ENOMEM;
  const pages = allocShared(<u64>attr.maxEntries << PAGE_SHIFT);
  if (pages == 0) {
    freePages(run);
    return -ENOMEM;
  }
  const map = changetype<Arena>(run);
  initHead(map, attr, run + head);
  map.pages = <u32>pages;
  return run;
}

/**
 * What arena_get_unmapped_area and arena_map_mmap refuse. With map_extra the range is known from the start, without from the first
 * mapping on: then no other is taken.
 *
 * @param asked The address that was asked for, or 0.
 */
function mmapPages(map: Arena, offset: u32, bytes: u32, asked: u64): i32 {
  if (offset != 0) return -EINVAL;
  const whole = map.maxEntries << PAGE_SHIFT;
  const mapped = atomic.load<u32>(changetype<usize>(map) + offsetof<Arena>("mapped"));
  const fixed = map.mapExtra != 0 ? whole : mapped;
  if (fixed != 0 && bytes > fixed) return -E2BIG;
  if (fixed != 0 && bytes < fixed) return -EINVAL;
  // Differs from Linux: it maps what lies behind the end, and ends who touches it.
  if (bytes > whole) return -EINVAL;
  const address = map.mapExtra != 0 ? map.mapExtra : <u64>map.pages;
  if (asked != 0 && asked != address) return -EINVAL;
  // Of two first ones at once both may be right, or one is refused as the second.
  const was = atomic.cmpxchg<u32>(changetype<usize>(map) + offsetof<Arena>("mapped"), 0, bytes);
  return was == 0 || was == bytes ? <i32>map.pages : -EINVAL;
}

function check(map: Arena): void {
  const at = <u32>changetype<usize>(map);
  const whole = map.maxEntries << PAGE_SHIFT;
  if (runBytes(map.pages) != whole) finding(WRONG_PAGES, at, runBytes(map.pages), whole);
  if (map.mapped > whole) finding(MAPPED_BEYOND, at, map.mapped, whole);
}

export function arenaOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const arena = changetype<Arena>(map);
  switch (op) {
    case ALLOC_CHECK:
      return 0;
    case ALLOC:
      return <i32>alloc(changetype<CreateAttr>(map));
    case FREE:
      freePages(arena.pages);
      freePages(map);
      return 0;
    case LOOKUP_ELEM:
      return -EINVAL;
    case UPDATE_ELEM:
      return -EOPNOTSUPP;
    case DELETE_ELEM:
      return -EOPNOTSUPP;
    case GET_NEXT_KEY:
      return -EOPNOTSUPP;
    case COUNT:
      return -EOPNOTSUPP;
    case MEM_USAGE:
      return <i32>(runBytes(map) + runBytes(arena.pages));
    case OWN_RUNS:
      ownRun(arena.pages, <u32>a);
      ownRun(map, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      return 0;
    case REPAIR:
      return 0;
    case CHECK:
      check(arena);
      return 0;
    case MMAP:
      return mmapPages(arena, <u32>a, <u32>b, flags & ~(<u64>PAGE_SIZE - 1));
    default:
      return -ENOTSUPP;
  }
}

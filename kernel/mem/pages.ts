/**
 * Pages: the memory behind the tables, in two zones that grow towards each other.
 *
 * Maps live in the kernel zone, UserBuffers and elems that can be mapped in the user zone. A page that was ever in the user
 * zone stays there: a view that JavaScript kept of a disposed UserBuffer can see other users' bytes, never a kernel
 * structure. The other way a page may go, zeroed.
 *
 * The page table has a record a page. For a run of pages the first and the last record say what it is; in the user zone
 * every record does, for `isUser`. Free runs are listed by size class, links in the records (not in the pages, which a
 * stale view might write to). Runs that end at the gap are given back to it.
 *
 *      0  kind    KERNEL, USER, SHARED or FREE, of the first and last page of a run
 *      4  count   pages of the run, first and last page
 *      8  next    page of the next free run in its list, or 0
 *     12  prev    page of the one before, or 0
 *
 * Threads: everything under `pagesLock`, but for isUser, which reads a record's kind without it.
 */
import { KERNEL_FREE, PAGE_CLASSES, PAGE_SHIFT, PAGE_SIZE, PAGE_TABLE, SUPER, SuperBlock, USER_FREE, sb } from "../super";
import { lock, unlock } from "../lock";

export const FREE: u32 = 0;
export const KERNEL: u32 = 1;
const USER: u32 = 2;
/** User memory that a map's elems lie in: unlike USER it is part of an image. */
export const SHARED: u32 = 3;

@unmanaged
class Page {
  kind: u32;
  count: u32;
  next: u32;
  prev: u32;
}

// @ts-ignore: decorator
@inline
function record(page: u32): Page {
  return changetype<Page>(PAGE_TABLE + <usize>page * 16);
}

// @ts-ignore: decorator
@inline
function lockWord(): usize {
  return SUPER + offsetof<SuperBlock>("pagesLock");
}

// @ts-ignore: decorator
@inline
export function pagesFor(bytes: u64): u64 {
  return (bytes + (PAGE_SIZE - 1)) >> PAGE_SHIFT;
}

/** Zeroed memory for a kernel structure, whole pages; 0 when there is none. `dirty` leaves reused bytes as they are. */
export function allocKernel(bytes: u64, dirty: bool = false): usize {
  return alloc(KERNEL, bytes, dirty);
}

/** Zeroed memory that user pointers may point to, whole pages; 0 when there is none. */
export function allocUser(bytes: u64): usize {
  return alloc(USER, bytes, false);
}

/** The same for the elems of a map. */
export function allocShared(bytes: u64): usize {
  return alloc(SHARED, bytes, false);
}

function alloc(kind: u32, bytes: u64, dirty: bool): usize {
  const wanted = pagesFor(bytes);
  if (wanted == 0 || wanted >= sb().pages) return 0;
  const count = <u32>wanted;
  lock(lockWord());
  let page = takeFree(kind, count);
  let dirtyPages = count;
  if (page == 0) {
    page = takeGap(kind, count);
    dirtyPages = page == 0 ? 0 : dirtyPart(kind, page, count);
  }
  if (page != 0) {
    mark(page, count, kind);
    sb().pagesUsed += count;
  }
  unlock(lockWord());
  if (page == 0) return 0;
  const address = <usize>page << PAGE_SHIFT;
  if (dirtyPages != 0 && !dirty) {
    // In the kernel zone the dirty part of a run from the gap comes first, in the user zone (which grows down) last.
    const skip = kind == KERNEL ? 0 : count - dirtyPages;
    memory.fill(address + (<usize>skip << PAGE_SHIFT), 0, <usize>dirtyPages << PAGE_SHIFT);
  }
  return address;
}

/** Gives back what allocKernel or allocUser returned. */
export function freePages(address: usize): void {
  let page = <u32>(address >> PAGE_SHIFT);
  lock(lockWord());
  const kind = record(page).kind;
  let count = record(page).count;
  sb().pagesUsed -= count;
  mark(page, count, FREE);
  const next = page + count;
  if (inZone(kind, next) && record(next).kind == FREE) {
    unlist(kind, next);
    count += record(next).count;
  }
  if (inZone(kind, page - 1) && record(page - 1).kind == FREE) {
    const before = page - record(page - 1).count;
    unlist(kind, before);
    count += record(before).count;
    page = before;
  }
  if (kind == KERNEL && page + count == sb().kernelEnd) sb().kernelEnd = page;
  else if (kind != KERNEL && page == sb().userStart) sb().userStart = page + count;
  else list(kind, page, count);
  unlock(lockWord());
}

/** How many bytes the run at this address has. */
export function runBytes(address: usize): u32 {
  return record(<u32>(address >> PAGE_SHIFT)).count << PAGE_SHIFT;
}

/** Whether all these bytes are user memory that is handed out. No bytes are always. */
export function isUser(address: u64, bytes: u64): bool {
  if (bytes == 0) return true;
  const end = address + bytes - 1;
  if (end < address || end >> PAGE_SHIFT >= sb().pages) return false;
  const last = <u32>(end >> PAGE_SHIFT);
  for (let page = <u32>(address >> PAGE_SHIFT); page <= last; page++) {
    if (record(page).kind < USER) return false;
  }
  return true;
}

// @ts-ignore: decorator
@inline
function inZone(kind: u32, page: u32): bool {
  const s = sb();
  return kind == KERNEL ? page >= s.kernelStart && page < s.kernelEnd : page >= s.userStart && page < s.userEnd;
}

/** Writes what a run is: its first and last record, and in the user zone all of them. */
function mark(page: u32, count: u32, kind: u32): void {
  const last = page + count - 1;
  if (page >= sb().userStart) {
    for (let p = page; p < last; p++) record(p).kind = kind;
  }
  record(page).kind = kind;
  record(page).count = count;
  record(last).kind = kind;
  record(last).count = count;
}

// @ts-ignore: decorator
@inline
function listHead(kind: u32, count: u32): usize {
  return (kind == KERNEL ? KERNEL_FREE : USER_FREE) + 4 * <usize>(31 - clz<u32>(count));
}

function list(kind: u32, page: u32, count: u32): void {
  const head = listHead(kind, count);
  const first = load<u32>(head);
  const run = record(page);
  mark(page, count, FREE);
  run.next = first;
  run.prev = 0;
  if (first != 0) record(first).prev = page;
  store<u32>(head, page);
}

function unlist(kind: u32, page: u32): void {
  const run = record(page);
  if (run.next != 0) record(run.next).prev = run.prev;
  if (run.prev != 0) record(run.prev).next = run.next;
  else store<u32>(listHead(kind, run.count), run.next);
}

/** A run of exactly `count` pages out of the free lists, or 0. What is left over goes back into them. */
function takeFree(kind: u32, count: u32): u32 {
  const heads = kind == KERNEL ? KERNEL_FREE : USER_FREE;
  for (let k: u32 = 31 - clz<u32>(count); k < PAGE_CLASSES; k++) {
    // In its own class a run may be too small; in the classes above the first one fits.
    for (let page = load<u32>(heads + 4 * k); page != 0; page = record(page).next) {
      const found = record(page).count;
      if (found < count) continue;
      unlist(kind, page);
      if (found > count) list(kind, page + count, found - count);
      return page;
    }
  }
  return 0;
}

/** The next run out of the gap, or 0: the kernel zone does not take pages that the user zone ever had. */
function takeGap(kind: u32, count: u32): u32 {
  const s = sb();
  if (kind == KERNEL) {
    if (s.userDirty - s.kernelEnd < count) return 0;
    const page = s.kernelEnd;
    s.kernelEnd = page + count;
    return page;
  }
  if (s.userStart - s.kernelEnd < count) return 0;
  s.userStart -= count;
  return s.userStart;
}

/** How many pages of a run from the gap were in use before; and notes that all of it is now. */
function dirtyPart(kind: u32, page: u32, count: u32): u32 {
  const s = sb();
  let fresh: u32;
  if (kind == KERNEL) {
    fresh = min(count, page + count - min(page + count, s.kernelDirty));
    s.kernelDirty = max(s.kernelDirty, page + count);
  } else {
    // A run that begins where the kernel zone once was may have fresh pages in its middle: it counts as dirty as a whole.
    fresh = page < s.kernelDirty ? 0 : min(count, max(page, s.userDirty) - page);
    s.userDirty = min(s.userDirty, page);
  }
  return count - fresh;
}

/** Marks a run as one that somebody owns, for `freeLostRuns`. A link is a page's number: none looks like the mark. */
const KEPT: u32 = 0xffffffff;

export function keepRun(address: usize): void {
  record(<u32>(address >> PAGE_SHIFT)).next = KEPT;
}

/** Frees all runs that were not marked: their owners are gone. No other thread is there. */
export function freeLostRuns(): void {
  const s = sb();
  // Runs next to the gap go back to it, so that an end may come nearer meanwhile.
  for (let page = s.kernelStart; page < s.kernelEnd; ) page = freeIfLost(page);
  for (let page = s.userStart; page < s.userEnd; ) page = freeIfLost(page);
}

/** Returns the page behind the run, and behind what is one run with it afterwards. */
function freeIfLost(page: u32): u32 {
  const run = record(page);
  const kind = run.kind;
  let after = page + run.count;
  if (run.next == KEPT) {
    run.next = 0;
  } else if (kind != FREE) {
    if (inZone(kind, after) && record(after).kind == FREE) after += record(after).count;
    freePages(<usize>page << PAGE_SHIFT);
  }
  return after;
}

/** Where the fixed tables end. */
export function kernelStart(): usize {
  return <usize>sb().kernelStart << PAGE_SHIFT;
}

/** Where the next run at or behind an address lies that belongs to an image, or 0; and `runBytes` of it. */
export function nextSavedRun(address: usize): usize {
  const s = sb();
  let page = max(<u32>(address >> PAGE_SHIFT), s.kernelStart);
  if (page < s.kernelEnd) {
    for (; page < s.kernelEnd; page += record(page).count) {
      if (record(page).kind == KERNEL) return <usize>page << PAGE_SHIFT;
    }
  }
  for (page = max(page, s.userStart); page < s.userEnd; page += record(page).count) {
    if (record(page).kind == SHARED) return <usize>page << PAGE_SHIFT;
  }
  return 0;
}

// What check_pages.ts reads.

export function pageKind(page: u32): u32 {
  return record(page).kind;
}

export function pageCount(page: u32): u32 {
  return record(page).count;
}

export function nextFree(page: u32): u32 {
  return record(page).next;
}

export function prevFree(page: u32): u32 {
  return record(page).prev;
}

export function freeListHead(isKernel: bool, k: u32): u32 {
  return load<u32>((isKernel ? KERNEL_FREE : USER_FREE) + 4 * <usize>k);
}

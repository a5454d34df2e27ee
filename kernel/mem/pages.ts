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
 *      8  next    of a free run: page of the next one in its list, or 0; else owner: the task that has allocated the run
 *     12  prev    of a free run: page of the one before, or 0
 *
 * Threads: everything under `pagesLock`, but for isUser, which reads a record's kind without it, and owners.
 *
 * A thread that ends inside leaves nothing that could not be made again: runs are told by the counts of their first records
 * alone, and each step that splits, joins, takes or frees one is a single store there (or of a zone's end), after what it
 * needs. All else (last records, lists, the sum) follows from that, see `rebuild`. A run has the owner that allocated it, or
 * is about to free it, so what belongs to nothing when a thread has ended is found: see reap.ts.
 */
import { KERNEL_FREE, PAGE_CLASSES, PAGE_SHIFT, PAGE_SIZE, PAGE_TABLE, USER_FREE, ZONES, Zones, sb, zones } from "../super";
import { lock, unlock } from "../lock";
import { ME } from "../task";

export const FREE: u32 = 0;
export const KERNEL: u32 = 1;
const USER: u32 = 2;
/** User memory that a map's elems lie in: unlike USER it is part of an image. */
export const SHARED: u32 = 3;

@unmanaged
class Page {
  kind: u32;
  count: u32;
  /** Or the owner, of a run that is not free. */
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
export function pagesLock(): usize {
  return ZONES + offsetof<Zones>("pagesLock");
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
  lock(pagesLock());
  let page = takeFree(kind, count);
  let dirtyPages = count;
  if (page == 0) {
    page = gapFor(kind, count);
    if (page != 0) {
      dirtyPages = dirtyPart(kind, page, count);
      mark(page, count, kind, ME);
      takeGap(kind, page, count);
    }
  } else {
    mark(page, count, kind, ME);
  }
  if (page != 0) zones().pagesUsed += count;
  unlock(pagesLock());
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
  lock(pagesLock());
  freeRun(<u32>(address >> PAGE_SHIFT));
  unlock(pagesLock());
}

function freeRun(page: u32): void {
  const kind = record(page).kind;
  let count = record(page).count;
  zones().pagesUsed -= count;
  mark(page, count, FREE, 0);
  const next = page + count;
  if (inZone(kind, next) && record(next).kind == FREE) {
    unlist(kind, next);
    count += record(next).count;
    record(page).count = count;
  }
  if (inZone(kind, page - 1) && record(page - 1).kind == FREE) {
    const before = page - record(page - 1).count;
    unlist(kind, before);
    count += record(before).count;
    record(before).count = count;
    page = before;
  }
  if (!giveToGap(kind, page, count)) list(kind, page, count);
}

/** A free run next to the gap becomes part of it. */
function giveToGap(kind: u32, page: u32, count: u32): bool {
  const z = zones();
  if (kind == KERNEL && page + count == z.kernelEnd) z.kernelEnd = page;
  else if (kind != KERNEL && page == z.userStart) z.userStart = page + count;
  else return false;
  return true;
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
  const z = zones();
  return kind == KERNEL ? page >= z.kernelStart && page < z.kernelEnd : page >= z.userStart && page < z.userEnd;
}

/** Writes what a run is: its last record, in the user zone all of them, and then its first. */
function mark(page: u32, count: u32, kind: u32, owner: u32): void {
  const last = page + count - 1;
  // Before its kind: a run in use has an owner at all times.
  if (kind != FREE) record(page).next = OWNED | owner;
  if (kind == USER || kind == SHARED || page >= zones().userStart) {
    for (let p = page + 1; p < last; p++) record(p).kind = kind;
  }
  record(last).kind = kind;
  record(last).count = count;
  record(page).count = count;
  record(page).kind = kind;
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
  mark(page, count, FREE, 0);
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

/** Where the next run out of the gap would be, or 0: the kernel zone does not take pages that the user zone ever had. */
function gapFor(kind: u32, count: u32): u32 {
  const z = zones();
  if (kind == KERNEL) return z.userDirty - z.kernelEnd < count ? 0 : z.kernelEnd;
  return z.userStart - z.kernelEnd < count ? 0 : z.userStart - count;
}

/** A run that is marked already leaves the gap. */
function takeGap(kind: u32, page: u32, count: u32): void {
  if (kind == KERNEL) zones().kernelEnd = page + count;
  else zones().userStart = page;
}

/** How many pages of a run from the gap were in use before; and notes that all of it is now. */
function dirtyPart(kind: u32, page: u32, count: u32): u32 {
  const s = zones();
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

// Owners: what becomes of runs whose task has ended.

/** In a record's `next`, it marks an owner: a task, or 0 for what belongs to a map or a name whoever has made it. */
const OWNED: u32 = 0x80000000;
/** The owner of what nobody owns any more, after an image was loaded. No task has this number. */
export const LOST: u32 = 0xffff;

/** Notes whose run this is. */
export function ownRun(address: usize, owner: u32): void {
  record(<u32>(address >> PAGE_SHIFT)).next = OWNED | owner;
}

/** Gives all runs an owner. No other thread is there. */
export function ownAllRuns(owner: u32): void {
  const z = zones();
  ownRunsIn(z.kernelStart, z.kernelEnd, owner);
  ownRunsIn(z.userStart, z.userEnd, owner);
}

function ownRunsIn(start: u32, end: u32, owner: u32): void {
  for (let page = start; page < end; page += record(page).count) {
    if (record(page).kind != FREE) record(page).next = OWNED | owner;
  }
}

/** Frees all runs that have this owner. */
export function freeRunsOf(owner: u32): void {
  const z = zones();
  lock(pagesLock());
  // Runs next to the gap go back to it, so that an end may come nearer meanwhile.
  for (let page = z.kernelStart; page < z.kernelEnd; ) page = freeIfOf(owner, page);
  for (let page = z.userStart; page < z.userEnd; ) page = freeIfOf(owner, page);
  unlock(pagesLock());
}

/** Returns the page behind the run, and behind what is one run with it afterwards. */
function freeIfOf(owner: u32, page: u32): u32 {
  const run = record(page);
  const kind = run.kind;
  let after = page + run.count;
  if (kind != FREE && run.next == (OWNED | owner)) {
    if (inZone(kind, after) && record(after).kind == FREE) after += record(after).count;
    freeRun(page);
  }
  return after;
}

/** Makes lists, last records and the sum again from the runs, after a task ended while it held the lock. */
export function rebuild(): void {
  const z = zones();
  memory.fill(KERNEL_FREE, 0, 8 * PAGE_CLASSES);
  z.pagesUsed = rebuildZone(KERNEL, z.kernelStart, z.kernelEnd) + rebuildZone(USER, z.userStart, z.userEnd);
}

/** Returns the pages in use. */
function rebuildZone(zone: u32, start: u32, end: u32): u32 {
  let used: u32 = 0;
  for (let page = start; page < end; ) {
    const run = record(page);
    if (run.kind == FREE) {
      for (let next = page + run.count; next < end && record(next).kind == FREE; next = page + run.count) {
        run.count += record(next).count;
      }
      const count = run.count;
      if (!giveToGap(zone, page, count)) list(zone, page, count);
      page += count;
    } else {
      used += run.count;
      mark(page, run.count, run.kind, run.next & ~OWNED);
      page += run.count;
    }
  }
  return used;
}

/** Where the fixed tables end. */
export function kernelStart(): usize {
  return <usize>zones().kernelStart << PAGE_SHIFT;
}

/** Where the next run at or behind an address lies that belongs to an image, or 0; and `runBytes` of it. */
export function nextSavedRun(address: usize): usize {
  const z = zones();
  let page = max(<u32>(address >> PAGE_SHIFT), z.kernelStart);
  if (page < z.kernelEnd) {
    for (; page < z.kernelEnd; page += record(page).count) {
      if (record(page).kind == KERNEL) return <usize>page << PAGE_SHIFT;
    }
  }
  for (page = max(page, z.userStart); page < z.userEnd; page += record(page).count) {
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

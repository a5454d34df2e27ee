/**
 * What `check` looks at in the page table: that runs follow one another without a gap, that free runs are in their lists
 * and nowhere else, that none could have been joined, and that the sums are right.
 */
import { PAGE_CLASSES, sb, zones } from "../super";
import { finding } from "../finding";
import { FREE, KERNEL, freeListHead, pageCount, pageKind, nextFree, prevFree } from "./pages";

const RUN_EMPTY: u32 = 1;
const RUN_ENDS: u32 = 2;
const RUN_KIND: u32 = 3;
const RUNS_NOT_JOINED: u32 = 4;
const FREE_AT_GAP: u32 = 5;
const FREE_LIST: u32 = 6;
const FREE_LISTED: u32 = 7;
const PAGES_USED: u32 = 8;

export function checkPages(): void {
  const s = zones();
  const used = checkZone(true, s.kernelStart, s.kernelEnd) + checkZone(false, s.userStart, s.userEnd);
  if (used != s.pagesUsed) finding(PAGES_USED, 0, s.pagesUsed, used);
}

/** Returns the pages in use. */
function checkZone(isKernel: bool, start: u32, end: u32): u32 {
  let used: u32 = 0;
  let free: u32 = 0;
  let before = KERNEL;
  for (let page = start; page < end; ) {
    const count = pageCount(page);
    const kind = pageKind(page);
    if (count == 0 || page + count > end) {
      finding(RUN_EMPTY, page, count, end - page);
      return used;
    }
    const last = page + count - 1;
    if (pageKind(last) != kind || pageCount(last) != count) finding(RUN_ENDS, page, pageCount(last), count);
    if (kind == FREE) {
      free++;
      if (before == FREE) finding(RUNS_NOT_JOINED, page, count, 0);
      const atGap = isKernel ? page + count == end : page == start;
      if (atGap) finding(FREE_AT_GAP, page, count, 0);
    } else {
      used += count;
      if ((kind == KERNEL) != isKernel) finding(RUN_KIND, page, kind, 0);
    }
    before = kind;
    page += count;
  }
  const listed = checkLists(isKernel);
  if (listed != free) finding(FREE_LISTED, isKernel ? KERNEL : 0, listed, free);
  return used;
}

/** Returns how many runs are listed. */
function checkLists(isKernel: bool): u32 {
  let listed: u32 = 0;
  for (let k: u32 = 0; k < PAGE_CLASSES; k++) {
    let before: u32 = 0;
    for (let page = freeListHead(isKernel, k); page != 0; page = nextFree(page)) {
      const count = pageCount(page);
      const isRight = pageKind(page) == FREE && count != 0 && 31 - clz<u32>(count) == k && prevFree(page) == before;
      if (!isRight || ++listed > sb().pages) {
        finding(FREE_LIST, page, count, k);
        return listed;
      }
      before = page;
    }
  }
  return listed;
}

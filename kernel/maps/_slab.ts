/**
 * Slabs: blocks of many sizes for one map, in pages of its own that go back when they are empty.
 *
 *      slabs  0  pages    the page added last, or 0
 *             4  spare    a page with no block in use, or 0
 *             4 * k       the first page with a free block, of those that are cut into k; 2 <= k <= MAX_BLOCKS
 *
 *      page   0  next     of all the map's pages
 *             4  prev
 *             8  partNext of those with a free block and as many blocks
 *            12  partPrev
 *            16  blocks   how many it is cut into; 1: a run of pages that is one block
 *            18  used
 *            20  free     offset of the first free block, or 0. A free block begins with the next one's
 *            22  taken    blocks behind these were never taken
 *            24  blocks
 *
 * Bit 31 of a block's first word is the sweep's: its owner has it zero.
 *
 * Threads: all under the map's lock. A thread that ends inside leaves what can be made again (`clearMarks`, `mark`, `sweep`)
 * from the pages' `next` and `blocks`, and from the blocks that are in use.
 */
import { allocKernel, freePages, ownRun, runBytes } from "../mem/pages";
import { PAGE_SIZE } from "../super";
import { ME } from "../task";

const PAGE_HEAD: u32 = 24;
const ROOM: u32 = PAGE_SIZE - PAGE_HEAD;
const MAX_BLOCKS: u32 = 127;
/** Up to this size blocks are a multiple of 8 bytes, from there on of 32. */
const FINE_BYTES: u32 = 128;
const MARK: u32 = 0x80000000;

/** Bytes of `slabs`. */
export const SLABS_BYTES: u32 = 4 * (MAX_BLOCKS + 1);

@unmanaged
class Page {
  next: u32;
  prev: u32;
  partNext: u32;
  partPrev: u32;
  blocks: u16;
  used: u16;
  free: u16;
  taken: u16;
}

// @ts-ignore: decorator
@inline
function pageOf(block: usize): Page {
  return changetype<Page>(block & ~(<usize>PAGE_SIZE - 1));
}

// @ts-ignore: decorator
@inline
function addressOf(page: Page): usize {
  return changetype<usize>(page);
}

// @ts-ignore: decorator
@inline
function blockBytes(blocks: u32): u32 {
  return (ROOM / blocks) & ~7;
}

/** How many blocks a page is cut into that has room for so many bytes in each. Not for each size: few pages are left in part. */
function blocksFor(bytes: u32): u32 {
  if (bytes > blockBytes(2)) return 1;
  const grain: u32 = bytes <= FINE_BYTES ? 8 : 32;
  return min<u32>(max<u32>(ROOM / ((bytes + grain - 1) & ~(grain - 1)), 2), MAX_BLOCKS);
}

/** A block of so many bytes, or more; 0 when memory is out. */
export function takeBlock(slabs: usize, bytes: u32): usize {
  const blocks = blocksFor(bytes);
  if (blocks == 1) {
    const run = allocKernel(<u64>bytes + PAGE_HEAD);
    if (run == 0) return 0;
    const page = changetype<Page>(run);
    page.blocks = 1;
    page.used = 1;
    linkPage(slabs, page);
    return run + PAGE_HEAD;
  }
  let page = changetype<Page>(<usize>load<u32>(slabs + 4 * blocks));
  if (addressOf(page) == 0) {
    page = cutPage(slabs, blocks);
    if (addressOf(page) == 0) return 0;
  }
  let block: usize;
  if (page.free != 0) {
    block = addressOf(page) + page.free;
    page.free = load<u16>(block);
  } else {
    block = addressOf(page) + PAGE_HEAD + <u32>page.taken * blockBytes(blocks);
    page.taken++;
  }
  page.used++;
  if (page.used == <u16>blocks) unlinkPart(slabs, page);
  return block;
}

/** A page of so many free blocks: the spare one, or a new one; 0 when memory is out. */
function cutPage(slabs: usize, blocks: u32): Page {
  let page = changetype<Page>(<usize>load<u32>(slabs, 4));
  if (addressOf(page) != 0) {
    store<u32>(slabs, 0, 4);
    page.blocks = <u16>blocks;
    page.free = 0;
    page.taken = 0;
  } else {
    page = changetype<Page>(allocKernel(PAGE_SIZE));
    if (addressOf(page) == 0) return page;
    page.blocks = <u16>blocks;
    linkPage(slabs, page);
  }
  linkPart(slabs, page);
  return page;
}

/** Gives back a block that nothing leads to. */
export function giveBlock(slabs: usize, block: usize): void {
  const page = pageOf(block);
  const blocks = <u32>page.blocks;
  if (blocks == 1) {
    dropPage(slabs, page);
    return;
  }
  store<u32>(block, page.free);
  page.free = <u16>(block - addressOf(page));
  if (page.used-- == <u16>blocks) linkPart(slabs, page);
  if (page.used != 0) return;
  unlinkPart(slabs, page);
  // One stays: block by block, pages must not come and go.
  if (load<u32>(slabs, 4) == 0) store<u32>(slabs, <u32>addressOf(page), 4);
  else dropPage(slabs, page);
}

function linkPage(slabs: usize, page: Page): void {
  const first: usize = load<u32>(slabs);
  page.next = <u32>first;
  page.prev = 0;
  if (first != 0) changetype<Page>(first).prev = <u32>addressOf(page);
  store<u32>(slabs, <u32>addressOf(page));
}

/** Gives back a page. Until it is free it is this task's: nothing leads to it. */
function dropPage(slabs: usize, page: Page): void {
  ownRun(addressOf(page), ME);
  if (page.prev == 0) store<u32>(slabs, page.next);
  else changetype<Page>(page.prev).next = page.next;
  if (page.next != 0) changetype<Page>(page.next).prev = page.prev;
  freePages(addressOf(page));
}

function linkPart(slabs: usize, page: Page): void {
  const head = slabs + 4 * <usize>page.blocks;
  const first: usize = load<u32>(head);
  page.partNext = <u32>first;
  page.partPrev = 0;
  if (first != 0) changetype<Page>(first).partPrev = <u32>addressOf(page);
  store<u32>(head, <u32>addressOf(page));
}

function unlinkPart(slabs: usize, page: Page): void {
  if (page.partPrev == 0) store<u32>(slabs + 4 * <usize>page.blocks, page.partNext);
  else changetype<Page>(page.partPrev).partNext = page.partNext;
  if (page.partNext != 0) changetype<Page>(page.partNext).partPrev = page.partPrev;
  page.partNext = 0;
  page.partPrev = 0;
}

export function freeSlabs(slabs: usize): void {
  for (let at: usize = load<u32>(slabs); at != 0; ) {
    const next: usize = changetype<Page>(at).next;
    freePages(at);
    at = next;
  }
}

export function ownSlabs(slabs: usize, owner: u32): void {
  for (let at: usize = load<u32>(slabs); at != 0; at = changetype<Page>(at).next) ownRun(at, owner);
}

export function slabsMemory(slabs: usize): u32 {
  let bytes: u32 = 0;
  for (let at: usize = load<u32>(slabs); at != 0; at = changetype<Page>(at).next) bytes += runBytes(at);
  return bytes;
}

export function clearMarks(slabs: usize): void {
  for (let at: usize = load<u32>(slabs); at != 0; at = changetype<Page>(at).next) {
    const blocks = <u32>changetype<Page>(at).blocks;
    for (let i: u32 = 0; i < blocks; i++) {
      const block = at + PAGE_HEAD + i * blockBytes(blocks);
      store<u32>(block, load<u32>(block) & ~MARK);
    }
  }
}

export function markBlock(block: usize): void {
  store<u32>(block, load<u32>(block) | MARK);
}

/** Makes all blocks free that are not marked, and all lists again. */
export function sweep(slabs: usize): void {
  memory.fill(slabs + 4, 0, SLABS_BYTES - 4);
  let prev: u32 = 0;
  for (let at: usize = load<u32>(slabs); at != 0; ) {
    const page = changetype<Page>(at);
    const next: usize = page.next;
    page.prev = prev;
    sweepPage(page);
    if (page.used == 0) {
      dropPage(slabs, page);
    } else {
      if (page.used < page.blocks) linkPart(slabs, page);
      prev = <u32>at;
    }
    at = next;
  }
}

function sweepPage(page: Page): void {
  const blocks = <u32>page.blocks;
  page.free = 0;
  page.taken = <u16>blocks;
  let used: u32 = 0;
  for (let i: u32 = 0; i < blocks; i++) {
    const block = addressOf(page) + PAGE_HEAD + i * blockBytes(blocks);
    const word = load<u32>(block);
    if (word & MARK) {
      store<u32>(block, word & ~MARK);
      used++;
    } else {
      store<u32>(block, page.free);
      page.free = <u16>(block - addressOf(page));
    }
  }
  page.used = <u16>used;
  page.partNext = 0;
  page.partPrev = 0;
}

/** How many blocks are in use; or u32.MAX_VALUE when a page's sums or links are wrong. */
export function usedBlocks(slabs: usize): u32 {
  const spare: usize = load<u32>(slabs, 4);
  if (spare != 0 && changetype<Page>(spare).used != 0) return u32.MAX_VALUE;
  let used: u32 = 0;
  let prev: u32 = 0;
  for (let at: usize = load<u32>(slabs); at != 0; at = changetype<Page>(at).next) {
    const page = changetype<Page>(at);
    if (page.prev != prev || !isPageSound(page)) return u32.MAX_VALUE;
    prev = <u32>at;
    used += page.used;
  }
  return used;
}

function isPageSound(page: Page): bool {
  const blocks = <u32>page.blocks;
  if (blocks == 1) return page.used == 1;
  if (blocks < 2 || blocks > MAX_BLOCKS || page.taken > page.blocks) return false;
  let free = <u32>(page.blocks - page.taken);
  for (let off = <u32>page.free; off != 0 && free <= blocks; off = load<u16>(addressOf(page) + off)) free++;
  return <u32>page.used + free == blocks;
}

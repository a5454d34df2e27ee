/**
 * BPF_MAP_TYPE_LPM_TRIE: prefixes, and the longest of them that matches. Behaves as kernel/bpf/lpm_trie.c.
 *
 *      map     head, holds, one stripe: one run of pages
 *      pages   nodes, and elems apart: see _slab.ts
 *
 *      root -> node at byte 0 -- 10 --> node at byte 1 -- 1 --> elem 10.1.0.0/16
 *                  |                        |--- 1001.... ----> elem 10.144.0.0/12
 *                  |--- 11...... --> elem 192.0.0.0/2
 *                  |--- 127 -------> elem 127.0.0.1/32: alone on its way, so it needs no node
 *                  `--- 172 -------> node at byte 2: all below begins with 172.16
 *
 * A multibit trie, eight bits a node, with paths compressed: a node has two items or more (but for the root's), and lies at
 * the first byte in which what is below it differs. Nodes are packed (_lpm_node.ts): bitmaps of which places have an item,
 * and the items (_lpm_item.ts). What the way to an elem says of its key is not kept again: most elems are a word and their value.
 * Which nodes there are follows from the elems alone.
 *
 * Threads: writers take the map's stripe. A changed node is a new one, filled before a single store leads to it; so
 * the trie is whole at any instruction, and that store is the change: count, free blocks and pages follow from it
 * (`rebuild`). Readers take no lock: they look at the stripe's seq before and after (odd: a writer is in the
 * middle), and again if it has changed. Blocks are given back at once: so a reader looks at seq after each word that it is about to
 * follow, too. If that is as it was, the word led to a node then; what it reads there may be anything, until it looks again.
 */
import {
  BPF_EXIST,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_NOEXIST,
} from "../../src/uapi/bpf";
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, ENOSPC, ENOTSUPP } from "../../src/uapi/errno";
import { BatchAttr, CreateAttr, putBatchCount } from "../attr";
import { unlock } from "../lock";
import { HOLDS_BYTES, initHead } from "../map";
import {
  ALLOC,
  ALLOC_CHECK,
  CHECK,
  CLEAR_LOCKS,
  COUNT,
  DELETE_BATCH,
  DELETE_ELEM,
  FREE,
  GET_NEXT_KEY,
  LOOKUP_BATCH,
  LOOKUP_ELEM,
  MEM_USAGE,
  OWN_RUNS,
  REPAIR,
  UPDATE_BATCH,
  UPDATE_ELEM,
} from "../map_types";
import { allocKernel, freePages, isUser, ownRun, runBytes } from "../mem/pages";
import { keepOrder } from "../order";
import { keyCopy } from "../task";
import { genericDeleteBatch, genericUpdateBatch } from "./_batch";
import {
  awaitWriter,
  beginWrite,
  clearStripes,
  endWrite,
  initStripes,
  loadSeq,
  lockStripe,
  oddSeq,
  rowBytes,
  settleSeq,
} from "./_stripe";
import { LpmTrie, PREFIX_BYTES, hasPath, itemOf, rootSlot, sameBytes } from "./_lpm";
import {
  INLINE_VALUE_BYTES,
  SHORT_VALUE_OFF,
  commonWithItem,
  isApart,
  isElemOf,
  isShort,
  isShortOf,
  prefixOfItem,
  shortWord,
  valueOf,
  writeKey,
} from "./_lpm_item";
import {
  BYTES,
  IS_NODE,
  bitAt,
  choose,
  countOf,
  depthOf,
  has,
  itemsOffOf,
  longestIn,
  nextPlace,
  nodeBytes,
  pathOf,
  placeOf,
  rankOf,
  setBits,
  startNode,
  wordBit,
  wordsOf,
  wordsWithout,
} from "./_lpm_node";
import { TOP_BYTES, fillTops, fitTop, setTops, tablesOf, topNode } from "./_lpm_top";
import { checkLpm } from "./_check_lpm";
import {
  SLABS_BYTES,
  clearMarks,
  freeSlabs,
  giveBlock,
  markBlock,
  ownSlabs,
  slabsMemory,
  sweep,
  takeBlock,
} from "./_slab";
import { copy } from "./_value";

const CREATE_FLAGS: u32 =
  BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
const MIN_KEY_BYTES: u32 = PREFIX_BYTES + 1;
const MAX_KEY_BYTES: u32 = PREFIX_BYTES + 256;
/** Room for a key. */
const CURSOR_BYTES: u32 = (MAX_KEY_BYTES + 7) & ~7;
/** What Linux has room for in a node of 4 MiB: its own fields take 24, and a key's data 256. */
const MAX_VALUE_BYTES: u32 = 4 * 1024 * 1024 - 256 - 24;

/** As the depth of a change that is none of nodes. */
const INNERMOST: u32 = 256;
/** As the byte before which a prefix parts from another: it does not. */
const NO_FORK: u32 = u32.MAX_VALUE;

/** Instead of a value's address: the trie changed under the reader; the key is not there. No value has such an address. */
const CHANGED: usize = 1;
const NOT_THERE: usize = 2;
/** Looks without the lock, before a reader takes it. */
const OPTIMISTIC_READS: i32 = 64;

// @ts-ignore: decorator
@inline
function stripe(trie: LpmTrie): usize {
  return trie.stripes;
}

/** Refusals of BPF_MAP_CREATE that are the trie's. Linux makes them when it allocates, after all others. */
function allocCheck(attr: CreateAttr): i32 {
  if (attr.maxEntries == 0 || (attr.mapFlags & BPF_F_NO_PREALLOC) == 0) return -EINVAL;
  if ((attr.mapFlags & ~CREATE_FLAGS) != 0 || !attr.accessOk()) return -EINVAL;
  if (attr.keySize < MIN_KEY_BYTES || attr.keySize > MAX_KEY_BYTES) return -EINVAL;
  return attr.valueSize == 0 || attr.valueSize > MAX_VALUE_BYTES ? -EINVAL : 0;
}

/** The map, or a negative errno. */
function alloc(attr: CreateAttr): isize {
  const refused = allocCheck(attr);
  if (refused != 0) return refused;
  const head = (<u32>offsetof<LpmTrie>() + SLABS_BYTES + 63) & ~63;
  const run = allocKernel(<u64>(head + HOLDS_BYTES) + rowBytes(1));
  if (run == 0) return -ENOMEM;
  const trie = changetype<LpmTrie>(run);
  initHead(trie, attr, run + head);
  initStripes(trie, run + head + HOLDS_BYTES, 1, 1);
  trie.dataBytes = attr.keySize - PREFIX_BYTES;
  trie.elemBytes = (attr.keySize + attr.valueSize + 3) & ~3;
  trie.isInline = attr.valueSize <= INLINE_VALUE_BYTES ? 1 : 0;
  trie.itemBytes = trie.isInline != 0 ? (<u32>SHORT_VALUE_OFF + attr.valueSize + 3) & ~3 : 4;
  trie.slabs = <u32>(run + offsetof<LpmTrie>());
  return run;
}

function free(trie: LpmTrie): void {
  if (trie.top != 0) freePages(trie.top);
  freeSlabs(trie.slabs);
  freePages(changetype<usize>(trie));
}

function ownRuns(trie: LpmTrie, owner: u32): void {
  if (trie.top != 0) ownRun(trie.top, owner);
  ownSlabs(trie.slabs, owner);
  ownRun(changetype<usize>(trie), owner);
}

function memUsage(trie: LpmTrie): u32 {
  const top = trie.top != 0 ? runBytes(trie.top) : 0;
  return runBytes(changetype<usize>(trie)) + top + slabsMemory(trie.slabs);
}

/** Whether what a reader has seen since it looked at a stripe's seq may not be so. */
// @ts-ignore: decorator
@inline
function isStale(word: usize, seq: u32): bool {
  keepOrder();
  return loadSeq(word) != seq;
}

/**
 * The value of the longest prefix that matches a key and is not longer than the key's own; 0 if there is none; or CHANGED.
 *
 * @param seq The stripe's, when the reader began.
 * @param toKey Where the prefix goes, or 0.
 */
// @ts-ignore: decorator
@inline
function match(trie: LpmTrie, key: usize, seq: u32, toKey: usize): usize {
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  if (prefix > trie.dataBytes << 3) return 0;
  const root: usize = trie.root & ~IS_NODE;
  // Where to begin, and where then if nothing is found: where a place of a table is a hash a node is perhaps of other bytes.
  let node = root;
  let from: u32 = 0;
  let next = root;
  const top: usize = trie.top;
  if (top != 0 && trie.dataBytes <= 4) {
    if (prefix >= 16) {
      node = topNode(top, 0, 2, data);
      from = 2;
    }
  } else if (top != 0 && prefix >= 40) {
    const by3 = topNode(top, 0, 3, data);
    const by4 = topNode(top, 1, 4, data);
    const by5 = topNode(top, 2, 5, data);
    node = choose(by5, choose(by4, by3, by4 != 0 ? 1 : 0), by5 != 0 ? 1 : 0);
    next = by3;
  }
  while (true) {
    const found = matchFrom(trie, node, from, key, seq, toKey);
    if (found != 0 || node == root) return found;
    node = next != 0 && next != node ? next : root;
    next = root;
    from = 0;
  }
}

/**
 * The same of what hangs on a node, which is a prefix itself up to byte `from`.
 *
 * @param node 0 for none.
 */
function matchFrom(trie: LpmTrie, node: usize, from: u32, key: usize, seq: u32, toKey: usize): usize {
  const lock = stripe(trie);
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  let found: usize = 0;
  while (node != 0) {
    if (isStale(lock, seq)) return CHANGED;
    const depth = depthOf(node);
    if (prefix < depth << 3 || !hasPath(trie, node, data, from)) break;
    const words = wordsOf(node);
    if (prefix - (depth << 3) < 8) {
      const value = longestAt(trie, node, words, placeOf(depth, prefix, data), seq, toKey);
      return value == 0 ? found : value;
    }
    const byte = <u32>load<u8>(data + depth);
    const place = longestIn(node, words, byte);
    const isWhole = bitAt(node, words, BYTES | byte);
    if ((place | isWhole) == 0) break;
    // Both are counted, though one is needed: which one is known late.
    const rank = choose(rankOf(node, words, BYTES | byte), rankOf(node, words, place), isWhole);
    const item = node + itemsOffOf(node) + rank * trie.itemBytes;
    if (isStale(lock, seq)) return CHANGED;
    const word = load<u32>(item);
    if (isShort(word)) {
      if (isShortOf(depth, word, prefix, data, trie.dataBytes)) {
        if (toKey != 0) writeKey(trie, node, choose(BYTES | byte, place, isWhole), word, toKey);
        return item + SHORT_VALUE_OFF;
      }
    } else {
      if (isStale(lock, seq)) return CHANGED;
      if (isApart(word) && isElemOf(word, prefix, data, trie.dataBytes)) {
        if (toKey != 0) writeKey(trie, node, 0, word, toKey);
        return <usize>word + trie.keySize;
      }
    }
    if (place != 0) {
      const value = longestAt(trie, node, words, place, seq, toKey);
      if (value == CHANGED) return CHANGED;
      if (value != 0) found = value;
    }
    if ((word & IS_NODE) == 0) break;
    if (isStale(lock, seq)) return CHANGED;
    node = word - IS_NODE;
    from = depth + 1;
  }
  return found;
}

/** The same of a place that stands for less than eight bits, and of those that it begins with. */
function longestAt(trie: LpmTrie, node: usize, words: u32, place: u32, seq: u32, toKey: usize): usize {
  const lock = stripe(trie);
  for (; place != 0; place >>= 1) {
    if (!has(node, words, place)) continue;
    const item = itemOf(trie, node, words, place);
    if (isStale(lock, seq)) return CHANGED;
    const word = load<u32>(item);
    if (isStale(lock, seq)) return CHANGED;
    if (word == 0) continue;
    if (toKey != 0) writeKey(trie, node, place, word, toKey);
    return valueOf(trie, item, word);
  }
  return 0;
}

/** The value of the first elem behind a place in post-order, of what hangs on a node; 0 if there is none; or CHANGED. */
function nextIn(trie: LpmTrie, node: usize, place: u32, seq: u32, toKey: usize): usize {
  const lock = stripe(trie);
  const words = wordsOf(node);
  while (true) {
    place = nextPlace(node, words, place);
    if (isStale(lock, seq)) return CHANGED;
    if (place == 0) return 0;
    const item = itemOf(trie, node, words, place);
    if (isStale(lock, seq)) return CHANGED;
    const word = load<u32>(item);
    if (isStale(lock, seq)) return CHANGED;
    if (word == 0) continue;
    if (word & IS_NODE) {
      const value = nextIn(trie, word - IS_NODE, 0, seq, toKey);
      if (value != 0) return value;
    } else {
      writeKey(trie, node, place, word, toKey);
      return valueOf(trie, item, word);
    }
  }
}

/** The same of what follows a key. 0 if the key is there and none follows it; NOT_THERE; or CHANGED. */
function behind(trie: LpmTrie, node: usize, from: u32, key: usize, seq: u32, toKey: usize): usize {
  const lock = stripe(trie);
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  const depth = depthOf(node);
  if (prefix < depth << 3 || sameBytes(node, data, from) != depth) return NOT_THERE;
  const words = wordsOf(node);
  const place = placeOf(depth, prefix, data);
  if (!has(node, words, place)) return NOT_THERE;
  const item = itemOf(trie, node, words, place);
  if (isStale(lock, seq)) return CHANGED;
  const word = load<u32>(item);
  if (isStale(lock, seq)) return CHANGED;
  if (word & IS_NODE) {
    const value = behind(trie, word - IS_NODE, depth + 1, key, seq, toKey);
    if (value != 0) return value;
  } else if (word == 0 || !isItemOf(trie, depth, place, word, key)) {
    return NOT_THERE;
  }
  return nextIn(trie, node, place, seq, toKey);
}

/** Whether the item of the place that a key has is an elem of the key's prefix. */
// @ts-ignore: decorator
@inline
function isItemOf(trie: LpmTrie, depth: u32, place: u32, word: u32, key: usize): bool {
  const prefix = load<u32>(key);
  if (prefixOfItem(depth, place, word) != prefix) return false;
  return place < BYTES || commonWithItem(trie, depth, word, prefix, key + PREFIX_BYTES) == prefix;
}

/**
 * The value of the elem that follows a key in post-order: longer prefixes before those that they begin with. The first for no key, and
 * for one that is not there.
 *
 * @returns 0 behind the last; or CHANGED
 */
function follower(trie: LpmTrie, key: usize, seq: u32, toKey: usize): usize {
  const lock = stripe(trie);
  const root: usize = trie.root;
  if (root == 0) return 0;
  if (isStale(lock, seq)) return CHANGED;
  const node = root - IS_NODE;
  if (key != 0 && load<u32>(key) <= trie.dataBytes << 3) {
    const value = behind(trie, node, 0, key, seq, toKey);
    if (value != NOT_THERE) return value;
    if (isStale(lock, seq)) return CHANGED;
  }
  return nextIn(trie, node, 0, seq, toKey);
}

/** BPF_MAP_LOOKUP_ELEM. */
export function lpmLookupElem(trie: LpmTrie, key: usize, to: usize): i32 {
  return readMatch(trie, key, 0, to);
}

/** The same, with the prefix that matched. */
export function lpmFindElem(trie: LpmTrie, key: usize, toKey: usize, toValue: usize): i32 {
  return load<u32>(key) > trie.dataBytes << 3 ? -ENOENT : readMatch(trie, key, toKey, toValue);
}

function readMatch(trie: LpmTrie, key: usize, toKey: usize, toValue: usize): i32 {
  return readElem(trie, key, toKey, toValue, false);
}

/** The key, and the value where it is wanted, of the elem that follows `key`. */
function readNext(trie: LpmTrie, key: usize, toKey: usize, toValue: usize): i32 {
  return readElem(trie, key, toKey, toValue, true);
}

/** Copies out the elem that matches a key, or that follows it: each part unless its address is 0. */
// @ts-ignore: decorator
@inline
function readElem(trie: LpmTrie, key: usize, toKey: usize, toValue: usize, follows: bool): i32 {
  const lock = stripe(trie);
  let tries = 0;
  while (true) {
    const isLocked = tries++ == OPTIMISTIC_READS;
    if (isLocked) lockStripe(trie, lock);
    const seq = loadSeq(lock);
    if (seq & 1) {
      awaitWriter(trie, lock);
      continue;
    }
    keepOrder();
    const value = follows ? follower(trie, key, seq, toKey) : match(trie, key, seq, toKey);
    if (value == CHANGED) continue;
    if (value != 0 && toValue != 0) copy(toValue, value, trie.valueSize);
    const isWhole = !isStale(lock, seq);
    if (isLocked) unlock(lock);
    if (isWhole) return value == 0 ? -ENOENT : 0;
  }
}

/** BPF_MAP_UPDATE_ELEM. The key does not change meanwhile: syscall.ts has copied it. */
function updateElem(trie: LpmTrie, key: usize, value: usize, flags: u64): i32 {
  if (flags > <u64>BPF_EXIST) return -EINVAL;
  if (load<u32>(key) > trie.dataBytes << 3) return -EINVAL;
  lockStripe(trie, stripe(trie));
  const ret = update(trie, key, value, <u32>flags);
  if (trie.top == 0) fitTop(trie);
  unlock(stripe(trie));
  return ret;
}

function update(trie: LpmTrie, key: usize, value: usize, flags: u32): i32 {
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  // `slot` is the word that leads to the node that the prefix belongs in; `item` what lies in its place there.
  let slot = rootSlot(trie);
  let slotDepth: u32 = 0;
  let node: usize = load<u32>(slot) & ~IS_NODE;
  let place = placeOf(0, prefix, data);
  let item: usize = 0;
  // Unless this is NO_FORK, the byte before which it parts from the node, or from the item if there is one.
  let fork = NO_FORK;
  for (let from: u32 = 0; node != 0; ) {
    const depth = depthOf(node);
    const same = sameBytes(node, data, from);
    if (same < depth || prefix < depth << 3) {
      fork = min(same, prefix >> 3);
      break;
    }
    const words = wordsOf(node);
    place = placeOf(depth, prefix, data);
    if (!has(node, words, place)) break;
    item = itemOf(trie, node, words, place);
    const word = load<u32>(item);
    if (word & IS_NODE) {
      slot = item;
      slotDepth = depth;
      node = word - IS_NODE;
      from = depth + 1;
      item = 0;
      continue;
    }
    if (place >= BYTES && word != 0) {
      const its = prefixOfItem(depth, place, word);
      const common = commonWithItem(trie, depth, word, prefix, data);
      if (common != prefix || common != its) fork = common >> 3;
    }
    break;
  }
  const isThere = fork == NO_FORK && item != 0 && load<u32>(item) != 0;
  if (isThere) {
    if (flags == BPF_NOEXIST) return -EEXIST;
  } else {
    if (flags == BPF_EXIST) return -ENOENT;
    if (trie.count == trie.maxEntries) return -ENOSPC;
  }
  const depth = fork != NO_FORK ? fork : node == 0 ? 0 : depthOf(node);
  const short = shortWord(trie, depth, key);
  const old = fork == NO_FORK && item != 0 ? load<u32>(item) : 0;
  if (short != 0 && old == short && trie.valueSize == 4) {
    publish(trie, item + SHORT_VALUE_OFF, load<u32>(value), 0, key, INNERMOST);
    return 0;
  }
  let apart: usize = 0;
  if (short == 0) {
    apart = takeBlock(trie.slabs, trie.elemBytes);
    if (apart == 0) return -ENOMEM;
    writeElem(trie, apart, key, value);
    if (fork == NO_FORK && item != 0) {
      publish(trie, item, <u32>apart, isThere ? 0 : 1, key, INNERMOST);
      if (isApart(old)) giveBlock(trie.slabs, old);
      return 0;
    }
  }
  let made: usize;
  if (fork != NO_FORK) {
    made = makeFork(trie, fork, node, place, item, key);
    place = placeOf(fork, prefix, data);
  } else if (item == 0) {
    made = makeWith(trie, node, place);
  } else {
    made = makeCopy(trie, node);
  }
  if (made == 0) {
    if (apart != 0) giveBlock(trie.slabs, apart);
    return -ENOMEM;
  }
  const to = itemOf(trie, made, wordsOf(made), place);
  if (apart != 0) store<u32>(to, <u32>apart);
  else writeShort(trie, to, short, value);
  if (fork != NO_FORK) {
    const was = item == 0 ? 0 : load<u32>(item);
    publish(trie, item == 0 ? slot : item, <u32>made + IS_NODE, 1, key, item == 0 ? slotDepth : depthOf(node));
    if (isApart(was) && !hasWord(trie, made, was)) giveBlock(trie.slabs, was);
  } else {
    publish(trie, slot, <u32>made + IS_NODE, isThere ? 0 : 1, key, slotDepth);
    if (node != 0) giveBlock(trie.slabs, node);
    if (isApart(old)) giveBlock(trie.slabs, old);
  }
  return 0;
}

function writeElem(trie: LpmTrie, elem: usize, key: usize, value: usize): void {
  store<u32>(elem, (load<u32>(key) + 1) << 1);
  copy(elem + PREFIX_BYTES, key + PREFIX_BYTES, trie.dataBytes);
  copy(elem + trie.keySize, value, trie.valueSize);
}

function writeShort(trie: LpmTrie, item: usize, word: u32, value: usize): void {
  store<u32>(item, word);
  copy(item + SHORT_VALUE_OFF, value, trie.valueSize);
}

/** Whether a node of two items has one with such a word. */
function hasWord(trie: LpmTrie, fork: usize, word: u32): bool {
  const first = fork + itemsOffOf(fork);
  return load<u32>(first) == word || load<u32>(first + trie.itemBytes) == word;
}

/** Room for the key of an elem that gets another place; the key of this change is perhaps in the first half. */
function movedKey(): usize {
  return keyCopy() + CURSOR_BYTES;
}

/**
 * A node at a byte for a key, whose item is not written yet, and for the item; or for the node, if that is 0. 0 when memory is out.
 *
 * @param place The item's.
 */
function makeFork(trie: LpmTrie, depth: u32, node: usize, place: u32, item: usize, key: usize): usize {
  let other: u32;
  let word: u32 = 0;
  let short: u32 = 0;
  if (item == 0) {
    other = BYTES | load<u8>(pathOf(node, wordsOf(node)) + depth);
  } else {
    word = load<u32>(item);
    writeKey(trie, node, place, word, movedKey());
    short = shortWord(trie, depth, movedKey());
    other = placeOf(depth, load<u32>(movedKey()), movedKey() + PREFIX_BYTES);
  }
  const its = placeOf(depth, load<u32>(key), key + PREFIX_BYTES);
  const words = wordBit(its) | wordBit(other);
  const fork = takeBlock(trie.slabs, nodeBytes(depth, words, 2, trie.itemBytes));
  if (fork == 0) return 0;
  startNode(fork, depth, words, 2, key + PREFIX_BYTES);
  setBits(fork, 0, its, other, 0);
  const to = itemOf(trie, fork, words, other);
  if (item == 0) store<u32>(to, <u32>node + IS_NODE);
  else if (short == 0) store<u32>(to, word);
  else writeShort(trie, to, short, valueOf(trie, item, word));
  return fork;
}

/** A node with all that another has, and one item more, which is not written yet. 0 when memory is out. */
function makeWith(trie: LpmTrie, node: usize, place: u32): usize {
  const itemBytes = trie.itemBytes;
  const depth = node == 0 ? 0 : depthOf(node);
  const count = node == 0 ? 0 : countOf(node);
  const words = wordBit(place) | (node == 0 ? 0 : wordsOf(node));
  const made = takeBlock(trie.slabs, nodeBytes(depth, words, count + 1, itemBytes));
  if (made == 0) return 0;
  startNode(made, depth, words, count + 1, node == 0 ? 0 : pathOf(node, wordsOf(node)));
  setBits(made, node, place, 0, 0);
  if (node != 0) {
    const to = made + itemsOffOf(made);
    const from = node + itemsOffOf(node);
    const before = rankOf(made, words, place) * itemBytes;
    memory.copy(to, from, before);
    memory.copy(to + before + itemBytes, from + before, count * itemBytes - before);
  }
  return made;
}

/** The same with one item less. */
function makeWithout(trie: LpmTrie, node: usize, place: u32): usize {
  const itemBytes = trie.itemBytes;
  const depth = depthOf(node);
  const count = countOf(node) - 1;
  const words = wordsWithout(node, place);
  const made = takeBlock(trie.slabs, nodeBytes(depth, words, count, itemBytes));
  if (made == 0) return 0;
  startNode(made, depth, words, count, pathOf(node, wordsOf(node)));
  setBits(made, node, 0, 0, place);
  const to = made + itemsOffOf(made);
  const from = node + itemsOffOf(node);
  const before = rankOf(node, wordsOf(node), place) * itemBytes;
  memory.copy(to, from, before);
  memory.copy(to + before, from + before + itemBytes, count * itemBytes - before);
  return made;
}

function makeCopy(trie: LpmTrie, node: usize): usize {
  const bytes = nodeBytes(depthOf(node), wordsOf(node), countOf(node), trie.itemBytes);
  const made = takeBlock(trie.slabs, bytes);
  if (made != 0) memory.copy(made, node, bytes);
  return made;
}

/**
 * The one store that changes the trie; and what follows from it.
 *
 * @param depth Of the node that the word is in.
 */
function publish(trie: LpmTrie, slot: usize, word: u32, more: i32, key: usize, depth: u32): void {
  beginWrite(stripe(trie));
  store<u32>(slot, word);
  trie.count += more;
  if (trie.top != 0) setTops(trie, load<u32>(key), key + PREFIX_BYTES, depth);
  endWrite(stripe(trie));
  // Readers see that seq has changed before they see what becomes of the blocks that were taken out.
  keepOrder();
}

/** BPF_MAP_DELETE_ELEM. */
function deleteElem(trie: LpmTrie, key: usize): i32 {
  if (load<u32>(key) > trie.dataBytes << 3) return -EINVAL;
  lockStripe(trie, stripe(trie));
  const ret = remove(trie, key);
  if (trie.top != 0) fitTop(trie);
  unlock(stripe(trie));
  return ret;
}

function remove(trie: LpmTrie, key: usize): i32 {
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  // `slot` leads to the node, and lies in `parent`, to which `parentSlot` leads.
  let parentSlot: usize = 0;
  let parent: usize = 0;
  let slot = rootSlot(trie);
  let node: usize = load<u32>(slot) & ~IS_NODE;
  let place: u32 = 0;
  let item: usize = 0;
  for (let from: u32 = 0; ; from = depthOf(parent) + 1) {
    if (node == 0) return -ENOENT;
    const depth = depthOf(node);
    if (prefix < depth << 3 || sameBytes(node, data, from) != depth) return -ENOENT;
    const words = wordsOf(node);
    place = placeOf(depth, prefix, data);
    if (!has(node, words, place)) return -ENOENT;
    item = itemOf(trie, node, words, place);
    const word = load<u32>(item);
    if ((word & IS_NODE) == 0) break;
    parentSlot = slot;
    parent = node;
    slot = item;
    node = word - IS_NODE;
  }
  const word = load<u32>(item);
  if (word == 0 || !isItemOf(trie, depthOf(node), place, word, key)) return -ENOENT;
  if (parent != 0 && countOf(node) == 2) takeFork(trie, parentSlot, parent, slot, node, item, key);
  else takeItem(trie, slot, node, place, item, key);
  if (isApart(word)) giveBlock(trie.slabs, word);
  return 0;
}

/** Takes an item out of a node. When memory is out its word says so, and the node stays as it is. */
function takeItem(trie: LpmTrie, slot: usize, node: usize, place: u32, item: usize, key: usize): void {
  let made: usize = 0;
  if (countOf(node) > 1) {
    made = makeWithout(trie, node, place);
    if (made == 0) {
      publish(trie, item, 0, -1, key, INNERMOST);
      return;
    }
  }
  publish(trie, slot, made == 0 ? 0 : <u32>made + IS_NODE, -1, key, 0);
  giveBlock(trie.slabs, node);
}

/** The same with a node of two items: the other one takes the node's place. */
function takeFork(
  trie: LpmTrie,
  parentSlot: usize,
  parent: usize,
  slot: usize,
  node: usize,
  item: usize,
  key: usize,
): void {
  const first = node + itemsOffOf(node);
  const other = item == first ? first + trie.itemBytes : first;
  const word = load<u32>(other);
  // What the parent gets in the node's place: a word, or a short elem.
  let short: u32 = 0;
  let moved = word;
  let made: usize = 0;
  if (isShort(word)) {
    const place = nextPlace(node, wordsOf(node), 0);
    const isFirst = itemOf(trie, node, wordsOf(node), place) == other;
    writeKey(trie, node, isFirst ? place : nextPlace(node, wordsOf(node), place), word, movedKey());
    short = shortWord(trie, depthOf(parent), movedKey());
    if (short != 0) {
      made = makeCopy(trie, parent);
      if (made != 0) writeShort(trie, made + (slot - parent), short, valueOf(trie, other, word));
    } else {
      moved = <u32>takeBlock(trie.slabs, trie.elemBytes);
      if (moved != 0) writeElem(trie, moved, movedKey(), valueOf(trie, other, word));
    }
  }
  if (short != 0 ? made == 0 : moved == 0) {
    publish(trie, item, 0, -1, key, INNERMOST);
    return;
  }
  if (short != 0) publish(trie, parentSlot, <u32>made + IS_NODE, -1, key, 0);
  else publish(trie, slot, moved, -1, key, 0);
  if (short != 0) giveBlock(trie.slabs, parent);
  giveBlock(trie.slabs, node);
}

/**
 * BPF_MAP_LOOKUP_BATCH: the cursor is the key delivered last. Behaves as generic_map_lookup_batch.
 *
 * @returns 0; -ENOENT when the last elem was reached; -EFAULT
 */
function lookupBatch(trie: LpmTrie, batch: BatchAttr, user: usize): i32 {
  if (batch.elemFlags != 0) return -EINVAL;
  if (batch.count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  if (batch.inBatch != 0 && !isUser(batch.inBatch, trie.keySize)) return -EFAULT;
  // Two keys by turns: one that is being looked for must not change when a look is repeated. No copy is made of this command's keys.
  return deliver(trie, batch, user, keyCopy(), keyCopy() + CURSOR_BYTES);
}

function deliver(trie: LpmTrie, batch: BatchAttr, user: usize, one: usize, other: usize): i32 {
  const keySize = trie.keySize;
  const valueSize = trie.valueSize;
  let last: usize = 0;
  if (batch.inBatch != 0) {
    memory.copy(one, <usize>batch.inBatch, keySize);
    last = one;
  }
  let toKey = batch.keys;
  let toValue = batch.values;
  let ret = 0;
  let n: u32 = 0;
  for (; n < batch.count; n++) {
    const next = last == one ? other : one;
    const hasRoom = isUser(toKey, keySize) && isUser(toValue, valueSize);
    ret = readNext(trie, last, next, hasRoom ? <usize>toValue : 0);
    if (ret != 0) break;
    if (!hasRoom) return -EFAULT;
    memory.copy(<usize>toKey, next, keySize);
    last = next;
    toKey += keySize;
    toValue += valueSize;
  }
  if (!putBatchCount(user, n)) return -EFAULT;
  if (n != 0) {
    if (!isUser(batch.outBatch, keySize)) return -EFAULT;
    memory.copy(<usize>batch.outBatch, last, keySize);
  }
  return ret;
}

/**
 * Makes again what follows from the root and what hangs on it: the count, and which blocks are free. For a task that has ended under the
 * lock. Readers wait meanwhile.
 */
function rebuild(trie: LpmTrie): void {
  oddSeq(stripe(trie));
  clearMarks(trie.slabs);
  trie.count = trie.root == 0 ? 0 : markFrom(trie, trie.root - IS_NODE);
  sweep(trie.slabs);
  if (trie.top != 0) {
    memory.fill(trie.top, 0, tablesOf(trie) * TOP_BYTES);
    fillTops(trie, trie.top);
  }
  settleSeq(stripe(trie));
}

/** Marks a node and all that hangs on it. Returns how many elems that is. As deep as a key has bytes. */
function markFrom(trie: LpmTrie, node: usize): u32 {
  markBlock(node);
  let elems: u32 = 0;
  const items = node + itemsOffOf(node);
  for (let i: u32 = 0; i < countOf(node); i++) {
    const word = load<u32>(items + i * trie.itemBytes);
    if (word & IS_NODE) {
      elems += markFrom(trie, word - IS_NODE);
    } else if (word != 0) {
      elems++;
      if (isApart(word)) markBlock(word);
    }
  }
  return elems;
}

export function lpmTrieOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const trie = changetype<LpmTrie>(map);
  switch (op) {
    case ALLOC_CHECK:
      return 0;
    case ALLOC:
      return <i32>alloc(changetype<CreateAttr>(map));
    case FREE:
      free(trie);
      return 0;
    case LOOKUP_ELEM:
      return lpmLookupElem(trie, a, b);
    case UPDATE_ELEM:
      return updateElem(trie, a, b, flags);
    case DELETE_ELEM:
      return deleteElem(trie, a);
    case GET_NEXT_KEY:
      return readNext(trie, a, b, 0);
    case LOOKUP_BATCH:
      return lookupBatch(trie, changetype<BatchAttr>(a), b);
    case UPDATE_BATCH:
      return genericUpdateBatch(trie, changetype<BatchAttr>(a), b);
    case DELETE_BATCH:
      return genericDeleteBatch(trie, changetype<BatchAttr>(a), b);
    case COUNT:
      return trie.count;
    case MEM_USAGE:
      return <i32>memUsage(trie);
    case OWN_RUNS:
      ownRuns(trie, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      clearStripes(trie);
      return 0;
    case REPAIR:
      rebuild(trie);
      return 0;
    case CHECK:
      checkLpm(trie);
      return 0;
    default:
      return -ENOTSUPP;
  }
}

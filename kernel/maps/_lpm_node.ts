/**
 * Nodes of an LPM trie: what hangs on one byte of a key, packed.
 *
 *      node   0  depth     of the byte: how many come before it. One byte; the next is unused
 *             2  words     which of eight words of `bits` are there. One byte; bit 7 of the one behind it is the sweep's
 *             4  itemsOff  where the items begin
 *             6  count     how many items
 *             8  ranks     two bytes for each word that is there: how many items the words before it have. Rounded up to 4
 *             +  bits      of 512 places those that have an item; only the words that are there
 *             +  path      the bytes before, `depth` of them. Rounded up to 4
 *             +  items     in the order of their places: see _lpm_item.ts
 *
 *      place  1            the prefix that ends before the byte
 *             2 .. 3       those that end one bit later: their bits, behind a 1
 *             4 .. 7       two bits; and so on
 *             128 .. 255   seven bits
 *             256 .. 511   all eight: whatever begins with this byte, a node or an elem
 *
 * Threads: a node is filled before anything leads to it, and is then never written, but for the first words of its items.
 */

export const NODE_HEAD: u32 = 8;
/** In an item's word: it leads to a node. */
export const IS_NODE: u32 = 1;
/** Where the places of whole bytes begin, and where they end. */
export const BYTES: u32 = 256;
const PLACES: u32 = 512;

// @ts-ignore: decorator
@inline
export function depthOf(node: usize): u32 {
  return load<u8>(node);
}

// @ts-ignore: decorator
@inline
export function wordsOf(node: usize): u32 {
  return load<u8>(node, 2);
}

// @ts-ignore: decorator
@inline
export function itemsOffOf(node: usize): u32 {
  return load<u16>(node, 4);
}

// @ts-ignore: decorator
@inline
export function countOf(node: usize): u32 {
  return load<u16>(node, 6);
}

// @ts-ignore: decorator
@inline
function roundUp4(bytes: u32): u32 {
  return (bytes + 3) & ~3;
}

/** How many of the words that are there come before the nth. */
// @ts-ignore: decorator
@inline
function wordsBefore(words: u32, n: u32): u32 {
  return popcnt<u32>(words & ((1 << n) - 1));
}

// @ts-ignore: decorator
@inline
function bitsOff(words: u32): u32 {
  return NODE_HEAD + roundUp4(2 * popcnt<u32>(words));
}

/** The nth word of a node's bits. Without a branch: which words there are is hard to foretell. */
// @ts-ignore: decorator
@inline
function wordAt(node: usize, words: u32, n: u32): u64 {
  const isThere = (words >> n) & 1;
  return load<u64>(node + bitsOff(words) + 8 * wordsBefore(words, n) * isThere) & (<u64>0 - <u64>isThere);
}

/** 1 if a place has an item, else 0. */
// @ts-ignore: decorator
@inline
export function bitAt(node: usize, words: u32, place: u32): u32 {
  return <u32>(wordAt(node, words, place >> 6) >> (place & 63)) & 1;
}

// @ts-ignore: decorator
@inline
export function has(node: usize, words: u32, place: u32): bool {
  return bitAt(node, words, place) != 0;
}

/** One of two numbers, by 1 or 0; without a branch. */
// @ts-ignore: decorator
@inline
export function choose(one: u32, other: u32, isOne: u32): u32 {
  return other ^ ((one ^ other) & (0 - isOne));
}

/** Which item a place has: the place has one. */
// @ts-ignore: decorator
@inline
export function rankOf(node: usize, words: u32, place: u32): u32 {
  const n = wordsBefore(words, place >> 6);
  const bits = load<u64>(node + bitsOff(words) + 8 * n) & (((<u64>1) << (place & 63)) - 1);
  return <u32>load<u16>(node + 2 * n, NODE_HEAD) + <u32>popcnt<u64>(bits);
}

// @ts-ignore: decorator
@inline
export function pathOf(node: usize, words: u32): usize {
  return node + bitsOff(words) + 8 * popcnt<u32>(words);
}

export function nodeBytes(depth: u32, words: u32, count: u32, itemBytes: u32): u32 {
  return bitsOff(words) + 8 * popcnt<u32>(words) + roundUp4(depth) + count * itemBytes;
}

/** The place, in the node at `depth`, of a prefix that is not shorter. */
// @ts-ignore: decorator
@inline
export function placeOf(depth: u32, prefix: u32, data: usize): u32 {
  const bits = prefix - (depth << 3);
  if (bits >= 8) return BYTES | load<u8>(data + depth);
  return bits == 0 ? 1 : (1 << bits) | (<u32>load<u8>(data + depth) >> (8 - bits));
}

/**
 * The place of the longest prefix of a byte that has an item, of less than eight bits; 0 if none has.
 *
 * Without a branch: which length it is nobody can foretell, and while a processor guesses wrong it does not begin the next lookup.
 */
// @ts-ignore: decorator
@inline
export function longestIn(node: usize, words: u32, byte: u32): u32 {
  const five = 32 | (byte >> 3);
  const all =
    ((<u64>1) << five) |
    ((<u64>1) << (five >> 1)) |
    ((<u64>1) << (five >> 2)) |
    ((<u64>1) << (five >> 3)) |
    ((<u64>1) << (five >> 4)) |
    2;
  // No item has place 0.
  const short = 63 - <u32>clz<u64>((wordAt(node, words, 0) & all) | 1);
  const six = 64 | (byte >> 2);
  const seven = 128 | (byte >> 1);
  return choose(seven, choose(six, short, bitAt(node, words, six)), bitAt(node, words, seven));
}

/** The first place at or behind `from`, and before `end`, that has an item; 0 if none has. */
function firstPlace(node: usize, words: u32, from: u32, end: u32): u32 {
  for (let n = from >> 6; n << 6 < end; n++) {
    let bits = wordAt(node, words, n);
    if (n == from >> 6) bits &= u64.MAX_VALUE << (from & 63);
    if (bits != 0) {
      const place = (n << 6) | <u32>ctz<u64>(bits);
      return place < end ? place : 0;
    }
  }
  return 0;
}

/**
 * The place with an item that follows one in post-order; 0 behind the last. The order is that of the last bytes that places stand
 * for, and longer prefixes first.
 *
 * @param place 0 for the first of all
 */
export function nextPlace(node: usize, words: u32, place: u32): u32 {
  // `past` is the first byte behind what the place stands for.
  let past: u32 = 0;
  if (place != 0) {
    const level = 31 - clz<u32>(place);
    past = (place + 1 - (1 << level)) << (8 - level);
    // Shorter ones that end at the same byte.
    for (; place > 1 && (place & 1) != 0; ) {
      place >>= 1;
      if (has(node, words, place)) return place;
    }
  }
  if (past == BYTES) return 0;
  let next = firstPlace(node, words, BYTES | past, PLACES);
  let end = next == 0 ? PLACES : next + 1 - BYTES;
  for (let level: i32 = 7; level >= 0 && end > past + 1; level--) {
    const found = firstPlace(node, words, (1 << level) + (past >> (8 - level)), 2 << level);
    if (found == 0) continue;
    const itsEnd = (found + 1 - (1 << level)) << (8 - level);
    if (itsEnd < end) {
      next = found;
      end = itsEnd;
    }
  }
  return next;
}

/** Begins a node, with everything but bits, ranks and items. */
export function startNode(node: usize, depth: u32, words: u32, count: u32, path: usize): void {
  store<u32>(node, depth | (words << 16));
  store<u16>(node, <u16>nodeBytes(depth, words, 0, 0), 4);
  store<u16>(node, <u16>count, 6);
  memory.copy(pathOf(node, words), path, depth);
}

/** Sets the bits of a node that has been started: those of another, if there is one, with some more and some less. */
export function setBits(node: usize, from: usize, more: u32, more2: u32, less: u32): void {
  const words = wordsOf(node);
  const fromWords = from == 0 ? 0 : wordsOf(from);
  let at = node + bitsOff(words);
  let rankAt = node + NODE_HEAD;
  let rank: u32 = 0;
  for (let n: u32 = 0; n < 8; n++) {
    if (((words >> n) & 1) == 0) continue;
    let bits = wordAt(from, fromWords, n);
    if (more != 0 && more >> 6 == n) bits |= (<u64>1) << (more & 63);
    if (more2 != 0 && more2 >> 6 == n) bits |= (<u64>1) << (more2 & 63);
    if (less != 0 && less >> 6 == n) bits &= ~((<u64>1) << (less & 63));
    store<u64>(at, bits);
    store<u16>(rankAt, <u16>rank);
    rank += <u32>popcnt<u64>(bits);
    at += 8;
    rankAt += 2;
  }
}

/** The words that are there without a place: a word goes with its last item. */
export function wordsWithout(node: usize, place: u32): u32 {
  const words = wordsOf(node);
  const isLast = wordAt(node, words, place >> 6) == (<u64>1) << (place & 63);
  return isLast ? words & ~(1 << (place >> 6)) : words;
}

// @ts-ignore: decorator
@inline
export function wordBit(place: u32): u32 {
  return 1 << (place >> 6);
}

/** Whether depth, words, ranks and count of a node agree. */
export function isNodeSound(node: usize, dataBytes: u32): bool {
  const depth = depthOf(node);
  const words = wordsOf(node);
  if (depth >= dataBytes || itemsOffOf(node) != nodeBytes(depth, words, 0, 0)) return false;
  let rank: u32 = 0;
  for (let n: u32 = 0; n < 8; n++) {
    const bits = wordAt(node, words, n);
    if (((words >> n) & 1) == 0) continue;
    const first = (n << 6) | <u32>ctz<u64>(bits);
    if (bits == 0 || rankOf(node, words, first) != rank) return false;
    rank += <u32>popcnt<u64>(bits);
  }
  return rank == countOf(node) && !has(node, words, 0);
}

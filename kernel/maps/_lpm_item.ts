/**
 * Items of an LPM trie's nodes: a node, or what the way to it does not say of an elem.
 *
 *      item   0  word   31 ... 8  7  6 ... 2  1 0
 *                       address           | 0 1    a node, + 1
 *                       rest    | 0 | more | 1 0   a short elem. Its prefix: the node's path, what the place stands for, and, in
 *                                                  the place of a whole byte, the first `more` bits, up to 24, of the three bytes
 *                                                  of `rest`, which is in the order of memory. It has no host bits
 *                       address           | 0 0    an elem apart
 *                       0                          nothing any more (memory was out when it was deleted)
 *             4  value  of a short elem, in tries whose values are up to INLINE_VALUE_BYTES; in others no elem is short
 *
 *      elem   0  (prefixlen + 1) << 1
 *             4  data   as many bytes as the key has behind its prefixlen, network byte order, host bits as given
 *             +  value
 */
import { LpmTrie, PREFIX_BYTES, commonBits, prefixOf } from "./_lpm";
import { BYTES, IS_NODE, depthOf, pathOf, wordsOf } from "./_lpm_node";
import { copy } from "./_value";

const IS_SHORT: u32 = 2;
const MORE_SHIFT: u32 = 2;
const MORE_MASK: u32 = 31;
const MAX_MORE: u32 = 24;
/** Above `more`. */
const REST_SHIFT: u32 = 8;
/** Of three bytes in the order of memory the first 0, 1, ... 24 bits. */
// prettier-ignore
const FIRST_BITS: usize = memory.data<u32>([
  0x000000, 0x000080, 0x0000c0, 0x0000e0, 0x0000f0, 0x0000f8, 0x0000fc, 0x0000fe, 0x0000ff, 0x0080ff, 0x00c0ff, 0x00e0ff, 0x00f0ff,
  0x00f8ff, 0x00fcff, 0x00feff, 0x00ffff, 0x80ffff, 0xc0ffff, 0xe0ffff, 0xf0ffff, 0xf8ffff, 0xfcffff, 0xfeffff, 0xffffff,
  // For what is no elem's word any more.
  0, 0, 0, 0, 0, 0, 0,
]);

/** The value of a short elem, behind its word. */
export const SHORT_VALUE_OFF: usize = 4;
/** Larger values would make each change of a node a long copy. */
export const INLINE_VALUE_BYTES: u32 = 24;

// @ts-ignore: decorator
@inline
export function isShort(word: u32): bool {
  return (word & (IS_NODE | IS_SHORT)) == IS_SHORT;
}

/** Whether an item's word leads to an elem of its own block. */
// @ts-ignore: decorator
@inline
export function isApart(word: u32): bool {
  return word != 0 && (word & (IS_NODE | IS_SHORT)) == 0;
}

// @ts-ignore: decorator
@inline
function moreOf(word: u32): u32 {
  return (word >> MORE_SHIFT) & MORE_MASK;
}

// @ts-ignore: decorator
@inline
function firstBits(more: u32): u32 {
  return load<u32>(FIRST_BITS + 4 * more);
}

/** What short elems can have of some data: the three bytes behind byte `depth`; zeros where there are less. */
// @ts-ignore: decorator
@inline
function restOf(data: usize, depth: u32, bytes: u32): u32 {
  const from = depth + 1;
  if ((bytes & 3) != 0 || from >= bytes) return restOfBytes(data, from, bytes);
  // By words, as keys are written: a load across two of them would have to wait.
  const word = data + (from & ~3);
  const first = <u64>load<u32>(word);
  const both = (from | 3) + 1 < bytes ? first | (<u64>load<u32>(word, 4) << 32) : first;
  return <u32>(both >> ((from & 3) << 3)) & 0xffffff;
}

function restOfBytes(data: usize, from: u32, bytes: u32): u32 {
  let rest: u32 = 0;
  for (let i: u32 = 0; i < 3 && from + i < bytes; i++) rest |= <u32>load<u8>(data + from + i) << (i << 3);
  return rest;
}

/** How many bits of a prefix a place stands for, with the path before it. */
// @ts-ignore: decorator
@inline
function bitsOfPlace(depth: u32, place: u32): u32 {
  return (depth << 3) + 31 - clz<u32>(place);
}

/** The length of the prefix of an item that is an elem. */
export function prefixOfItem(depth: u32, place: u32, word: u32): u32 {
  return isShort(word) ? bitsOfPlace(depth, place) + moreOf(word) : prefixOf(word);
}

/** Where the value is of an item that is an elem. */
// @ts-ignore: decorator
@inline
export function valueOf(trie: LpmTrie, item: usize, word: u32): usize {
  return isShort(word) ? item + SHORT_VALUE_OFF : <usize>word + trie.keySize;
}

/**
 * Whether a short elem's prefix is one of the data's first `prefix` bits. The path and the place are known to be theirs, and the byte
 * all the data's.
 */
// @ts-ignore: decorator
@inline
export function isShortOf(depth: u32, word: u32, prefix: u32, data: usize, bytes: u32): bool {
  const more = moreOf(word);
  return (restOf(data, depth, bytes) & firstBits(more)) == word >> REST_SHIFT && ((depth + 1) << 3) + more <= prefix;
}

/** The same of an elem apart. */
// @ts-ignore: decorator
@inline
export function isElemOf(elem: usize, prefix: u32, data: usize, bytes: u32): bool {
  const its = prefixOf(elem);
  return its <= prefix && commonBits(data, elem + PREFIX_BYTES, bytes, its) == its;
}

/** How many bits a key and the elem of an item in the place of a whole byte have in common; the path and the byte are. */
export function commonWithItem(trie: LpmTrie, depth: u32, word: u32, prefix: u32, data: usize): u32 {
  if (!isShort(word)) {
    const elem: usize = word;
    return commonBits(data, elem + PREFIX_BYTES, trie.dataBytes, min(prefix, prefixOf(elem)));
  }
  const same = clz<u32>(bswap<u32>(restOf(data, depth, trie.dataBytes) ^ (word >> REST_SHIFT)));
  return min(((depth + 1) << 3) + min(same, moreOf(word)), prefix);
}

/** Whether some data has no bits behind a prefix. */
function isBare(data: usize, prefix: u32, bytes: u32): bool {
  let i = prefix >> 3;
  if (i < bytes && ((<u32>load<u8>(data + i) << (prefix & 7)) & 0xff) != 0) return false;
  for (i++; i < bytes; i++) {
    if (load<u8>(data + i) != 0) return false;
  }
  return true;
}

/** The word of a short elem for a key in the node at `depth`; 0 if it can't be short. */
export function shortWord(trie: LpmTrie, depth: u32, key: usize): u32 {
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  const whole = (depth + 1) << 3;
  const more = prefix > whole ? prefix - whole : 0;
  if (trie.isInline == 0 || more > MAX_MORE || !isBare(data, prefix, trie.dataBytes)) return 0;
  const rest = prefix < whole ? 0 : restOf(data, depth, trie.dataBytes);
  return IS_SHORT | (more << MORE_SHIFT) | (rest << REST_SHIFT);
}

/** Writes the key of an item that is an elem: from a node's path, a place and a word. */
export function writeKey(trie: LpmTrie, node: usize, place: u32, word: u32, key: usize): void {
  const bytes = trie.dataBytes;
  const data = key + PREFIX_BYTES;
  if (!isShort(word)) {
    const elem: usize = word;
    store<u32>(key, prefixOf(elem));
    copy(data, elem + PREFIX_BYTES, bytes);
    return;
  }
  const depth = depthOf(node);
  // Only of what is no node any more: a reader that comes too late.
  if (depth >= bytes) return;
  store<u32>(key, bitsOfPlace(depth, place) + moreOf(word));
  memory.copy(data, pathOf(node, wordsOf(node)), depth);
  memory.fill(data + depth, 0, bytes - depth);
  const missing = clz<u32>(place) - 23;
  store<u8>(data + depth, place << missing);
  if (place < BYTES) return;
  for (let i: u32 = 1; i <= 3 && depth + i < bytes; i++) store<u8>(data + depth + i, word >> (i << 3));
}

/** Whether a short elem's word is one that a key in such a place can have. */
export function isShortSound(trie: LpmTrie, depth: u32, place: u32, word: u32): bool {
  const more = moreOf(word);
  if (trie.isInline == 0 || (word & 0x80) != 0) return false;
  if (place < BYTES) return word == IS_SHORT;
  if (more > MAX_MORE || ((depth + 1) << 3) + more > trie.dataBytes << 3) return false;
  return (word >> REST_SHIFT & ~firstBits(more)) == 0;
}

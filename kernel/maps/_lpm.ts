/**
 * An LPM trie's head, and how its nodes and elems are read: of lpm_trie.ts, which says what they are.
 */
import { BpfMap } from "../map";
import { depthOf, itemsOffOf, pathOf, rankOf, wordsOf } from "./_lpm_node";

/** prefixlen, in front of a key's data, and of an elem's. */
export const PREFIX_BYTES: u32 = 4;

@unmanaged
export class LpmTrie extends BpfMap {
  /** As an item's word: the node at byte 0, + 1; or 0. */
  root: u32;
  /** Elems. */
  count: u32;
  dataBytes: u32;
  elemBytes: u32;
  /** From one item of a node to the next. */
  itemBytes: u32;
  /** Whether elems can be short: _lpm_item.ts. */
  isInline: u32;
  slabs: u32;
  /** The tables, items' words, or 0: see TOP_COUNT. */
  top: u32;
}

// @ts-ignore: decorator
@inline
export function rootSlot(trie: LpmTrie): usize {
  return changetype<usize>(trie) + offsetof<LpmTrie>("root");
}

// @ts-ignore: decorator
@inline
export function prefixOf(elem: usize): u32 {
  return (load<u32>(elem) >> 1) - 1;
}

/** The item of a place that has one. */
// @ts-ignore: decorator
@inline
export function itemOf(trie: LpmTrie, node: usize, words: u32, place: u32): usize {
  return node + itemsOffOf(node) + rankOf(node, words, place) * trie.itemBytes;
}

/** How many of the first `limit` bits of two data are the same. */
// @ts-ignore: decorator
@inline
export function commonBits(a: usize, b: usize, bytes: u32, limit: u32): u32 {
  if (bytes == 4) return min<u32>(clz<u32>(bswap<u32>(load<u32>(a) ^ load<u32>(b))), limit);
  return commonBitsOfMany(a, b, bytes, limit);
}

function commonBitsOfMany(a: usize, b: usize, bytes: u32, limit: u32): u32 {
  let i: u32 = 0;
  for (; i + 8 <= bytes && i << 3 < limit; i += 8) {
    const differ = load<u64>(a + i) ^ load<u64>(b + i);
    if (differ != 0) return min<u32>((i << 3) + <u32>clz<u64>(bswap<u64>(differ)), limit);
  }
  for (; i < bytes && i << 3 < limit; i++) {
    const differ = <u32>(load<u8>(a + i) ^ load<u8>(b + i));
    if (differ != 0) return min<u32>((i << 3) + clz<u32>(differ) - 24, limit);
  }
  return limit;
}

/**
 * Whether a key's data begins with a node's path, whose first `from` bytes are known to be the same. Without a loop where it can be: how
 * long paths are nobody can foretell.
 */
// @ts-ignore: decorator
@inline
export function hasPath(trie: LpmTrie, node: usize, data: usize, from: u32): bool {
  const depth = depthOf(node);
  if (depth == from) return true;
  const path = pathOf(node, wordsOf(node));
  if (trie.dataBytes >= 8 && depth <= 8) {
    // By words, as keys are written: a longer load would have to wait for them.
    const first = <u64>load<u32>(data) | (<u64>load<u32>(data, 4) << 32);
    return (load<u64>(path) ^ first) << (64 - (depth << 3)) == 0;
  }
  return sameBytesOfMany(path, data, from, depth) == depth;
}

/** The first byte, at or behind `from`, in which a node's path and a key's data differ; the node's depth if none does. */
// @ts-ignore: decorator
@inline
export function sameBytes(node: usize, data: usize, from: u32): u32 {
  const depth = depthOf(node);
  return from == depth ? depth : sameBytesOfMany(pathOf(node, wordsOf(node)), data, from, depth);
}

function sameBytesOfMany(path: usize, data: usize, from: u32, depth: u32): u32 {
  while (from + 4 <= depth && load<u32>(path + from) == load<u32>(data + from)) from += 4;
  while (from < depth && load<u8>(path + from) == load<u8>(data + from)) from++;
  return from;
}

/**
 * Tables that a lookup in a large LPM trie begins with, instead of at the root.
 *
 *      top    0        table 0  words by a key's first bytes: which node is the first at the table's depth or behind, or 0
 *             262,144  tables 1 and 2  of longer keys
 *
 * With keys of up to 4 bytes there is one table, by 2 bytes, which are the place. With longer ones there are three, by 3, 4 and 5
 * (IPv6: what lies in a /24, a /32, a /40): a place is a hash there, and of two nodes that want it one is there.
 * A word's lowest three bits, which a node's address has not, are three more of the hash.
 *
 * Threads: under the map's lock, and changed while seq is odd. They follow from the nodes (`fillTops`).
 */
import { allocKernel, freePages, ownRun } from "../mem/pages";
import { keepOrder, storeInOrder } from "../order";
import { finding } from "../finding";
import { ME } from "../task";
import { LpmTrie, itemOf } from "./_lpm";
import { BYTES, IS_NODE, countOf, depthOf, has, itemsOffOf, pathOf, wordsOf } from "./_lpm_node";
import { beginWrite, endWrite } from "./_stripe";

/** From so many elems on there are tables; they go when a quarter is left. */
const TOP_COUNT: u32 = 16384;
const TOP_WORDS: u32 = 65536;
export const TOP_BYTES: u32 = 4 * TOP_WORDS;

/** Of a node's address these bits are zero. */
const LOW: u32 = 7;

/** A finding of CHECK: text in src/kernels/embedded/check.ts. */
const LPM_TOP: u32 = 100;

// @ts-ignore: decorator
@inline
export function tablesOf(trie: LpmTrie): i32 {
  return trie.dataBytes > 4 ? 3 : 1;
}

// @ts-ignore: decorator
@inline
export function tableDepth(trie: LpmTrie, table: u32): u32 {
  return trie.dataBytes > 4 ? 3 + table : 2;
}

/** The first bytes of some data, as many as a table goes by. */
// @ts-ignore: decorator
@inline
function firstBytes(data: usize, depth: u32): u64 {
  if (depth == 2) return load<u16>(data);
  const first = load<u32>(data);
  if (depth == 3) return first & 0xffffff;
  return depth == 4 ? first : <u64>first | (<u64>load<u8>(data, 4) << 32);
}

/** Of some data's hash the place in a table, and the word's lowest bits below it. The two bytes of a small key's are the place. */
// @ts-ignore: decorator
@inline
function hashOf(data: usize, depth: u32): u32 {
  const first = firstBytes(data, depth);
  return depth == 2 ? <u32>first << 3 : <u32>((first * 0x9e3779b97f4a7c15) >> 45);
}

// @ts-ignore: decorator
@inline
function slotOf(top: usize, table: u32, hash: u32): usize {
  return top + table * TOP_BYTES + 4 * (hash >> 3);
}

/** What a table says of some data: a node, which is perhaps of other data's where places are hashes, or 0. */
// @ts-ignore: decorator
@inline
export function topNode(top: usize, table: u32, depth: u32, data: usize): u32 {
  const hash = hashOf(data, depth);
  const word = load<u32>(slotOf(top, table, hash));
  const node = word ^ (hash & LOW);
  // All ones if the lowest bits are those; without a branch, since half of all looks find nothing.
  const isOurs = (<i32>(node & LOW) - 1) >> 31;
  return node & <u32>isOurs;
}

/** Brings the tables up to date with a change at a prefix, in a node that stays. A shorter one changes no node that they have. */
export function setTops(trie: LpmTrie, prefix: u32, data: usize, changed: u32): void {
  for (let table = 0; table < tablesOf(trie); table++) {
    const depth = tableDepth(trie, table);
    if (prefix < depth << 3 || changed >= depth) continue;
    const hash = hashOf(data, depth);
    const slot = slotOf(trie.top, table, hash);
    const was: usize = load<u32>(slot) & ~LOW;
    const is = firstNode(trie, data, depth);
    // What was there is not given back yet: it says whose it is.
    if (is != 0) store<u32>(slot, is | (hash & LOW));
    else if (was != 0 && isBelow(was, data, depth)) store<u32>(slot, 0);
  }
}

/** Whether a node begins with the same bytes as some data. */
function isBelow(node: usize, data: usize, depth: u32): bool {
  return firstBytes(pathOf(node, wordsOf(node)), depth) == firstBytes(data, depth);
}

/** What a table is to say of some data: the first node at its depth or behind, or 0. */
function firstNode(trie: LpmTrie, data: usize, tableDepth: u32): u32 {
  let at: u32 = trie.root;
  while (at != 0 && (at & IS_NODE) != 0) {
    const node: usize = at - IS_NODE;
    const depth = depthOf(node);
    if (depth >= tableDepth) return isBelow(node, data, tableDepth) ? <u32>node : 0;
    const words = wordsOf(node);
    const place = BYTES | load<u8>(data + depth);
    at = has(node, words, place) ? load<u32>(itemOf(trie, node, words, place)) : 0;
  }
  return 0;
}

/** Makes the tables when the trie has grown, and lets them go when it has shrunk. Without them, as when memory is out, lookups take longer. */
export function fitTop(trie: LpmTrie): void {
  const top: usize = trie.top;
  if (top == 0) {
    if (trie.count < TOP_COUNT || trie.dataBytes <= 2) return;
    const made = allocKernel(tablesOf(trie) * TOP_BYTES);
    if (made == 0) return;
    fillTops(trie, made);
    storeInOrder<u32>(changetype<usize>(trie) + offsetof<LpmTrie>("top"), <u32>made);
  } else if (trie.count < TOP_COUNT / 4) {
    ownRun(top, ME);
    beginWrite(trie.stripes);
    trie.top = 0;
    endWrite(trie.stripes);
    keepOrder();
    freePages(top);
  }
}

/** Fills tables of zeros. */
export function fillTops(trie: LpmTrie, top: usize): void {
  for (let table = 0; table < tablesOf(trie); table++) fillTable(trie, top, table, trie.root);
}

/** Notes the first nodes at a table's depth or behind, of all that hang on one. */
function fillTable(trie: LpmTrie, top: usize, table: u32, at: u32): void {
  if (at == 0 || (at & IS_NODE) == 0) return;
  const node: usize = at - IS_NODE;
  const depth = tableDepth(trie, table);
  if (depthOf(node) >= depth) {
    const hash = hashOf(pathOf(node, wordsOf(node)), depth);
    store<u32>(slotOf(top, table, hash), <u32>node | (hash & LOW));
    return;
  }
  const items = node + itemsOffOf(node);
  for (let i: u32 = 0; i < countOf(node); i++) fillTable(trie, top, table, load<u32>(items + i * trie.itemBytes));
}

/** Each node in a table is the one that the trie leads to. */
export function checkTops(trie: LpmTrie): void {
  for (let table = 0; table < tablesOf(trie); table++) {
    const depth = tableDepth(trie, table);
    for (let i: u32 = 0; i < TOP_WORDS; i++) {
      const word = load<u32>(trie.top + table * TOP_BYTES + 4 * i);
      if (word == 0) continue;
      const node: usize = word & ~LOW;
      const path = pathOf(node, wordsOf(node));
      const hash = hashOf(path, depth);
      const isHere = hash == ((i << 3) | (word & LOW));
      if (!isHere || firstNode(trie, path, depth) != node) finding(LPM_TOP, <u32>changetype<usize>(trie), i, word);
    }
  }
}

/**
 * The check of an LPM trie: nodes and elems lie where their bits lead, and the sums are right.
 */
import { finding } from "../finding";
import { LpmTrie, PREFIX_BYTES, itemOf, prefixOf, sameBytes } from "./_lpm";
import { isShort, isShortSound } from "./_lpm_item";
import { BYTES, IS_NODE, countOf, depthOf, isNodeSound, nextPlace, pathOf, placeOf, wordsOf } from "./_lpm_node";
import { checkTops } from "./_lpm_top";
import { usedBlocks } from "./_slab";

/** Findings: texts in src/kernels/embedded/check.ts. */
const LPM_COUNT: u32 = 96;
const LPM_NODE: u32 = 97;
const LPM_BLOCKS: u32 = 98;
const LPM_ELEM: u32 = 99;

export function checkLpm(trie: LpmTrie): void {
  const sums = trie.root == 0 ? 0 : checkFrom(trie, trie.root - IS_NODE, 0, 0);
  const count = <u32>sums;
  const blocks = <u32>(sums >> 32);
  if (trie.count != count) finding(LPM_COUNT, <u32>changetype<usize>(trie), trie.count, count);
  const used = usedBlocks(trie.slabs);
  if (used != blocks) finding(LPM_BLOCKS, <u32>changetype<usize>(trie), used, blocks);
  if (trie.top != 0) checkTops(trie);
}

/**
 * Returns how many elems a node and what hangs on it have, and, in the upper half, how many blocks.
 *
 * @param parent 0 for the root.
 * @param byte Which leads to it from there.
 */
function checkFrom(trie: LpmTrie, node: usize, parent: usize, byte: u32): u64 {
  if (!isNodeSound(node, trie.dataBytes) || !isBelow(node, parent, byte)) {
    finding(LPM_NODE, <u32>node, depthOf(node), countOf(node));
    return 0;
  }
  let sums: u64 = (<u64>1) << 32;
  const words = wordsOf(node);
  for (let place = nextPlace(node, words, 0); place != 0; place = nextPlace(node, words, place)) {
    const item = itemOf(trie, node, words, place);
    const word = load<u32>(item);
    if (place >= BYTES && (word & IS_NODE) != 0) {
      sums += checkFrom(trie, word - IS_NODE, node, place - BYTES);
    } else if (word != 0) {
      sums += checkElem(trie, item, word, node, place);
    }
  }
  return sums;
}

/** Whether a node's path leads through the byte of its parent. The root has none. */
function isBelow(node: usize, parent: usize, byte: u32): bool {
  if (parent == 0) return depthOf(node) == 0;
  const depth = depthOf(parent);
  const path = pathOf(node, wordsOf(node));
  if (depthOf(node) <= depth || countOf(node) < 2 || load<u8>(path + depth) != byte) return false;
  return sameBytes(parent, path, 0) == depth;
}

function checkElem(trie: LpmTrie, item: usize, word: u32, node: usize, place: u32): u64 {
  const depth = depthOf(node);
  if (isShort(word)) {
    if (!isShortSound(trie, depth, place, word)) finding(LPM_ELEM, <u32>item, word, place);
    return 1;
  }
  const elem: usize = word;
  const prefix = prefixOf(elem);
  const data = elem + PREFIX_BYTES;
  const isHere =
    prefix <= trie.dataBytes << 3 &&
    prefix >= depth << 3 &&
    sameBytes(node, data, 0) == depth &&
    placeOf(depth, prefix, data) == place;
  if (!isHere) finding(LPM_ELEM, <u32>elem, prefix, place);
  return ((<u64>1) << 32) | 1;
}

/**
 * BPF_MAP_TYPE_LPM_TRIE: prefixes, and the longest of them that matches. Behaves as kernel/bpf/lpm_trie.c.
 *
 *      map       head, holds, one stripe: one run of pages
 *      chunks    nodes of equal size, in runs of their own, linked; freed with the map
 *
 *      chunk  0  next     the chunk before, or 0
 *             4  used     nodes from here on were never taken
 *             8  nodes
 *
 *      node   0  child0   of a free node: the next free one
 *             4  child1
 *             8  prefix   bits of data that count
 *            12  kind     INNER: no elem, only a fork with two children; MARK: see `rebuild`
 *            16  value    value_size
 *             +  data     as many bytes as the key has behind its prefixlen, network byte order, host bits as given
 *
 * A binary trie with paths compressed: a node's prefix is longer than its parent's and begins with it, and the bit behind the
 * parent's says which child it is. Which nodes there are follows from the elems alone.
 *
 * Threads: writers take the map's stripe. A node is filled before a single store leads to it, and is never written again
 * except for its children and its kind; so the trie is whole at any instruction. Readers take no lock: they look at the
 * stripe's seq before and after (odd: a writer is in the middle), and again if it has changed. What they see meanwhile may be
 * nodes that were freed and taken again: these are still nodes, and a walk in which prefixes grow comes to an end.
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
import { finding } from "../finding";
import { unlock } from "../lock";
import { BpfMap, HOLDS_BYTES, initHead } from "../map";
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
import { copy, roundUp8 } from "./_value";

const CREATE_FLAGS: u32 =
  BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
/** prefixlen, in front of a key's data. */
const PREFIX_BYTES: u32 = 4;
const MIN_KEY_BYTES: u32 = PREFIX_BYTES + 1;
const MAX_KEY_BYTES: u32 = PREFIX_BYTES + 256;
/** What Linux has room for in a node of 4 MiB: its own fields take 24, and a key's data 256. */
const MAX_VALUE_BYTES: u32 = 4 * 1024 * 1024 - 256 - 24;

const CHUNK_BYTES: u32 = 128 * 1024;
const CHUNK_HEAD: u32 = 8;
const NODE_HEAD: u32 = 16;

/** Kinds of nodes. */
const ELEM: u32 = 0;
const INNER: u32 = 1;
/** Beside the kind, while `rebuild` runs: the root leads to it. */
const MARK: u32 = 2;

/** Instead of a node: the trie changed under the reader. No node has this address. */
const CHANGED: usize = 1;
/** Looks without the lock, before a reader takes it. */
const OPTIMISTIC_READS: i32 = 64;

/** Findings of CHECK: texts in src/kernels/embedded/check.ts. */
const LPM_COUNT: u32 = 96;
const LPM_NODE: u32 = 97;
const LPM_NODES: u32 = 98;

@unmanaged
export class LpmTrie extends BpfMap {
  root: u32;
  /** Elems: inner nodes do not count. */
  count: u32;
  /** The first free node, or 0. */
  free: u32;
  /** The chunk added last, or 0: the others have no node that was never taken. */
  chunks: u32;
  /** Bytes from one node to the next, and where its data begin. */
  stride: u32;
  dataOff: u32;
  dataBytes: u32;
  nodesPerChunk: u32;
}

// @ts-ignore: decorator
@inline
function prefixOf(node: usize): u32 {
  return load<u32>(node, 8);
}

// @ts-ignore: decorator
@inline
function isInner(node: usize): bool {
  return (load<u32>(node, 12) & INNER) != 0;
}

// @ts-ignore: decorator
@inline
function childWord(node: usize, side: u32): usize {
  return node + 4 * <usize>side;
}

/** The nth bit of data. */
// @ts-ignore: decorator
@inline
function bitOf(data: usize, n: u32): u32 {
  return (load<u8>(data + (n >> 3)) >> (7 - (n & 7))) & 1;
}

/** How many of the first `limit` bits of two data are the same. */
// @ts-ignore: decorator
@inline
function commonBits(a: usize, b: usize, bytes: u32, limit: u32): u32 {
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
  const head = (<u32>offsetof<LpmTrie>() + 63) & ~63;
  const run = allocKernel(<u64>(head + HOLDS_BYTES) + rowBytes(1));
  if (run == 0) return -ENOMEM;
  const trie = changetype<LpmTrie>(run);
  initHead(trie, attr, run + head);
  initStripes(trie, run + head + HOLDS_BYTES, 1, 1);
  trie.dataBytes = attr.keySize - PREFIX_BYTES;
  trie.dataOff = NODE_HEAD + attr.valueSize;
  trie.stride = roundUp8(trie.dataOff + trie.dataBytes);
  // An elem needs at most one inner node beside its own; and while it is replaced, another one.
  const most = min<u64>(2 * <u64>attr.maxEntries + 1, CHUNK_BYTES);
  trie.nodesPerChunk = max<u32>(1, min<u32>(<u32>most, (CHUNK_BYTES - CHUNK_HEAD) / trie.stride));
  return run;
}

function free(trie: LpmTrie): void {
  for (let chunk: usize = trie.chunks; chunk != 0; ) {
    const next: usize = load<u32>(chunk);
    freePages(chunk);
    chunk = next;
  }
  freePages(changetype<usize>(trie));
}

function ownRuns(trie: LpmTrie, owner: u32): void {
  for (let chunk: usize = trie.chunks; chunk != 0; chunk = load<u32>(chunk)) ownRun(chunk, owner);
  ownRun(changetype<usize>(trie), owner);
}

function memUsage(trie: LpmTrie): u32 {
  let bytes = runBytes(changetype<usize>(trie));
  for (let chunk: usize = trie.chunks; chunk != 0; chunk = load<u32>(chunk)) bytes += runBytes(chunk);
  return bytes;
}

// @ts-ignore: decorator
@inline
function stripe(trie: LpmTrie): usize {
  return trie.stripes;
}

/** Takes a node; 0 when memory is out. The caller holds the lock. */
function takeNode(trie: LpmTrie): usize {
  const node: usize = trie.free;
  if (node != 0) {
    trie.free = load<u32>(node);
    return node;
  }
  let chunk: usize = trie.chunks;
  if (chunk == 0 || load<u32>(chunk, 4) == trie.nodesPerChunk) {
    chunk = allocKernel(<u64>trie.nodesPerChunk * trie.stride + CHUNK_HEAD);
    if (chunk == 0) return 0;
    store<u32>(chunk, trie.chunks);
    trie.chunks = <u32>chunk;
  }
  const used = load<u32>(chunk, 4);
  store<u32>(chunk, used + 1, 4);
  return chunk + CHUNK_HEAD + <usize>used * trie.stride;
}

/** Gives back a node that nothing leads to. The caller holds the lock. */
function giveNode(trie: LpmTrie, node: usize): void {
  store<u32>(node, trie.free);
  trie.free = <u32>node;
}

/** The longest prefix that matches a key and is not longer than the key's own; 0 if there is none; or CHANGED. */
// @ts-ignore: decorator
@inline
function match(trie: LpmTrie, key: usize): usize {
  const bytes = trie.dataBytes;
  const prefix = load<u32>(key);
  if (prefix > bytes << 3) return 0;
  const data = key + PREFIX_BYTES;
  const dataOff = trie.dataOff;
  let found: usize = 0;
  let longest: i32 = -1;
  for (let node: usize = trie.root; node != 0; ) {
    const at = prefixOf(node);
    if (<i32>at <= longest) return CHANGED;
    if (at > prefix || commonBits(data, node + dataOff, bytes, at) != at) break;
    if (!isInner(node)) found = node;
    if (at == prefix) break;
    longest = <i32>at;
    node = load<u32>(childWord(node, bitOf(data, at)));
  }
  return found;
}

/** The first elem in post-order of what hangs on a node; 0 if the node is 0; or CHANGED. */
function firstIn(top: usize): usize {
  let found: usize = 0;
  let longest: i32 = -1;
  for (let node: usize = top; node != 0; ) {
    if (<i32>prefixOf(node) <= longest) return CHANGED;
    longest = <i32>prefixOf(node);
    found = node;
    node = load<u32>(node);
    if (node == 0) node = load<u32>(found, 4);
  }
  // Only a fork that lost its children has none.
  return found != 0 && isInner(found) ? CHANGED : found;
}

/**
 * The elem that follows a key in post-order: longer prefixes before those that they begin with. The first for no key, and for one
 * that is not there.
 *
 * @returns 0 behind the last; or CHANGED
 */
function follower(trie: LpmTrie, key: usize): usize {
  const root: usize = trie.root;
  const prefix = key == 0 ? u32.MAX_VALUE : load<u32>(key);
  if (prefix > trie.dataBytes << 3) return firstIn(root);
  const data = key + PREFIX_BYTES;
  // Of the way down: the last turn at which something follows, either a whole subtree or the node itself.
  let next: usize = 0;
  let isTree = false;
  let longest: i32 = -1;
  let node = root;
  while (node != 0) {
    const at = prefixOf(node);
    if (<i32>at <= longest) return CHANGED;
    longest = <i32>at;
    if (at > prefix || commonBits(data, node + trie.dataOff, trie.dataBytes, at) != at) return firstIn(root);
    if (at == prefix) break;
    const side = bitOf(data, at);
    const sibling: usize = side == 0 ? <usize>load<u32>(node, 4) : 0;
    if (sibling != 0) {
      next = sibling;
      isTree = true;
    } else if (!isInner(node)) {
      next = node;
      isTree = false;
    }
    node = load<u32>(childWord(node, side));
  }
  if (node == 0 || isInner(node)) return firstIn(root);
  return isTree ? firstIn(next) : next;
}

/** Copies the elem found, each part unless its address is 0. */
// @ts-ignore: decorator
@inline
function copyOut(trie: LpmTrie, node: usize, toKey: usize, toValue: usize): void {
  if (toKey != 0) {
    store<u32>(toKey, prefixOf(node));
    copy(toKey + PREFIX_BYTES, node + trie.dataOff, trie.dataBytes);
  }
  if (toValue != 0) copy(toValue, node + NODE_HEAD, trie.valueSize);
}

/** BPF_MAP_LOOKUP_ELEM. */
export function lpmLookupElem(trie: LpmTrie, key: usize, to: usize): i32 {
  const word = stripe(trie);
  for (let tries = 0; tries < OPTIMISTIC_READS; tries++) {
    const seq = loadSeq(word);
    if (seq & 1) {
      awaitWriter(trie, word);
      continue;
    }
    const node = match(trie, key);
    if (node > CHANGED && to != 0) copy(to, node + NODE_HEAD, trie.valueSize);
    keepOrder();
    if (loadSeq(word) == seq && node != CHANGED) return node == 0 ? -ENOENT : 0;
  }
  lockStripe(trie, word);
  const node = match(trie, key);
  if (node != 0) copyOut(trie, node, 0, to);
  unlock(word);
  return node == 0 ? -ENOENT : 0;
}

/** The key, and the value where it is wanted, of the elem that follows `key`. */
function readNext(trie: LpmTrie, key: usize, toKey: usize, toValue: usize): i32 {
  const word = stripe(trie);
  for (let tries = 0; tries < OPTIMISTIC_READS; tries++) {
    const seq = loadSeq(word);
    if (seq & 1) {
      awaitWriter(trie, word);
      continue;
    }
    const node = follower(trie, key);
    if (node > CHANGED) copyOut(trie, node, toKey, toValue);
    keepOrder();
    if (loadSeq(word) == seq && node != CHANGED) return node == 0 ? -ENOENT : 0;
  }
  lockStripe(trie, word);
  const node = follower(trie, key);
  if (node != 0) copyOut(trie, node, toKey, toValue);
  unlock(word);
  return node == 0 ? -ENOENT : 0;
}

/** BPF_MAP_UPDATE_ELEM. The key does not change meanwhile: syscall.ts has copied it. */
function updateElem(trie: LpmTrie, key: usize, value: usize, flags: u64): i32 {
  if (flags > <u64>BPF_EXIST) return -EINVAL;
  if (load<u32>(key) > trie.dataBytes << 3) return -EINVAL;
  lockStripe(trie, stripe(trie));
  const ret = update(trie, key, value, <u32>flags);
  unlock(stripe(trie));
  return ret;
}

function update(trie: LpmTrie, key: usize, value: usize, flags: u32): i32 {
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  const dataOff = trie.dataOff;
  // `slot` is the word that leads to the place of the new node, `same` how much of the node there it shares.
  let slot = changetype<usize>(trie) + offsetof<LpmTrie>("root");
  let node: usize = load<u32>(slot);
  let same: u32 = 0;
  while (node != 0) {
    const at = prefixOf(node);
    same = commonBits(data, node + dataOff, trie.dataBytes, min(at, prefix));
    if (at != same || at == prefix) break;
    slot = childWord(node, bitOf(data, at));
    node = load<u32>(slot);
  }
  const isPlace = node != 0 && same == prefix && prefixOf(node) == prefix;
  const isThere = isPlace && !isInner(node);
  if (isThere) {
    if (flags == BPF_NOEXIST) return -EEXIST;
  } else {
    if (flags == BPF_EXIST) return -ENOENT;
    if (trie.count == trie.maxEntries) return -ENOSPC;
  }
  const made = takeNode(trie);
  if (made == 0) return -ENOMEM;
  store<u64>(made, isPlace ? load<u64>(node) : 0);
  store<u32>(made, prefix, 8);
  store<u32>(made, ELEM, 12);
  copy(made + NODE_HEAD, value, trie.valueSize);
  copy(made + dataOff, data, trie.dataBytes);
  let top = made;
  if (node != 0 && !isPlace) {
    if (same == prefix) {
      store<u32>(childWord(made, bitOf(node + dataOff, same)), <u32>node);
    } else {
      top = makeFork(trie, made, node, same);
      if (top == 0) {
        giveNode(trie, made);
        return -ENOMEM;
      }
    }
  }
  publish(trie, slot, top, isThere ? 0 : 1);
  if (isPlace) giveNode(trie, node);
  return 0;
}

/** An inner node above two others, which share so many bits; 0 when memory is out. */
function makeFork(trie: LpmTrie, made: usize, node: usize, same: u32): usize {
  const fork = takeNode(trie);
  if (fork == 0) return 0;
  const dataOff = trie.dataOff;
  const side = bitOf(made + dataOff, same);
  store<u32>(childWord(fork, side), <u32>made);
  store<u32>(childWord(fork, side ^ 1), <u32>node);
  store<u32>(fork, same, 8);
  store<u32>(fork, INNER, 12);
  copy(fork + dataOff, node + dataOff, trie.dataBytes);
  return fork;
}

/** The one store that changes the trie. */
function publish(trie: LpmTrie, slot: usize, node: usize, more: i32): void {
  beginWrite(stripe(trie));
  store<u32>(slot, <u32>node);
  trie.count += more;
  endWrite(stripe(trie));
  // Readers see that seq has changed before they see what becomes of the nodes that were taken out.
  keepOrder();
}

/** BPF_MAP_DELETE_ELEM. */
function deleteElem(trie: LpmTrie, key: usize): i32 {
  if (load<u32>(key) > trie.dataBytes << 3) return -EINVAL;
  lockStripe(trie, stripe(trie));
  const ret = remove(trie, key);
  unlock(stripe(trie));
  return ret;
}

function remove(trie: LpmTrie, key: usize): i32 {
  const prefix = load<u32>(key);
  const data = key + PREFIX_BYTES;
  let parent: usize = 0;
  let parentSlot: usize = 0;
  let slot = changetype<usize>(trie) + offsetof<LpmTrie>("root");
  let node: usize = load<u32>(slot);
  while (node != 0) {
    const at = prefixOf(node);
    if (at > prefix || commonBits(data, node + trie.dataOff, trie.dataBytes, at) != at) return -ENOENT;
    if (at == prefix) break;
    parent = node;
    parentSlot = slot;
    slot = childWord(node, bitOf(data, at));
    node = load<u32>(slot);
  }
  if (node == 0 || isInner(node)) return -ENOENT;
  const child0: usize = load<u32>(node);
  const child1: usize = load<u32>(node, 4);
  if (child0 != 0 && child1 != 0) {
    publish(trie, node + 12, INNER, -1);
  } else if (child0 == 0 && child1 == 0 && parent != 0 && isInner(parent)) {
    // A fork with one way left is none.
    const sibling: usize = load<u32>(childWord(parent, bitOf(data, prefixOf(parent)) ^ 1));
    publish(trie, parentSlot, sibling, -1);
    giveNode(trie, parent);
    giveNode(trie, node);
  } else {
    publish(trie, slot, child0 | child1, -1);
    giveNode(trie, node);
  }
  return 0;
}

/**
 * BPF_MAP_LOOKUP_BATCH: the cursor is the key delivered last. Behaves as generic_map_lookup_batch.
 *
 * @returns 0; -ENOENT when the last elem was reached; -EFAULT; -ENOMEM
 */
function lookupBatch(trie: LpmTrie, batch: BatchAttr, user: usize): i32 {
  if (batch.elemFlags != 0) return -EINVAL;
  if (batch.count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  if (batch.inBatch != 0 && !isUser(batch.inBatch, trie.keySize)) return -EFAULT;
  // Two keys by turns: one that is being looked for must not change when a look is repeated.
  const room = 2 * roundUp8(trie.keySize);
  const keys = allocKernel(room, true);
  if (keys == 0) return -ENOMEM;
  const ret = deliver(trie, batch, user, keys, keys + room / 2);
  freePages(keys);
  return ret;
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
 * Makes again what follows from the root and the nodes: the count, and the list of nodes that are free. For a task that has ended
 * under the lock. Readers wait meanwhile.
 */
function rebuild(trie: LpmTrie): void {
  oddSeq(stripe(trie));
  for (let chunk: usize = trie.chunks; chunk != 0; chunk = load<u32>(chunk)) {
    for (let i: u32 = 0; i < load<u32>(chunk, 4); i++) {
      const kind = chunk + CHUNK_HEAD + <usize>i * trie.stride + 12;
      store<u32>(kind, load<u32>(kind) & ~MARK);
    }
  }
  trie.count = markFrom(trie.root);
  trie.free = 0;
  for (let chunk: usize = trie.chunks; chunk != 0; chunk = load<u32>(chunk)) {
    for (let i: u32 = 0; i < load<u32>(chunk, 4); i++) {
      const node = chunk + CHUNK_HEAD + <usize>i * trie.stride;
      const kind = load<u32>(node, 12);
      if ((kind & MARK) == 0) giveNode(trie, node);
      else store<u32>(node, kind & ~MARK, 12);
    }
  }
  settleSeq(stripe(trie));
}

/** Marks all nodes that hang on one, as deep as a key has bits. Returns how many are elems. */
function markFrom(node: usize): u32 {
  if (node == 0) return 0;
  const kind = load<u32>(node, 12);
  store<u32>(node, kind | MARK, 12);
  return ((kind & INNER) ^ 1) + markFrom(load<u32>(node)) + markFrom(load<u32>(node, 4));
}

/** All nodes lie where their bits lead, forks have two children, and the sums are right. */
function check(trie: LpmTrie): void {
  const elems = checkFrom(trie, trie.root, 0, 0);
  const count = <u32>elems;
  let nodes = <u32>(elems >> 32);
  if (trie.count != count) finding(LPM_COUNT, <u32>changetype<usize>(trie), trie.count, count);
  let used: u32 = 0;
  for (let chunk: usize = trie.chunks; chunk != 0; chunk = load<u32>(chunk)) used += load<u32>(chunk, 4);
  for (let node: usize = trie.free; node != 0 && nodes <= used; node = load<u32>(node)) nodes++;
  if (nodes != used) finding(LPM_NODES, <u32>changetype<usize>(trie), nodes, used);
}

/** Returns how many elems hang on a node, and, in the upper half, how many nodes. */
function checkFrom(trie: LpmTrie, node: usize, parent: usize, side: u32): u64 {
  if (node == 0) return 0;
  const at = prefixOf(node);
  let isRight = at <= trie.dataBytes << 3 && load<u32>(node, 12) <= INNER;
  if (isRight && parent != 0) {
    const above = prefixOf(parent);
    const data = node + trie.dataOff;
    isRight =
      at > above &&
      commonBits(data, parent + trie.dataOff, trie.dataBytes, above) == above &&
      bitOf(data, above) == side;
  }
  if (isRight && isInner(node)) isRight = load<u32>(node) != 0 && load<u32>(node, 4) != 0;
  if (!isRight) {
    finding(LPM_NODE, <u32>node, at, load<u32>(node, 12));
    return 0;
  }
  const own: u64 = ((<u64>1) << 32) | (isInner(node) ? 0 : 1);
  return own + checkFrom(trie, load<u32>(node), node, 0) + checkFrom(trie, load<u32>(node, 4), node, 1);
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
      check(trie);
      return 0;
    default:
      return -ENOTSUPP;
  }
}

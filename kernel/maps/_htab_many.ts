/**
 * Many keys in one call: see direct.ts for how they lie, and what is returned.
 *
 * In groups: first the hashes of all; then a look at their lines, so that the lines are on their way from memory all at once; then one
 * by one, each as a call for it alone would do.
 */
import { BPF_EXIST, BPF_NOEXIST } from "../../src/uapi/bpf";
import { EEXIST, EINVAL, ENOENT } from "../../src/uapi/errno";
import { fence } from "../order";
import { Htab, Key16, KeyBytes, cellsWith, hashOf, lineAt, lineOf, nextLine, tagOf, valueWord } from "./_htab";
import { lookupHashed, lookupWord, updateHashed, updateWord } from "./_htab_ops";
import { isLru } from "./_lru";
import { attrCopy } from "../task";
import { roundUp8 } from "./_value";

/** Keys of a group: as many as hashes have room where attr is copied to. A core has some 16 lines on their way. */
const GROUP: u32 = 48;
/** With more lines than this, 4 MiB and more, the lines behind them are fetched as well. */
const MANY_LINES: u32 = 65536;

/** A value that is neither u32 nor u64, or lies in a slot: the type argument V of all below is u32, u64 or this. */
@unmanaged
class AnyValue {}

export function htabLookupMany(map: Htab, keys: usize, values: usize, valueStep: u32, rets: usize, n: u32): u32 {
  const word = valueWord(map);
  if (map.keySize == 4) {
    if (word == 4) return lookupAll<u32, u32>(map, keys, values, valueStep, rets, n);
    if (word == 8) return lookupAll<u32, u64>(map, keys, values, valueStep, rets, n);
    return lookupAll<u32, AnyValue>(map, keys, values, valueStep, rets, n);
  }
  if (map.keySize == 8) return lookupAll<u64, AnyValue>(map, keys, values, valueStep, rets, n);
  if (map.keySize == 16) return lookupAll<Key16, AnyValue>(map, keys, values, valueStep, rets, n);
  return lookupAll<KeyBytes, AnyValue>(map, keys, values, valueStep, rets, n);
}

export function htabUpdateMany(
  map: Htab,
  keys: usize,
  values: usize,
  valueStep: u32,
  rets: usize,
  n: u32,
  flags: u32,
): u32 {
  if (flags > <u32>BPF_EXIST) {
    if (n != 0) store<i32>(rets, -EINVAL);
    return 0;
  }
  const word = valueWord(map);
  if (map.keySize == 4) {
    if (word == 4) return updateAll<u32, u32>(map, keys, values, valueStep, rets, n, flags);
    if (word == 8) return updateAll<u32, u64>(map, keys, values, valueStep, rets, n, flags);
    return updateAll<u32, AnyValue>(map, keys, values, valueStep, rets, n, flags);
  }
  if (map.keySize == 8) return updateAll<u64, AnyValue>(map, keys, values, valueStep, rets, n, flags);
  if (map.keySize == 16) return updateAll<Key16, AnyValue>(map, keys, values, valueStep, rets, n, flags);
  return updateAll<KeyBytes, AnyValue>(map, keys, values, valueStep, rets, n, flags);
}

// @ts-ignore: decorator
@inline
function keyAtPlace<K>(at: usize): K {
  if (isInteger<K>()) return load<K>(at);
  return changetype<K>(at);
}

/** Notes the hashes of a group, and has their lines fetched. */
// @ts-ignore: decorator
@inline
function beginGroup<K>(map: Htab, keys: usize, keyStep: u32, n: u32, hashes: usize): void {
  const end = hashes + 4 * <usize>n;
  for (let at = hashes; at < end; at += 4, keys += keyStep) store<u32>(at, hashOf<K>(map, keyAtPlace<K>(keys)));
  // As few instructions a line as can be: a core looks ahead by so many instructions, and while it waits for the first of the lines all
  // others are among them. The last may be of older hashes, which have lines like any.
  let seen: u32 = 0;
  for (let at = hashes; at < end; at += 16) {
    seen |= firstWord(map, load<u32>(at));
    seen |= firstWord(map, load<u32>(at, 4));
    seen |= firstWord(map, load<u32>(at, 8));
    seen |= firstWord(map, load<u32>(at, 12));
  }
  if (map.lineCount > MANY_LINES) {
    for (let at = hashes; at < end; at += 4) {
      const hash = load<u32>(at);
      const line = lineAt(map, lineOf(map, hash));
      if (cellsWith(line, tagOf(hash)) == 0) seen |= load<u32>(nextLine(line));
    }
  }
  // Never so: but a load whose value nobody wants may be left out.
  if (seen == u32.MAX_VALUE) fence();
}

/** Of a hash's line. */
// @ts-ignore: decorator
@inline
function firstWord(map: Htab, hash: u32): u32 {
  return load<u32>(lineAt(map, lineOf(map, hash)));
}

// @ts-ignore: decorator
@inline
function lookupOne<K, V>(map: Htab, key: K, hash: u32, to: usize): i32 {
  if (isInteger<V>()) return lookupWord<K, V>(map, key, hash, to, isLru(map));
  return lookupHashed<K>(map, key, hash, to, isLru(map));
}

// @ts-ignore: decorator
@inline
function updateOne<K, V>(map: Htab, key: K, hash: u32, value: usize, flags: u32): i32 {
  if (isInteger<V>()) return updateWord<K, V>(map, key, hash, value, flags);
  return updateHashed<K>(map, key, hash, value, flags);
}

function lookupAll<K, V>(map: Htab, keys: usize, values: usize, valueStep: u32, rets: usize, n: u32): u32 {
  const keyStep = roundUp8(map.keySize);
  const hashes = attrCopy();
  for (let done: u32 = 0; done < n; done += GROUP) {
    const some = min(GROUP, n - done);
    beginGroup<K>(map, keys, keyStep, some, hashes);
    for (let i: u32 = 0; i < some; i++, keys += keyStep, values += valueStep, rets += 4) {
      const hash = load<u32>(hashes + 4 * <usize>i);
      store<i32>(rets, lookupOne<K, V>(map, keyAtPlace<K>(keys), hash, values));
    }
  }
  return n;
}

function updateAll<K, V>(
  map: Htab,
  keys: usize,
  values: usize,
  valueStep: u32,
  rets: usize,
  n: u32,
  flags: u32,
): u32 {
  const keyStep = roundUp8(map.keySize);
  const refusal = flags == <u32>BPF_NOEXIST ? -EEXIST : flags == <u32>BPF_EXIST ? -ENOENT : 0;
  const hashes = attrCopy();
  for (let done: u32 = 0; done < n; done += GROUP) {
    const some = min(GROUP, n - done);
    beginGroup<K>(map, keys, keyStep, some, hashes);
    for (let i: u32 = 0; i < some; i++, keys += keyStep, values += valueStep, rets += 4) {
      const hash = load<u32>(hashes + 4 * <usize>i);
      const ret = updateOne<K, V>(map, keyAtPlace<K>(keys), hash, values, flags);
      store<i32>(rets, ret);
      if (ret != 0 && ret != refusal) return done + i;
    }
  }
  return n;
}

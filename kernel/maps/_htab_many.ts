/**
 * Many keys in one call: see direct.ts for how they lie, and what is returned.
 *
 * In groups: first the hashes of all, and a look at their lines, so that the lines are on their way from memory all at once;
 * then one by one, each as a call for it alone would do.
 */
import { BPF_EXIST, BPF_NOEXIST } from "../../src/uapi/bpf";
import { EEXIST, EINVAL, ENOENT } from "../../src/uapi/errno";
import { fence } from "../order";
import { Htab, Key16, KeyBytes, hashOf, lineAt, lineOf, valueWord } from "./_htab";
import { lookupHashed, lookupWord, updateHashed, updateWord } from "./_htab_ops";
import { isLru } from "./_lru";
import { attrCopy } from "../task";
import { roundUp8 } from "./_value";

/** Keys of a group: about as many as a core has lines on their way, twice. Their hashes have room where attr is copied to. */
const GROUP: u32 = 32;

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
  let seen: u32 = 0;
  for (let i: u32 = 0; i < n; i++, keys += keyStep) {
    const hash = hashOf<K>(map, keyAtPlace<K>(keys));
    store<u32>(hashes + 4 * <usize>i, hash);
    seen |= load<u32>(lineAt(map, lineOf(map, hash)), 4);
  }
  // Never so: but a load whose value nobody wants may be left out.
  if (seen == u32.MAX_VALUE) fence();
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

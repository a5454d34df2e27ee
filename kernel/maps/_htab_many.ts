/**
 * Many keys in one call: see direct.ts for how they lie, and what is returned.
 *
 * In groups: first the hashes of all, and a look at their lines, so that the lines are on their way from memory all at once;
 * then one by one, each as a call for it alone would do.
 */
import { BPF_EXIST, BPF_NOEXIST } from "../../src/uapi/bpf";
import { EEXIST, EINVAL, ENOENT } from "../../src/uapi/errno";
import { fence } from "../order";
import { Htab, KeyBytes, hashOf, lineAt, lineOf } from "./_htab";
import { lookupHashed, updateHashed } from "./_htab_ops";
import { roundUp8 } from "./_value";

/** Keys of a group: about as many as a core has lines on their way, twice. */
const GROUP: u32 = 32;

export function htabLookupMany(map: Htab, keys: usize, values: usize, valueStep: u32, rets: usize, n: u32): u32 {
  if (map.keySize == 4) return lookupAll<u32>(map, keys, values, valueStep, rets, n);
  if (map.keySize == 8) return lookupAll<u64>(map, keys, values, valueStep, rets, n);
  return lookupAll<KeyBytes>(map, keys, values, valueStep, rets, n);
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
  if (map.keySize == 4) return updateAll<u32>(map, keys, values, valueStep, rets, n, flags);
  if (map.keySize == 8) return updateAll<u64>(map, keys, values, valueStep, rets, n, flags);
  return updateAll<KeyBytes>(map, keys, values, valueStep, rets, n, flags);
}

// @ts-ignore: decorator
@inline
function keyAtPlace<K>(at: usize): K {
  if (isInteger<K>()) return load<K>(at);
  return changetype<K>(at);
}

/** Puts the hashes of a group where the results will be, and has their lines fetched. */
// @ts-ignore: decorator
@inline
function beginGroup<K>(map: Htab, keys: usize, keyStep: u32, rets: usize, end: usize): void {
  let seen: u32 = 0;
  for (; rets < end; rets += 4, keys += keyStep) {
    const hash = hashOf<K>(map, keyAtPlace<K>(keys));
    store<u32>(rets, hash);
    seen |= load<u32>(lineAt(map, lineOf(map, hash)), 4);
  }
  // Never so: but a load whose value nobody wants may be left out.
  if (seen == u32.MAX_VALUE) fence();
}

function lookupAll<K>(map: Htab, keys: usize, values: usize, valueStep: u32, rets: usize, n: u32): u32 {
  const keyStep = roundUp8(map.keySize);
  const last = rets + 4 * <usize>n;
  for (let at = rets; at < last; ) {
    const end = min(at + 4 * GROUP, last);
    beginGroup<K>(map, keys, keyStep, at, end);
    for (; at < end; at += 4, keys += keyStep, values += valueStep) {
      const ret = lookupHashed<K>(map, keyAtPlace<K>(keys), load<u32>(at), values);
      store<i32>(at, ret);
    }
  }
  return n;
}

function updateAll<K>(
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
  const last = rets + 4 * <usize>n;
  for (let at = rets; at < last; ) {
    const end = min(at + 4 * GROUP, last);
    beginGroup<K>(map, keys, keyStep, at, end);
    for (; at < end; at += 4, keys += keyStep, values += valueStep) {
      const ret = updateHashed<K>(map, keyAtPlace<K>(keys), load<u32>(at), values, flags);
      store<i32>(at, ret);
      if (ret != 0 && ret != refusal) return <u32>(at - rets) >> 2;
    }
  }
  return n;
}

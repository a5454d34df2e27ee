/**
 * The short way: operations of one map for the thread that holds it, without fd table, attr and pointer checks. The host
 * gives addresses of its own buffers, which it got from `alloc`, and the map from `hold`.
 *
 * A function a family where the key is four bytes and travels as an argument; by the key's address for all others.
 */
import { BPF_EXIST, BPF_NOEXIST } from "../src/uapi/bpf";
import { EEXIST, EINVAL, ENOENT, EPERM } from "../src/uapi/errno";
import { ADD_ELEM, DELETE_ELEM, LOOKUP_ELEM, SET_EXACT, UPDATE_ELEM, callOp, isHash, valueBytes } from "./map_types";
import { SHORT_WAY, me } from "./task";
import { BpfMap } from "./map";
import { ArrayMap, arrayAdd, arrayLookup, arrayUpdate } from "./maps/_array";
import { Htab, hashOf, valueWord } from "./maps/_htab";
import { htabLookupMany, htabUpdateMany } from "./maps/_htab_many";
import { add, htabLookupElem, htabUseElem, htabUpdateElem, lookup, lookupWord, remove, update, updateWord } from "./maps/_htab_ops";
import { LpmTrie } from "./maps/_lpm";
import { lpmLookupElem } from "./maps/lpm_trie";
import { Lanes, roundUp8 } from "./maps/_value";

/** Whether the map was frozen: then the short way does not write either, as system calls do not. */
// @ts-ignore: decorator
@inline
function isFrozenMap(map: usize): bool {
  return changetype<BpfMap>(map).frozen != 0;
}

/** Notes that the first of n was refused. Returns how many were done: none. */
function refuseAll(rets: usize, n: u32): u32 {
  if (n != 0) store<i32>(rets, -EPERM);
  return 0;
}

export function hashLookup4(map: usize, key: u32, to: usize): i32 {
  return lookup<u32>(changetype<Htab>(map), key, to, false);
}

/** 4 or 8 for a hash with keys of 4 bytes that the functions ending in 44 or 48 are for; else 0. */
export function hashWord(map: usize): u32 {
  return changetype<Htab>(map).keySize == 4 ? valueWord(changetype<Htab>(map)) : 0;
}

export function hashLookup44(map: usize, key: u32, to: usize): i32 {
  const htab = changetype<Htab>(map);
  return lookupWord<u32, u32>(htab, key, hashOf<u32>(htab, key), to, false);
}

export function hashLookup48(map: usize, key: u32, to: usize): i32 {
  const htab = changetype<Htab>(map);
  return lookupWord<u32, u64>(htab, key, hashOf<u32>(htab, key), to, false);
}

// Lookups in LRU hashes: the short way is for those who use them as programs do, so each is a use.

export function lruLookup4(map: usize, key: u32, to: usize): i32 {
  return lookup<u32>(changetype<Htab>(map), key, to, true);
}

export function lruLookup44(map: usize, key: u32, to: usize): i32 {
  const htab = changetype<Htab>(map);
  return lookupWord<u32, u32>(htab, key, hashOf<u32>(htab, key), to, true);
}

export function lruLookup48(map: usize, key: u32, to: usize): i32 {
  const htab = changetype<Htab>(map);
  return lookupWord<u32, u64>(htab, key, hashOf<u32>(htab, key), to, true);
}

export function lruLookup(map: usize, key: usize, to: usize): i32 {
  return htabUseElem(changetype<Htab>(map), key, to);
}

export function hashUpdate44(map: usize, key: u32, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  const htab = changetype<Htab>(map);
  return flags > <u32>BPF_EXIST ? -EINVAL : updateWord<u32, u32>(htab, key, hashOf<u32>(htab, key), value, flags);
}

export function hashUpdate48(map: usize, key: u32, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  const htab = changetype<Htab>(map);
  return flags > <u32>BPF_EXIST ? -EINVAL : updateWord<u32, u64>(htab, key, hashOf<u32>(htab, key), value, flags);
}

export function hashUpdate4(map: usize, key: u32, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return update<u32>(changetype<Htab>(map), key, value, flags);
}

export function hashDelete4(map: usize, key: u32): i32 {
  me().doing = SHORT_WAY | DELETE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return remove<u32>(changetype<Htab>(map), key);
}

export function hashAdd4(map: usize, key: u32, delta: usize, lanes: usize): i32 {
  me().doing = SHORT_WAY | ADD_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return add<u32>(changetype<Htab>(map), key, delta, changetype<Lanes>(lanes));
}

// Hashes by the key's address, without the way through the registry.

export function hashLookup(map: usize, key: usize, to: usize): i32 {
  return htabLookupElem(changetype<Htab>(map), key, to);
}

export function hashUpdate(map: usize, key: usize, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return htabUpdateElem(changetype<Htab>(map), key, value, flags);
}

// Tries: always by the key's address.

export function trieLookup(map: usize, key: usize, to: usize): i32 {
  return lpmLookupElem(changetype<LpmTrie>(map), key, to);
}

/** Has an LRU hash that is empty keep the true order of uses. */
export function setExact(map: usize): i32 {
  return callOp(changetype<BpfMap>(map).type, SET_EXACT, map, 0, 0, 0);
}

export function arrayLookup4(map: usize, index: u32, to: usize): i32 {
  return arrayLookup(changetype<ArrayMap>(map), index, to);
}

export function arrayUpdate4(map: usize, index: u32, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return arrayUpdate(changetype<ArrayMap>(map), index, value, flags);
}

export function arrayAdd4(map: usize, index: u32, delta: usize, lanes: usize): i32 {
  me().doing = SHORT_WAY | ADD_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return arrayAdd(changetype<ArrayMap>(map), index, delta, changetype<Lanes>(lanes));
}

export function lookupElem(map: usize, key: usize, to: usize): i32 {
  return callOp(changetype<BpfMap>(map).type, LOOKUP_ELEM, map, key, to, 0);
}

export function updateElem(map: usize, key: usize, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return callOp(changetype<BpfMap>(map).type, UPDATE_ELEM, map, key, value, flags);
}

export function deleteElem(map: usize, key: usize): i32 {
  me().doing = SHORT_WAY | DELETE_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return callOp(changetype<BpfMap>(map).type, DELETE_ELEM, map, key, 0, 0);
}

export function addElem(map: usize, key: usize, delta: usize, lanes: usize): i32 {
  me().doing = SHORT_WAY | ADD_ELEM;
  if (isFrozenMap(map)) return -EPERM;
  return callOp(changetype<BpfMap>(map).type, ADD_ELEM, map, key, delta, lanes);
}

/*
 * Many keys in one call, in their order. Key i lies at keys + i * roundUp8(keySize), its value at values + i *
 * roundUp8(valueBytes), what comes of it at rets + 4 * i. All addresses are multiples of 8.
 *
 * They return how many were done before the first that failed (n if none did), and try none behind it. A key that is not
 * there is no failure, nor is what an update's mode refuses.
 */

export function lookupMany(map: usize, keys: usize, values: usize, rets: usize, n: u32): u32 {
  const type = changetype<BpfMap>(map).type;
  const keyStep = roundUp8(changetype<BpfMap>(map).keySize);
  const valueStep = roundUp8(<u32>valueBytes(changetype<BpfMap>(map)));
  if (isHash(type)) return htabLookupMany(changetype<Htab>(map), keys, values, valueStep, rets, n);
  for (let i: u32 = 0; i < n; i++) {
    const ret = callOp(type, LOOKUP_ELEM, map, keys, values, 0);
    store<i32>(rets, ret);
    if (ret != 0 && ret != -ENOENT) return i;
    keys += keyStep;
    values += valueStep;
    rets += 4;
  }
  return n;
}

export function updateMany(map: usize, keys: usize, values: usize, rets: usize, n: u32, flags: u32): u32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  if (isFrozenMap(map)) return refuseAll(rets, n);
  const type = changetype<BpfMap>(map).type;
  const keyStep = roundUp8(changetype<BpfMap>(map).keySize);
  const valueStep = roundUp8(<u32>valueBytes(changetype<BpfMap>(map)));
  if (isHash(type)) return htabUpdateMany(changetype<Htab>(map), keys, values, valueStep, rets, n, flags);
  const refusal = flags == BPF_NOEXIST ? -EEXIST : flags == BPF_EXIST ? -ENOENT : 0;
  for (let i: u32 = 0; i < n; i++) {
    const ret = callOp(type, UPDATE_ELEM, map, keys, values, flags);
    store<i32>(rets, ret);
    if (ret != 0 && ret != refusal) return i;
    keys += keyStep;
    values += valueStep;
    rets += 4;
  }
  return n;
}

export function deleteMany(map: usize, keys: usize, rets: usize, n: u32): u32 {
  me().doing = SHORT_WAY | DELETE_ELEM;
  if (isFrozenMap(map)) return refuseAll(rets, n);
  const type = changetype<BpfMap>(map).type;
  const keyStep = roundUp8(changetype<BpfMap>(map).keySize);
  for (let i: u32 = 0; i < n; i++) {
    const ret = callOp(type, DELETE_ELEM, map, keys, 0, 0);
    store<i32>(rets, ret);
    if (ret != 0 && ret != -ENOENT) return i;
    keys += keyStep;
    rets += 4;
  }
  return n;
}

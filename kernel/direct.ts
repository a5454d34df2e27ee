/**
 * The short way: operations of one map for the thread that holds it, without fd table, attr and pointer checks. The host
 * gives addresses of its own buffers, which it got from `alloc`, and the map from `hold`.
 *
 * A function a family where the key is four bytes and travels as an argument; by the key's address for all others.
 */
import { ADD_ELEM, DELETE_ELEM, LOOKUP_ELEM, UPDATE_ELEM, callOp } from "./map_types";
import { SHORT_WAY, me } from "./task";
import { BpfMap } from "./map";
import { ArrayMap, arrayAdd, arrayLookup, arrayUpdate } from "./maps/_array";
import { Htab } from "./maps/_htab";
import { add, lookup, remove, update } from "./maps/_htab_ops";
import { Lanes } from "./maps/_value";

export function hashLookup4(map: usize, key: u32, to: usize): i32 {
  return lookup<u32>(changetype<Htab>(map), key, to);
}

export function hashUpdate4(map: usize, key: u32, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  return update<u32>(changetype<Htab>(map), key, value, flags);
}

export function hashDelete4(map: usize, key: u32): i32 {
  me().doing = SHORT_WAY | DELETE_ELEM;
  return remove<u32>(changetype<Htab>(map), key);
}

export function hashAdd4(map: usize, key: u32, delta: usize, lanes: usize): i32 {
  me().doing = SHORT_WAY | ADD_ELEM;
  return add<u32>(changetype<Htab>(map), key, delta, changetype<Lanes>(lanes));
}

export function arrayLookup4(map: usize, index: u32, to: usize): i32 {
  return arrayLookup(changetype<ArrayMap>(map), index, to);
}

export function arrayUpdate4(map: usize, index: u32, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  return arrayUpdate(changetype<ArrayMap>(map), index, value, flags);
}

export function arrayAdd4(map: usize, index: u32, delta: usize, lanes: usize): i32 {
  me().doing = SHORT_WAY | ADD_ELEM;
  return arrayAdd(changetype<ArrayMap>(map), index, delta, changetype<Lanes>(lanes));
}

export function lookupElem(map: usize, key: usize, to: usize): i32 {
  return callOp(changetype<BpfMap>(map).type, LOOKUP_ELEM, map, key, to, 0);
}

export function updateElem(map: usize, key: usize, value: usize, flags: u32): i32 {
  me().doing = SHORT_WAY | UPDATE_ELEM;
  return callOp(changetype<BpfMap>(map).type, UPDATE_ELEM, map, key, value, flags);
}

export function deleteElem(map: usize, key: usize): i32 {
  me().doing = SHORT_WAY | DELETE_ELEM;
  return callOp(changetype<BpfMap>(map).type, DELETE_ELEM, map, key, 0, 0);
}

export function addElem(map: usize, key: usize, delta: usize, lanes: usize): i32 {
  me().doing = SHORT_WAY | ADD_ELEM;
  return callOp(changetype<BpfMap>(map).type, ADD_ELEM, map, key, delta, lanes);
}

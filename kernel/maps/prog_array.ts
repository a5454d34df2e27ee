/**
 * BPF_MAP_TYPE_PROG_ARRAY: an array of programs. Behaves as prog_array_map_ops in kernel/bpf/arraymap.c.
 *
 * There are no programs here: so no fd is one's, and all elems stay empty.
 */
import { E2BIG, EINVAL, ENOENT, ENOTSUPP } from "../../src/uapi/errno";
import { CreateAttr } from "../attr";
import { notWanted } from "../fd";
import { ADD_ELEM, ALLOC_CHECK, COUNT, DELETE_ELEM, LOOKUP_BATCH, LOOKUP_ELEM, UPDATE_BATCH, UPDATE_ELEM } from "../map_types";
import { ArrayMap, fdArrayAllocCheck } from "./_array";
import { arrayOps } from "./array";

function update(map: ArrayMap, index: u32, fd: u32, flags: u64): i32 {
  if (flags != 0) return -EINVAL;
  return index >= map.maxEntries ? -E2BIG : notWanted(fd);
}

export function progArrayOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const array = changetype<ArrayMap>(map);
  switch (op) {
    case ALLOC_CHECK:
      return fdArrayAllocCheck(changetype<CreateAttr>(map));
    case LOOKUP_ELEM:
      return -ENOENT;
    case UPDATE_ELEM:
      return update(array, load<u32>(a), load<u32>(b), flags);
    case DELETE_ELEM:
      return load<u32>(a) >= array.maxEntries ? -E2BIG : -ENOENT;
    case COUNT:
      return 0;
    case ADD_ELEM:
    case LOOKUP_BATCH:
    case UPDATE_BATCH:
      return -ENOTSUPP;
    default:
      return arrayOps(op, map, a, b, flags);
  }
}

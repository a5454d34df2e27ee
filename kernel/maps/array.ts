/**
 * BPF_MAP_TYPE_ARRAY and BPF_MAP_TYPE_PERCPU_ARRAY: their operations, as the registry calls them. Structure, threads and
 * the operations themselves: _array.ts.
 */
import { EINVAL, ENOTSUPP } from "../../src/uapi/errno";
import { BatchAttr, CreateAttr } from "../attr";
import { ADD_ELEM, ALLOC, ALLOC_CHECK, CHECK, CLEAR_LOCKS, COUNT, DELETE_ELEM, FIND_ELEM, FREE, GET_NEXT_KEY, HOLDS_VALUE, LOOKUP_BATCH, LOOKUP_ELEM, MEM_USAGE, OWN_RUNS, REPAIR, UPDATE_BATCH, UPDATE_ELEM } from "../map_types";
import { ArrayMap, arrayAdd, arrayAlloc, arrayAllocCheck, arrayFind, arrayFree, arrayGetNextKey, arrayHolds, arrayLookup, arrayLookupBatch, arrayMemory, arrayOwnRuns, arrayRepair, arrayUpdate } from "./_array";
import { genericUpdateBatch } from "./_batch";
import { clearStripes } from "./_stripe";
import { Lanes } from "./_value";

export function arrayOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const array = changetype<ArrayMap>(map);
  switch (op) {
    case ALLOC_CHECK:
      return arrayAllocCheck(changetype<CreateAttr>(map));
    case ALLOC:
      return <i32>arrayAlloc(changetype<CreateAttr>(map));
    case FREE:
      arrayFree(array);
      return 0;
    case LOOKUP_ELEM:
      return arrayLookup(array, load<u32>(a), b);
    case UPDATE_ELEM:
      return arrayUpdate(array, load<u32>(a), b, flags);
    case DELETE_ELEM:
      return -EINVAL;
    case GET_NEXT_KEY:
      return arrayGetNextKey(array, a, b);
    case ADD_ELEM:
      return arrayAdd(array, load<u32>(a), b, changetype<Lanes>(<usize>flags));
    case LOOKUP_BATCH:
      return arrayLookupBatch(array, changetype<BatchAttr>(a), b);
    case UPDATE_BATCH:
      return genericUpdateBatch(array, changetype<BatchAttr>(a), b);
    case COUNT:
      return array.maxEntries;
    case MEM_USAGE:
      return <i32>arrayMemory(array);
    case OWN_RUNS:
      arrayOwnRuns(array, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      clearStripes(array);
      return 0;
    case REPAIR:
      arrayRepair(a, <u32>b);
      return 0;
    case CHECK:
      return 0;
    case FIND_ELEM:
      return <i32>arrayFind(array, load<u32>(a), <u32>b);
    case HOLDS_VALUE:
      return arrayHolds(array, a, <u32>b) ? 1 : 0;
    default:
      return -ENOTSUPP;
  }
}

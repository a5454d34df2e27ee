/**
 * BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH and their per-CPU kinds: their operations, as the registry calls them. Structure, threads and
 * the operations themselves: _htab.ts, _htab_ops.ts, _htab_walk.ts.
 */
import { ENOTSUPP } from "../../src/uapi/errno";
import { BatchAttr, CreateAttr } from "../attr";
import { ADD_ELEM, ALLOC, ALLOC_CHECK, CHECK, CLEAR_LOCKS, COUNT, DELETE_BATCH, DELETE_ELEM, FIND_ELEM, FREE, GET_NEXT_KEY, HOLDS_VALUE, LOOKUP_AND_DELETE_BATCH, LOOKUP_AND_DELETE_ELEM, LOOKUP_BATCH, LOOKUP_ELEM, MEM_USAGE, OWN_RUNS, REPAIR, SET_EXACT, UPDATE_BATCH, UPDATE_ELEM } from "../map_types";
import { Htab, countWord, htabAlloc, htabAllocCheck, htabClearLocks, htabFree, htabHolds, htabMemory, htabOwnRuns } from "./_htab";
import { htabAddElem, htabDeleteElem, htabFindElem, htabLookupAndDeleteElem, htabLookupElem, htabRepair, htabUpdateElem } from "./_htab_ops";
import { genericDeleteBatch, genericUpdateBatch } from "./_batch";
import { htabGetNextKey, htabLookupAndDeleteBatch, htabLookupBatch } from "./_htab_walk";
import { countOf } from "./_count";
import { setExact } from "./_lru_exact";
import { checkHtab } from "./_check_htab";
import { Lanes } from "./_value";

export function hashOps(op: u32, map: usize, a: usize, b: usize, flags: u64): i32 {
  const htab = changetype<Htab>(map);
  switch (op) {
    case ALLOC_CHECK:
      return htabAllocCheck(changetype<CreateAttr>(map));
    case ALLOC:
      return <i32>htabAlloc(changetype<CreateAttr>(map));
    case FREE:
      htabFree(htab);
      return 0;
    case LOOKUP_ELEM:
      return htabLookupElem(htab, a, b);
    case UPDATE_ELEM:
      return htabUpdateElem(htab, a, b, flags);
    case DELETE_ELEM:
      return htabDeleteElem(htab, a);
    case GET_NEXT_KEY:
      return htabGetNextKey(htab, a, b);
    case ADD_ELEM:
      return htabAddElem(htab, a, b, changetype<Lanes>(<usize>flags));
    case LOOKUP_BATCH:
      return htabLookupBatch(htab, changetype<BatchAttr>(a), b);
    case LOOKUP_AND_DELETE_ELEM:
      return htabLookupAndDeleteElem(htab, a, b);
    case LOOKUP_AND_DELETE_BATCH:
      return htabLookupAndDeleteBatch(htab, changetype<BatchAttr>(a), b);
    case UPDATE_BATCH:
      return genericUpdateBatch(htab, changetype<BatchAttr>(a), b);
    case DELETE_BATCH:
      return genericDeleteBatch(htab, changetype<BatchAttr>(a), b);
    case SET_EXACT:
      return setExact(htab);
    case COUNT:
      return countOf(countWord(htab));
    case MEM_USAGE:
      return <i32>htabMemory(htab);
    case OWN_RUNS:
      htabOwnRuns(htab, <u32>a);
      return 0;
    case CLEAR_LOCKS:
      htabClearLocks(htab);
      return 0;
    case REPAIR:
      htabRepair(htab, a, <u32>b);
      return 0;
    case CHECK:
      checkHtab(htab);
      return 0;
    case FIND_ELEM:
      return <i32>htabFindElem(htab, a, <u32>b);
    case HOLDS_VALUE:
      return htabHolds(htab, a, <u32>b) ? 1 : 0;
    default:
      return -ENOTSUPP;
  }
}

/**
 * BPF_MAP_TYPE_HASH and BPF_MAP_TYPE_PERCPU_HASH: their operations, as the registry calls them. Structure, threads and
 * the operations themselves: _htab.ts, _htab_ops.ts.
 */
import { ENOTSUPP } from "../../src/uapi/errno";
import { BatchAttr, CreateAttr } from "../attr";
import { ADD_ELEM, ALLOC, ALLOC_CHECK, CHECK, COUNT, DELETE_ELEM, FREE, GET_NEXT_KEY, KEEP_RUNS, LOOKUP_BATCH, LOOKUP_ELEM, POOL_LOCK, UPDATE_ELEM } from "../map_types";
import { Htab, htabAlloc, htabAllocCheck, htabFree, htabKeepRuns } from "./_htab";
import { htabAddElem, htabDeleteElem, htabGetNextKey, htabLookupBatch, htabLookupElem, htabUpdateElem } from "./_htab_ops";
import { poolLock } from "./_pool";
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
    case COUNT:
      return htab.count;
    case POOL_LOCK:
      return <i32>poolLock(htab);
    case KEEP_RUNS:
      htabKeepRuns(htab);
      return 0;
    case CHECK:
      checkHtab(htab);
      return 0;
    default:
      return -ENOTSUPP;
  }
}

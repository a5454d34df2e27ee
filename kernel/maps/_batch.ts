/**
 * BPF_MAP_UPDATE_BATCH and BPF_MAP_DELETE_BATCH for any type: one elem after the other, by the type's own operations, up to the
 * first that fails. Behaves as generic_map_update_batch and generic_map_delete_batch in kernel/bpf/syscall.c.
 */
import { EFAULT, EINVAL, ENOMEM } from "../../src/uapi/errno";
import { dropValue, mayLock, takeValue } from "../_btf_fields";
import { BatchAttr, putBatchCount } from "../attr";
import { BpfMap } from "../map";
import { DELETE_ELEM, UPDATE_ELEM, callOp, valueBytes } from "../map_types";
import { allocKernel, freePages, isUser } from "../mem/pages";
import { TASK_KEY_BYTES, keyCopy } from "../task";

/** @returns 0; what the update of an elem returned, with the count of those before it; -EFAULT, -ENOMEM or -EINVAL */
export function genericUpdateBatch(map: BpfMap, batch: BatchAttr, user: usize): i32 {
  return eachKey(map, batch, user, UPDATE_ELEM, valueBytes(map));
}

/** @returns 0; what the deletion of an elem returned, with the count of those before it; -EFAULT, -ENOMEM or -EINVAL */
export function genericDeleteBatch(map: BpfMap, batch: BatchAttr, user: usize): i32 {
  return eachKey(map, batch, user, DELETE_ELEM, 0);
}

function eachKey(map: BpfMap, batch: BatchAttr, user: usize, op: u32, valueSize: u64): i32 {
  if (!mayLock(map, batch.elemFlags)) return -EINVAL;
  if (batch.count == 0) return 0;
  if (!putBatchCount(user, 0)) return -EFAULT;
  const keySize = map.keySize;
  // What user memory holds may change meanwhile.
  const isLarge = keySize > TASK_KEY_BYTES;
  const key = isLarge ? allocKernel(keySize, true) : keyCopy();
  if (key == 0) return -ENOMEM;
  let ret: i32 = 0;
  let done: u32 = 0;
  for (; done < batch.count; done++) {
    const from = batch.keys + <u64>done * keySize;
    const value = op == UPDATE_ELEM ? batch.values + <u64>done * valueSize : 0;
    if (!isUser(from, keySize) || (op == UPDATE_ELEM && !isUser(value, valueSize))) {
      ret = -EFAULT;
      break;
    }
    memory.copy(key, <usize>from, keySize);
    ret = op == UPDATE_ELEM ? updateOne(map, key, <usize>value, batch.elemFlags) : callOp(map.type, op, changetype<usize>(map), key, 0, 0);
    if (ret != 0) break;
  }
  if (isLarge) freePages(key);
  return putBatchCount(user, done) ? ret : -EFAULT;
}

function updateOne(map: BpfMap, key: usize, value: usize, flags: u64): i32 {
  const from = takeValue(map, value, flags);
  if (from == 0 && map.fields != 0) return -ENOMEM;
  const ret = callOp(map.type, UPDATE_ELEM, changetype<usize>(map), key, from, 0);
  dropValue(map, from);
  return ret;
}

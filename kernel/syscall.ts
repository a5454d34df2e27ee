/**
 * bpf(2): what each command checks, in Linux's order, and whom it calls. Behaves as kernel/bpf/syscall.c.
 *
 * Threads: any. attr is copied before it is looked at; the commands on elems, which are many, read each of its fields
 * once instead. What attr points to may change while we look at it: keys are copied before an update.
 */
import {
  BPF_BTF_GET_FD_BY_ID,
  BPF_BTF_GET_NEXT_ID,
  BPF_BTF_LOAD,
  BPF_F_LOCK,
  BPF_F_PATH_FD,
  BPF_F_RDONLY,
  BPF_F_TOKEN_FD,
  BPF_F_WRONLY,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_STRUCT_OPS,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  BPF_PROG_BIND_MAP,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_GET_NEXT_ID,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
} from "../src/uapi/bpf";
import { EBADF, EBADFD, EFAULT, EINVAL, ENOENT, ENOMEM, ENOTSUPP, EPERM } from "../src/uapi/errno";
import {
  BPF_ATTR_BTF_GET_FD_BY_ID_END,
  BPF_ATTR_BTF_LOAD_END,
  BPF_ATTR_GET_NEXT_ID_END,
  BPF_ATTR_MAP_BATCH_END,
  BPF_ATTR_MAP_CREATE_END,
  BPF_ATTR_MAP_CREATE_MAP_NAME_OFF,
  BPF_ATTR_MAP_DELETE_ELEM_END,
  BPF_ATTR_MAP_FREEZE_END,
  BPF_ATTR_MAP_GET_FD_BY_ID_END,
  BPF_ATTR_MAP_GET_NEXT_KEY_END,
  BPF_ATTR_MAP_LOOKUP_AND_DELETE_ELEM_END,
  BPF_ATTR_MAP_LOOKUP_ELEM_END,
  BPF_ATTR_MAP_UPDATE_ELEM_END,
  BPF_ATTR_OBJ_END,
  BPF_ATTR_OBJ_GET_INFO_BY_FD_END,
  BPF_ATTR_PROG_BIND_MAP_END,
  BPF_ATTR_PROG_GET_FD_BY_ID_END,
  BPF_ATTR_PROG_LOAD_END,
  BPF_ATTR_PROG_TEST_RUN_END,
  BPF_ATTR_SIZE,
} from "../src/uapi/offsets";
import {
  BatchAttr,
  BindMapAttr,
  BtfLoadAttr,
  CreateAttr,
  ElemAttr,
  IdAttr,
  InfoAttr,
  ObjAttr,
  ProgLoadAttr,
  TestAttr,
  checkAttrSize,
  copyAttr,
  copyName,
  unusedAreZero,
} from "./attr";
import { dropValue, mayLock, takeValue } from "./_btf_fields";
import { allocKey, dropKey, takeKey } from "./_key";
import { AT_FDCWD, getObj, objectOf, pinObj } from "./bpffs";
import { btfAt, btfForMap, btfGetFdById, btfInfo, btfLoad, dropBtf, nextBtfId } from "./btf";
import { btfOf, canRead, canWrite, endUse, fdEntry, installFd, mapOf, modeOf, noMap, notWanted, progOf, useFd } from "./fd";
import { mapInfo } from "./info";
import { lock, unlock } from "./lock";
import { BpfMap, collectDeadMaps, dropRef, freezeMap, listMap, mapAt, mapById, nextMapId, tablesLock } from "./map";
import {
  ALLOC,
  ALLOC_CHECK,
  DELETE_BATCH,
  DELETE_ELEM,
  GET_NEXT_KEY,
  LOOKUP_AND_DELETE_BATCH,
  LOOKUP_AND_DELETE_ELEM,
  LOOKUP_BATCH,
  LOOKUP_ELEM,
  UPDATE_BATCH,
  UPDATE_ELEM,
  callOp,
  freeMap,
  valueBytes,
} from "./map_types";
import { isUser } from "./mem/pages";
import { nextProgId, progAt, progGetFdById, progInfo } from "./prog";
import { progBindMap, progLoad } from "./prog_load";
import { progTestRun } from "./prog_run";
import { me } from "./task";

/** Bytes of attr that the commands on elems read: with so many given they need no copy. */
const ELEM_ATTR_BYTES: u32 = 32;

/**
 * bpf(2).
 *
 * @param attr An address of user memory.
 * @returns An fd, 0, or a negative errno.
 */
export function bpf(cmd: u32, attr: usize, size: u32): i32 {
  me().doing = cmd + 1;
  const ret = checkAttrSize(attr, size);
  if (ret != 0) return ret;
  if (size >= ELEM_ATTR_BYTES) {
    if (cmd == BPF_MAP_LOOKUP_ELEM) return mapLookupElem(changetype<ElemAttr>(attr), size);
    if (cmd == BPF_MAP_UPDATE_ELEM) return mapUpdateElem(changetype<ElemAttr>(attr), size);
  }
  const copy = copyAttr(attr, size);
  switch (cmd) {
    case BPF_MAP_CREATE:
      return mapCreate(changetype<CreateAttr>(copy));
    case BPF_MAP_LOOKUP_ELEM:
      return mapLookupElem(changetype<ElemAttr>(copy), BPF_ATTR_SIZE);
    case BPF_MAP_UPDATE_ELEM:
      return mapUpdateElem(changetype<ElemAttr>(copy), BPF_ATTR_SIZE);
    case BPF_MAP_DELETE_ELEM:
      return mapDeleteElem(changetype<ElemAttr>(copy));
    case BPF_MAP_GET_NEXT_KEY:
      return mapGetNextKey(changetype<ElemAttr>(copy));
    case BPF_MAP_LOOKUP_BATCH:
      return mapBatch(changetype<BatchAttr>(copy), attr, LOOKUP_BATCH, true, false);
    case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
      return mapBatch(changetype<BatchAttr>(copy), attr, LOOKUP_AND_DELETE_BATCH, true, true);
    case BPF_MAP_UPDATE_BATCH:
      return mapBatch(changetype<BatchAttr>(copy), attr, UPDATE_BATCH, false, true);
    case BPF_MAP_DELETE_BATCH:
      return mapBatch(changetype<BatchAttr>(copy), attr, DELETE_BATCH, false, true);
    case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
      return mapLookupAndDeleteElem(changetype<ElemAttr>(copy));
    case BPF_MAP_FREEZE:
      return mapFreeze(changetype<ElemAttr>(copy));
    case BPF_OBJ_PIN:
      return objPin(changetype<ObjAttr>(copy));
    case BPF_OBJ_GET:
      return objGet(changetype<ObjAttr>(copy));
    case BPF_OBJ_GET_INFO_BY_FD:
      return objGetInfoByFd(changetype<InfoAttr>(copy), attr);
    case BPF_MAP_GET_NEXT_ID:
      return getNextId(changetype<IdAttr>(copy), attr, cmd);
    case BPF_MAP_GET_FD_BY_ID:
      return mapGetFdById(changetype<IdAttr>(copy));
    case BPF_BTF_LOAD:
      if (!unused(copy, BPF_ATTR_BTF_LOAD_END)) return -EINVAL;
      return btfLoad(changetype<BtfLoadAttr>(copy), attr, size);
    case BPF_BTF_GET_FD_BY_ID:
      return unused(copy, BPF_ATTR_BTF_GET_FD_BY_ID_END) ? btfGetFdById(changetype<IdAttr>(copy)) : -EINVAL;
    case BPF_BTF_GET_NEXT_ID:
      return getNextId(changetype<IdAttr>(copy), attr, cmd);
    case BPF_PROG_LOAD:
      if (!unused(copy, BPF_ATTR_PROG_LOAD_END)) return -EINVAL;
      return progLoad(changetype<ProgLoadAttr>(copy), attr, size);
    case BPF_PROG_TEST_RUN:
      if (!unused(copy, BPF_ATTR_PROG_TEST_RUN_END)) return -EINVAL;
      return progTestRun(changetype<TestAttr>(copy), attr);
    case BPF_PROG_GET_FD_BY_ID:
      return unused(copy, BPF_ATTR_PROG_GET_FD_BY_ID_END) ? progGetFdById(changetype<IdAttr>(copy)) : -EINVAL;
    case BPF_PROG_GET_NEXT_ID:
      return getNextId(changetype<IdAttr>(copy), attr, cmd);
    case BPF_PROG_BIND_MAP:
      if (!unused(copy, BPF_ATTR_PROG_BIND_MAP_END)) return -EINVAL;
      return progBindMap(changetype<BindMapAttr>(copy));
    default:
      return -EINVAL;
  }
}

// @ts-ignore: decorator
@inline
function unused(attr: usize, end: u32): bool {
  return unusedAreZero(attr, end, BPF_ATTR_SIZE);
}

function mapCreate(attr: CreateAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_MAP_CREATE_END)) return -EINVAL;
  const hasToken = (attr.mapFlags & BPF_F_TOKEN_FD) != 0;
  attr.mapFlags &= ~BPF_F_TOKEN_FD;
  if (attr.btfVmlinuxValueTypeId != 0) {
    if (attr.mapType != BPF_MAP_TYPE_STRUCT_OPS || attr.btfKeyTypeId != 0 || attr.btfValueTypeId != 0) return -EINVAL;
  } else if (attr.btfKeyTypeId != 0 && attr.btfValueTypeId == 0) {
    return -EINVAL;
  }
  const mayHaveExtra = attr.mapType == BPF_MAP_TYPE_BLOOM_FILTER || attr.mapType == BPF_MAP_TYPE_ARENA;
  if (attr.mapExtra != 0 && !mayHaveExtra) return -EINVAL;
  const mode = modeOf(attr.mapFlags);
  if (mode == 0) return -EINVAL;
  // There is one NUMA node here, number 0.
  if (attr.wantsNumaNode() && attr.numaNode != 0) return -EINVAL;
  const refused = callOp(attr.mapType, ALLOC_CHECK, changetype<usize>(attr), 0, 0, 0);
  if (refused != 0) return refused;
  // No token can be had here, and no device to offload to.
  if (hasToken) return notWanted(attr.mapTokenFd);
  if (attr.mapIfindex != 0) return -EINVAL;

  const made = callOp(attr.mapType, ALLOC, changetype<usize>(attr), 0, 0, 0);
  if (<u32>made > <u32>-4096) return made;
  const map = changetype<BpfMap>(<usize>made);
  // BTF is held by the map once that is listed: what is found of its fd must be so still.
  lock(tablesLock());
  const ret = finishCreate(map, attr);
  let fd = ret;
  if (ret == 0) {
    collectDeadMaps();
    listMap(map);
    fd = installFd(map, mode);
    dropRef(map);
  } else if (map.btf != 0) {
    dropBtf(btfAt(map.btf));
  }
  unlock(tablesLock());
  if (ret != 0) freeMap(map);
  return fd;
}

/** What Linux looks at after it has allocated a map: its name, its BTF, the program it is for. */
function finishCreate(map: BpfMap, attr: CreateAttr): i32 {
  const name = changetype<usize>(map) + offsetof<BpfMap>("name0");
  if (!copyName(name, changetype<usize>(attr) + BPF_ATTR_MAP_CREATE_MAP_NAME_OFF)) return -EINVAL;
  if (attr.btfKeyTypeId != 0 || attr.btfValueTypeId != 0) {
    const ret = btfForMap(map, attr);
    if (ret != 0) return ret;
  }
  if (attr.exclProgHash != 0) {
    if (attr.exclProgHashSize != 32) return -EINVAL;
    if (!isUser(attr.exclProgHash, 32)) return -EFAULT;
    map.exclusive = 1;
  } else if (attr.exclProgHashSize != 0) {
    return -EINVAL;
  }
  return 0;
}

/** -EFAULT for a key that cannot be read, -EINVAL for one where the map has none; else 0. */
// @ts-ignore: decorator
@inline
function keyError(map: BpfMap, key: u64): i32 {
  if (map.keySize == 0) return key != 0 ? -EINVAL : 0;
  return isUser(key, map.keySize) ? 0 : -EFAULT;
}

/** A key of a word is read once by whoever uses it: it needs no copy. */
// @ts-ignore: decorator
@inline
function isWordKey(map: BpfMap): bool {
  return map.keySize == 4 || map.keySize == 8;
}

function mapLookupElem(attr: ElemAttr, size: u32): i32 {
  const flags = attr.flags;
  if (!unusedAreZero(changetype<usize>(attr), BPF_ATTR_MAP_LOOKUP_ELEM_END, size)) return -EINVAL;
  if ((flags & ~(<u64>BPF_F_LOCK)) != 0) return -EINVAL;
  const fd = useFd(attr.mapFd);
  if (fd == 0) return noMap(attr.mapFd);
  const ret = lookupElem(fd, attr.key, attr.value, flags);
  endUse();
  return ret;
}

function lookupElem(fd: u64, key: u64, value: u64, flags: u64): i32 {
  const map = mapOf(fd);
  if (!canRead(fd)) return -EPERM;
  if (!mayLock(map, flags)) return -EINVAL;
  const wrong = keyError(map, key);
  if (wrong != 0) return wrong;
  // A bloom filter is asked for the value that is given.
  if (map.type == BPF_MAP_TYPE_BLOOM_FILTER && !isUser(value, map.valueSize)) return -EFAULT;
  // A value that cannot be written is a fault only if there is one.
  const to: usize = isUser(value, valueBytes(map)) ? <usize>value : 0;
  if (to != 0 && !isWordKey(map) && value < key + map.keySize && key < value + valueBytes(map)) {
    const copy = takeKey(map, key);
    if (copy == 0) return -ENOMEM;
    const ret = callOp(map.type, LOOKUP_ELEM, changetype<usize>(map), copy, to, 0);
    dropKey(copy);
    return ret;
  }
  const ret = callOp(map.type, LOOKUP_ELEM, changetype<usize>(map), <usize>key, to, 0);
  return ret == 0 && to == 0 ? -EFAULT : ret;
}

function mapUpdateElem(attr: ElemAttr, size: u32): i32 {
  if (!unusedAreZero(changetype<usize>(attr), BPF_ATTR_MAP_UPDATE_ELEM_END, size)) return -EINVAL;
  const mapFd = attr.mapFd;
  const fd = useFd(mapFd);
  if (fd == 0) return noMap(mapFd);
  if (mapOf(fd).type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) me().updating = mapFd;
  const ret = updateElem(fd, attr.key, attr.value, attr.flags);
  endUse();
  return ret;
}

function updateElem(fd: u64, key: u64, value: u64, flags: u64): i32 {
  const map = mapOf(fd);
  if (!canWrite(fd)) return -EPERM;
  if (!mayLock(map, flags & BPF_F_LOCK)) return -EINVAL;
  const wrong = keyError(map, key);
  if (wrong != 0) return wrong;
  if (!isUser(value, valueBytes(map))) return -EFAULT;
  const from = takeValue(map, <usize>value, flags);
  if (from == 0 && map.fields != 0) return -ENOMEM;
  const ret = updateWith(map, key, from, flags & ~(<u64>BPF_F_LOCK));
  dropValue(map, from);
  return ret;
}

// @ts-ignore: decorator
@inline
function updateWith(map: BpfMap, key: u64, value: usize, flags: u64): i32 {
  if (isWordKey(map)) return callOp(map.type, UPDATE_ELEM, changetype<usize>(map), <usize>key, value, flags);
  const copy = takeKey(map, key);
  if (copy == 0) return -ENOMEM;
  const ret = callOp(map.type, UPDATE_ELEM, changetype<usize>(map), copy, value, flags);
  dropKey(copy);
  return ret;
}

function mapDeleteElem(attr: ElemAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_MAP_DELETE_ELEM_END)) return -EINVAL;
  const fd = useFd(attr.mapFd);
  if (fd == 0) return noMap(attr.mapFd);
  const ret = deleteElem(fd, attr.key);
  endUse();
  return ret;
}

function deleteElem(fd: u64, key: u64): i32 {
  const map = mapOf(fd);
  if (!canWrite(fd)) return -EPERM;
  const wrong = keyError(map, key);
  if (wrong != 0) return wrong;
  const copy = takeKey(map, key);
  if (copy == 0) return -ENOMEM;
  const ret = callOp(map.type, DELETE_ELEM, changetype<usize>(map), copy, 0, 0);
  dropKey(copy);
  return ret;
}

function mapGetNextKey(attr: ElemAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_MAP_GET_NEXT_KEY_END)) return -EINVAL;
  const fd = useFd(attr.mapFd);
  if (fd == 0) return noMap(attr.mapFd);
  const ret = getNextKey(fd, attr.key, attr.value);
  endUse();
  return ret;
}

function getNextKey(fd: u64, key: u64, next: u64): i32 {
  const map = mapOf(fd);
  if (!canRead(fd)) return -EPERM;
  const wrong = key != 0 ? keyError(map, key) : 0;
  if (wrong != 0) return wrong;
  // next_key may lie where the key does, and need not be writable if no key follows: it is written last.
  const found = allocKey(map.keySize);
  if (found == 0) return -ENOMEM;
  let ret = callOp(map.type, GET_NEXT_KEY, changetype<usize>(map), <usize>key, found, 0);
  if (ret == 0) {
    if (isUser(next, map.keySize)) memory.copy(<usize>next, found, map.keySize);
    else ret = -EFAULT;
  }
  dropKey(found);
  return ret;
}

function mapLookupAndDeleteElem(attr: ElemAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_MAP_LOOKUP_AND_DELETE_ELEM_END)) return -EINVAL;
  if ((attr.flags & ~(<u64>BPF_F_LOCK)) != 0) return -EINVAL;
  const fd = useFd(attr.mapFd);
  if (fd == 0) return noMap(attr.mapFd);
  const ret = lookupAndDeleteElem(fd, attr.key, attr.value, attr.flags);
  endUse();
  return ret;
}

function lookupAndDeleteElem(fd: u64, key: u64, value: u64, flags: u64): i32 {
  const map = mapOf(fd);
  if (!canRead(fd) || !canWrite(fd)) return -EPERM;
  const wrong = mayLock(map, flags) ? keyError(map, key) : -EINVAL;
  if (wrong != 0) return wrong;
  // An elem whose value cannot be written is gone all the same.
  const to: usize = isUser(value, valueBytes(map)) ? <usize>value : 0;
  const copy = takeKey(map, key);
  if (copy == 0) return -ENOMEM;
  const ret = callOp(map.type, LOOKUP_AND_DELETE_ELEM, changetype<usize>(map), copy, to, 0);
  dropKey(copy);
  return ret == 0 && to == 0 ? -EFAULT : ret;
}

function mapFreeze(attr: ElemAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_MAP_FREEZE_END)) return -EINVAL;
  const fd = useFd(attr.mapFd);
  if (fd == 0) return noMap(attr.mapFd);
  // Programs write to special fields of a frozen map still.
  const ret = mapOf(fd).fields != 0 ? -ENOTSUPP : canWrite(fd) ? freezeMap(mapOf(fd)) : -EPERM;
  endUse();
  return ret;
}

/** A batch command: what its flags must be is looked at by the operation, so that a type without it says that first. */
function mapBatch(attr: BatchAttr, user: usize, op: u32, reads: bool, writes: bool): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_MAP_BATCH_END)) return -EINVAL;
  const fd = useFd(attr.mapFd);
  if (fd == 0) return noMap(attr.mapFd);
  let ret: i32;
  if ((reads && !canRead(fd)) || (writes && !canWrite(fd))) ret = -EPERM;
  else ret = callOp(mapOf(fd).type, op, changetype<usize>(mapOf(fd)), changetype<usize>(attr), user, 0);
  endUse();
  return ret;
}

function objPin(attr: ObjAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_OBJ_END)) return -EINVAL;
  if ((attr.fileFlags & ~BPF_F_PATH_FD) != 0) return -EINVAL;
  if (attr.fileFlags == 0 && attr.pathFd != 0) return -EINVAL;
  if (objectOf(attr.bpfFd) == 0) return -EINVAL;
  return pinObj(attr.bpfFd, attr.pathname, attr.fileFlags != 0 ? attr.pathFd : AT_FDCWD);
}

function objGet(attr: ObjAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_OBJ_END) || attr.bpfFd != 0) return -EINVAL;
  if ((attr.fileFlags & ~(BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_PATH_FD)) != 0) return -EINVAL;
  if ((attr.fileFlags & BPF_F_PATH_FD) == 0 && attr.pathFd != 0) return -EINVAL;
  const mode = modeOf(attr.fileFlags);
  if (mode == 0) return -EINVAL;
  return getObj(attr.pathname, mode, (attr.fileFlags & BPF_F_PATH_FD) != 0 ? attr.pathFd : AT_FDCWD);
}

function objGetInfoByFd(attr: InfoAttr, user: usize): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_OBJ_GET_INFO_BY_FD_END)) return -EINVAL;
  const fd = useFd(attr.bpfFd);
  if (fd == 0) return infoOfOther(attr, user);
  const ret = mapInfo(mapOf(fd), attr.info, attr.infoLen, user);
  endUse();
  return ret;
}

/** BPF_OBJ_GET_INFO_BY_FD of what is no map. */
function infoOfOther(attr: InfoAttr, user: usize): i32 {
  lock(tablesLock());
  const word = fdEntry(attr.bpfFd);
  let ret: i32;
  if (btfOf(word) != 0) ret = btfInfo(btfAt(btfOf(word)), attr, user);
  else if (progOf(word) != 0) ret = progInfo(progAt(progOf(word)), attr, user);
  else ret = noMap(attr.bpfFd) == -EBADF ? -EBADFD : -EINVAL;
  unlock(tablesLock());
  return ret;
}

/** Of maps, of programs, or of BTF objects: by the command. */
function getNextId(attr: IdAttr, user: usize, cmd: u32): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_GET_NEXT_ID_END) || attr.id >= <u32>i32.MAX_VALUE) return -EINVAL;
  lock(tablesLock());
  let next: u32;
  if (cmd == BPF_BTF_GET_NEXT_ID) next = nextBtfId(attr.id);
  else if (cmd == BPF_PROG_GET_NEXT_ID) next = nextProgId(attr.id);
  else next = nextMapId(attr.id);
  unlock(tablesLock());
  if (next == 0) return -ENOENT;
  const at = user + offsetof<IdAttr>("nextId");
  if (!isUser(at, 4)) return -EFAULT;
  store<u32>(at, next);
  return 0;
}

function mapGetFdById(attr: IdAttr): i32 {
  if (!unused(changetype<usize>(attr), BPF_ATTR_MAP_GET_FD_BY_ID_END)) return -EINVAL;
  if ((attr.openFlags & ~(BPF_F_RDONLY | BPF_F_WRONLY)) != 0) return -EINVAL;
  const mode = modeOf(attr.openFlags);
  if (mode == 0) return -EINVAL;
  lock(tablesLock());
  const map = mapById(attr.id);
  const fd = map != 0 ? installFd(mapAt(map), mode) : -ENOENT;
  unlock(tablesLock());
  return fd;
}

/**
 * BTF objects: BPF_BTF_LOAD, BPF_BTF_GET_FD_BY_ID, BPF_BTF_GET_NEXT_ID, BPF_OBJ_GET_INFO_BY_FD, and what BPF_MAP_CREATE asks of
 * one. Behaves as kernel/bpf/btf.c. Layout: _btf_types.ts.
 *
 * An object is held by references: fds, and the maps that were created with it. With the last one it goes at once, since nobody
 * uses an object without the tables lock.
 *
 * Threads: all under the tables lock, but for the check of what is loaded. A thread that ends inside leaves what can be made again
 * (`rebuildBtfs`) from the fd table, the list of maps, and each object's `next`, which change by one store.
 */
import {
  BPF_F_TOKEN_FD,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
} from "../src/uapi/bpf";
import { E2BIG, EFAULT, EINVAL, ENOENT, ENOMEM, ENOSPC, ENOTSUPP } from "../src/uapi/errno";
import {
  BPF_BTF_INFO_BTF_OFF,
  BPF_BTF_INFO_BTF_SIZE_OFF,
  BPF_BTF_INFO_ID_OFF,
  BPF_BTF_INFO_KERNEL_BTF_OFF,
  BPF_BTF_INFO_NAME_LEN_OFF,
  BPF_BTF_INFO_NAME_OFF,
  BPF_BTF_INFO_SIZE,
} from "../src/uapi/offsets";
import { BtfLoadAttr, CreateAttr, IdAttr, InfoAttr, checkTail } from "./attr";
import { WALK_BYTES, checkBtf } from "./_btf_check";
import { noteFields } from "./_btf_fields";
import { Btf, KIND_DATASEC, KIND_INT, KIND_STRUCT, NO_TYPE, intBits, intOffset, kindOf, sizeOf, sizeOrType, sizedId, typeAt } from "./_btf_types";
import { btfOf, fdEntry, installBtfFd, notOfKind, notWanted } from "./fd";
import { lock, unlock } from "./lock";
import { BpfMap, mapAt, tablesLock } from "./map";
import { isDevmap } from "./map_types";
import { progsWithBtf } from "./prog";
import { allocKernel, freePages, isUser, ownRun } from "./mem/pages";
import { MAX_FDS, tables } from "./super";
import { ME, keyCopy } from "./task";

const MAX_BYTES: u32 = 16 * 1024 * 1024;
const LOG_MASK: u32 = 0xf;
const HEAD_BYTES: u32 = (<u32>offsetof<Btf>() + 63) & ~63;
/** The shortest type. */
const TYPE_BYTES: u32 = 12;

// @ts-ignore: decorator
@inline
export function btfAt(at: usize): Btf {
  return changetype<Btf>(at);
}

/** BPF_BTF_LOAD. Returns an fd. */
export function btfLoad(attr: BtfLoadAttr, user: usize, size: u32): i32 {
  if ((attr.btfFlags & ~(<u32>BPF_F_TOKEN_FD)) != 0) return -EINVAL;
  if ((attr.btfFlags & BPF_F_TOKEN_FD) != 0) return notWanted(attr.btfTokenFd);
  if (attr.btfSize > MAX_BYTES) return -E2BIG;
  const wantsLog = attr.btfLogBuf != 0;
  if (wantsLog != (attr.btfLogSize != 0) || (wantsLog && attr.btfLogLevel == 0)) return -EINVAL;
  if ((attr.btfLogLevel & ~LOG_MASK) != 0 || attr.btfLogSize > u32.MAX_VALUE >> 2) return -EINVAL;
  if (!isUser(attr.btf, attr.btfSize)) return -EFAULT;
  const at = allocObject(attr);
  if (at == 0) return -ENOMEM;
  const btf = btfAt(at);
  let ret = checkBtf(btf, walkOf(btf));
  const logged = finishLog(attr, user, size, ret);
  if (logged != 0) ret = logged;
  if (ret != 0) {
    freePages(at);
    return ret;
  }
  lock(tablesLock());
  listBtf(btf);
  const fd = installBtfFd(btf);
  dropBtf(btf);
  unlock(tablesLock());
  return fd;
}

/** Memory for an object with its tables, and the data in it; or 0. */
function allocObject(attr: BtfLoadAttr): usize {
  const bytes = (attr.btfSize + 3) & ~3;
  const most = bytes / TYPE_BYTES + 1;
  // Names are looked at eight bytes at a time, so that some bytes behind the strings are read.
  const at = allocKernel(<u64>HEAD_BYTES + bytes + 8 + 13 * <u64>most + 8 + WALK_BYTES);
  if (at == 0) return 0;
  const btf = btfAt(at);
  btf.refs = 1;
  btf.data = <u32>at + HEAD_BYTES;
  btf.dataSize = attr.btfSize;
  btf.offs = (btf.data + bytes + 15) & ~7;
  btf.ids = btf.offs + 4 * most;
  btf.sizes = btf.ids + 4 * most;
  btf.states = btf.sizes + 4 * most;
  if (attr.btfSize != 0) memory.copy(btf.data, <usize>attr.btf, attr.btfSize);
  return at;
}

/** Where the check has its stack: behind all else. */
function walkOf(btf: Btf): usize {
  return (<usize>btf.states + ((btf.dataSize + 3) & ~3) / TYPE_BYTES + 1 + 3) & ~3;
}

/**
 * Writes the log, and how long it is. Differs from Linux: what it says is one line.
 *
 * @returns 0; -ENOSPC when the log's end is cut off; -EFAULT
 */
function finishLog(attr: BtfLoadAttr, user: usize, size: u32, ret: i32): i32 {
  let length: u32 = 0;
  let wrong: i32 = 0;
  if (attr.btfLogLevel != 0 && attr.btfLogBuf != 0) {
    const text = ret == 0 ? "BTF is valid\n" : "BTF is not valid\n";
    length = text.length + 1;
    const room = min<u32>(attr.btfLogSize, length);
    if (!isUser(attr.btfLogBuf, room)) return -EFAULT;
    for (let i: u32 = 0; i + 1 < room; i++) store<u8>(<usize>attr.btfLogBuf + i, <u8>text.charCodeAt(i));
    store<u8>(<usize>attr.btfLogBuf + room - 1, 0);
    if (room < length) wrong = -ENOSPC;
  }
  const at = user + offsetof<BtfLoadAttr>("btfLogTrueSize");
  if (size >= <u32>offsetof<BtfLoadAttr>("btfLogTrueSize") + 4) {
    if (!isUser(at, 4)) return -EFAULT;
    store<u32>(at, length);
  }
  return wrong;
}

/** Gives the object an id and a place in the list. */
function listBtf(btf: Btf): void {
  const t = tables();
  let id = t.lastBtfId;
  do {
    if (id == i32.MAX_VALUE) {
      id = 0;
      t.btfIdsWrapped = 1;
    }
    id++;
  } while (t.btfIdsWrapped != 0 && btfById(id) != 0);
  t.lastBtfId = id;
  btf.id = id;
  btf.prev = 0;
  btf.next = t.btfsHead;
  const at = <u32>changetype<usize>(btf);
  if (t.btfsHead != 0) btfAt(t.btfsHead).prev = at;
  t.btfsHead = at;
}

function btfById(id: u32): usize {
  if (id == 0) return 0;
  let at = tables().btfsHead;
  while (at != 0 && btfAt(at).id != id) at = btfAt(at).next;
  return at;
}

/** Gives a reference back. With the last one the object goes. The caller holds the tables lock. */
export function dropBtf(btf: Btf): void {
  btf.refs--;
  if (btf.refs != 0) return;
  // From here on its memory is this task's, whatever happens: see reap.ts.
  ownRun(changetype<usize>(btf), ME);
  if (btf.prev != 0) btfAt(btf.prev).next = btf.next;
  else tables().btfsHead = btf.next;
  if (btf.next != 0) btfAt(btf.next).prev = btf.prev;
  freePages(changetype<usize>(btf));
}

/**
 * Makes links back and references again, and lets go of objects without any, after a task ended while it held the tables lock.
 * The maps are right already.
 */
export function rebuildBtfs(): void {
  const t = tables();
  let before: u32 = 0;
  for (let at = t.btfsHead; at != 0; at = btfAt(at).next) {
    btfAt(at).prev = before;
    // One that is dropped below, when all are counted.
    btfAt(at).refs = 1 + btfRefs(at);
    before = at;
  }
  for (let at = t.btfsHead; at != 0; ) {
    const next = btfAt(at).next;
    dropBtf(btfAt(at));
    at = next;
  }
}

/** How many fds, maps and programs hold an object. */
export function btfRefs(at: u32): u32 {
  let refs: u32 = 0;
  for (let fd: u32 = 0, open = tables().fdsOpen; open != 0 && fd < MAX_FDS; fd++) {
    const word = fdEntry(fd);
    if (word == 0) continue;
    open--;
    if (btfOf(word) == <usize>at) refs++;
  }
  for (let map = tables().mapsHead; map != 0; map = mapAt(map).next) {
    if (mapAt(map).btf == at) refs++;
  }
  return refs + progsWithBtf(at);
}

/** What a list of objects leads to belongs to nobody else. The caller holds the tables lock. */
export function ownBtfs(owner: u32): void {
  for (let at = tables().btfsHead; at != 0; at = btfAt(at).next) ownRun(at, owner);
}

/** BPF_BTF_GET_FD_BY_ID. */
export function btfGetFdById(attr: IdAttr): i32 {
  if ((attr.openFlags & ~(<u32>BPF_F_TOKEN_FD)) != 0) return -EINVAL;
  if ((attr.openFlags & BPF_F_TOKEN_FD) != 0) return notWanted(attr.tokenFd);
  lock(tablesLock());
  const at = btfById(attr.id);
  const fd = at != 0 ? installBtfFd(btfAt(at)) : -ENOENT;
  unlock(tablesLock());
  return fd;
}

/** The lowest id above `id`, or 0. The caller holds the tables lock. */
export function nextBtfId(id: u32): u32 {
  let found: u32 = 0;
  for (let at = tables().btfsHead; at != 0; at = btfAt(at).next) {
    const has = btfAt(at).id;
    if (has > id && (found == 0 || has < found)) found = has;
  }
  return found;
}

/** struct bpf_btf_info. The caller holds the tables lock, and has found that the fd is this object's. */
export function btfInfo(btf: Btf, attr: InfoAttr, user: usize): i32 {
  const info = attr.info;
  const infoLen = attr.infoLen;
  const wrong = checkTail(info, BPF_BTF_INFO_SIZE, infoLen);
  if (wrong != 0) return wrong;
  const bytes = min<u32>(infoLen, BPF_BTF_INFO_SIZE);
  if (!isUser(info, bytes)) return -EFAULT;
  const to = keyCopy();
  memory.fill(to, 0, BPF_BTF_INFO_SIZE);
  if (bytes != 0) memory.copy(to, <usize>info, bytes);
  const dataAt = load<u64>(to, BPF_BTF_INFO_BTF_OFF);
  const dataBytes = min<u32>(load<u32>(to, BPF_BTF_INFO_BTF_SIZE_OFF), btf.dataSize);
  if (!isUser(dataAt, dataBytes)) return -EFAULT;
  if (dataBytes != 0) memory.copy(<usize>dataAt, btf.data, dataBytes);
  const nameAt = load<u64>(to, BPF_BTF_INFO_NAME_OFF);
  if ((nameAt == 0) != (load<u32>(to, BPF_BTF_INFO_NAME_LEN_OFF) == 0)) return -EINVAL;
  // Objects that user space has loaded have no names.
  if (nameAt != 0) {
    if (!isUser(nameAt, 1)) return -EFAULT;
    store<u8>(<usize>nameAt, 0);
  }
  store<u32>(to, btf.dataSize, BPF_BTF_INFO_BTF_SIZE_OFF);
  store<u32>(to, btf.id, BPF_BTF_INFO_ID_OFF);
  store<u32>(to, 0, BPF_BTF_INFO_NAME_LEN_OFF);
  store<u32>(to, 0, BPF_BTF_INFO_KERNEL_BTF_OFF);
  if (bytes != 0) memory.copy(<usize>info, to, bytes);
  const infoLenAt = user + offsetof<InfoAttr>("infoLen");
  if (!isUser(infoLenAt, 4)) return -EFAULT;
  store<u32>(infoLenAt, bytes);
  return 0;
}

/**
 * Holds the BTF of attr for a map that is being created, if its types are the map's. The caller holds the tables lock; where
 * something is refused later, it drops the BTF with the map.
 */
export function btfForMap(map: BpfMap, attr: CreateAttr): i32 {
  const word = fdEntry(attr.btfFd);
  const at = btfOf(word);
  if (at == 0) return notOfKind(attr.btfFd);
  const btf = btfAt(at);
  const ret = checkMapTypes(map, btf, attr.btfKeyTypeId, attr.btfValueTypeId);
  if (ret != 0) return ret;
  map.btfKeyTypeId = attr.btfKeyTypeId;
  map.btfValueTypeId = attr.btfValueTypeId;
  map.btf = <u32>at;
  btf.refs++;
  return 0;
}

function checkMapTypes(map: BpfMap, btf: Btf, keyId: u32, valueId: u32): i32 {
  let keyType: usize = 0;
  if (keyId != 0) {
    const key = sizedId(btf, keyId);
    if (key == NO_TYPE || sizeOf(btf, key) != map.keySize) return -EINVAL;
    keyType = typeAt(btf, key);
  } else if (!takesNoKey(map.type)) {
    return -EINVAL;
  }
  const value = sizedId(btf, valueId);
  if (value == NO_TYPE || sizeOf(btf, value) != map.valueSize) return -EINVAL;
  const valueType = typeAt(btf, value);
  const ret = noteFields(map, btf, valueType);
  return ret != 0 ? ret : checkMapBtf(map, keyType, valueType);
}

/** Whether a type looks at the key's BTF itself: then it may be missing. */
function takesNoKey(mapType: u32): bool {
  return (
    mapType == BPF_MAP_TYPE_ARRAY ||
    mapType == BPF_MAP_TYPE_PERCPU_ARRAY ||
    mapType == BPF_MAP_TYPE_LPM_TRIE ||
    mapType == BPF_MAP_TYPE_BLOOM_FILTER ||
    mapType == BPF_MAP_TYPE_ARENA ||
    refusesBtf(mapType)
  );
}

function refusesBtf(mapType: u32): bool {
  return (
    mapType == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
    mapType == BPF_MAP_TYPE_HASH_OF_MAPS ||
    mapType == BPF_MAP_TYPE_PERF_EVENT_ARRAY ||
    isDevmap(mapType)
  );
}

/** What the type asks: map_check_btf. `keyType` is 0 for void. */
function checkMapBtf(map: BpfMap, keyType: usize, valueType: usize): i32 {
  switch (map.type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      // Without a key it is the data section of an object file.
      if (keyType == 0) {
        const isSection = map.type == BPF_MAP_TYPE_ARRAY && map.maxEntries == 1 && kindOf(valueType) == KIND_DATASEC;
        return isSection ? 0 : -EINVAL;
      }
      return isInt32(keyType) ? 0 : -EINVAL;
    case BPF_MAP_TYPE_LPM_TRIE:
      return keyType != 0 && kindOf(keyType) == KIND_STRUCT ? 0 : -EINVAL;
    case BPF_MAP_TYPE_BLOOM_FILTER:
      return keyType == 0 ? 0 : -EINVAL;
    default:
      return refusesBtf(map.type) ? -ENOTSUPP : 0;
  }
}

function isInt32(type: usize): bool {
  return kindOf(type) == KIND_INT && sizeOrType(type) == 4 && intOffset(type) == 0 && intBits(type) == 32;
}

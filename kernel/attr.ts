/**
 * union bpf_attr, as each command sees it, and how it comes in from user memory.
 *
 * Behaves as __sys_bpf and CHECK_ATTR in kernel/bpf/syscall.c. Field offsets are those of src/uapi/offsets.ts (checked
 * below, at compile time).
 */
import { BPF_F_NUMA_NODE, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG } from "../src/uapi/bpf";
import { E2BIG, EFAULT } from "../src/uapi/errno";
import {
  BPF_ATTR_BATCH_FLAGS_OFF,
  BPF_ATTR_BTF_LOAD_BTF_TOKEN_FD_OFF,
  BPF_ATTR_MAP_CREATE_EXCL_PROG_HASH_SIZE_OFF,
  BPF_ATTR_MAP_ELEM_FLAGS_OFF,
  BPF_ATTR_OBJ_PATH_FD_OFF,
  BPF_ATTR_PROG_LOAD_KEYRING_ID_OFF,
  BPF_ATTR_SIZE,
  BPF_ATTR_TEST_BATCH_SIZE_OFF,
} from "../src/uapi/offsets";
import { isUser } from "./mem/pages";
import { attrCopy } from "./task";
import { PAGE_SIZE } from "./super";

export const NUMA_NO_NODE: u32 = <u32>-1;

@unmanaged
export class CreateAttr {
  mapType: u32;
  keySize: u32;
  valueSize: u32;
  maxEntries: u32;
  mapFlags: u32;
  innerMapFd: u32;
  numaNode: u32;
  /** map_name: 16 bytes. */
  name: u32;
  name4: u32;
  name8: u32;
  name12: u32;
  mapIfindex: u32;
  btfFd: u32;
  btfKeyTypeId: u32;
  btfValueTypeId: u32;
  btfVmlinuxValueTypeId: u32;
  mapExtra: u64;
  valueTypeBtfObjFd: i32;
  mapTokenFd: i32;
  exclProgHash: u64;
  exclProgHashSize: u32;

  /** Whether memory is to come from one NUMA node: per-CPU maps cannot, but may say NUMA_NO_NODE. */
  wantsNumaNode(): bool {
    return (this.mapFlags & BPF_F_NUMA_NODE) != 0 && this.numaNode != NUMA_NO_NODE;
  }

  /** Programs must be left one of reading and writing: bpf_map_flags_access_ok. */
  accessOk(): bool {
    return (this.mapFlags & BPF_F_RDONLY_PROG) == 0 || (this.mapFlags & BPF_F_WRONLY_PROG) == 0;
  }
}

@unmanaged
export class ElemAttr {
  mapFd: u32;
  private pad: u32;
  key: u64;
  /** value, or next_key. */
  value: u64;
  flags: u64;
}

@unmanaged
export class BatchAttr {
  inBatch: u64;
  outBatch: u64;
  keys: u64;
  values: u64;
  count: u32;
  mapFd: u32;
  elemFlags: u64;
  flags: u64;
}

@unmanaged
export class ObjAttr {
  pathname: u64;
  bpfFd: u32;
  fileFlags: u32;
  pathFd: i32;
}

@unmanaged
export class IdAttr {
  /** start_id, or map_id. */
  id: u32;
  nextId: u32;
  openFlags: u32;
  tokenFd: u32;
}

@unmanaged
export class BtfLoadAttr {
  btf: u64;
  btfLogBuf: u64;
  btfSize: u32;
  btfLogSize: u32;
  btfLogLevel: u32;
  btfLogTrueSize: u32;
  btfFlags: u32;
  btfTokenFd: u32;
}

@unmanaged
export class ProgLoadAttr {
  progType: u32;
  insnCnt: u32;
  insns: u64;
  license: u64;
  logLevel: u32;
  logSize: u32;
  logBuf: u64;
  kernVersion: u32;
  progFlags: u32;
  /** prog_name: 16 bytes. */
  name0: u64;
  name1: u64;
  progIfindex: u32;
  expectedAttachType: u32;
  progBtfFd: u32;
  funcInfoRecSize: u32;
  funcInfo: u64;
  funcInfoCnt: u32;
  lineInfoRecSize: u32;
  lineInfo: u64;
  lineInfoCnt: u32;
  attachBtfId: u32;
  /** Or attach_btf_obj_fd. */
  attachProgFd: u32;
  coreReloCnt: u32;
  fdArray: u64;
  coreRelos: u64;
  coreReloRecSize: u32;
  logTrueSize: u32;
  progTokenFd: i32;
  fdArrayCnt: u32;
  signature: u64;
  signatureSize: u32;
  keyringId: i32;
}

@unmanaged
export class TestAttr {
  progFd: u32;
  retval: u32;
  dataSizeIn: u32;
  dataSizeOut: u32;
  dataIn: u64;
  dataOut: u64;
  repeat: u32;
  duration: u32;
  ctxSizeIn: u32;
  ctxSizeOut: u32;
  ctxIn: u64;
  ctxOut: u64;
  flags: u32;
  cpu: u32;
  batchSize: u32;
}

@unmanaged
export class BindMapAttr {
  progFd: u32;
  mapFd: u32;
  flags: u32;
}

@unmanaged
export class InfoAttr {
  bpfFd: u32;
  infoLen: u32;
  info: u64;
}

/** Holds the classes above against the generated offsets. Compiled, never called. */
export function checkLayouts(): void {
  if (offsetof<CreateAttr>("exclProgHashSize") != BPF_ATTR_MAP_CREATE_EXCL_PROG_HASH_SIZE_OFF) ERROR("CreateAttr");
  if (offsetof<ElemAttr>("flags") != BPF_ATTR_MAP_ELEM_FLAGS_OFF) ERROR("ElemAttr");
  if (offsetof<BatchAttr>("flags") != BPF_ATTR_BATCH_FLAGS_OFF) ERROR("BatchAttr");
  if (offsetof<BtfLoadAttr>("btfTokenFd") != BPF_ATTR_BTF_LOAD_BTF_TOKEN_FD_OFF) ERROR("BtfLoadAttr");
  if (offsetof<ProgLoadAttr>("keyringId") != BPF_ATTR_PROG_LOAD_KEYRING_ID_OFF) ERROR("ProgLoadAttr");
  if (offsetof<TestAttr>("batchSize") != BPF_ATTR_TEST_BATCH_SIZE_OFF) ERROR("TestAttr");
  if (offsetof<ObjAttr>("pathFd") != BPF_ATTR_OBJ_PATH_FD_OFF) ERROR("ObjAttr");
}

/** What stands between the caller's attr and the commands: 0, -E2BIG for what this kernel does not know, or -EFAULT. */
export function checkAttrSize(attr: usize, size: u32): i32 {
  if (size > PAGE_SIZE) return -E2BIG;
  const ret = size > <u32>BPF_ATTR_SIZE ? checkTail(attr, BPF_ATTR_SIZE, size) : 0;
  if (ret != 0) return ret;
  return isUser(attr, size) ? 0 : -EFAULT;
}

/**
 * Whether the bytes from `known` to `size`, which this kernel does not know, are zeroes: 0; -E2BIG; or -EFAULT when they
 * cannot be read that far. Behaves as bpf_check_uarg_tail_zero.
 */
export function checkTail(at: u64, known: u32, size: u32): i32 {
  for (let i = known; i < size; i++) {
    const isNewPage = i == known || (at + i) % PAGE_SIZE == 0;
    if (isNewPage && !isUser(at + i, 1)) return -EFAULT;
    if (load<u8>(<usize>(at + i)) != 0) return -E2BIG;
  }
  return 0;
}

/** attr as all commands may read it: a copy that does not change any more, with zeroes for what was not given. */
export function copyAttr(attr: usize, size: u32): usize {
  const to = attrCopy();
  memory.fill(to, 0, BPF_ATTR_SIZE);
  // Of no bytes the address may be any, and memory.copy would trap on it.
  if (size != 0) memory.copy(to, attr, min<u32>(size, BPF_ATTR_SIZE));
  return to;
}

/** CHECK_ATTR: whether all bytes behind a command's last field are zero. `size` bytes of attr were given. */
// @ts-ignore: decorator
@inline
export function unusedAreZero(attr: usize, end: u32, size: u32): bool {
  const last = min<u32>(size, BPF_ATTR_SIZE);
  let i = end;
  for (; i + 8 <= last; i += 8) {
    if (load<u64>(attr + i) != 0) return false;
  }
  for (; i < last; i++) {
    if (load<u8>(attr + i) != 0) return false;
  }
  return true;
}

/** Writes the count of a batch command where the caller reads it; false if that is not user memory. */
export function putBatchCount(user: usize, count: u32): bool {
  const at = user + offsetof<BatchAttr>("count");
  if (!isUser(at, 4)) return false;
  store<u32>(at, count);
  return true;
}

/** Takes over a name of at most 15 letters, digits, "_" and "."; letters of Latin-1 are, as in the kernel's ctype. */
export function copyName(to: usize, name: usize): bool {
  for (let i: usize = 0; i < 16; i++) {
    const c = load<u8>(name + i);
    if (c == 0) return true;
    const lower = c | 0x20;
    const isLetter = (lower >= 0x61 && lower <= 0x7a) || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
    const isDigit = c >= 0x30 && c <= 0x39;
    if (!isLetter && !isDigit && c != 0x5f && c != 0x2e) return false;
    store<u8>(to + i, c);
  }
  return false;
}

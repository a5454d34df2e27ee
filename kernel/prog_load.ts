/**
 * BPF_PROG_LOAD and BPF_PROG_BIND_MAP: what attr must be, and how a program's object is made. Behaves as bpf_prog_load in
 * kernel/bpf/syscall.c. What its instructions must be: prog_check.ts.
 *
 * Threads: any. While a program is being checked it is in its task's record (prog.ts), and nobody else knows it.
 */
import {
  BPF_F_TOKEN_FD,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_XDP,
} from "../src/uapi/bpf";
import { E2BIG, EFAULT, EINVAL, ENOMEM, ENOTSUPP } from "../src/uapi/errno";
import { BindMapAttr, ProgLoadAttr, copyName } from "./attr";
import { btfAt } from "./btf";
import { btfOf, fdEntry, installProgFd, mapOf, noMap, notOfKind, notWanted, progOf } from "./fd";
import { bootNs } from "./clock";
import { lock, unlock } from "./lock";
import { endLog, startLog } from "./log";
import { collectDeadMaps, tablesLock } from "./map";
import { allocKernel, freePages, isUser } from "./mem/pages";
import { BpfProg, MAX_USED_MAPS, addUsedMap, dropLoading, dropProg, listProg, progAt, usedMap } from "./prog";
import { checkProg } from "./prog_check";
import { ME, me } from "./task";

const MAX_INSNS: u32 = 1000000;
const LICENSE_BYTES: u32 = 127;
/** Of prog_flags: what verification is to do beside, fragments, sleeping. */
const PROG_FLAGS: u32 = 0xff | BPF_F_TOKEN_FD;
const LOG_MASK: u32 = 0xf;
const LEAST_FUNC_INFO: u32 = 8;
const LEAST_LINE_INFO: u32 = 16;
const MAX_RECORD: u32 = 252;
const HEAD_BYTES: u32 = (<u32>offsetof<BpfProg>() + 7) & ~7;

/** BPF_PROG_LOAD. Returns an fd. */
export function progLoad(attr: ProgLoadAttr, user: usize, size: u32): i32 {
  if ((attr.progFlags & ~PROG_FLAGS) != 0) return -EINVAL;
  if ((attr.progFlags & BPF_F_TOKEN_FD) != 0) return notWanted(attr.progTokenFd);
  if (attr.insnCnt == 0 || attr.insnCnt > MAX_INSNS) return -E2BIG;
  const target = checkTarget(attr);
  if (target != 0) return target;
  if (!isUser(attr.insns, 8 * <u64>attr.insnCnt)) return -EFAULT;
  const gpl = isGpl(attr.license);
  if (gpl < 0) return gpl;
  if (attr.progIfindex != 0 || !isBuiltIn(attr.progType)) return -EINVAL;
  const wrong = checkRecords(attr);
  if (wrong != 0) return wrong;
  const at = allocProg(attr);
  if (at == 0) return -ENOMEM;
  progAt(at).gpl = gpl;
  me().loading = <u32>at;
  const ret = loadInto(progAt(at), attr, user, size);
  if (ret == 0) return publish(progAt(at));
  lock(tablesLock());
  dropLoading(ME);
  collectDeadMaps();
  unlock(tablesLock());
  freePages(at);
  return ret;
}

/** What a program is to be attached to: nothing here asks for a target. */
function checkTarget(attr: ProgLoadAttr): i32 {
  if (attr.attachProgFd != 0) {
    const word = fdEntry(attr.attachProgFd);
    return btfOf(word) != 0 ? -ENOTSUPP : -EINVAL;
  }
  if (attr.attachBtfId != 0) return -EINVAL;
  return attr.progType == BPF_PROG_TYPE_SYSCALL && attr.expectedAttachType != 0 ? -EINVAL : 0;
}

/** The types of programs that this kernel has. */
function isBuiltIn(type: u32): bool {
  return (
    type == BPF_PROG_TYPE_SOCKET_FILTER ||
    type == BPF_PROG_TYPE_SCHED_CLS ||
    type == BPF_PROG_TYPE_TRACEPOINT ||
    type == BPF_PROG_TYPE_XDP ||
    type == BPF_PROG_TYPE_RAW_TRACEPOINT ||
    type == BPF_PROG_TYPE_SYSCALL
  );
}

/** 1 for a license that goes with the GPL: license_is_gpl_compatible; or -EFAULT. */
function isGpl(license: u64): i32 {
  let length: u32 = 0;
  while (length < LICENSE_BYTES) {
    if (!isUser(license + length, 1)) return -EFAULT;
    if (load<u8>(<usize>license + length) == 0) break;
    length++;
  }
  return isText(<usize>license, length, "GPL") ||
    isText(<usize>license, length, "GPL v2") ||
    isText(<usize>license, length, "GPL and additional rights") ||
    isText(<usize>license, length, "Dual BSD/GPL") ||
    isText(<usize>license, length, "Dual MIT/GPL") ||
    isText(<usize>license, length, "Dual MPL/GPL")
    ? 1
    : 0;
}

function isText(at: usize, length: u32, text: string): bool {
  if (<u32>text.length != length) return false;
  for (let i: u32 = 0; i < length; i++) {
    if (load<u8>(at + i) != <u8>text.charCodeAt(i)) return false;
  }
  return true;
}

/** What is said of functions and lines: sizes of records, and whether they can be read. */
function checkRecords(attr: ProgLoadAttr): i32 {
  const funcs = checkList(attr.funcInfo, attr.funcInfoCnt, attr.funcInfoRecSize, LEAST_FUNC_INFO);
  return funcs != 0 ? funcs : checkList(attr.lineInfo, attr.lineInfoCnt, attr.lineInfoRecSize, LEAST_LINE_INFO);
}

function checkList(at: u64, count: u32, size: u32, least: u32): i32 {
  if (count == 0) return 0;
  if (size < least || size > MAX_RECORD || size % 4 != 0 || count > MAX_INSNS) return -EINVAL;
  return isUser(at, <u64>count * size) ? 0 : -EFAULT;
}

/** Memory for a program, with all that user memory gives of it; or 0. */
function allocProg(attr: ProgLoadAttr): usize {
  const insns = HEAD_BYTES + 4 * MAX_USED_MAPS;
  const funcs = <u64>insns + 8 * <u64>attr.insnCnt;
  const lines = funcs + <u64>attr.funcInfoCnt * LEAST_FUNC_INFO;
  const at = allocKernel(lines + <u64>attr.lineInfoCnt * LEAST_LINE_INFO);
  if (at == 0) return 0;
  const prog = progAt(at);
  prog.type = attr.progType;
  prog.attachType = attr.expectedAttachType;
  prog.flags = attr.progFlags;
  prog.slots = attr.insnCnt;
  prog.maps = <u32>at + HEAD_BYTES;
  prog.insns = <u32>at + insns;
  memory.copy(prog.insns, <usize>attr.insns, 8 * attr.insnCnt);
  if (attr.funcInfoCnt != 0) {
    prog.funcInfo = <u32>(at + <usize>funcs);
    prog.funcInfoCount = attr.funcInfoCnt;
    prog.funcInfoSize = LEAST_FUNC_INFO;
    copyRecords(prog.funcInfo, attr.funcInfo, attr.funcInfoCnt, attr.funcInfoRecSize, LEAST_FUNC_INFO);
  }
  if (attr.lineInfoCnt != 0) {
    prog.lineInfo = <u32>(at + <usize>lines);
    prog.lineInfoCount = attr.lineInfoCnt;
    prog.lineInfoSize = LEAST_LINE_INFO;
    copyRecords(prog.lineInfo, attr.lineInfo, attr.lineInfoCnt, attr.lineInfoRecSize, LEAST_LINE_INFO);
  }
  return at;
}

/** Records that are larger than this kernel knows are cut, as there. */
function copyRecords(to: u32, from: u64, count: u32, size: u32, kept: u32): void {
  for (let i: u32 = 0; i < count; i++) memory.copy(to + i * kept, <usize>from + <usize>i * size, kept);
}

function loadInto(prog: BpfProg, attr: ProgLoadAttr, user: usize, size: u32): i32 {
  prog.loadTime = bootNs();
  const name = changetype<usize>(prog) + offsetof<BpfProg>("name0");
  if (!copyName(name, changetype<usize>(attr) + offsetof<ProgLoadAttr>("name0"))) return -EINVAL;
  if (!isLogSound(attr)) return -EINVAL;
  const log = startLog(attr.logBuf, attr.logSize, attr.logLevel);
  let ret = takeBtf(prog, attr);
  if (ret == 0) ret = checkProg(prog, attr.fdArray, log);
  const logged = endLog(log, user, size);
  return logged != 0 ? logged : ret;
}

/** bpf_verifier_log_attr_valid. */
function isLogSound(attr: ProgLoadAttr): bool {
  if ((attr.logBuf != 0) != (attr.logSize != 0)) return false;
  if (attr.logBuf != 0 && attr.logLevel == 0) return false;
  return (attr.logLevel & ~LOG_MASK) == 0 && attr.logSize <= u32.MAX_VALUE >> 2;
}

/** The BTF that says of what types functions are; nobody looks at it without such records. */
function takeBtf(prog: BpfProg, attr: ProgLoadAttr): i32 {
  if (attr.funcInfoCnt == 0 && attr.lineInfoCnt == 0) return 0;
  lock(tablesLock());
  const btf = btfOf(fdEntry(attr.progBtfFd));
  if (btf != 0) {
    btfAt(btf).refs++;
    prog.btf = <u32>btf;
  }
  unlock(tablesLock());
  return btf != 0 ? 0 : notOfKind(attr.progBtfFd);
}

/** From here on the program is known, by an fd. */
function publish(prog: BpfProg): i32 {
  lock(tablesLock());
  collectDeadMaps();
  prog.refs = 1;
  listProg(prog);
  me().loading = 0;
  const fd = installProgFd(prog);
  // Without an fd it ends here.
  dropProg(prog);
  collectDeadMaps();
  unlock(tablesLock());
  return fd;
}

/** BPF_PROG_BIND_MAP: has a program hold a map that its instructions do not name. */
export function progBindMap(attr: BindMapAttr): i32 {
  if (attr.flags != 0) return -EINVAL;
  lock(tablesLock());
  const ret = bind(attr);
  unlock(tablesLock());
  return ret;
}

function bind(attr: BindMapAttr): i32 {
  const at = progOf(fdEntry(attr.progFd));
  if (at == 0) return notOfKind(attr.progFd);
  const word = fdEntry(attr.mapFd);
  if (<u32>word == 0) return noMap(attr.mapFd);
  const prog = progAt(at);
  for (let i: u32 = 0; i < prog.mapCount; i++) {
    if (usedMap(prog, i) == <u32>word) return 0;
  }
  if (prog.mapCount == MAX_USED_MAPS) return -ENOMEM;
  addUsedMap(prog, mapOf(word));
  return 0;
}

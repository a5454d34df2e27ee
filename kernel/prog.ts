/**
 * Programs: their objects and life, ids, and what BPF_OBJ_GET_INFO_BY_FD says of them. Behaves as bpf_prog_put and
 * bpf_prog_get_info_by_fd in kernel/bpf/syscall.c. Loading: prog_load.ts; running: prog_run.ts.
 *
 * A program is one run of pages:
 *
 *      head, maps (64 addresses), instructions, func info, line info
 *
 * It is held by references: fds, pinned names, elems of PROG_ARRAYs and of DEVMAPs; and by timers. With the last one its id goes; its memory, and its references to
 * maps, when no task runs any program any more, since one may have come to it by a tail call.
 *
 * Threads: all under the tables lock. A thread that ends inside leaves what can be made again (`rebuildProgs`) from the fd table,
 * the names, the arrays, and each object's `next`, which change by one store. A program that is being loaded is in its task's
 * record (`loading`): it has references to maps, and is in no list yet.
 */
import { BPF_MAP_TYPE_PROG_ARRAY } from "../src/uapi/bpf";
import { EFAULT, EINVAL, ENOENT } from "../src/uapi/errno";
import {
  BPF_PROG_INFO_ATTACH_BTF_ID_OFF,
  BPF_PROG_INFO_BTF_ID_OFF,
  BPF_PROG_INFO_CREATED_BY_UID_OFF,
  BPF_PROG_INFO_FUNC_INFO_OFF,
  BPF_PROG_INFO_FUNC_INFO_REC_SIZE_OFF,
  BPF_PROG_INFO_GPL_COMPATIBLE_OFF,
  BPF_PROG_INFO_ID_OFF,
  BPF_PROG_INFO_JITED_LINE_INFO_REC_SIZE_OFF,
  BPF_PROG_INFO_LINE_INFO_OFF,
  BPF_PROG_INFO_LINE_INFO_REC_SIZE_OFF,
  BPF_PROG_INFO_LOAD_TIME_OFF,
  BPF_PROG_INFO_MAP_IDS_OFF,
  BPF_PROG_INFO_NAME_OFF,
  BPF_PROG_INFO_NR_FUNC_INFO_OFF,
  BPF_PROG_INFO_NR_JITED_FUNC_LENS_OFF,
  BPF_PROG_INFO_NR_JITED_KSYMS_OFF,
  BPF_PROG_INFO_NR_JITED_LINE_INFO_OFF,
  BPF_PROG_INFO_NR_LINE_INFO_OFF,
  BPF_PROG_INFO_NR_MAP_IDS_OFF,
  BPF_PROG_INFO_NR_PROG_TAGS_OFF,
  BPF_PROG_INFO_SIZE,
  BPF_PROG_INFO_TAG_OFF,
  BPF_PROG_INFO_TYPE_OFF,
  BPF_PROG_INFO_VERIFIED_INSNS_OFF,
  BPF_PROG_INFO_XLATED_PROG_INSNS_OFF,
  BPF_PROG_INFO_XLATED_PROG_LEN_OFF,
} from "../src/uapi/offsets";
import { IdAttr, InfoAttr, checkTail } from "./attr";
import { nextName, pinnedWord } from "./bpffs";
import { btfAt, dropBtf } from "./btf";
import { fdEntry, installProgFd, progOf } from "./fd";
import { lock, unlock } from "./lock";
import { BpfMap, looseRef, mapAt, namesAndFds, tablesLock } from "./map";
import { COUNT_REFS, callOp, isDevmap } from "./map_types";
import { freePages, isUser, ownRun } from "./mem/pages";
import { INSN_BYTES, MAX_FDS, MAX_TASKS, tables } from "./super";
import { ME, Task, keyCopy, taskPtr } from "./task";
import { endProg } from "./timers";

/** As Linux: maps that a program may use. */
export const MAX_USED_MAPS: u32 = 64;
/** Bit 0 of a word that is a reference (of an fd, of a name): what it leads to is a program. Objects begin at pages. */
export const IS_PROG: u32 = 1;

@unmanaged
export class BpfProg {
  next: u32;
  prev: u32;
  /** 0 from the moment when the last reference was given back. */
  id: u32;
  refs: u32;
  type: u32;
  attachType: u32;
  flags: u32;
  /** Of 8 bytes: an lddw has two. */
  slots: u32;
  insns: u32;
  maps: u32;
  mapCount: u32;
  gpl: u32;
  btf: u32;
  funcInfo: u32;
  funcInfoCount: u32;
  funcInfoSize: u32;
  lineInfo: u32;
  lineInfoCount: u32;
  lineInfoSize: u32;
  /** How many functions it has. */
  funcs: u32;
  /** The first eight bytes of the SHA-1 of its instructions. */
  tag: u64;
  name0: u64;
  name1: u64;
  /** Nanoseconds since boot. */
  loadTime: u64;
  /** Its id, which it keeps: threads know by it what they have compiled. */
  number: u32;
}

// @ts-ignore: decorator
@inline
export function progAt(at: usize): BpfProg {
  return changetype<BpfProg>(at);
}

/** The nth map that a program uses. */
// @ts-ignore: decorator
@inline
export function usedMap(prog: BpfProg, n: u32): u32 {
  return load<u32>(<usize>prog.maps + 4 * <usize>n);
}

/** Has a program hold one more map. The caller holds the tables lock, and has seen that there is room. */
export function addUsedMap(prog: BpfProg, map: BpfMap): void {
  store<u32>(<usize>prog.maps + 4 * <usize>prog.mapCount, <u32>changetype<usize>(map));
  map.refs++;
  prog.mapCount++;
}

/** Gives the program an id and a place in the list. The caller holds the tables lock. */
export function listProg(prog: BpfProg): void {
  const t = tables();
  let id = t.lastProgId;
  do {
    if (id == i32.MAX_VALUE) {
      id = 0;
      t.progIdsWrapped = 1;
    }
    id++;
  } while (t.progIdsWrapped != 0 && progById(id) != 0);
  t.lastProgId = id;
  prog.id = id;
  prog.number = id;
  prog.prev = 0;
  prog.next = t.progsHead;
  const at = <u32>changetype<usize>(prog);
  if (t.progsHead != 0) progAt(t.progsHead).prev = at;
  t.progsHead = at;
}

export function progById(id: u32): usize {
  if (id == 0) return 0;
  let at = tables().progsHead;
  while (at != 0 && progAt(at).id != id) at = progAt(at).next;
  return at;
}

/** Gives a reference back. The caller holds the tables lock. */
export function dropProg(prog: BpfProg): void {
  prog.refs--;
  markIfLoose(prog);
}

function markIfLoose(prog: BpfProg): void {
  if (prog.refs != 0 || prog.id == 0 || !endProg(changetype<usize>(prog))) return;
  tables().progsDead++;
}

/** Ends the programs that timers alone have held, and do no more. The caller holds the tables lock. */
export function endLooseProgs(): void {
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) markIfLoose(progAt(at));
}

/** Whether a task runs a program, or may be about to. */
export function isSomeoneRunning(): bool {
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (atomic.load<u32>(taskPtr(id) + offsetof<Task>("running")) != 0) return true;
  }
  return false;
}

/**
 * Frees the programs that have ended, unless one may be running. The caller holds the tables lock.
 *
 * @returns Whether there were any: maps that they held may have ended with them.
 */
export function collectDeadProgs(): bool {
  if (tables().progsDead == 0 || isSomeoneRunning()) return false;
  for (let at = tables().progsHead; at != 0; ) {
    const next = progAt(at).next;
    if (progAt(at).id == 0) freeProg(progAt(at));
    at = next;
  }
  return true;
}

function freeProg(prog: BpfProg): void {
  const at = changetype<usize>(prog);
  // From here on its memory is this task's, whatever happens: see reap.ts.
  ownRun(at, ME);
  if (prog.prev != 0) progAt(prog.prev).next = prog.next;
  else tables().progsHead = prog.next;
  if (prog.next != 0) progAt(prog.next).prev = prog.prev;
  tables().progsDead--;
  dropUses(prog);
  freePages(at);
}

/** Gives back what a program holds: maps, BTF. */
export function dropUses(prog: BpfProg): void {
  const n = prog.mapCount;
  prog.mapCount = 0;
  for (let i: u32 = 0; i < n; i++) looseRef(mapAt(usedMap(prog, i)));
  if (prog.btf != 0) {
    const btf = prog.btf;
    prog.btf = 0;
    dropBtf(btfAt(btf));
  }
}

/** The program that a task is loading, or 0. */
export function loadingOf(id: u32): usize {
  return load<u32>(taskPtr(id) + offsetof<Task>("loading"));
}

/** Gives back what a task, which has ended, was loading. Its memory goes with the task's other runs. */
export function dropLoading(id: u32): void {
  const at = loadingOf(id);
  if (at == 0) return;
  dropUses(progAt(at));
  store<u32>(taskPtr(id) + offsetof<Task>("loading"), 0);
}

function countUses(prog: BpfProg): void {
  for (let i: u32 = 0; i < prog.mapCount; i++) mapAt(usedMap(prog, i)).refs++;
}

/** References to maps by programs, listed or being loaded: a part of `rebuildTables`. */
export function countProgUses(): void {
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) countUses(progAt(at));
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (loadingOf(id) != 0) countUses(progAt(loadingOf(id)));
  }
}

/** How many programs use a map: as often as each of them lists it. */
export function usesOf(map: u32): u32 {
  let uses: u32 = 0;
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) uses += usesIn(progAt(at), map);
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (loadingOf(id) != 0) uses += usesIn(progAt(loadingOf(id)), map);
  }
  return uses;
}

function usesIn(prog: BpfProg, map: u32): u32 {
  let uses: u32 = 0;
  for (let i: u32 = 0; i < prog.mapCount; i++) {
    if (usedMap(prog, i) == map) uses++;
  }
  return uses;
}

/** How many programs hold a BTF object. */
export function progsWithBtf(btf: u32): u32 {
  let refs: u32 = 0;
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) {
    if (progAt(at).btf == btf) refs++;
  }
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (loadingOf(id) != 0 && progAt(loadingOf(id)).btf == btf) refs++;
  }
  return refs;
}

/** How many fds, names and elems of program arrays and of maps of devices hold a program. */
export function progRefs(prog: u32): u32 {
  let refs: u32 = 0;
  for (let fd: u32 = 0, open = tables().fdsOpen; open != 0 && fd < MAX_FDS; fd++) {
    const word = fdEntry(fd);
    if (word == 0) continue;
    open--;
    if (progOf(word) == <usize>prog) refs++;
  }
  for (let node = nextName(0); node != 0; node = nextName(node)) {
    if (pinnedWord(node) == (prog | IS_PROG)) refs++;
  }
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) {
    const type = mapAt(at).type;
    if (type == BPF_MAP_TYPE_PROG_ARRAY) refs += elemsWith(mapAt(at), prog);
    else if (isDevmap(type) && progAt(prog).id != 0) refs += callOp(type, COUNT_REFS, at, progAt(prog).id, 0, 0);
  }
  return refs;
}

/** Where the nth elem of a program array lies. */
// @ts-ignore: decorator
@inline
export function progElem(map: BpfMap, n: u32): usize {
  return <usize>load<u32>(changetype<usize>(map) + offsetof<BpfMap>()) + 8 * <usize>n;
}

function elemsWith(map: BpfMap, prog: u32): u32 {
  let elems: u32 = 0;
  for (let i: u32 = 0; i < map.maxEntries; i++) {
    if (load<u32>(progElem(map, i)) == prog) elems++;
  }
  return elems;
}

/** Empties a program array. The caller holds the tables lock. */
export function clearProgArray(map: BpfMap): void {
  for (let i: u32 = 0; i < map.maxEntries; i++) {
    const was = load<u32>(progElem(map, i));
    if (was == 0) continue;
    atomic.store<u32>(progElem(map, i), 0);
    dropProg(progAt(was));
  }
}

/** Finishes what a task had begun when it ended: a program that is listed is loaded; an array without fds and names is empty. */
export function settleProgs(): void {
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) {
    for (let id: u32 = 1; id <= MAX_TASKS; id++) {
      if (loadingOf(id) == <usize>at) store<u32>(taskPtr(id) + offsetof<Task>("loading"), 0);
    }
  }
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) {
    const map = mapAt(at);
    if (map.type != BPF_MAP_TYPE_PROG_ARRAY || namesAndFds(at) != 0) continue;
    for (let i: u32 = 0; i < map.maxEntries; i++) atomic.store<u32>(progElem(map, i), 0);
  }
}

/**
 * Makes links back and references again, after a task ended while it held the tables lock. fds, names and arrays are right already.
 */
export function rebuildProgs(): void {
  const t = tables();
  let before: u32 = 0;
  t.progsDead = 0;
  for (let at = t.progsHead; at != 0; at = progAt(at).next) {
    const prog = progAt(at);
    prog.prev = before;
    prog.refs = progRefs(at);
    if (prog.refs == 0 && prog.id != 0) endProg(at);
    if (prog.id == 0) t.progsDead++;
    before = at;
  }
}

/** What the list of programs leads to belongs to nobody else. The caller holds the tables lock. */
export function ownProgs(owner: u32): void {
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) ownRun(at, owner);
}

/** BPF_PROG_GET_FD_BY_ID. */
export function progGetFdById(attr: IdAttr): i32 {
  lock(tablesLock());
  const at = progById(attr.id);
  const fd = at != 0 ? installProgFd(progAt(at)) : -ENOENT;
  unlock(tablesLock());
  return fd;
}

/** The lowest id above `id`, or 0. The caller holds the tables lock. */
export function nextProgId(id: u32): u32 {
  let found: u32 = 0;
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) {
    const has = progAt(at).id;
    if (has > id && (found == 0 || has < found)) found = has;
  }
  return found;
}

/** Up to the end of the last field: the padding behind it counts as unknown. */
const KNOWN_BYTES: u32 = BPF_PROG_INFO_ATTACH_BTF_ID_OFF + 4;

/**
 * struct bpf_prog_info. The caller holds the tables lock, and has found that the fd is this program's. Differs from Linux: there is
 * no machine code to show; lists that do not fit are cut, as there.
 */
export function progInfo(prog: BpfProg, attr: InfoAttr, user: usize): i32 {
  const info = attr.info;
  const infoLen = attr.infoLen;
  const wrong = checkTail(info, KNOWN_BYTES, infoLen);
  if (wrong != 0) return wrong;
  const bytes = min<u32>(infoLen, BPF_PROG_INFO_SIZE);
  if (!isUser(info, bytes)) return -EFAULT;
  const to = keyCopy();
  memory.fill(to, 0, BPF_PROG_INFO_SIZE);
  if (bytes != 0) memory.copy(to, <usize>info, bytes);
  let ret = copyMapIds(prog, to);
  if (ret == 0) ret = copyXlated(prog, to);
  if (ret == 0) ret = copyRecords(to, prog.funcInfo, prog.funcInfoCount, prog.funcInfoSize, BPF_PROG_INFO_FUNC_INFO_OFF, BPF_PROG_INFO_FUNC_INFO_REC_SIZE_OFF, BPF_PROG_INFO_NR_FUNC_INFO_OFF);
  if (ret == 0) ret = copyRecords(to, prog.lineInfo, prog.lineInfoCount, prog.lineInfoSize, BPF_PROG_INFO_LINE_INFO_OFF, BPF_PROG_INFO_LINE_INFO_REC_SIZE_OFF, BPF_PROG_INFO_NR_LINE_INFO_OFF);
  if (ret != 0) return ret;
  store<u32>(to, prog.type, BPF_PROG_INFO_TYPE_OFF);
  store<u32>(to, prog.id, BPF_PROG_INFO_ID_OFF);
  store<u64>(to, prog.tag, BPF_PROG_INFO_TAG_OFF);
  store<u64>(to, prog.loadTime, BPF_PROG_INFO_LOAD_TIME_OFF);
  store<u32>(to, 0, BPF_PROG_INFO_CREATED_BY_UID_OFF);
  store<u64>(to, prog.name0, BPF_PROG_INFO_NAME_OFF);
  store<u64>(to, prog.name1, BPF_PROG_INFO_NAME_OFF + 8);
  store<u32>(to, prog.gpl, BPF_PROG_INFO_GPL_COMPATIBLE_OFF);
  store<u32>(to, 0, BPF_PROG_INFO_NR_JITED_KSYMS_OFF);
  store<u32>(to, 0, BPF_PROG_INFO_NR_JITED_FUNC_LENS_OFF);
  store<u32>(to, 0, BPF_PROG_INFO_NR_JITED_LINE_INFO_OFF);
  store<u32>(to, 8, BPF_PROG_INFO_JITED_LINE_INFO_REC_SIZE_OFF);
  store<u32>(to, 0, BPF_PROG_INFO_NR_PROG_TAGS_OFF);
  store<u32>(to, prog.slots, BPF_PROG_INFO_VERIFIED_INSNS_OFF);
  store<u32>(to, prog.btf != 0 ? btfAt(prog.btf).id : 0, BPF_PROG_INFO_BTF_ID_OFF);
  if (bytes != 0) memory.copy(<usize>info, to, bytes);
  const infoLenAt = user + offsetof<InfoAttr>("infoLen");
  if (!isUser(infoLenAt, 4)) return -EFAULT;
  store<u32>(infoLenAt, bytes);
  return 0;
}

function copyMapIds(prog: BpfProg, to: usize): i32 {
  const at = load<u64>(to, BPF_PROG_INFO_MAP_IDS_OFF);
  const n = min<u32>(load<u32>(to, BPF_PROG_INFO_NR_MAP_IDS_OFF), prog.mapCount);
  store<u32>(to, prog.mapCount, BPF_PROG_INFO_NR_MAP_IDS_OFF);
  if (n == 0) return 0;
  if (!isUser(at, 4 * n)) return -EFAULT;
  for (let i: u32 = 0; i < n; i++) store<u32>(<usize>at + 4 * <usize>i, mapAt(usedMap(prog, i)).id);
  return 0;
}

/** The instructions as bpf_insn_prepare_dump shows them: maps by their ids. */
function copyXlated(prog: BpfProg, to: usize): i32 {
  const at = load<u64>(to, BPF_PROG_INFO_XLATED_PROG_INSNS_OFF);
  const room = load<u32>(to, BPF_PROG_INFO_XLATED_PROG_LEN_OFF);
  const bytes = INSN_BYTES * prog.slots;
  store<u32>(to, bytes, BPF_PROG_INFO_XLATED_PROG_LEN_OFF);
  if (room == 0 || at == 0) return 0;
  const shown = min<u32>(room, bytes);
  if (!isUser(at, shown)) return -EFAULT;
  memory.copy(<usize>at, prog.insns, shown);
  for (let slot: u32 = 0; (slot + 1) * INSN_BYTES <= shown; slot++) {
    const insn = <usize>at + 8 * <usize>slot;
    const src = load<u8>(insn, 1) >> 4;
    if (load<u8>(insn) != 0x18) continue;
    if (src == 1 || src == 2) store<u32>(insn, mapAt(usedMap(prog, load<u32>(insn, 4))).id, 4);
    slot++;
  }
  return 0;
}

function copyRecords(to: usize, from: u32, count: u32, size: u32, atOff: usize, sizeOff: usize, countOff: usize): i32 {
  const at = load<u64>(to + atOff);
  const room = load<u32>(to + countOff);
  const wanted = load<u32>(to + sizeOff);
  const known = size != 0 ? size : <u32>(atOff == BPF_PROG_INFO_FUNC_INFO_OFF ? 8 : 16);
  store<u32>(to + sizeOff, known);
  store<u32>(to + countOff, count);
  const n = min<u32>(room, count);
  if (n == 0) return 0;
  if (wanted != known && wanted != 0) return -EINVAL;
  if (!isUser(at, <u64>n * size)) return -EFAULT;
  memory.copy(<usize>at, from, n * size);
  return 0;
}

/**
 * File descriptors: the table, and how a system call gets from an fd to its map.
 *
 * An entry is one 64-bit word, so that it is read and published in one step:
 *
 *      bits  0..31  address of the map, 0 in a free entry
 *      bits 32..33  mode: READ 1, WRITE 2
 *
 * or, of a BTF object:
 *
 *      bits  0..31  0
 *      bits 32..63  address of the object; of a program, + 1
 *
 * Threads: entries change under the tables lock, and are read without one.
 */
import { BPF_F_RDONLY, BPF_F_WRONLY } from "../src/uapi/bpf";
import { EBADF, EINVAL, EMFILE } from "../src/uapi/errno";
import { FD_TABLE, MAX_FDS, tables } from "./super";
import { Task, me } from "./task";
import { lock, unlock } from "./lock";
import { Btf } from "./_btf_types";
import { btfAt, dropBtf } from "./btf";
import { BpfMap, collectDeadMaps, dropRef, endFd, tablesLock } from "./map";
import { BpfProg, IS_PROG, dropProg, progAt } from "./prog";
import { allowTimers } from "./timers";

export const READ: u32 = 1;
export const WRITE: u32 = 2;
/** 0, 1 and 2 are what a process has open already; an fd that was forgotten in attr is 0 and no map's. */
const FIRST_FD: u32 = 3;

// @ts-ignore: decorator
@inline
function entry(fd: u32): usize {
  return FD_TABLE + 8 * <usize>fd;
}

/** What BPF_F_RDONLY and BPF_F_WRONLY say of the fd; 0 when they contradict each other. */
export function modeOf(flags: u32): u32 {
  const rdonly = (flags & BPF_F_RDONLY) != 0;
  const wronly = (flags & BPF_F_WRONLY) != 0;
  return rdonly ? (wronly ? 0 : READ) : wronly ? WRITE : READ | WRITE;
}

/** The lowest free fd, now the map's; or -EMFILE. The caller holds the tables lock. */
export function installFd(map: BpfMap, mode: u32): i32 {
  const fd = installWord(<u32>changetype<usize>(map), mode);
  if (fd >= 0) {
    map.refs++;
    allowTimers(map);
  }
  return fd;
}

/** The lowest free fd, now with the two halves of this word; or -EMFILE. The caller holds the tables lock. */
function installWord(low: u32, high: u32): i32 {
  for (let fd = FIRST_FD; fd < MAX_FDS; fd++) {
    if (load<u64>(entry(fd)) != 0) continue;
    atomic.store<u64>(entry(fd), ((<u64>high) << 32) | low);
    tables().fdsOpen++;
    return fd;
  }
  return -EMFILE;
}

/** The same for a BTF object. */
export function installBtfFd(btf: Btf): i32 {
  const fd = installWord(0, <u32>changetype<usize>(btf));
  if (fd >= 0) btf.refs++;
  return fd;
}

/** The same for a program. */
export function installProgFd(prog: BpfProg): i32 {
  const fd = installWord(0, <u32>changetype<usize>(prog) | IS_PROG);
  if (fd >= 0) prog.refs++;
  return fd;
}

/** The BTF object of an entry's word, or 0. */
export function btfOf(word: u64): usize {
  const at = <usize>(word >> 32);
  return <u32>word == 0 && (at & IS_PROG) == 0 ? at : 0;
}

/** The program of an entry's word, or 0. */
export function progOf(word: u64): usize {
  const at = <usize>(word >> 32);
  return <u32>word == 0 && (at & IS_PROG) != 0 ? at ^ IS_PROG : 0;
}

/** close(2). */
export function closeFd(fd: u32): i32 {
  if (fd >= MAX_FDS) return -EBADF;
  lock(tablesLock());
  const was = load<u64>(entry(fd));
  if (was != 0) {
    atomic.store<u64>(entry(fd), 0);
    tables().fdsOpen--;
    if (<u32>was != 0) {
      endFd(mapOf(was));
      dropRef(mapOf(was));
    } else if (progOf(was) != 0) {
      dropProg(progAt(progOf(was)));
    } else {
      dropBtf(btfAt(btfOf(was)));
    }
    collectDeadMaps();
  }
  unlock(tablesLock());
  return was == 0 ? -EBADF : 0;
}

/** The entry's word of an open fd, or 0. Nothing keeps the map from ending: for callers that hold the tables lock. */
export function fdEntry(fd: u32): u64 {
  return fd < MAX_FDS ? atomic.load<u64>(entry(fd)) : 0;
}

/** Whether there is something behind an fd: a map, or what a process has open from the start. */
export function isOpen(fd: u32): bool {
  return fd < FIRST_FD || fdEntry(fd) != 0;
}

/** What a command answers for an fd that is no map's: 0, 1 and 2 are open, of the others those of BTF and programs. */
export function noMap(fd: u32): i32 {
  return fd < FIRST_FD || (fdEntry(fd) != 0 && <u32>fdEntry(fd) == 0) ? -EINVAL : -EBADF;
}

/** What a command answers for an fd that is not of the kind which it wants. */
export function notOfKind(fd: u32): i32 {
  return fd < FIRST_FD || fdEntry(fd) != 0 ? -EINVAL : -EBADF;
}

/** What a command answers that wants an fd of something other than a map. */
export function notWanted(fd: u32): i32 {
  return fdEntry(fd) != 0 ? -EINVAL : noMap(fd);
}

/**
 * The entry's word of an open fd of a map, with the map kept from being freed until `endUse`; or 0.
 *
 * The word is read again after `using` was stored: either this thread sees that the fd was closed, or whoever closed it
 * sees `using` (both are sequentially consistent).
 */
export function useFd(fd: u32): u64 {
  if (fd >= MAX_FDS) return 0;
  const using = changetype<usize>(me()) + offsetof<Task>("using");
  while (true) {
    const word = atomic.load<u64>(entry(fd));
    if (<u32>word == 0) {
      endUse();
      return 0;
    }
    atomic.store<u32>(using, <u32>word);
    if (atomic.load<u64>(entry(fd)) == word) return word;
  }
}

/**
 * Lets go of the map. A plain store, at a third of an atomic one's price: what was read of the map's elems before was read
 * by atomic loads or under a lock, and neither lets a later store pass.
 */
// @ts-ignore: decorator
@inline
export function endUse(): void {
  me().using = 0;
}

// @ts-ignore: decorator
@inline
export function mapOf(word: u64): BpfMap {
  return changetype<BpfMap>(<usize>word);
}

/** Whether the fd may read. */
// @ts-ignore: decorator
@inline
export function canRead(word: u64): bool {
  return ((<u32>(word >> 32)) & READ) != 0;
}

/** Whether the fd may write: no fd may write to a frozen map. */
// @ts-ignore: decorator
@inline
export function canWrite(word: u64): bool {
  return ((<u32>(word >> 32)) & WRITE) != 0 && mapOf(word).frozen == 0;
}

/**
 * Pinned names and their directories: a bpffs at /sys/fs/bpf. Behaves as kernel/bpf/inode.c and, for paths, fs/namei.c.
 *
 * What has a name is a node in one list, a page each:
 *
 *      0  next      address of the next node, or 0
 *      4  object    a map's address, or a program's + 1: holds a reference; 0: a directory
 *      8  replaces  the node whose name this one is taking, or 0
 *     12  which     of the two names below is its own: 0 or 1. One store renames
 *     16  names     twice:   0  dir   the directory's node, 0 for the root
 *                            4  len   at most 255
 *                            8  name
 *
 * Around it stand /, /sys and /sys/fs, which are no bpffs and never change. Paths that are relative begin at /.
 *
 * Differs from Linux: no links, no owners and modes (all is root's), no fds of directories.
 *
 * Threads: all under the tables lock. What is done by more than one store is finished by `settleNames`.
 */
import {
  EACCES,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOMEM,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
} from "../src/uapi/errno";
import { TABLES, Tables, tables } from "./super";
import { ME } from "./task";
import { lock, unlock } from "./lock";
import { collectDeadMaps, dropRef, endUserUse, mapAt, tablesLock } from "./map";
import { allocKernel, freePages, isUser, ownRun } from "./mem/pages";
import { READ, WRITE, fdEntry, installFd, installProgFd, isOpen, progOf } from "./fd";
import { IS_PROG, dropProg, progAt } from "./prog";

const MAX_NAME: u32 = 255;
const MAX_PATH: u32 = 4096;
const SLASH: u8 = 0x2f;
const DOT: u8 = 0x2e;

/** Where a relative path begins, without a directory's fd. */
export const AT_FDCWD: i32 = -100;

@unmanaged
class Node {
  next: u32;
  object: u32;
  replaces: u32;
  which: u32;
}

@unmanaged
class Name {
  dir: u32;
  len: u32;
}

const NAMES_OFF: usize = offsetof<Node>();
const TEXT_OFF: usize = offsetof<Name>();
const NAME_BYTES: usize = TEXT_OFF + MAX_NAME + 1;
const NODE_BYTES: usize = NAMES_OFF + 2 * NAME_BYTES;

/** `place` of a path: in a bpffs. Below it are 0: /, 1: /sys, 2: /sys/fs. */
const BPFFS: u32 = 3;

/** What the last name of a path is. A path of slashes alone has none. */
const NONE: u32 = 0;
const NORMAL: u32 = 1;
const DOT_ITSELF: u32 = 2;
const DOT_DOT: u32 = 3;

/** A path that was copied out of user memory; behind it lies its text. `walk` says where it leads. */
@unmanaged
class Path {
  /** The directory that its last name is in: `dir` is its node in the bpffs, 0 the root. */
  place: u32;
  dir: u32;
  /** The last name. */
  kind: u32;
  name: u32;
  len: u32;
  /** 1 if a slash follows: then it has to be a directory's. */
  wantsDir: u32;
  /** What `lookup` found: the node of the last name, or 0. Outside of the bpffs 1 for a directory that there is. */
  node: u32;
}
const PATH_OFF: usize = offsetof<Path>();
const PATH_BYTES: usize = PATH_OFF + MAX_PATH;

// @ts-ignore: decorator
@inline
function nodeAt(at: usize): Node {
  return changetype<Node>(at);
}

// @ts-ignore: decorator
@inline
function nameAt(node: usize, which: u32): Name {
  return changetype<Name>(node + NAMES_OFF + which * NAME_BYTES);
}

// @ts-ignore: decorator
@inline
function nameOf(node: usize): Name {
  return nameAt(node, nodeAt(node).which);
}

// @ts-ignore: decorator
@inline
function textOf(name: Name): usize {
  return changetype<usize>(name) + TEXT_OFF;
}

/** The directory that a node is in: its node, or 0 for the root. */
export function directoryOf(node: usize): usize {
  return nameOf(node).dir;
}

export function isDirectory(node: usize): bool {
  return nodeAt(node).object == 0;
}

/** The node after `node` in the list, the first after 0; 0 after the last. The caller holds the tables lock. */
export function nextName(node: usize): usize {
  return node == 0 ? tables().namesHead : nodeAt(node).next;
}

/** What has the name: a map's address, a program's + 1 (IS_PROG), 0 for a directory. */
export function pinnedWord(node: usize): u32 {
  return nodeAt(node).object;
}

/** The id of what has the name; 0 for a directory. */
function pinnedId(node: usize): u32 {
  const object = pinnedWord(node);
  if (object == 0) return 0;
  return (object & IS_PROG) != 0 ? progAt(object ^ IS_PROG).id : mapAt(object).id;
}

/** Gives back the reference of a name that is in no list any more. */
function dropObject(object: u32): void {
  if (object == 0) return;
  if ((object & IS_PROG) != 0) {
    dropProg(progAt(object ^ IS_PROG));
  } else {
    endUserUse(mapAt(object));
    dropRef(mapAt(object));
  }
  collectDeadMaps();
}

/** Whether two nodes have one name in one directory. */
export function isSameName(a: usize, b: usize): bool {
  return hasName(a, nameOf(b).dir, textOf(nameOf(b)), nameOf(b).len);
}

/** The node that this one is half way to replacing, or 0. */
export function replacedBy(node: usize): usize {
  return nodeAt(node).replaces;
}

function hasName(node: usize, dir: u32, text: usize, len: u32): bool {
  const name = nameOf(node);
  return name.dir == dir && name.len == len && memory.compare(textOf(name), text, len) == 0;
}

/** OBJ_PIN: gives what an fd is of a name; -EINVAL for what has none. `dirFd`: where a relative path begins. */
export function pinObj(fd: u32, pathname: u64, dirFd: i32): i32 {
  const made = allocKernel(NODE_BYTES);
  if (made == 0) return -ENOMEM;
  const ret = addNode(made, pathname, dirFd, fd, false);
  if (ret != 0) freePages(made);
  return ret;
}

/** mkdir(2). */
export function makeDirectory(pathname: u64): i32 {
  const made = allocKernel(NODE_BYTES);
  if (made == 0) return -ENOMEM;
  const ret = addNode(made, pathname, AT_FDCWD, 0, true);
  if (ret != 0) freePages(made);
  return ret;
}

/** What an fd's entry holds as a name would: 0 for BTF, and where there is nothing. */
export function objectOf(fd: u32): u32 {
  const word = fdEntry(fd);
  return <u32>word != 0 ? <u32>word : progOf(word) != 0 ? <u32>(word >> 32) : 0;
}

/** Lists a new node: a directory's, or that of what an fd is of. */
function addNode(made: usize, pathname: u64, dirFd: i32, fd: u32, directory: bool): i32 {
  const at = allocKernel(PATH_BYTES);
  if (at == 0) return -ENOMEM;
  const path = changetype<Path>(at);
  let ret = copyPath(path, pathname, dirFd);
  if (ret == 0) {
    lock(tablesLock());
    ret = walk(path);
    const object = directory ? 0 : objectOf(fd);
    if (!directory && object == 0) ret = -EINVAL;
    if (ret == 0) ret = directory ? mayMakeDirectory(path) : mayPin(path);
    if (ret == 0) {
      nodeAt(made).object = object;
      writeName(nameAt(made, 0), path);
      nodeAt(made).next = tables().namesHead;
      tables().namesHead = <u32>made;
      if ((object & IS_PROG) != 0) progAt(object ^ IS_PROG).refs++;
      else if (object != 0) mapAt(object).refs++;
    }
    unlock(tablesLock());
  }
  freePages(at);
  return ret;
}

function mayPin(path: Path): i32 {
  if (path.kind != NORMAL) return -EEXIST;
  const ret = lookup(path);
  if (ret != 0) return ret;
  if (path.node != 0) return -EEXIST;
  if (path.wantsDir != 0) return -ENOENT;
  return path.place != BPFFS ? -EPERM : 0;
}

function mayMakeDirectory(path: Path): i32 {
  if (path.place != BPFFS) return -EPERM;
  if (path.kind != NORMAL) return -EEXIST;
  const ret = lookup(path);
  return ret == 0 && path.node != 0 ? -EEXIST : ret;
}

/** OBJ_GET: a new fd for what has this name. `dirFd`: where a relative path begins. */
export function getObj(pathname: u64, mode: u32, dirFd: i32): i32 {
  const at = allocKernel(PATH_BYTES);
  if (at == 0) return -ENOMEM;
  const path = changetype<Path>(at);
  let ret = copyPath(path, pathname, dirFd);
  if (ret == 0) {
    lock(tablesLock());
    ret = walk(path);
    if (ret == 0) ret = openName(path, mode);
    unlock(tablesLock());
  }
  freePages(at);
  return ret;
}

function openName(path: Path, mode: u32): i32 {
  if (path.kind != NORMAL) return -EACCES;
  const ret = find(path);
  if (ret != 0) return ret;
  if (path.place != BPFFS || isDirectory(path.node)) return -EACCES;
  if (path.wantsDir != 0) return -ENOTDIR;
  const object = pinnedWord(path.node);
  if ((object & IS_PROG) == 0) return installFd(mapAt(object), mode);
  // A program's fd is to read and write, whatever is asked for.
  return mode == (READ | WRITE) ? installProgFd(progAt(object ^ IS_PROG)) : -EINVAL;
}

/** unlink(2): takes a map's name away. */
export function unlinkObj(pathname: u64): i32 {
  return removeNode(pathname, false);
}

/** rmdir(2). */
export function removeDirectory(pathname: u64): i32 {
  return removeNode(pathname, true);
}

function removeNode(pathname: u64, directory: bool): i32 {
  const at = allocKernel(PATH_BYTES);
  if (at == 0) return -ENOMEM;
  const path = changetype<Path>(at);
  let ret = copyPath(path, pathname, AT_FDCWD);
  if (ret == 0) {
    lock(tablesLock());
    ret = walk(path);
    if (ret == 0) ret = directory ? mayRemoveDirectory(path) : mayUnlink(path);
    if (ret == 0) dropNode(path.node);
    unlock(tablesLock());
  }
  freePages(at);
  return ret;
}

function mayUnlink(path: Path): i32 {
  if (path.place != BPFFS) return -EPERM;
  if (path.kind != NORMAL) return -EISDIR;
  const ret = find(path);
  if (ret != 0) return ret;
  if (isDirectory(path.node)) return -EISDIR;
  return path.wantsDir != 0 ? -ENOTDIR : 0;
}

function mayRemoveDirectory(path: Path): i32 {
  if (path.place != BPFFS) return -EPERM;
  if (path.kind != NORMAL) return path.kind == DOT_ITSELF ? -EINVAL : -ENOTEMPTY;
  const ret = find(path);
  if (ret != 0) return ret;
  if (!isDirectory(path.node)) return -ENOTDIR;
  return isEmpty(path.node) ? 0 : -ENOTEMPTY;
}

/** Takes a node out of the list, and gives back what it has. */
function dropNode(node: usize): void {
  const object = nodeAt(node).object;
  unlist(node);
  freePages(node);
  dropObject(object);
}

function unlist(node: usize): void {
  let link = TABLES + offsetof<Tables>("namesHead");
  while (load<u32>(link) != <u32>node) link = load<u32>(link);
  // From here on its memory is this task's, whatever happens: see reap.ts.
  ownRun(node, ME);
  store<u32>(link, nodeAt(node).next);
}

function isEmpty(dir: usize): bool {
  for (let node = nextName(0); node != 0; node = nextName(node)) {
    if (directoryOf(node) == dir) return false;
  }
  return true;
}

/** rename(2): moves a name, over another one if that is of its kind and, a directory, empty. */
export function renameObj(from: u64, to: u64): i32 {
  const at = allocKernel(2 * PATH_BYTES);
  if (at == 0) return -ENOMEM;
  const old = changetype<Path>(at);
  const path = changetype<Path>(at + PATH_BYTES);
  let ret = copyPath(old, from, AT_FDCWD);
  if (ret == 0) ret = copyPath(path, to, AT_FDCWD);
  if (ret == 0) {
    lock(tablesLock());
    ret = renameUnderLock(old, path);
    unlock(tablesLock());
  }
  freePages(at);
  return ret;
}

function renameUnderLock(old: Path, path: Path): i32 {
  const oldWalk = walk(old);
  const newWalk = walk(path);
  if ((oldWalk == 0 && old.place != BPFFS) || (newWalk == 0 && path.place != BPFFS)) return -EPERM;
  if (oldWalk != 0) return oldWalk;
  if (newWalk != 0) return newWalk;
  if (old.kind != NORMAL || path.kind != NORMAL) return -EBUSY;
  let ret = find(old);
  if (ret == 0) ret = lookup(path);
  if (ret != 0) return ret;
  const node = old.node;
  const target = path.node;
  const moves = isDirectory(node);
  if (!moves && (old.wantsDir != 0 || path.wantsDir != 0)) return -ENOTDIR;
  if (isWithin(path.dir, node)) return -EINVAL;
  if (target != 0 && isWithin(old.dir, target)) return -ENOTEMPTY;
  if (target == node) return 0;
  if (target != 0) {
    if (isDirectory(target) != moves) return moves ? -ENOTDIR : -EISDIR;
    if (moves && !isEmpty(target)) return -ENOTEMPTY;
  }
  const other = nodeAt(node).which ^ 1;
  writeName(nameAt(node, other), path);
  nodeAt(node).replaces = target;
  nodeAt(node).which = other;
  if (target != 0) {
    const object = nodeAt(target).object;
    settle(node);
    dropObject(object);
  }
  return 0;
}

/** Whether a directory is `ancestor`, or lies in it. */
function isWithin(dir: usize, ancestor: usize): bool {
  while (dir != 0 && dir != ancestor) dir = directoryOf(dir);
  return dir != 0;
}

/** Removes what a node has replaced, if it has come so far; without giving its reference back. */
function settle(node: usize): void {
  const target: usize = nodeAt(node).replaces;
  let listed = nextName(0);
  while (listed != 0 && listed != target) listed = nextName(listed);
  if (listed != 0 && isSameName(node, target)) {
    unlist(target);
    freePages(target);
  }
  nodeAt(node).replaces = 0;
}

/** Finishes the renaming in whose middle a task has ended; references are counted anew afterwards. */
export function settleNames(): void {
  for (let node = nextName(0); node != 0; node = nextName(node)) {
    if (nodeAt(node).replaces != 0) settle(node);
  }
}

/**
 * Lists all names; or, given a directory's path, those in it. For each the node's address, its
 * directory's, the id of the map or program (0 for a directory), the name's bytes, and the name padded to 4. Writes what has room.
 *
 * @returns The bytes that the whole list has, or a negative errno.
 */
export function listNames(pathname: usize, to: usize, room: u32): i32 {
  const at = pathname == 0 ? 0 : allocKernel(PATH_BYTES);
  if (pathname != 0 && at == 0) return -ENOMEM;
  const path = changetype<Path>(at);
  let ret = at == 0 ? 0 : copyPath(path, pathname, AT_FDCWD);
  if (ret == 0) {
    lock(tablesLock());
    if (at != 0) ret = enterLast(path);
    if (ret == 0) ret = writeList(to, room, at == 0, at == 0 ? 0 : path.dir);
    unlock(tablesLock());
  }
  if (at != 0) freePages(at);
  return ret;
}

function writeList(to: usize, room: u32, all: bool, dir: u32): i32 {
  let bytes: u32 = 0;
  for (let node = nextName(0); node != 0; node = nextName(node)) {
    const name = nameOf(node);
    if (!all && name.dir != dir) continue;
    const size = 20 + ((name.len + 3) & ~3);
    if (bytes + size <= room) {
      const row = to + bytes;
      store<u32>(row, <u32>node);
      store<u32>(row, name.dir, 4);
      store<u32>(row, pinnedId(node), 8);
      store<u32>(row, pinnedWord(node) & IS_PROG, 12);
      store<u32>(row, name.len, 16);
      memory.copy(row + 20, textOf(name), name.len);
    }
    bytes += size;
  }
  return bytes;
}

function writeName(name: Name, path: Path): void {
  name.dir = path.dir;
  name.len = path.len;
  memory.copy(textOf(name), path.name, path.len);
}

/**
 * Follows a path up to its last name. 0, or the errno of what cannot be followed. The caller holds the tables lock.
 */
function walk(path: Path): i32 {
  path.place = 0;
  path.dir = 0;
  path.kind = NONE;
  path.wantsDir = 0;
  let from = changetype<usize>(path) + PATH_OFF;
  while (load<u8>(from) == SLASH) from++;
  while (load<u8>(from) != 0) {
    if (path.kind != NONE) {
      const ret = enter(path);
      if (ret != 0) return ret;
    }
    let to = from;
    while (load<u8>(to) != 0 && load<u8>(to) != SLASH) to++;
    path.name = <u32>from;
    path.len = <u32>(to - from);
    path.kind = kindOf(from, path.len);
    path.wantsDir = load<u8>(to) == SLASH ? 1 : 0;
    from = to;
    while (load<u8>(from) == SLASH) from++;
  }
  return 0;
}

function kindOf(name: usize, len: u32): u32 {
  if (len == 1 && load<u8>(name) == DOT) return DOT_ITSELF;
  return len == 2 && load<u16>(name) == 0x2e2e ? DOT_DOT : NORMAL;
}

/** Follows a path to the directory that it leads to. */
function enterLast(path: Path): i32 {
  const ret = walk(path);
  if (ret != 0) return ret;
  const entered = path.kind == NONE ? 0 : enter(path);
  return entered == 0 && path.place != BPFFS ? -EPERM : entered;
}

/** Goes into the directory whose name is the path's last. */
function enter(path: Path): i32 {
  if (path.kind == DOT_ITSELF) return 0;
  if (path.kind == DOT_DOT) {
    if (path.place == BPFFS && path.dir != 0) path.dir = <u32>directoryOf(path.dir);
    else if (path.place != 0) path.place--;
    return 0;
  }
  const ret = find(path);
  if (ret != 0) return ret;
  if (path.place != BPFFS) {
    path.place++;
  } else {
    if (!isDirectory(path.node)) return -ENOTDIR;
    path.dir = path.node;
  }
  return 0;
}

/** Finds what must be there. 0, or a negative errno. */
function find(path: Path): i32 {
  const ret = lookup(path);
  return ret == 0 && path.node == 0 ? -ENOENT : ret;
}

/** Looks for the path's last name, in its directory. 0, or the errno of what can be no name. */
function lookup(path: Path): i32 {
  const isIn = path.place == BPFFS;
  if (isIn && hasDot(path.name, path.len)) return -EPERM;
  if (path.len > MAX_NAME) return -ENAMETOOLONG;
  let node: usize = 0;
  if (isIn) {
    node = nextName(0);
    while (node != 0 && !hasName(node, path.dir, path.name, path.len)) node = nextName(node);
  } else if (isStep(path.place, path.name, path.len)) {
    node = 1;
  }
  path.node = <u32>node;
  return 0;
}

/** Whether the name is that of the directory which follows on the way to the bpffs: sys, fs, bpf. */
function isStep(place: u32, name: usize, len: u32): bool {
  if (place == 1) return len == 2 && load<u16>(name) == 0x7366;
  if (len != 3 || load<u8>(name + (place == 0 ? 2 : 0)) != (place == 0 ? 0x73 : 0x62)) return false;
  return load<u16>(name + (place == 0 ? 0 : 1)) == (place == 0 ? 0x7973 : 0x6670);
}

function hasDot(name: usize, len: u32): bool {
  for (let i: u32 = 0; i < len; i++) {
    if (load<u8>(name + i) == DOT) return true;
  }
  return false;
}

/** Copies a NUL-terminated path out of user memory. 0, or a negative errno. `dirFd`: where it begins if it is relative. */
function copyPath(path: Path, from: u64, dirFd: i32): i32 {
  const to = changetype<usize>(path) + PATH_OFF;
  let i: u32 = 0;
  while (true) {
    if (i == MAX_PATH) return -ENAMETOOLONG;
    if (!isUser(from + i, 1)) return -EFAULT;
    const c = load<u8>(<usize>from + i);
    store<u8>(to + i, c);
    if (c == 0) break;
    i++;
  }
  if (i == 0) return -ENOENT;
  if (load<u8>(to) == SLASH || dirFd == AT_FDCWD) return 0;
  // No fd here is a directory's.
  return isOpen(dirFd) ? -ENOTDIR : -EBADF;
}

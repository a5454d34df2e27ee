/**
 * Pinned names: a bpffs at /sys/fs/bpf. Behaves as kernel/bpf/inode.c.
 *
 * Its root is its only directory. A name is a node in a list, a page each:
 *
 *      0  next  address of the next node, or 0
 *      4  map   holds a reference
 *      8  len   bytes of the name, at most 255
 *     12  name
 *
 * Around it stand /, /sys and /sys/fs, which are no bpffs. Threads: the list under the tables lock.
 */
import { EACCES, EBADF, EEXIST, EFAULT, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM } from "../src/uapi/errno";
import { TABLES, Tables, tables } from "./super";
import { ME } from "./task";
import { lock, unlock } from "./lock";
import { BpfMap, dropRef, mapAt, tablesLock } from "./map";
import { allocKernel, freePages, isUser, ownRun } from "./mem/pages";
import { installFd } from "./fd";

const MAX_NAME: u32 = 255;
const MAX_PATH: u32 = 4096;
const SLASH: u8 = 0x2f;
const DOT: u8 = 0x2e;

@unmanaged
class Pin {
  next: u32;
  map: u32;
  len: u32;
}

const NAME_OFF: usize = offsetof<Pin>();

/** Where a path leads: to a directory, to a name in the bpffs, or to nothing in a directory that is no bpffs. */
const ROOT: i32 = 0;
const BPFFS: i32 = 3;
const NAME: i32 = 4;
const NOTHING: i32 = 5;

/** A path that was copied out of user memory; `name` is the name in the bpffs that it leads to. */
@unmanaged
class Path {
  name: u32;
  len: u32;
  /** 1 if a slash follows: then the name has to be a directory's, and none is. */
  wantsDir: u32;
}
const PATH_OFF: usize = offsetof<Path>();

/** OBJ_PIN: gives a map a name. `hasPathFd`: see walk. */
export function pinObj(map: BpfMap, pathname: u64, hasPathFd: bool): i32 {
  const path = allocKernel(PATH_OFF + MAX_PATH);
  if (path == 0) return -ENOMEM;
  let ret = walk(path, pathname, hasPathFd);
  if (ret == NAME) ret = addPin(map, changetype<Path>(path));
  else if (ret == NOTHING) ret = -EPERM;
  else if (ret >= ROOT) ret = -EEXIST;
  freePages(path);
  return ret;
}

function addPin(map: BpfMap, path: Path): i32 {
  const node = allocKernel(NAME_OFF + path.len);
  if (node == 0) return -ENOMEM;
  const pin = changetype<Pin>(node);
  pin.map = <u32>changetype<usize>(map);
  pin.len = path.len;
  memory.copy(node + NAME_OFF, path.name, path.len);
  lock(tablesLock());
  let ret: i32 = 0;
  if (load<u32>(findPin(path)) != 0) {
    ret = -EEXIST;
  } else if (path.wantsDir != 0) {
    ret = -ENOENT;
  } else if (map.id == 0) {
    // Another thread has closed its last fd meanwhile: as if it had done so before.
    ret = -EINVAL;
  } else {
    pin.next = tables().pinsHead;
    tables().pinsHead = <u32>node;
    map.refs++;
  }
  unlock(tablesLock());
  if (ret != 0) freePages(node);
  return ret;
}

/** OBJ_GET: a new fd for what has this name. `hasPathFd`: see walk. */
export function getObj(pathname: u64, mode: u32, hasPathFd: bool): i32 {
  const path = allocKernel(PATH_OFF + MAX_PATH);
  if (path == 0) return -ENOMEM;
  let ret = walk(path, pathname, hasPathFd);
  if (ret == NAME) ret = openPin(changetype<Path>(path), mode);
  else if (ret == NOTHING) ret = -ENOENT;
  else if (ret >= ROOT) ret = -EACCES;
  freePages(path);
  return ret;
}

function openPin(path: Path, mode: u32): i32 {
  lock(tablesLock());
  const node: usize = load<u32>(findPin(path));
  let ret = -ENOENT;
  if (node != 0) ret = path.wantsDir != 0 ? -ENOTDIR : installFd(pinnedMap(node), mode);
  unlock(tablesLock());
  return ret;
}

/** unlink(2): takes a name away. */
export function unlinkObj(pathname: u64): i32 {
  const path = allocKernel(PATH_OFF + MAX_PATH);
  if (path == 0) return -ENOMEM;
  let ret = walk(path, pathname, false);
  if (ret == NAME) ret = removePin(changetype<Path>(path));
  else if (ret == NOTHING) ret = -ENOENT;
  else if (ret >= ROOT) ret = -EISDIR;
  freePages(path);
  return ret;
}

function removePin(path: Path): i32 {
  lock(tablesLock());
  const link = findPin(path);
  const node: usize = load<u32>(link);
  if (node != 0 && path.wantsDir == 0) {
    // From here on its memory is this task's, whatever happens: see reap.ts.
    ownRun(node, ME);
    store<u32>(link, changetype<Pin>(node).next);
    dropRef(pinnedMap(node));
  }
  unlock(tablesLock());
  if (node == 0) return -ENOENT;
  if (path.wantsDir != 0) return -ENOTDIR;
  freePages(node);
  return 0;
}

/** The name after `pin` in the list, the first after 0; 0 after the last. The caller holds the tables lock. */
export function nextPin(pin: usize): usize {
  return pin == 0 ? tables().pinsHead : changetype<Pin>(pin).next;
}

export function pinnedMap(pin: usize): BpfMap {
  return mapAt(changetype<Pin>(pin).map);
}

/**
 * Lists all names: for each the map's id, the name's bytes, and the name padded to 4. Writes what has room.
 *
 * @returns The bytes that the whole list has.
 */
export function listPins(to: usize, room: u32): u32 {
  let bytes: u32 = 0;
  lock(tablesLock());
  for (let node = nextPin(0); node != 0; node = nextPin(node)) {
    const len = changetype<Pin>(node).len;
    const size = 8 + ((len + 3) & ~3);
    if (bytes + size <= room) {
      store<u32>(to + bytes, pinnedMap(node).id);
      store<u32>(to + bytes, len, 4);
      memory.copy(to + bytes + 8, node + NAME_OFF, len);
    }
    bytes += size;
  }
  unlock(tablesLock());
  return bytes;
}

/** The word that points to the name's node, or to nothing (then it holds 0). The caller holds the tables lock. */
function findPin(path: Path): usize {
  let link = TABLES + offsetof<Tables>("pinsHead");
  for (let node: usize = load<u32>(link); node != 0; node = load<u32>(link)) {
    const len = changetype<Pin>(node).len;
    if (len == path.len && memory.compare(node + NAME_OFF, path.name, len) == 0) return link;
    link = node;
  }
  return link;
}

/**
 * Copies a path to `at` and follows it. Returns where it leads, or a negative errno.
 *
 * A relative path begins in a working directory that is empty and no bpffs; no fd here is a directory's (`hasPathFd`).
 */
function walk(at: usize, pathname: u64, hasPathFd: bool): i32 {
  const text = at + PATH_OFF;
  const copied = copyPath(text, pathname);
  if (copied < 0) return copied;
  if (load<u8>(text) != SLASH) return hasPathFd ? -EBADF : NOTHING;
  const path = changetype<Path>(at);
  let depth = ROOT;
  let from = text;
  while (true) {
    if (depth == NAME && load<u8>(from) == SLASH) path.wantsDir = 1;
    while (load<u8>(from) == SLASH) from++;
    if (load<u8>(from) == 0) return depth;
    let to = from;
    while (load<u8>(to) != 0 && load<u8>(to) != SLASH) to++;
    const len = <u32>(to - from);
    if (len > MAX_NAME) return -ENAMETOOLONG;
    if (depth >= NAME) return -ENOENT;
    if (len == 2 && load<u16>(from) == 0x2e2e) {
      depth = max(depth - 1, ROOT);
    } else if (len != 1 || load<u8>(from) != DOT) {
      if (depth == BPFFS) {
        if (hasDot(from, len)) return -EPERM;
        path.name = <u32>from;
        path.len = len;
        depth = NAME;
      } else {
        depth = isStep(depth, from, len) ? depth + 1 : NOTHING;
      }
    }
    from = to;
  }
}

/** Whether the name is that of the directory which follows on the way to the bpffs: sys, fs, bpf. */
function isStep(depth: i32, name: usize, len: u32): bool {
  if (depth == 1) return len == 2 && load<u16>(name) == 0x7366;
  if (len != 3 || load<u8>(name + (depth == ROOT ? 2 : 0)) != (depth == ROOT ? 0x73 : 0x62)) return false;
  return load<u16>(name + (depth == ROOT ? 0 : 1)) == (depth == ROOT ? 0x7973 : 0x6670);
}

function hasDot(name: usize, len: u32): bool {
  for (let i: u32 = 0; i < len; i++) {
    if (load<u8>(name + i) == DOT) return true;
  }
  return false;
}

/** Copies a NUL-terminated path out of user memory. Returns its length, or a negative errno. */
function copyPath(to: usize, from: u64): i32 {
  for (let i: u32 = 0; i < MAX_PATH; i++) {
    if (!isUser(from + i, 1)) return -EFAULT;
    const c = load<u8>(<usize>from + i);
    store<u8>(to + i, c);
    if (c == 0) return i == 0 ? -ENOENT : <i32>i;
  }
  return -ENAMETOOLONG;
}

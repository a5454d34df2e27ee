/**
 * What the host (src/kernels/embedded) asks of the engine that is no system call: to set up a memory, to hand out user
 * memory, to map a map, to stand still while the memory is saved.
 */
import {
  BPF_F_RDONLY_PROG,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_USER_RINGBUF,
} from "../src/uapi/bpf";
import { EACCES, EBADF, EINVAL, ENOTSUPP, EPERM } from "../src/uapi/errno";
import { READ, WRITE, canRead, closeFd, endUse, fdEntry, mapOf, useFd } from "./fd";
import { listNames, makeDirectory, removeDirectory, renameObj, unlinkObj } from "./bpffs";
import { checkLayouts } from "./attr";
import { goOn, lock, standStill, stillWord, unlock } from "./lock";
import { beginMapping, endMapping, BpfMap, collectDeadMaps, holdMap, isMmapable, putMap, tablesLock } from "./map";
import { COUNT, MEM_USAGE, MMAP, POLL, callOp, valueBytes } from "./map_types";
import { ArrayMap } from "./maps/_array";
import { Lanes, lanesFit } from "./maps/_value";
import { Ringbuf, ringDiscard, ringDrain, ringOutput, ringQuery, ringReserve, ringSubmit } from "./maps/ringbuf";
import { allocUser, freePages, pagesLock, runBytes } from "./mem/pages";
import { LAYOUT_VERSION, MAGIC, MAX_TASKS, PAGE_SHIFT, PAGE_SIZE, PAGE_TABLE, sb, tables, zones } from "./super";
import { me, taskOf } from "./task";
import { timersLock } from "./timers";

/** Sets up a fresh memory of `pages` pages. */
export function format(pages: u32, possibleCpus: u32, seed: u64, devices: u32): void {
  checkLayouts();
  const s = sb();
  s.pages = pages;
  s.possibleCpus = possibleCpus;
  s.devices = devices;
  s.random = seed;
  const z = zones();
  z.kernelStart = <u32>((PAGE_TABLE + 16 * <usize>pages + PAGE_SIZE - 1) >> PAGE_SHIFT);
  z.kernelEnd = z.kernelStart;
  z.kernelDirty = z.kernelStart;
  // The last page is the guard.
  z.userEnd = pages - 1;
  z.userStart = z.userEnd;
  z.userDirty = z.userEnd;
  s.layoutVersion = LAYOUT_VERSION;
  s.magic = MAGIC;
}

/** Makes this thread's task known: whether it may sleep in Atomics.wait, and the system's number for the thread, or 0. */
export function enter(mayBlock: bool, thread: u32): void {
  me().mayBlock = mayBlock ? 1 : 0;
  me().thread = thread;
}

/** Has all other threads wait before they change anything, until `resume`. */
export function pause(): void {
  lock(tablesLock());
  standStill();
}

export function resume(): void {
  goOn();
  unlock(tablesLock());
}

/** User memory, zeroed; 0 when there is none. */
export function alloc(size: u32): usize {
  return allocUser(size);
}

export function free(address: usize): void {
  freePages(address);
}

export function close(fd: u32): i32 {
  return closeFd(fd);
}

/** unlink(2) of the NUL-terminated path at an address of user memory. */
export function unlink(pathname: usize): i32 {
  return unlinkObj(pathname);
}

/** mkdir(2), rmdir(2) and rename(2), likewise. */
export function mkdir(pathname: usize): i32 {
  return makeDirectory(pathname);
}

export function rmdir(pathname: usize): i32 {
  return removeDirectory(pathname);
}

export function rename(from: usize, to: usize): i32 {
  return renameObj(from, to);
}

/**
 * Lists what is in a directory, or, for the path 0, all pinned names and directories, into `room` bytes of user memory.
 *
 * @returns How many bytes the list has, or a negative errno.
 */
export function names(pathname: usize, to: usize, room: u32): i32 {
  return listNames(pathname, to, room);
}

/** The map of an fd with a reference for the caller, or a negative errno. */
export function hold(fd: u32): i32 {
  lock(tablesLock());
  const word = fdEntry(fd);
  if (<u32>word != 0) holdMap(mapOf(word));
  unlock(tablesLock());
  return <u32>word != 0 ? <i32>word : word != 0 ? -EINVAL : -EBADF;
}

export function put(map: usize): void {
  putMap(changetype<BpfMap>(map));
}

/**
 * Whether the fd that `hold` gave this map for may do both, and still is the map's; the short way is for those only, and not for maps
 * that mind by which fd they are updated.
 */
export function canReadAndWrite(map: usize, fd: u32): bool {
  const word = fdEntry(fd);
  if (<usize>word != map || <u32>(word >> 32) != (READ | WRITE)) return false;
  return mapOf(word).frozen == 0 && mapOf(word).fields == 0 && mapOf(word).type != BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

/**
 * mmap(2) of `length` bytes from `offset` on: the address, or a negative errno. Behaves as array_map_mmap.
 *
 * @param asked The address that is asked for, or 0: only an arena cares.
 * @param held The map that `hold` gave for the fd, which another thread may have closed since.
 */
export function mmap(held: usize, fd: u32, offset: u32, length: u32, writable: bool, asked: u64): i32 {
  const word = fdEntry(fd);
  if (<usize>word != held) return -EBADF;
  const map = mapOf(word);
  const mode = <u32>(word >> 32);
  // Without the right to write, the pages are not shared in Linux; without the right to read there is no mapping.
  if ((mode & READ) == 0) return -EACCES;
  if (writable && (mode & WRITE) == 0) return -EACCES;
  const hasOwn = isRingbuf(map.type) || map.type == BPF_MAP_TYPE_ARENA;
  if ((map.type != BPF_MAP_TYPE_ARRAY && !hasOwn) || map.fields != 0) return -ENOTSUPP;
  if (writable && map.frozen != 0) return -EPERM;
  if (writable && (map.mapFlags & BPF_F_RDONLY_PROG) != 0) return -EACCES;
  if ((mode & WRITE) == 0) return -EINVAL;
  const flags = (asked & ~(<u64>PAGE_SIZE - 1)) | (writable ? 1 : 0);
  const at = hasOwn ? callOp(map.type, MMAP, held, offset, length, flags) : mapArray(map, offset, length);
  if (<u32>at <= <u32>-4096 && writable && !beginMapping(map)) return -EPERM;
  return at;
}

/** Where an array's values lie from `offset` on, or -EINVAL. */
function mapArray(map: BpfMap, offset: u32, length: u32): i32 {
  const values = changetype<ArrayMap>(map).values;
  return isMmapable(map) && <u64>offset + length <= runBytes(values) ? <i32>(values + offset) : -EINVAL;
}

/** munmap(2) of what was mapped to write; `put` is to follow. */
export function munmap(map: usize): void {
  endMapping(changetype<BpfMap>(map));
}

// @ts-ignore: decorator
@inline
function isRingbuf(type: u32): bool {
  return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF;
}

/** Whether a held map can be read (or, `forRoom`, written), 1 or 0; -EPERM for one that nobody waits for. `arm`: see `wakeWord`. */
export function poll(map: usize, arm: bool, forRoom: bool): i32 {
  const ret = callOp(changetype<BpfMap>(map).type, POLL, map, arm ? 1 : 0, forRoom ? 1 : 0, 0);
  return ret == -ENOTSUPP ? -EPERM : ret;
}

/** The word that changes, and whose sleepers wake, when a ring that was polled with `arm` can be read, or written. */
export function wakeWord(map: usize): usize {
  return map + offsetof<Ringbuf>("waiting");
}

// What a program does with a ring; the map is held.

export function reserveRecord(map: usize, size: u32): usize {
  return ringReserve(changetype<Ringbuf>(map), size);
}

export function submitRecord(map: usize, data: usize, flags: u32): i32 {
  return ringSubmit(changetype<Ringbuf>(map), data, flags);
}

export function discardRecord(map: usize, data: usize, flags: u32): i32 {
  return ringDiscard(changetype<Ringbuf>(map), data, flags);
}

export function outputRecord(map: usize, from: usize, size: u32, flags: u32): i32 {
  return ringOutput(changetype<Ringbuf>(map), from, size, flags);
}

export function queryRing(map: usize, what: u32): f64 {
  return <f64>ringQuery(changetype<Ringbuf>(map), what);
}

export function lostRecords(map: usize): u32 {
  return changetype<Ringbuf>(map).lost;
}

export function drainRecord(map: usize, to: usize, room: u32): i32 {
  return ringDrain(changetype<Ringbuf>(map), to, room);
}

/** How many elems the held map holds; -EOPNOTSUPP where nobody can tell. */
export function count(map: usize): i32 {
  return callOp(changetype<BpfMap>(map).type, COUNT, map, 0, 0, 0);
}

/** The same for the map of an fd: -EBADF, or -EPERM where it may not read. */
export function countOf(fd: u32): i32 {
  const word = useFd(fd);
  if (word == 0) return -EBADF;
  const ret = canRead(word) ? count(<usize>word) : -EPERM;
  endUse();
  return ret;
}

/** Whether these lanes (see maps/_value.ts) lie in the map's values. */
export function lanesFitMap(map: usize, lanes: usize): bool {
  return lanesFit(changetype<Lanes>(lanes), changetype<BpfMap>(map).valueSize);
}

/** What the short way must know of a map. A value's bytes are those that system calls copy: of all CPUs. */
export function typeOf(map: usize): u32 {
  return changetype<BpfMap>(map).type;
}

export function keyBytesOf(map: usize): u32 {
  return changetype<BpfMap>(map).keySize;
}

export function valueBytesOf(map: usize): u32 {
  return <u32>valueBytes(changetype<BpfMap>(map));
}

/** Bytes that the map has allocated. */
export function memoryOf(map: usize): u32 {
  return callOp(changetype<BpfMap>(map).type, MEM_USAGE, map, 0, 0, 0);
}

export function isFrozen(map: usize): bool {
  return changetype<BpfMap>(map).frozen != 0;
}

/** What is in use: fds, maps (those included that a thread is still looking at), pages. Read by tests for leaks. */
export function fdsOpen(): u32 {
  return tables().fdsOpen;
}

export function mapsAlive(): u32 {
  lock(tablesLock());
  collectDeadMaps();
  const n = tables().mapsCount + tables().mapsDead;
  unlock(tablesLock());
  return n;
}

/** Pages that are in use, but for those in which threads run programs: they are the threads' own, as their tasks are. */
export function pagesUsed(): u32 {
  let pages = zones().pagesUsed;
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (taskOf(id).run != 0) pages -= runBytes(taskOf(id).run) >> PAGE_SHIFT;
  }
  return pages;
}

// For who waits for a lock in vain: what it is, who has it, and in the middle of what.

/** What a lock word guards: 1 the tables, 2 the pages, 3 nothing (everything stands still), 4 timers, 0 a part of `lockedMap`. */
export function lockKind(word: usize): u32 {
  if (word == timersLock()) return 4;
  return word == tablesLock() ? 1 : word == pagesLock() ? 2 : word == stillWord() ? 3 : 0;
}

/** The id of the map whose locks a task takes, or 0. */
export function lockedMap(id: u32): u32 {
  const map = taskOf(id).map;
  return map == 0 ? 0 : changetype<BpfMap>(<usize>map).id;
}

/** The system's number for a task's thread, or 0. */
export function threadOf(id: u32): u32 {
  return taskOf(id).thread;
}

/** How many locks this task has, the one that it waits for among them. */
export function locksTaken(): u32 {
  return me().depth;
}

/** See Task.doing. */
export function doingOf(id: u32): u32 {
  return taskOf(id).doing;
}

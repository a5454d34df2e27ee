/**
 * The common head of every map, and its life: the list of maps, ids, references, and the end.
 *
 * Behaves as bpf_map_alloc_id, bpf_map_inc_not_zero and bpf_map_put in kernel/bpf/syscall.c.
 *
 * A map is held by references (fds and pins), by tasks (for the short way, and while it is mapped), and, for the time of one
 * system call, by the `using` word of the task that makes it. The last of the first two takes the id away at once; the
 * memory goes when no task is using it. Until then the map stays in the list.
 *
 * Threads: all under the tables lock. A thread that ends inside leaves what can be made again (`rebuildTables`) from the fd
 * table, the list of names, each map's `next`, and each task's `holds`, all of which change by one store.
 */
import {
  BPF_F_MMAPABLE,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
} from "../src/uapi/bpf";
import { EBUSY } from "../src/uapi/errno";
import { CreateAttr } from "./attr";
import { btfAt, dropBtf, rebuildBtfs } from "./btf";
import { FD_TABLE, MAPS_BY_ID, MAPS_BY_ID_COUNT, MAX_FDS, MAX_TASKS, TABLES, Tables, tables } from "./super";
import { ME, Task, taskPtr } from "./task";
import { lock, unlock } from "./lock";
import { ADD_REFS, DROP_CLOSED, OWN_RUNS, callOp, freeMap, holdsMaps, isDevmap } from "./map_types";
import { isDirectory, nextName, pinnedWord, settleNames } from "./bpffs";
import { dropTimers, endTimers, haveDropped, settleTimers } from "./timers";
import { IS_PROG, clearProgArray, collectDeadProgs, countProgUses, endLooseProgs, isSomeoneRunning, rebuildProgs, settleProgs } from "./prog";

@unmanaged
export class BpfMap {
  type: u32;
  /** 0 from the moment when the last reference was given back. */
  id: u32;
  keySize: u32;
  valueSize: u32;
  maxEntries: u32;
  /** As given at create, without BPF_F_RDONLY, BPF_F_WRONLY and BPF_F_TOKEN_FD: those are the fd's. */
  mapFlags: u32;
  /** Fds, names, and elems of maps of maps; one more while the map is being made. */
  refs: u32;
  /** How often tasks hold it: the sum of what `holdsAt` says. */
  held: u32;
  /** 1 once frozen: system calls write no more. */
  frozen: u32;
  next: u32;
  prev: u32;
  /** 1 if it is for one program alone (excl_prog_hash): it goes into no map of maps. */
  exclusive: u32;
  /** bpf_map_info.name: 16 bytes, as two words. */
  name0: u64;
  name1: u64;
  mapExtra: u64;
  /** Where the locks of elems, or of CPUs' slots, begin: see maps/_stripe.ts. */
  stripes: u32;
  stripeMask: u32;
  /** From one row of stripes to the next, in bytes, and how many there are. */
  stripeRow: u32;
  stripeRows: u32;
  /** Where a word for each task lies: how often it holds the map. Behind them, one each: how often it has it mapped to write. */
  holds: u32;
  /** The BTF that it was created with (btf.ts), or 0; and what it says of keys and values. */
  btf: u32;
  btfKeyTypeId: u32;
  btfValueTypeId: u32;
  /** Where the timers of its values lie (timers.ts), or 0. */
  timers: u32;
  /** Special fields of its values (_btf_fields.ts): a bit a kind, how many, which, and where each lies. */
  fields: u32;
  fieldKinds: u64;
  fieldCount: u32;
  fieldOff0: u32;
  fieldOff1: u32;
  fieldOff2: u32;
  fieldOff3: u32;
  fieldOff4: u32;
  fieldOff5: u32;
  fieldOff6: u32;
  fieldOff7: u32;
  fieldOff8: u32;
  fieldOff9: u32;
  fieldOff10: u32;
}

/** Of the words that `holds` points to. */
export const HOLDS_BYTES: u32 = 8 * MAX_TASKS;

// @ts-ignore: decorator
@inline
export function mapAt(at: usize): BpfMap {
  return changetype<BpfMap>(at);
}

// @ts-ignore: decorator
@inline
export function tablesLock(): usize {
  return TABLES + offsetof<Tables>("tablesLock");
}

/** What a map's head says from the start; all else in it is zero. */
export function initHead(map: BpfMap, attr: CreateAttr, holds: usize): void {
  map.type = attr.mapType;
  map.keySize = attr.keySize;
  map.valueSize = attr.valueSize;
  map.maxEntries = attr.maxEntries;
  map.mapFlags = attr.mapFlags & ~(BPF_F_RDONLY | BPF_F_WRONLY);
  map.mapExtra = attr.mapExtra;
  map.refs = 1;
  map.holds = <u32>holds;
}

// @ts-ignore: decorator
@inline
export function isMmapable(map: BpfMap): bool {
  return (map.mapFlags & BPF_F_MMAPABLE) != 0;
}

/** Gives the map an id and a place in the list. The caller holds the tables lock. */
export function listMap(map: BpfMap): void {
  const t = tables();
  let id = t.lastId;
  do {
    if (id == i32.MAX_VALUE) {
      id = 0;
      t.idsWrapped = 1;
    }
    id++;
  } while (t.idsWrapped != 0 && mapById(id) != 0);
  t.lastId = id;
  map.id = id;
  map.next = 0;
  map.prev = t.mapsTail;
  const at = <u32>changetype<usize>(map);
  if (t.mapsTail != 0) mapAt(t.mapsTail).next = at;
  else t.mapsHead = at;
  t.mapsTail = at;
  t.mapsCount++;
  store<u32>(placeOf(id), at);
}

function unlistMap(map: BpfMap): void {
  const t = tables();
  if (map.prev != 0) mapAt(map.prev).next = map.next;
  else t.mapsHead = map.next;
  if (map.next != 0) mapAt(map.next).prev = map.prev;
  else t.mapsTail = map.prev;
}

/** Where the address of the map of an id may stand. */
// @ts-ignore: decorator
@inline
function placeOf(id: u32): usize {
  return MAPS_BY_ID + 4 * <usize>(id & (MAPS_BY_ID_COUNT - 1));
}

/** The address of the map of this id, or 0. The caller holds the tables lock. */
export function mapById(id: u32): usize {
  const at = findMap(id);
  if (at != 0) store<u32>(placeOf(id), <u32>at);
  return at;
}

/** The same, but nothing is noted. */
export function findMap(id: u32): usize {
  if (id == 0) return 0;
  let at = load<u32>(placeOf(id));
  if (at != 0 && mapAt(at).id == id) return at;
  at = tables().mapsHead;
  while (at != 0 && mapAt(at).id != id) at = mapAt(at).next;
  return at;
}

/** The map that stands in the place of an id, if it has that id; or 0. For who runs a program: no map is freed meanwhile. */
export function placeOfId(id: u32): usize {
  const at = atomic.load<u32>(placeOf(id));
  return at != 0 && mapAt(at).id == id ? at : 0;
}

/** Takes a map's id away: no place leads to a map without one, since it may be freed. */
function endId(map: BpfMap): void {
  const place = placeOf(map.id);
  if (load<u32>(place) == <u32>changetype<usize>(map)) store<u32>(place, 0);
  map.id = 0;
}

/** The lowest id above `id`, or 0. The caller holds the tables lock. */
export function nextMapId(id: u32): u32 {
  let found: u32 = 0;
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) {
    const has = mapAt(at).id;
    if (has > id && (found == 0 || has < found)) found = has;
  }
  return found;
}

/** Gives a reference back. With the last one the map ends. The caller holds the tables lock. */
export function dropRef(map: BpfMap): void {
  map.refs--;
  endIfLoose(map);
}

export function addRef(map: BpfMap): void {
  map.refs++;
}

/** As `dropRef`, but the map is freed by the caller's `collectDeadMaps`. */
export function looseRef(map: BpfMap): void {
  map.refs--;
  markIfLoose(map);
}

// @ts-ignore: decorator
@inline
function holdsAt(map: BpfMap, id: u32): usize {
  return <usize>map.holds + 4 * (id - 1);
}

/** Holds the map for this task. The caller holds the tables lock. */
export function holdMap(map: BpfMap): void {
  store<u32>(holdsAt(map, ME), load<u32>(holdsAt(map, ME)) + 1);
  map.held++;
}

/** Lets go of what `holdMap` has held. */
export function putMap(map: BpfMap): void {
  lock(tablesLock());
  store<u32>(holdsAt(map, ME), load<u32>(holdsAt(map, ME)) - 1);
  map.held--;
  endIfLoose(map);
  unlock(tablesLock());
}

// @ts-ignore: decorator
@inline
function writersAt(map: BpfMap, id: u32): usize {
  return holdsAt(map, MAX_TASKS + id);
}

/** Notes that this task, which holds the map, maps it to write; false when the map is frozen. */
export function beginMapping(map: BpfMap): bool {
  lock(tablesLock());
  const isFrozen = map.frozen != 0;
  if (!isFrozen) store<u32>(writersAt(map, ME), load<u32>(writersAt(map, ME)) + 1);
  unlock(tablesLock());
  return !isFrozen;
}

/** Takes back what `beginMapping` has noted. */
export function endMapping(map: BpfMap): void {
  lock(tablesLock());
  store<u32>(writersAt(map, ME), load<u32>(writersAt(map, ME)) - 1);
  unlock(tablesLock());
}

/**
 * BPF_MAP_FREEZE: system calls write to the map no more. Behaves as map_freeze.
 *
 * Whoever writes stores `using` before it looks at `frozen`, and this looks at them in the other order: so a write that does not
 * see that the map is frozen is seen here. Then it was frozen for a moment, in which others may have been refused. A thread that
 * ends in that moment leaves it frozen.
 *
 * @returns 0, or -EBUSY while it is mapped to write, or being written to
 */
export function freezeMap(map: BpfMap): i32 {
  let ret = 0;
  lock(tablesLock());
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (load<u32>(writersAt(map, id)) != 0) ret = -EBUSY;
  }
  // Another may have been faster.
  if (map.frozen != 0 || isWritten(map)) ret = -EBUSY;
  if (ret == 0) {
    const frozen = changetype<usize>(map) + offsetof<BpfMap>("frozen");
    atomic.store<u32>(frozen, 1);
    if (isWritten(map)) {
      atomic.store<u32>(frozen, 0);
      ret = -EBUSY;
    }
  }
  unlock(tablesLock());
  return ret;
}

/** Whether another task's system call is writing to the map, or may be about to. */
function isWritten(map: BpfMap): bool {
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    const task = taskPtr(id);
    if (id == ME || atomic.load<u32>(task + offsetof<Task>("using")) != <u32>changetype<usize>(map)) continue;
    if (isWriting(load<u32>(task + offsetof<Task>("doing")) - 1)) return true;
  }
  return false;
}

function isWriting(cmd: u32): bool {
  return (
    cmd == BPF_MAP_UPDATE_ELEM ||
    cmd == BPF_MAP_DELETE_ELEM ||
    cmd == BPF_MAP_LOOKUP_AND_DELETE_ELEM ||
    cmd == BPF_MAP_UPDATE_BATCH ||
    cmd == BPF_MAP_DELETE_BATCH ||
    cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH
  );
}

/** Lets go of all that a task holds. The caller holds the tables lock. */
export function putAllOf(id: u32): void {
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) {
    const map = mapAt(at);
    const n = load<u32>(holdsAt(map, id));
    store<u32>(writersAt(map, id), 0);
    if (n == 0) continue;
    store<u32>(holdsAt(map, id), 0);
    map.held -= n;
    markIfLoose(map);
  }
  collectDeadMaps();
}

/** Takes the id of a map that nothing holds. It is freed at once, unless it is in use. */
function endIfLoose(map: BpfMap): void {
  markIfLoose(map);
  if (map.id == 0) collectDeadMaps();
}

function markIfLoose(map: BpfMap): void {
  if (map.refs != 0 || map.held != 0 || map.id == 0) return;
  endId(map);
  tables().mapsCount--;
  tables().mapsDead++;
}

/** Frees the maps that have ended and that no task is using any more. The caller holds the tables lock. */
export function collectDeadMaps(): void {
  if (haveDropped()) endLooseProgs();
  if (collectDeadProgs()) markAllLoose();
  while (tables().mapsDead != 0 && collectSome()) {
    collectDeadProgs();
    markAllLoose();
  }
}

/** Whether there was a map among them that held others, or programs: they may have ended with it. */
function collectSome(): bool {
  let hadInner = false;
  for (let at = tables().mapsHead; at != 0; ) {
    const map = mapAt(at);
    const next = map.next;
    if (map.id == 0 && !isUsed(at)) {
      dropTimers(map);
      // From here on its memory is this task's, whatever happens: see reap.ts.
      callOp(map.type, OWN_RUNS, at, ME, 0, 0);
      unlistMap(map);
      tables().mapsDead--;
      if (map.btf != 0) dropBtf(btfAt(map.btf));
      if (holdsMaps(map.type) || isDevmap(map.type)) {
        callOp(map.type, ADD_REFS, at, <usize>-1, 0, 0);
        hadInner = true;
      } else if (map.type == BPF_MAP_TYPE_PROG_ARRAY) {
        clearProgArray(map);
        hadInner = true;
      }
      freeMap(map);
    }
    at = next;
  }
  return hadInner;
}

function markAllLoose(): void {
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) markIfLoose(mapAt(at));
}

/** Whether some task's system call is using the map. Pairs with the store in fd.ts `useFd`. */
function isUsed(at: u32): bool {
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (atomic.load<u32>(taskPtr(id) + offsetof<Task>("using")) == at) return true;
  }
  // A program may have come to it through a map of maps.
  return isSomeoneRunning();
}

/**
 * What a map loses that has lost its last fd or name, even if programs hold it: a program array its programs, others their timers.
 * Behaves as map_release_uref.
 */
export function endUserUse(map: BpfMap): void {
  if (map.type != BPF_MAP_TYPE_PROG_ARRAY && map.timers == 0) return;
  if (namesAndFds(<u32>changetype<usize>(map)) != 0) return;
  if (map.timers != 0) endTimers(map);
  else clearProgArray(map);
}

/** An fd of the map is closed: elems that it alone has kept end. The caller holds the tables lock, and collects. */
export function endFd(map: BpfMap): void {
  endUserUse(map);
  if (map.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) callOp(map.type, DROP_CLOSED, changetype<usize>(map), 0, 0, 0);
}

/** How many fds and pinned names hold a map. */
export function namesAndFds(at: u32): u32 {
  let refs: u32 = 0;
  for (let fd: u32 = 0; fd < MAX_FDS; fd++) {
    if (load<u32>(FD_TABLE + 8 * <usize>fd) == at) refs++;
  }
  for (let node = nextName(0); node != 0; node = nextName(node)) {
    if (pinnedWord(node) == at) refs++;
  }
  return refs;
}

/**
 * Makes again what follows from the fd table, the names, the list and the holds, after a task ended while it held the tables
 * lock: links back, references, counts. A map that was being made, and is nobody's yet, ends.
 */
export function rebuildTables(): void {
  const t = tables();
  settleNames();
  settleProgs();
  memory.fill(MAPS_BY_ID, 0, 4 * MAPS_BY_ID_COUNT);
  let before: u32 = 0;
  for (let at = t.mapsHead; at != 0; at = mapAt(at).next) {
    const map = mapAt(at);
    map.prev = before;
    map.refs = 0;
    if (map.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) callOp(map.type, DROP_CLOSED, at, 1, 0, 0);
    map.held = 0;
    for (let id: u32 = 1; id <= MAX_TASKS; id++) map.held += load<u32>(holdsAt(map, id));
    before = at;
  }
  t.mapsTail = before;
  countRefs();
  settleTimers();
  t.mapsCount = 0;
  t.mapsDead = 0;
  for (let at = t.mapsHead; at != 0; at = mapAt(at).next) {
    const map = mapAt(at);
    if (map.refs == 0 && map.held == 0) endId(map);
    if (map.id == 0) t.mapsDead++;
    else t.mapsCount++;
  }
  rebuildProgs();
  rebuildBtfs();
  collectDeadMaps();
}

function countRefs(): void {
  let open: u32 = 0;
  for (let fd: u32 = 0; fd < MAX_FDS; fd++) {
    const word = load<u64>(FD_TABLE + 8 * <usize>fd);
    if (word == 0) continue;
    open++;
    // The others are of BTF and programs.
    if (<u32>word != 0) mapAt(<u32>word).refs++;
  }
  tables().fdsOpen = open;
  for (let node = nextName(0); node != 0; node = nextName(node)) {
    if (!isDirectory(node) && (pinnedWord(node) & IS_PROG) == 0) mapAt(pinnedWord(node)).refs++;
  }
  for (let at = tables().mapsHead; at != 0; at = mapAt(at).next) {
    if (holdsMaps(mapAt(at).type)) callOp(mapAt(at).type, ADD_REFS, at, 1, 0, 0);
  }
  countProgUses();
}

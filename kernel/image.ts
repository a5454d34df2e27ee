/**
 * Images: to stand still while the host copies the memory, and to come to life from a copy.
 *
 * Standing still is holding every lock: then no table, bucket, elem or page list is half changed. (An add to a word of an
 * array takes no lock; it is one store.) The copy has the locks held, and what belongs to threads that are not there when
 * it is loaded: tasks, CPUs, UserBuffers, pages of maps that were being made. `revive` clears all that.
 */
import { CPUS, FD_TABLE, MAX_CPUS, MAX_FDS, MAX_TASKS, SUPER, SuperBlock, TASKS, TASK_SIZE, sb } from "./super";
import { lock, unlock } from "./lock";
import { BpfMap, collectDeadMaps, endMap, tablesLock } from "./map";
import { KEEP_RUNS, POOL_LOCK, callOp, isPerCpu } from "./map_types";
import { freeLostRuns, keepRun } from "./mem/pages";
import { me } from "./task";
import { pinnedMap, nextPin } from "./bpffs";

const TAKE: u32 = 0;
const DROP: u32 = 1;
const CLEAR: u32 = 2;

/** Takes every lock, in the order that lock.ts gives. */
export function standStill(): void {
  lock(tablesLock());
  forEachMapLock(TAKE);
  lock(SUPER + offsetof<SuperBlock>("pagesLock"));
}

export function goOn(): void {
  unlock(SUPER + offsetof<SuperBlock>("pagesLock"));
  forEachMapLock(DROP);
  unlock(tablesLock());
}

/** Makes a memory that was copied while it stood still one that runs. No other thread is there yet. */
export function revive(): void {
  store<u32>(tablesLock(), 0);
  store<u32>(SUPER + offsetof<SuperBlock>("pagesLock"), 0);
  forEachMapLock(CLEAR);
  // The image has written over this thread's task, too.
  memory.fill(TASKS, 0, MAX_TASKS * TASK_SIZE);
  me().state = 1;
  memory.fill(CPUS, 0, 4 * MAX_CPUS);
  // Holders of the short way are gone: what holds a map now is its fds and names.
  for (let at = sb().mapsHead; at != 0; at = changetype<BpfMap>(<usize>at).next) {
    changetype<BpfMap>(<usize>at).refs = 0;
  }
  for (let fd: u32 = 0; fd < MAX_FDS; fd++) {
    const map = load<u32>(FD_TABLE + 8 * <usize>fd);
    if (map != 0) changetype<BpfMap>(<usize>map).refs++;
  }
  for (let pin = nextPin(0); pin != 0; pin = nextPin(pin)) pinnedMap(pin).refs++;
  // Maps that had ended may have been in use, and half changed: their pages are lost runs now.
  sb().deadMaps = 0;
  for (let at = sb().mapsHead; at != 0; ) {
    const map = changetype<BpfMap>(<usize>at);
    at = map.next;
    if (map.refs == 0) endMap(map);
  }
  collectDeadMaps();
  for (let at = sb().mapsHead; at != 0; at = changetype<BpfMap>(<usize>at).next) {
    callOp(changetype<BpfMap>(<usize>at).type, KEEP_RUNS, at, 0, 0, 0);
  }
  for (let pin = nextPin(0); pin != 0; pin = nextPin(pin)) keepRun(pin);
  freeLostRuns();
}

/** Takes, drops or clears the locks of all maps: of each the buckets' or elems' stripes, the slots', the pool's. */
function forEachMapLock(what: u32): void {
  for (let at = sb().mapsHead; at != 0; at = changetype<BpfMap>(<usize>at).next) {
    const map = changetype<BpfMap>(<usize>at);
    const rows: u32 = isPerCpu(map.type) ? 1 + sb().possibleCpus : 1;
    for (let row: u32 = 0; row < rows; row++) {
      for (let i: u32 = 0; i <= map.stripeMask; i++) change(<usize>map.stripes + row * map.stripeRow + 8 * i, what);
    }
    const pool = <usize>callOp(map.type, POOL_LOCK, at, 0, 0, 0);
    if (pool != 0) change(pool, what);
  }
}

function change(word: usize, what: u32): void {
  if (what == TAKE) lock(word);
  else if (what == DROP) unlock(word);
  else store<u32>(word, 0);
}

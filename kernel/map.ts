/**
 * The common head of every map, and its life: the list of maps, ids, references, and the end.
 *
 * Behaves as bpf_map_alloc_id, bpf_map_inc_not_zero and bpf_map_put in kernel/bpf/syscall.c.
 *
 * A map is held by references (fds, pins, holders of the short way) and, for the time of one system call, by the `using`
 * word of the task that makes it. The last reference takes the id away at once; the memory goes when no task is using it.
 */
import { BPF_F_MMAPABLE, BPF_F_RDONLY, BPF_F_WRONLY } from "../src/uapi/bpf";
import { CreateAttr } from "./attr";
import { MAX_TASKS, SUPER, SuperBlock, sb } from "./super";
import { Task, taskPtr } from "./task";
import { lock, unlock } from "./lock";
import { freeMap } from "./map_types";

@unmanaged
export class BpfMap {
  type: u32;
  id: u32;
  keySize: u32;
  valueSize: u32;
  maxEntries: u32;
  /** As given at create, without BPF_F_RDONLY, BPF_F_WRONLY and BPF_F_TOKEN_FD: those are the fd's. */
  mapFlags: u32;
  refs: u32;
  /** 1 once frozen: system calls write no more. */
  frozen: u32;
  next: u32;
  prev: u32;
  /** Bytes of all that the map has allocated. */
  memory: u32;
  /** Where the locks of buckets or elems begin, see maps/_stripe.ts. */
  stripes: u32;
  stripeMask: u32;
  /** From one row of stripes to the next, in bytes. */
  stripeRow: u32;
  /** bpf_map_info.name: 16 bytes, as two words. */
  name0: u64;
  name1: u64;
  mapExtra: u64;
}

// @ts-ignore: decorator
@inline
export function tablesLock(): usize {
  return SUPER + offsetof<SuperBlock>("tablesLock");
}

/** What a map's head says from the start; all else in it is zero. */
export function initHead(map: BpfMap, attr: CreateAttr): void {
  map.type = attr.mapType;
  map.keySize = attr.keySize;
  map.valueSize = attr.valueSize;
  map.maxEntries = attr.maxEntries;
  map.mapFlags = attr.mapFlags & ~(BPF_F_RDONLY | BPF_F_WRONLY);
  map.mapExtra = attr.mapExtra;
  map.refs = 1;
}

// @ts-ignore: decorator
@inline
export function isMmapable(map: BpfMap): bool {
  return (map.mapFlags & BPF_F_MMAPABLE) != 0;
}

/** Gives the map an id and a place in the list. The caller holds the tables lock. */
export function listMap(map: BpfMap): void {
  const s = sb();
  let id = s.lastId;
  do {
    if (id == i32.MAX_VALUE) {
      id = 0;
      s.idsWrapped = 1;
    }
    id++;
  } while (s.idsWrapped != 0 && mapById(id) != 0);
  s.lastId = id;
  map.id = id;
  map.next = 0;
  map.prev = s.mapsTail;
  const at = <u32>changetype<usize>(map);
  if (s.mapsTail != 0) changetype<BpfMap>(<usize>s.mapsTail).next = at;
  else s.mapsHead = at;
  s.mapsTail = at;
  s.mapsCount++;
}

function unlistMap(map: BpfMap): void {
  const s = sb();
  if (map.prev != 0) changetype<BpfMap>(<usize>map.prev).next = map.next;
  else s.mapsHead = map.next;
  if (map.next != 0) changetype<BpfMap>(<usize>map.next).prev = map.prev;
  else s.mapsTail = map.prev;
  s.mapsCount--;
}

/** The address of the map of this id, or 0. The caller holds the tables lock. */
export function mapById(id: u32): usize {
  let at = sb().mapsHead;
  while (at != 0 && changetype<BpfMap>(<usize>at).id != id) at = changetype<BpfMap>(<usize>at).next;
  return at;
}

/** The lowest id above `id`, or 0. The caller holds the tables lock. */
export function nextMapId(id: u32): u32 {
  let found: u32 = 0;
  for (let at = sb().mapsHead; at != 0; at = changetype<BpfMap>(<usize>at).next) {
    const has = changetype<BpfMap>(<usize>at).id;
    if (has > id && (found == 0 || has < found)) found = has;
  }
  return found;
}

// @ts-ignore: decorator
@inline
function refsWord(map: BpfMap): usize {
  return changetype<usize>(map) + offsetof<BpfMap>("refs");
}

/** Takes one more reference of a map that has some. */
export function holdMap(map: BpfMap): void {
  atomic.add<u32>(refsWord(map), 1);
}

/** Takes a reference unless the last one is gone already. */
export function holdMapUnlessZero(map: BpfMap): bool {
  while (true) {
    const refs = atomic.load<u32>(refsWord(map));
    if (refs == 0) return false;
    if (atomic.cmpxchg<u32>(refsWord(map), refs, refs + 1) == refs) return true;
  }
}

/** Gives a reference back. With the last one the map ends. Not to be called with the tables lock held. */
export function putMap(map: BpfMap): void {
  if (atomic.sub<u32>(refsWord(map), 1) != 1) return;
  lock(tablesLock());
  endMap(map);
  collectDeadMaps();
  unlock(tablesLock());
}

/** Takes a map without references out of the list: it has no id any more. The caller holds the tables lock. */
export function endMap(map: BpfMap): void {
  unlistMap(map);
  map.next = sb().deadMaps;
  sb().deadMaps = <u32>changetype<usize>(map);
}

/** Frees the maps without references that no task is using any more. The caller holds the tables lock. */
export function collectDeadMaps(): void {
  let link = SUPER + offsetof<SuperBlock>("deadMaps");
  for (let at = load<u32>(link); at != 0; at = load<u32>(link)) {
    const map = changetype<BpfMap>(<usize>at);
    if (isUsed(at)) {
      link = at + offsetof<BpfMap>("next");
    } else {
      store<u32>(link, map.next);
      freeMap(map);
    }
  }
}

/** Whether some task's system call is using the map. Pairs with the store in fd.ts `useMap`. */
function isUsed(at: u32): bool {
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    if (atomic.load<u32>(taskPtr(id) + offsetof<Task>("using")) == at) return true;
  }
  return false;
}

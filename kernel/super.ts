/**
 * Where everything lies: the fixed addresses, and the superblock with what the whole kernel shares.
 *
 * Every thread runs its own instance of this module over one memory, so nothing may live in a global: state is here, or
 * behind a pointer that is here. A fresh memory is zeroes, and zeroes are a valid start for each field but those that
 * `format()` (host.ts) sets.
 *
 *      0x00000  null page     never handed out
 *      0x01000  superblock    1 page
 *      0x02000  tasks         256 x 1024 bytes: one a thread that has attached (task.ts)
 *      0x42000  cpus          1024 x 4 bytes: the task that owns the CPU, or 0
 *      0x43000  fd table      65536 x 8 bytes (fd.ts)
 *      0xC3000  constants     the module's own: texts (scripts/build.mjs --memoryBase)
 *      0xC7000  page table    16 bytes a page of the memory (mem/pages.ts)
 *      ...      kernel zone   grows up:   maps, pinned names
 *      ...      gap           never touched
 *      ...      user zone     grows down: UserBuffers, storage of maps that can be mapped
 *      end - 1  guard page    never handed out, so that reading a word at the end of user memory stays inside
 */

export const PAGE_SHIFT: u32 = 12;
export const PAGE_SIZE: u32 = 1 << PAGE_SHIFT;

export const SUPER: usize = 0x1000;
export const TASKS: usize = 0x2000;
export const TASK_SIZE: u32 = 1024;
export const MAX_TASKS: u32 = 256;
export const CPUS: usize = 0x42000;
export const MAX_CPUS: u32 = 1024;
export const FD_TABLE: usize = 0x43000;
export const MAX_FDS: u32 = 65536;
export const PAGE_TABLE: usize = 0xc7000;

/** "tsbp" in memory order. */
export const MAGIC: u32 = 0x70627374;
/** Of the memory's layout: an image of another version is refused. Raise it with any change of what bytes mean. */
export const LAYOUT_VERSION: u32 = 7;

/** Size classes of free page runs: class k holds runs of 2^k to 2^(k+1)-1 pages. */
export const PAGE_CLASSES: u32 = 24;

/** Of an instruction; and of a function's frame. */
export const INSN_BYTES: u32 = 8;
export const FRAME_BYTES: i32 = 512;

@unmanaged
export class SuperBlock {
  magic: u32;
  layoutVersion: u32;
  /** Pages of the whole memory. */
  pages: u32;
  possibleCpus: u32;
  /** The task that has everything stand still (lock.ts), or 0. Read at each lock: nothing that is often written is near. */
  still: u32;
  /** Network devices (maps/devmap.ts), numbers from 1 on; 0 of an image from before there were any. */
  devices: u32;
  /** splitmix64 state; atomically added to. */
  random: u64;
}

/** What tasks change, a cache line behind what they only read. */
export const TABLES: usize = SUPER + 128;

@unmanaged
export class Tables {
  /** Guards the fd table, the list of maps with their ids and references, and names. Outermost. */
  tablesLock: u32;
  /** The id given last. */
  lastId: u32;
  /** 1 once ids have begun again at 1: from then on a map may have the next one still. */
  idsWrapped: u32;
  /** All maps, oldest first: those that have an id, and those that have ended but are in use still. */
  mapsHead: u32;
  mapsTail: u32;
  mapsCount: u32;
  /** How many of them have ended. */
  mapsDead: u32;
  /** Pinned names and directories: see bpffs.ts. */
  namesHead: u32;
  fdsOpen: u32;
  /** BTF objects, and the id given last to one; as above. */
  btfsHead: u32;
  lastBtfId: u32;
  btfIdsWrapped: u32;
  /** Programs (prog.ts), as above; and how many have ended. */
  progsHead: u32;
  lastProgId: u32;
  progIdsWrapped: u32;
  progsDead: u32;
}

/** What pagesLock guards. */
export const ZONES: usize = SUPER + 192;

@unmanaged
export class Zones {
  /** Guards the page table and the zones. Innermost: nothing is locked while it is held. */
  pagesLock: u32;
  /** First page of the kernel zone, and the page behind its last. */
  kernelStart: u32;
  kernelEnd: u32;
  /** How far kernelEnd ever was: from here on, up to userDirty, pages have never been written. */
  kernelDirty: u32;
  /** The user zone's lowest page, how low that ever was, and the page behind the zone. */
  userStart: u32;
  userDirty: u32;
  userEnd: u32;
  /** Pages handed out in either zone. */
  pagesUsed: u32;
}

/** What the timers lock guards (timers.ts). */
export const TIMERS: usize = SUPER + 1024;

@unmanaged
export class TimerTable {
  timersLock: u32;
  /** The timers of maps where one was ever inited. */
  mapsHead: u32;
  /** Root of the heap of armed timers whose threads have left. */
  orphans: u32;
  /** 1 where a timer has let go of a program since somebody looked. */
  dropped: u32;
}

/** Heads of the lists of free page runs: a word a size class, for each zone. */
export const KERNEL_FREE: usize = SUPER + 256;
export const USER_FREE: usize = KERNEL_FREE + 4 * <usize>PAGE_CLASSES;

/**
 * Where maps lie that are looked for by their ids, an address in the place of each id's lowest bits: none, or one in the list of
 * maps that has an id (map.ts).
 */
export const MAPS_BY_ID: usize = SUPER + 2048;
export const MAPS_BY_ID_COUNT: u32 = 512;

// @ts-ignore: decorator
@inline
export function sb(): SuperBlock {
  return changetype<SuperBlock>(SUPER);
}

// @ts-ignore: decorator
@inline
export function tables(): Tables {
  return changetype<Tables>(TABLES);
}

// @ts-ignore: decorator
@inline
export function zones(): Zones {
  return changetype<Zones>(ZONES);
}

/** How many network devices there are: the first is lo. */
export function deviceCount(): u32 {
  return max<u32>(sb().devices, 1);
}

// @ts-ignore: decorator
@inline
export function timerTable(): TimerTable {
  return changetype<TimerTable>(TIMERS);
}

/** The next of a stream of 64-bit random numbers (splitmix64), different for each caller. */
export function nextRandom(): u64 {
  let z = atomic.add<u64>(SUPER + offsetof<SuperBlock>("random"), 0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

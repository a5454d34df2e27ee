/**
 * Check: walks all structures and reports what is wrong, as fsck does of a disk. It changes nothing.
 *
 * A finding is four words: what (the codes below; texts in src/kernels/embedded/check.ts), where, found, wanted. Threads:
 * everything stands still meanwhile (lock.ts), so that no structure is half changed.
 */
import { CPUS, FD_TABLE, MAPS_BY_ID, MAPS_BY_ID_COUNT, MAX_FDS, MAX_TASKS, sb, tables } from "./super";
import { btfAt, btfRefs } from "./btf";
import { btfOf, progOf } from "./fd";
import { BpfMap, namesAndFds, tablesLock } from "./map";
import { CHECK, COUNT_REFS, callOp, holdsMaps } from "./map_types";
import { checkPages } from "./mem/check_pages";
import { checkTimers } from "./check_timers";
import { directoryOf, isDirectory, isSameName, nextName, pinnedWord, replacedBy } from "./bpffs";
import { IS_PROG, MAX_USED_MAPS, progAt, progRefs, usedMap, usesOf } from "./prog";
import { goOn, lock, standStill, unlock } from "./lock";
import { slotStripeOf } from "./maps/_stripe";
import { finding, findings, startFindings } from "./finding";
import { taskPtr, Task } from "./task";

/** Codes from 1 on are mem/check_pages.ts's, from 32 on this file's, from 64 on maps/_check_htab.ts's, from 110 on check_timers.ts's. */
const FDS_OPEN: u32 = 32;
const FD_OF_NO_MAP: u32 = 33;
const PIN_OF_NO_MAP: u32 = 34;
const MAP_LINKS: u32 = 35;
const MAP_ID_TWICE: u32 = 36;
const MAP_REFS: u32 = 37;
const MAPS_COUNT: u32 = 38;
const CPU_OF_NO_TASK: u32 = 39;
const MAP_SEQ_ODD: u32 = 40;
const MAPS_DEAD: u32 = 41;
const MAP_HELD: u32 = 42;
const HELD_BY_NOBODY: u32 = 43;
const PLACE_OF_NO_MAP: u32 = 45;
const NAME_IN_NOTHING: u32 = 50;
const NAME_TWICE: u32 = 51;
const NAME_REPLACING: u32 = 52;
const NAME_IN_CIRCLE: u32 = 53;
const FD_OF_NO_BTF: u32 = 54;
const BTF_LINKS: u32 = 55;
const BTF_ID_TWICE: u32 = 56;
const BTF_REFS: u32 = 57;
const MAP_OF_NO_BTF: u32 = 58;
const PROG_LINKS: u32 = 59;
const PROG_ID_TWICE: u32 = 60;
const PROG_REFS: u32 = 61;
const PROG_OF_NO_MAP: u32 = 62;
const PROGS_DEAD: u32 = 63;

/** Writes findings to `to`, as many as have room. Returns how many there are. */
export function check(to: usize, room: u32): u32 {
  startFindings(to, room);
  lock(tablesLock());
  standStill();
  checkPages();
  checkFds();
  checkNames();
  checkMaps();
  checkPlaces();
  checkBtfs();
  checkProgs();
  checkTimers();
  checkCpus();
  goOn();
  unlock(tablesLock());
  return findings();
}

function isAlive(at: usize): bool {
  let map: usize = tables().mapsHead;
  while (map != 0 && map != at) map = changetype<BpfMap>(map).next;
  return map != 0 && changetype<BpfMap>(map).id != 0;
}

function checkFds(): void {
  let open: u32 = 0;
  for (let fd: u32 = 0; fd < MAX_FDS; fd++) {
    const word = load<u64>(FD_TABLE + 8 * <usize>fd);
    if (word == 0) continue;
    open++;
    const map: usize = <u32>word;
    if (map == 0) {
      if (progOf(word) != 0 ? !isListedProg(progOf(word)) : !isListedBtf(btfOf(word))) {
        finding(FD_OF_NO_BTF, fd, <u32>(word >> 32), 0);
      }
    } else if (!isAlive(map)) finding(FD_OF_NO_MAP, fd, <u32>map, 0);
  }
  if (open != tables().fdsOpen) finding(FDS_OPEN, 0, tables().fdsOpen, open);
}

/** Each name is a map's or a directory's, alone in a directory that there is, and on the way to the root. */
function checkNames(): void {
  for (let node = nextName(0); node != 0; node = nextName(node)) {
    const at = <u32>node;
    const object = pinnedWord(node);
    const isThere = (object & IS_PROG) != 0 ? isListedProg(object ^ IS_PROG) : isAlive(object);
    if (!isDirectory(node) && !isThere) finding(PIN_OF_NO_MAP, at, object, 0);
    if (replacedBy(node) != 0) finding(NAME_REPLACING, at, <u32>replacedBy(node), 0);
    for (let other = nextName(node); other != 0; other = nextName(other)) {
      if (isSameName(node, other)) finding(NAME_TWICE, at, <u32>other, 0);
    }
    const dir = directoryOf(node);
    if (dir == 0) continue;
    if (!isListed(dir) || !isDirectory(dir)) finding(NAME_IN_NOTHING, at, <u32>dir, 0);
    else if (isDirectory(node) && isInCircle(node)) finding(NAME_IN_CIRCLE, at, <u32>dir, 0);
  }
}

function isListed(node: usize): bool {
  let at = nextName(0);
  while (at != 0 && at != node) at = nextName(at);
  return at != 0;
}

/** Whether the directory's parents lead back to it; not whether they lead to another one that is in a circle. */
function isInCircle(node: usize): bool {
  let steps: u32 = 0;
  let at = directoryOf(node);
  // No directory has more above it than there are names.
  for (let each = nextName(0); each != 0; each = nextName(each)) steps++;
  while (at != 0 && at != node && isListed(at) && steps > 0) {
    at = directoryOf(at);
    steps--;
  }
  return at == node;
}

function checkMaps(): void {
  const t = tables();
  let alive: u32 = 0;
  let dead: u32 = 0;
  let before: u32 = 0;
  for (let at = t.mapsHead; at != 0; at = changetype<BpfMap>(<usize>at).next) {
    const map = changetype<BpfMap>(<usize>at);
    if (alive + dead > t.mapsCount + t.mapsDead) break;
    if (map.prev != before) finding(MAP_LINKS, at, map.prev, before);
    before = at;
    if (map.id == 0) {
      dead++;
      continue;
    }
    alive++;
    for (let other = map.next; other != 0; other = changetype<BpfMap>(<usize>other).next) {
      if (changetype<BpfMap>(<usize>other).id == map.id) finding(MAP_ID_TWICE, at, map.id, 0);
    }
    const refs = namesAndFds(at) + outerElems(map.id) + usesOf(at);
    if (map.refs != refs) finding(MAP_REFS, at, map.refs, refs);
    if (map.btf != 0 && !isListedBtf(map.btf)) finding(MAP_OF_NO_BTF, at, map.btf, 0);
    checkHolds(map);
    checkStripes(map);
    callOp(map.type, CHECK, at, 0, 0, 0);
  }
  if (alive != t.mapsCount) finding(MAPS_COUNT, 0, t.mapsCount, alive);
  if (dead != t.mapsDead) finding(MAPS_DEAD, 0, t.mapsDead, dead);
  if (before != t.mapsTail) finding(MAP_LINKS, before, t.mapsTail, before);
}

/** What stands in the place of some ids is a map that has one of them. */
function checkPlaces(): void {
  for (let i: u32 = 0; i < MAPS_BY_ID_COUNT; i++) {
    const at = load<u32>(MAPS_BY_ID + 4 * <usize>i);
    if (at == 0) continue;
    if (!isAlive(at) || (changetype<BpfMap>(<usize>at).id & (MAPS_BY_ID_COUNT - 1)) != i) finding(PLACE_OF_NO_MAP, i, at, 0);
  }
}

function isListedBtf(at: usize): bool {
  let btf: usize = tables().btfsHead;
  while (btf != 0 && btf != at) btf = btfAt(btf).next;
  return btf != 0;
}

function isListedProg(at: usize): bool {
  let prog: usize = tables().progsHead;
  while (prog != 0 && prog != at) prog = progAt(prog).next;
  return prog != 0 && progAt(prog).id != 0;
}

function checkProgs(): void {
  let before: u32 = 0;
  let dead: u32 = 0;
  for (let at = tables().progsHead; at != 0; at = progAt(at).next) {
    const prog = progAt(at);
    if (prog.prev != before) {
      finding(PROG_LINKS, at, prog.prev, before);
      break;
    }
    before = at;
    if (prog.id == 0) dead++;
    for (let other = prog.next; other != 0; other = progAt(other).next) {
      if (prog.id != 0 && progAt(other).id == prog.id) finding(PROG_ID_TWICE, at, prog.id, 0);
    }
    const refs = progRefs(at);
    if (prog.refs != refs) finding(PROG_REFS, at, prog.refs, refs);
    for (let i: u32 = 0; i < prog.mapCount; i++) {
      if (!isAlive(usedMap(prog, i))) finding(PROG_OF_NO_MAP, at, usedMap(prog, i), i);
    }
    if (prog.btf != 0 && !isListedBtf(prog.btf)) finding(PROG_OF_NO_MAP, at, prog.btf, MAX_USED_MAPS);
  }
  if (dead != tables().progsDead) finding(PROGS_DEAD, 0, tables().progsDead, dead);
}

function checkBtfs(): void {
  let before: u32 = 0;
  for (let at = tables().btfsHead; at != 0; at = btfAt(at).next) {
    const btf = btfAt(at);
    if (btf.prev != before) {
      finding(BTF_LINKS, at, btf.prev, before);
      break;
    }
    before = at;
    for (let other = btf.next; other != 0; other = btfAt(other).next) {
      if (btfAt(other).id == btf.id) finding(BTF_ID_TWICE, at, btf.id, 0);
    }
    const refs = btfRefs(at);
    if (btf.refs != refs) finding(BTF_REFS, at, btf.refs, refs);
  }
}

/** Only tasks that are there hold a map. */
function checkHolds(map: BpfMap): void {
  let held: u32 = 0;
  for (let id: u32 = 1; id <= MAX_TASKS; id++) {
    const n = load<u32>(<usize>map.holds + 4 * (id - 1));
    if (n != 0 && changetype<Task>(taskPtr(id)).state == 0) finding(HELD_BY_NOBODY, <u32>changetype<usize>(map), id, n);
    held += n;
  }
  if (held != map.held) finding(MAP_HELD, <u32>changetype<usize>(map), map.held, held);
}

/** How many elems of other maps hold a map. */
function outerElems(id: u32): u32 {
  let refs: u32 = 0;
  for (let at = tables().mapsHead; at != 0; at = changetype<BpfMap>(<usize>at).next) {
    const type = changetype<BpfMap>(<usize>at).type;
    if (holdsMaps(type)) refs += callOp(type, COUNT_REFS, at, id, 0, 0);
  }
  return refs;
}

/** Nobody is writing in place. */
function checkStripes(map: BpfMap): void {
  for (let row: u32 = 0; row < map.stripeRows; row++) {
    for (let i: u32 = 0; i <= map.stripeMask; i++) {
      const stripe = slotStripeOf(map, i, row);
      if (load<u32>(stripe, 4) & 1) finding(MAP_SEQ_ODD, <u32>stripe, load<u32>(stripe, 4), 0);
    }
  }
}

function checkCpus(): void {
  for (let cpu: u32 = 0; cpu < sb().possibleCpus; cpu++) {
    const owner = load<u32>(CPUS + 4 * cpu);
    if (owner == 0) continue;
    const isOwned = owner <= MAX_TASKS && changetype<Task>(taskPtr(owner)).cpu == cpu + 1;
    if (!isOwned) finding(CPU_OF_NO_TASK, cpu, owner, 0);
  }
}

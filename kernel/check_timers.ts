/**
 * Check of timers (timers.ts): all stands still.
 */
import { finding } from "./finding";
import { mapAt } from "./map";
import { progAt } from "./prog";
import { MAX_TASKS, tables, timerTable } from "./super";
import { taskOf } from "./task";
import { ARMED, FREE, Timer, Timers, timerAt } from "./timers";

const TIMERS_OF_NO_MAP: u32 = 110;
const TIMER_STATE: u32 = 111;
const TIMER_OF_NO_PROG: u32 = 112;
const TIMER_RUNNING: u32 = 113;
const TIMER_LINKS: u32 = 114;
const TIMERS_ARMED: u32 = 115;

export function checkTimers(): void {
  let armed: u32 = 0;
  for (let run = timerTable().mapsHead; run != 0; run = changetype<Timers>(<usize>run).next) {
    const timers = changetype<Timers>(<usize>run);
    if (!isListedMap(timers.map) || mapAt(timers.map).timers != run) {
      finding(TIMERS_OF_NO_MAP, run, timers.map, 0);
      return;
    }
    for (let i: u32 = 0; i < timers.count; i++) {
      const timer = timerAt(mapAt(timers.map), i);
      checkTimer(timer);
      if (timer.state == ARMED) armed++;
    }
  }
  let queued: u32 = 0;
  for (let id: u32 = 0; id <= MAX_TASKS; id++) {
    const root = id == 0 ? timerTable().orphans : taskOf(id).timers;
    if (root == 0) continue;
    queued++;
    if (changetype<Timer>(<usize>root).prev != 0) finding(TIMER_LINKS, root, id, 0);
  }
  // With what is below each of them, all are seen once.
  for (let run = timerTable().mapsHead; run != 0; run = changetype<Timers>(<usize>run).next) {
    const timers = changetype<Timers>(<usize>run);
    for (let i: u32 = 0; i < timers.count && queued <= armed; i++) {
      const timer = timerAt(mapAt(timers.map), i);
      if (timer.state == ARMED) queued += checkBelow(timer, armed);
    }
  }
  if (queued != armed) finding(TIMERS_ARMED, 0, queued, armed);
}

function isListedMap(at: u32): bool {
  let map = tables().mapsHead;
  while (map != 0 && map != at) map = mapAt(map).next;
  return map != 0;
}

function isListedProg(at: u32): bool {
  let prog = tables().progsHead;
  while (prog != 0 && prog != at) prog = progAt(prog).next;
  return prog != 0;
}

function checkTimer(timer: Timer): void {
  const at = <u32>changetype<usize>(timer);
  if (timer.state > ARMED || (timer.state == ARMED && timer.prog == 0)) finding(TIMER_STATE, at, timer.state, timer.prog);
  if (timer.state != FREE && timer.prog != 0 && !isListedProg(timer.prog)) finding(TIMER_OF_NO_PROG, at, timer.prog, 0);
  const runner = timer.running;
  const isRun = runner != 0 && runner <= MAX_TASKS && timer.state != FREE && taskOf(runner).firing == at;
  if (runner != 0 && !isRun) finding(TIMER_RUNNING, at, runner, 0);
}

/** How many are directly below one. */
function checkBelow(timer: Timer, most: u32): u32 {
  let before = <u32>changetype<usize>(timer);
  let n: u32 = 0;
  for (let at = timer.child; at != 0 && n <= most; n++) {
    const below = changetype<Timer>(<usize>at);
    const isSound = below.prev == before && below.state == ARMED && below.task == timer.task && below.expiry >= timer.expiry;
    if (!isSound) finding(TIMER_LINKS, at, below.prev, before);
    before = at;
    at = below.next;
  }
  return n;
}

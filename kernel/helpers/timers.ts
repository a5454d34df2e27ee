/**
 * bpf_timer_init, bpf_timer_set_callback, bpf_timer_start and bpf_timer_cancel: see timers.ts.
 *
 * Differs from Linux: that a pointer leads to a timer is looked at here, not by a verifier: what is none, or one of another map than is
 * said, ends the program.
 */
import { BPF_F_TIMER_ABS, BPF_F_TIMER_CPU_PIN } from "../../src/uapi/bpf";
import { EINVAL } from "../../src/uapi/errno";
import { NO_PLACE, placeOfTimerField } from "../_timer_places";
import { bootNs } from "../clock";
import { funcSlot } from "../interpreter";
import { mapAt } from "../map";
import { progAt, usedMap } from "../prog";
import { FAULT_CALL, fault, myRun, reachedAt } from "../run";
import { me } from "../task";
import { armHost } from "../timer_run";
import { Timer, cancelTimer, initTimer, setTimerFunc, startTimer, timerAt } from "../timers";
import { isNoMap, mapArg, refuse, result } from "./_arguments";

const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;
const CLOCK_BOOTTIME: u32 = 7;

/** The timer in a value of the program's maps that an argument is; null, and a fault, for what is none. */
function timerArg(insn: u32, pointer: u64): Timer | null {
  const run = myRun();
  const prog = progAt(run.prog);
  for (let i: u32 = 0; i < prog.mapCount; i++) {
    const timer = timerIn(usedMap(prog, i), pointer);
    if (timer != null) return timer;
  }
  for (let i: u32 = 0; i < run.reached; i++) {
    const timer = timerIn(reachedAt(run, i), pointer);
    if (timer != null) return timer;
  }
  refuse(insn, pointer);
  return null;
}

function timerIn(map: u32, pointer: u64): Timer | null {
  if (mapAt(map).timers == 0) return null;
  const place = placeOfTimerField(mapAt(map), pointer);
  return place == NO_PLACE ? null : timerAt(mapAt(map), place);
}

export function timerInit(insn: u32, pointer: u64, r2: u64, flags: u64): u64 {
  const map = mapArg(insn, r2);
  if (isNoMap(map)) return 0;
  const place = map.timers != 0 ? placeOfTimerField(map, pointer) : NO_PLACE;
  if (place == NO_PLACE) return refuse(insn, pointer);
  const isClock = flags == CLOCK_MONOTONIC || flags == CLOCK_BOOTTIME || flags == CLOCK_REALTIME;
  return result(isClock ? initTimer(map, place) : -EINVAL);
}

export function timerSetCallback(insn: u32, pointer: u64, func: u64): u64 {
  const timer = timerArg(insn, pointer);
  if (timer == null) return 0;
  if (funcSlot(func) == u32.MAX_VALUE) {
    fault(FAULT_CALL, insn, func);
    return 0;
  }
  return result(setTimerFunc(timer, myRun().prog, <u32>func));
}

export function timerStart(insn: u32, pointer: u64, nsecs: u64, flags: u64): u64 {
  const timer = timerArg(insn, pointer);
  if (timer == null) return 0;
  if ((flags & ~(<u64>(BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN))) != 0) return result(-EINVAL);
  const ret = startTimer(timer, max<u64>(expiryOf(nsecs, (flags & BPF_F_TIMER_ABS) != 0), me().firingUntil + 1));
  // What fires first has changed.
  if (ret == 0 && me().timers == <u32>changetype<usize>(timer)) armHost();
  return result(ret);
}

/**
 * When it fires. Behaves as hrtimer_start: what is too far never comes. The clock is the monotonic one whatever was asked for: Linux takes
 * it for CLOCK_REALTIME, too (hrtimer_setup with a relative mode), and it goes on as CLOCK_BOOTTIME here.
 */
function expiryOf(nsecs: u64, isAbsolute: bool): u64 {
  if (isAbsolute) return min<u64>(nsecs, i64.MAX_VALUE);
  const now = bootNs();
  return nsecs > <u64>i64.MAX_VALUE - now ? i64.MAX_VALUE : now + nsecs;
}

export function timerCancel(insn: u32, pointer: u64): u64 {
  const timer = timerArg(insn, pointer);
  return timer == null ? 0 : result(cancelTimer(timer));
}

/**
 * Firing: a thread runs the functions of its timers that are due, when its host has it do so. Behaves as bpf_timer_cb in
 * kernel/bpf/helpers.c.
 *
 * The host is told when that is to be (`arm`): it sets an alarm of its own. A thread whose host does not come to that fires nothing.
 *
 * Differs from Linux: nothing fires while the thread runs something else, so timers may be late, by a millisecond and more.
 */
import { bootNs } from "./clock";
import { mapAt } from "./map";
import { progAt } from "./prog";
import { collectAfterRun, runTimerFunc } from "./prog_run";
import { runArea } from "./run";
import { ME, Task, currentCpu, me } from "./task";
import { adoptOrphans, endFiring, nextExpiry, placeOfTimer, takeDue } from "./timers";
import { timerTable } from "./super";

/** Has the host call `runTimers` in so many nanoseconds, or earlier. */
// @ts-ignore: decorator
@external("env", "arm")
declare function arm(delay: f64): void;

/** Has the host set an alarm for this thread's first timer. */
export function armHost(): void {
  const expiry = nextExpiry();
  if (expiry == u64.MAX_VALUE) return;
  const now = bootNs();
  arm(expiry > now ? <f64>(expiry - now) : 0);
}

/** Takes the timers that threads have left, if there are any. */
export function adoptTimers(): void {
  if (timerTable().orphans == 0) return;
  adoptOrphans();
  armHost();
}

/**
 * Fires this thread's timers that are due, and those that nobody has. What timers start meanwhile is for the next time.
 *
 * @returns How many.
 */
export function runTimers(): u32 {
  const task = me();
  // Not in the middle of a program, that has called the host.
  if (task.running != 0) return 0;
  adoptOrphans();
  if (task.timers == 0) return 0;
  const running = changetype<usize>(task) + offsetof<Task>("running");
  atomic.store<u32>(running, 1);
  let fired: u32 = 0;
  if (runArea() != 0 && currentCpu() >= 0) {
    const now = bootNs();
    task.firingUntil = now;
    for (let timer = takeDue(now); timer != null; timer = takeDue(now)) {
      // Programs and maps stay as long as this thread is running.
      const map = mapAt(timer.map);
      if (task.firingProg != 0) runTimerFunc(progAt(task.firingProg), task.firingFunc, map, placeOfTimer(timer));
      endFiring(ME);
      fired++;
    }
    task.firingUntil = 0;
  }
  atomic.store<u32>(running, 0);
  collectAfterRun();
  armHost();
  return fired;
}

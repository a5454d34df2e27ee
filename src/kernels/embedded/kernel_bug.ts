/**
 * KernelBug: a lock that nobody lets go of.
 */
import { cmdName } from "../../uapi/names.js";
import type { Engine } from "./engine.js";

/**
 * A lock was waited for in vain, for a second: the thread that has it was ended and nobody has reaped it, or it hangs.
 *
 * The call that waited was given up; the kernel is as it was before.
 */
export class KernelBug extends Error {
  override readonly name = "KernelBug";
  /** What the lock guards. */
  readonly lock: string;
  /** The slot of the thread that has it. */
  readonly holder: number;
  /** What that thread was doing. */
  readonly doing: string;

  constructor(lock: string, holder: number, doing: string, waitedMs: number) {
    super(
      `Waited ${(waitedMs / 1000).toFixed(1)} s for ${lock}, which the thread of slot ${holder} holds in the middle of ${doing} ` +
        `(if that thread has ended: call kernel.reap(${holder}), or give workers to kernel.attachWorker)`,
    );
    this.lock = lock;
    this.holder = holder;
    this.doing = doing;
  }
}

/** The slot that a lock word names. */
export function holderOf(held: number): number {
  return held & 0x7fffffff;
}

/** What the engine says of a lock word that is held. */
export function bugOf(engine: Engine, word: number, held: number, waitedMs: number): KernelBug {
  const holder = holderOf(held);
  const kind = engine.lockKind(word);
  const map = engine.lockedMap(holder);
  const names: Readonly<Record<number, string>> = {
    1: "the lock of the tables (fds, ids, names)",
    2: "the lock of the pages",
    3: "everything to go on after a save or a check",
    4: "the lock of the timers",
  };
  const lock = names[kind] ?? `a lock of the map with id ${map}`;
  return new KernelBug(lock, holder, doingName(engine.doingOf(holder)), waitedMs);
}

/** From here on: an operation of the short way (kernel/task.ts SHORT_WAY). */
const SHORT_WAY = 0x100;
const shortWays = new Map([
  [3, "lookup"],
  [4, "update"],
  [5, "delete"],
  [7, "add"],
]);

function doingName(doing: number): string {
  if (doing >= SHORT_WAY) return `a ${shortWays.get(doing - SHORT_WAY) ?? "call"} by the short way`;
  return doing === 0 ? "a call of the host's" : cmdName(doing - 1);
}

/**
 * A thread's alarm: has its timers (kernel/timers.ts) fired when the first of them is due.
 */

const MILLISECOND = 1e6;
/** The longest time of setTimeout; an alarm that rings too early is set again. */
const MAX_MS = 2 ** 31 - 1;

/** Tests have timers fired by `runTimers` alone. */
export const alarms: { areOff: boolean } = { areOff: false };

/** One alarm: it keeps nothing alive. */
export class Alarm {
  readonly #ring: () => void;
  #timeout: ReturnType<typeof setTimeout> | undefined;
  #dueMs = Infinity;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Has it ring in so many nanoseconds, if it does not earlier. */
  set(delayNs: number): void {
    const delayMs = Math.min(Math.ceil(delayNs / MILLISECOND), MAX_MS);
    const dueMs = performance.now() + delayMs;
    if (alarms.areOff || dueMs >= this.#dueMs) return;
    clearTimeout(this.#timeout);
    this.#dueMs = dueMs;
    this.#timeout = setTimeout(() => {
      this.#dueMs = Infinity;
      this.#ring();
    }, delayMs);
    // Node.js: what waits for nothing else may end.
    if (typeof this.#timeout === "object") this.#timeout.unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timeout);
  }
}

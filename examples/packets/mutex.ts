/**
 * A mutex of threads, in one word of shared memory.
 */

const FREE = 0;
const HELD = 1;
/** Held, and others may sleep until it is free. */
const AWAITED = 2;

/** Mutual exclusion among the threads that have the same word. It is not reentrant, and the thread may sleep. */
export class Mutex {
  readonly #words: Int32Array;
  readonly #at: number;

  /** @param at The index of the mutex's word, 0 at first. */
  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** Runs `critical` while no other thread does, and frees the mutex even if it throws. */
  run(critical: () => void): void {
    this.#lock();
    try {
      critical();
    } finally {
      this.#unlock();
    }
  }

  #lock(): void {
    if (Atomics.compareExchange(this.#words, this.#at, FREE, HELD) === FREE) return;
    // Who has slept cannot know whether others still do: it takes the mutex as AWAITED.
    while (Atomics.exchange(this.#words, this.#at, AWAITED) !== FREE) Atomics.wait(this.#words, this.#at, AWAITED);
  }

  #unlock(): void {
    if (Atomics.exchange(this.#words, this.#at, FREE) === AWAITED) Atomics.notify(this.#words, this.#at, 1);
  }
}

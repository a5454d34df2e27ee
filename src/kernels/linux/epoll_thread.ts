/**
 * The thread that sits in epoll_wait(2), seen from the thread that started it. What it runs is epoll_worker.ts.
 *
 *     state[0]   PARK --watch()--> WATCH --end()--> END
 *                 ^                  |
 *                 '- park(), or the thread has seen an event and sent a message
 *
 * The news is a message and not an Atomics.waitAsync, because Node 20 takes 1 ms for that and 0.04 ms for a message (measured).
 */
import { Worker } from "node:worker_threads";
import type { Epoll } from "./epoll.js";

export const PARK = 0;
export const WATCH = 1;
export const END = 2;

/** What the thread is started with. */
export interface EpollWorkerData {
  readonly epfd: number;
  readonly state: Int32Array;
}

/** A thread that watches an epoll instance. It keeps Node's event loop alive while it watches. */
export class EpollThread {
  readonly #epoll: Epoll;
  readonly #state = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  readonly #atExit = (): void => this.end();

  /**
   * Starts it, parked.
   *
   * @param seen Called when an fd became ready; it is parked then.
   * @param ended Called when it is gone, with the error if it failed.
   */
  constructor(epoll: Epoll, seen: () => void, ended: (error?: unknown) => void) {
    this.#epoll = epoll;
    const workerData: EpollWorkerData = { epfd: epoll.fd, state: this.#state };
    // Without the flags of this process: some forbid a file as entry, and none is for this thread.
    this.#worker = new Worker(new URL("./epoll_worker.js", import.meta.url), {
      workerData,
      execArgv: [],
      name: "tsbpf epoll",
    });
    this.#worker.unref();
    this.#worker.on("message", seen);
    let failure: unknown;
    this.#worker.on("error", (error) => (failure = error));
    this.#worker.on("exit", () => {
      process.off("exit", this.#atExit);
      ended(failure);
    });
    // Node's exit waits for its threads, and cannot interrupt one that is in a system call.
    process.on("exit", this.#atExit);
  }

  watch(): void {
    this.#worker.ref();
    this.#set(WATCH);
  }

  park(): void {
    this.#set(PARK);
    this.#worker.unref();
  }

  /** Ends it; `ended` is called soon after. */
  end(): void {
    this.#set(END);
    this.#epoll.ring();
  }

  #set(state: number): void {
    Atomics.store(this.#state, 0, state);
    Atomics.notify(this.#state, 0);
  }
}

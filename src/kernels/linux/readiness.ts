/**
 * Waiting until fds are readable, or writable, for one thread.
 *
 *     wait(fd):  a dup of fd enters an epoll instance; look: ready -----> true
 *                   | not yet
 *                Node's event loop watches the epoll instance, as one fd of its own
 *                   | something in it is ready
 *                look at every fd waited for, and settle what is ready
 *
 * No thread of our own sits in epoll_wait(2). This way wakes in 0.01 ms instead of 0.04, ends together with the event loop that it
 * belongs to, and loads no second koffi: a thread that is ended while it loads koffi takes the process along, and Node ends its
 * threads whenever it exits.
 */
import { ECANCELED } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import type { ReadableOptions } from "../kernel.js";
import { Epoll } from "./epoll.js";
import type { Sys } from "./sys.js";

/** Beyond this setTimeout() fires at once; 24 days are taken for ever. */
const maxTimeoutMs = 2 ** 31 - 1;

/** A wait that goes on: what was asked for, and how it ends. Both ways take its fd out of the epoll instance. */
interface Sleeper {
  readonly fd: number;
  isReady(): boolean;
  resolve(ready: boolean): void;
  reject(reason: unknown): void;
}

/** What is waited for, and how long. */
interface Waiting extends Pick<ReadableOptions, "signal"> {
  readonly fd: number;
  readonly isReady: () => boolean;
  readonly timeoutMs: number;
}

/** What this thread waits for. Costs nothing before the first wait. */
export class Readiness {
  readonly #sys: Sys;
  readonly #what: "readable" | "writable";
  /** By the fd in the epoll instance. */
  readonly #sleepers = new Map<number, Sleeper>();
  #epoll: Epoll | undefined;

  constructor(sys: Sys, what: "readable" | "writable") {
    this.#sys = sys;
    this.#what = what;
  }

  /** See LinuxKernel.readable and writable. */
  async wait(fd: number, options: ReadableOptions): Promise<boolean> {
    const { signal, timeoutMs = Infinity } = options;
    if (!(timeoutMs >= 0)) throw new RangeError(`timeoutMs is ${timeoutMs}: expected milliseconds, from 0 on`);
    signal?.throwIfAborted();
    const epoll = (this.#epoll ??= new Epoll(this.#sys, this.#what));
    const own = epoll.enter(fd);
    // Of what poll(2) tells only once, it may have been told when it was entered.
    const isReady = options.isReady ?? (() => epoll.isReady(own));
    const ready = isReady();
    if (!ready && timeoutMs > 0) return this.#sleep(epoll, own, { fd, isReady, signal, timeoutMs });
    epoll.leave(own);
    return ready;
  }

  #sleep(epoll: Epoll, own: number, { fd, isReady, signal, timeoutMs }: Waiting): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#sleepers.delete(own);
        epoll.leave(own);
        if (this.#sleepers.size === 0) epoll.stop();
      };
      const sleeper: Sleeper = {
        fd,
        isReady,
        resolve(ready) {
          leave();
          resolve(ready);
        },
        reject(reason) {
          leave();
          reject(reason);
        },
      };
      const abort = (): void => sleeper.reject(signal?.reason);
      const timer = timeoutMs > maxTimeoutMs ? undefined : setTimeout(() => sleeper.resolve(false), timeoutMs);
      signal?.addEventListener("abort", abort);
      if (this.#sleepers.size === 0) epoll.start(() => this.#look());
      this.#sleepers.set(own, sleeper);
    });
  }

  #look(): void {
    for (const sleeper of this.#sleepers.values()) {
      if (sleeper.isReady()) sleeper.resolve(true);
    }
  }

  /** Rejects the waits that go on with ECANCELED. A later wait begins anew. */
  [Symbol.dispose](): void {
    for (const { fd, reject } of this.#sleepers.values()) {
      const about = { syscall: "epoll_wait", hint: "the kernel was disposed" };
      reject(new BpfError(`Cannot wait for fd ${fd}`, ECANCELED, about));
    }
    this.#epoll?.close();
    this.#epoll = undefined;
  }
}

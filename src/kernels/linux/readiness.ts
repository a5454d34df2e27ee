/**
 * Waiting until fds are readable, for one thread.
 *
 *     this thread     wait(fd): enter the epoll instance, look: readable ------> true
 *                        | not yet
 *     epoll thread    epoll_wait ... returns, parks, sends a message             (started by the first such wait)
 *                        |
 *     this thread     look at every fd waited for, settle what is readable, have the thread watch again while some are left
 */
import { ECANCELED } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import { Epoll } from "./epoll.js";
import { EpollThread } from "./epoll_thread.js";
import type { Sys } from "./sys.js";

/** Beyond this setTimeout() fires at once; 24 days are taken for ever. */
const maxTimeoutMs = 2 ** 31 - 1;

/** A wait that goes on: what was asked for, and how it ends. Both ways take its fd out of the epoll instance. */
interface Sleeper {
  readonly fd: number;
  resolve(readable: boolean): void;
  reject(reason: unknown): void;
}

/** What this thread waits for. Costs nothing before the first wait. */
export class Readiness {
  readonly #sys: Sys;
  /** By the fd in the epoll instance. */
  readonly #sleepers = new Map<number, Sleeper>();
  #epoll: Epoll | undefined;
  #thread: EpollThread | undefined;

  constructor(sys: Sys) {
    this.#sys = sys;
  }

  /** See LinuxKernel.readable. */
  async wait(fd: number, options: { signal?: AbortSignal; timeoutMs?: number }): Promise<boolean> {
    const { signal, timeoutMs = Infinity } = options;
    if (!(timeoutMs >= 0)) throw new RangeError(`timeoutMs is ${timeoutMs}: expected milliseconds, from 0 on`);
    signal?.throwIfAborted();
    const epoll = (this.#epoll ??= new Epoll(this.#sys));
    const own = epoll.enter(fd);
    const readable = epoll.isReadable(own);
    if (!readable && timeoutMs > 0) return this.#sleep(epoll, own, fd, signal, timeoutMs);
    epoll.leave(own);
    return readable;
  }

  #sleep(epoll: Epoll, own: number, fd: number, signal: AbortSignal | undefined, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#sleepers.delete(own);
        epoll.leave(own);
        if (this.#sleepers.size === 0) this.#thread?.park();
      };
      const sleeper: Sleeper = {
        fd,
        resolve(readable) {
          leave();
          resolve(readable);
        },
        reject(reason) {
          leave();
          reject(reason as Error);
        },
      };
      const abort = (): void => sleeper.reject(signal?.reason);
      const timer = timeoutMs > maxTimeoutMs ? undefined : setTimeout(() => sleeper.resolve(false), timeoutMs);
      signal?.addEventListener("abort", abort);
      this.#sleepers.set(own, sleeper);
      try {
        this.#thread ??= this.#start(epoll);
        this.#thread.watch();
      } catch (error) {
        sleeper.reject(error);
      }
    });
  }

  #start(epoll: Epoll): EpollThread {
    const thread = new EpollThread(
      epoll,
      () => {
        for (const [own, sleeper] of this.#sleepers) {
          if (epoll.isReadable(own)) sleeper.resolve(true);
        }
        if (this.#sleepers.size > 0) thread.watch();
      },
      (cause) => {
        if (this.#epoll === epoll) this.#forget("the thread that waits has ended", cause);
        epoll.close();
      },
    );
    return thread;
  }

  #forget(hint: string, cause?: unknown): void {
    for (const { fd, reject } of this.#sleepers.values()) {
      reject(new BpfError(`Cannot wait for fd ${fd}`, ECANCELED, { syscall: "epoll_wait", hint, cause }));
    }
    this.#epoll = this.#thread = undefined;
  }

  /** Rejects the waits that go on with ECANCELED, and ends the thread. A later wait starts another. */
  [Symbol.dispose](): void {
    const epoll = this.#epoll;
    const thread = this.#thread;
    this.#forget("the kernel was disposed");
    if (thread === undefined) epoll?.close();
    else thread.end(); // and the epoll instance is closed when it is gone
  }
}

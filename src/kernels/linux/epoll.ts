/**
 * An epoll instance and the fds in it, each a dup of the one that was asked for: so that every wait has its own, and keeps it
 * open as a poll(2) in progress would. Events are level-triggered and looked at with poll(2). Node's event loop watches the
 * instance as one fd of its own, so that the fds themselves stay as they are (it makes what it watches non-blocking).
 */
import { EPERM } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import { mapAnonymous, type Mapping } from "./mapping.js";
import type { Sys, Watch } from "./sys.js";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
/** EPOLLIN and POLLIN, EPOLLOUT and POLLOUT: the same bits. */
const IN = 0x001;
const OUT = 0x004;
const F_DUPFD_CLOEXEC = 1030;
const POLLERR = 0x008;

/** Scratch memory: struct pollfd { int fd; short events, revents; }, and struct epoll_event, whose `data` is not used. */
const POLL_FD_OFF = 0;
const POLL_EVENTS_OFF = 4;
const POLL_REVENTS_OFF = 6;
const EPOLL_EVENT_OFF = 8;
const SCRATCH_SIZE = 24;

/** An epoll instance. */
export class Epoll {
  readonly #sys: Sys;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #scratch: Mapping;
  readonly #view: DataView;

  /** @throws {BpfError} EMFILE, ENFILE, ENOMEM */
  constructor(sys: Sys, what: "readable" | "writable") {
    this.#sys = sys;
    this.#fd = sys.epoll_create1(EPOLL_CLOEXEC);
    if (this.#fd < 0) throw new BpfError("Cannot wait for fds", this.#fd, { syscall: "epoll_create1" });
    this.#watch = sys.watch(this.#fd);
    this.#scratch = mapAnonymous(sys, SCRATCH_SIZE);
    this.#view = new DataView(this.#scratch.bytes.buffer);
    const events = what === "readable" ? IN : OUT;
    this.#view.setInt16(POLL_EVENTS_OFF, events, true);
    this.#view.setUint32(EPOLL_EVENT_OFF, events, true);
  }

  /** Keeps the event loop alive, and has `seen` called in every turn of it that finds something ready. */
  start(seen: () => void): void {
    this.#watch.start(seen);
  }

  stop(): void {
    this.#watch.stop();
  }

  /**
   * Adds a dup of fd.
   *
   * @returns The dup.
   * @throws {BpfError} EBADF, EMFILE, or EPERM when fd is of a kind that is never waited for: a file, a map that is no ring buffer
   */
  enter(fd: number): number {
    const own = this.#sys.fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) throw new BpfError(`Cannot wait for fd ${fd}`, own, { syscall: "fcntl" });
    const errno = this.#sys.epoll_ctl(this.#fd, EPOLL_CTL_ADD, own, this.#scratch.address + EPOLL_EVENT_OFF);
    if (errno === 0 && this.#events(own) !== POLLERR) return own;
    this.leave(own);
    if (errno !== 0) throw new BpfError(`Cannot wait for fd ${fd}`, errno, { syscall: "epoll_ctl" });
    const hint = "it answers POLLERR, as a map does that is no ring buffer";
    throw new BpfError(`Cannot wait for fd ${fd}`, EPERM, { syscall: "poll", hint });
  }

  /** Takes out and closes what `enter` returned. */
  leave(own: number): void {
    this.#sys.epoll_ctl(this.#fd, EPOLL_CTL_DEL, own, 0);
    this.#sys.close(own);
  }

  /** Whether reading from (or writing to) what `enter` returned would not block now, be it for data, the end or an error. */
  isReady(own: number): boolean {
    return this.#events(own) !== 0;
  }

  close(): void {
    this.#watch.close();
    this.#sys.close(this.#fd);
    this.#scratch[Symbol.dispose]();
  }

  /** What poll(2) says of it at this moment. */
  #events(fd: number): number {
    this.#view.setInt32(POLL_FD_OFF, fd, true);
    this.#view.setInt16(POLL_REVENTS_OFF, 0, true);
    this.#sys.poll(this.#scratch.address + POLL_FD_OFF, 1, 0);
    return this.#view.getInt16(POLL_REVENTS_OFF, true);
  }
}

/**
 * An epoll instance and the fds in it, each a dup of the one that was asked for: so that every wait has its own, and keeps it
 * open as a poll(2) in progress would. Events are level-triggered and looked at with poll(2).
 */
import { EPERM } from "../../uapi/errno.js";
import { BpfError } from "../error.js";
import { mapAnonymous, type Mapping } from "./mapping.js";
import type { Sys } from "./sys.js";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 0x001;
const F_DUPFD_CLOEXEC = 1030;
const POLLIN = 0x001;
const POLLERR = 0x008;

/** struct epoll_event, where it is not packed: `events`, and `data`, which is not used. */
const EPOLL_EVENT_SIZE = 16;

/** Scratch memory: struct pollfd { int fd; short events, revents; } and struct epoll_event. */
const POLL_FD_OFF = 0;
const POLL_EVENTS_OFF = 4;
const POLL_REVENTS_OFF = 6;
const EPOLL_EVENT_OFF = 8;

/** An epoll instance. */
export class Epoll {
  readonly fd: number;
  readonly #sys: Sys;
  readonly #scratch: Mapping;
  readonly #view: DataView;

  /** @throws {BpfError} EMFILE, ENFILE, ENOMEM */
  constructor(sys: Sys) {
    this.#sys = sys;
    this.#scratch = mapAnonymous(sys, EPOLL_EVENT_OFF + EPOLL_EVENT_SIZE);
    this.#view = new DataView(this.#scratch.bytes.buffer);
    this.#view.setInt16(POLL_EVENTS_OFF, POLLIN, true);
    this.#view.setUint32(EPOLL_EVENT_OFF, EPOLLIN, true);
    this.fd = sys.epoll_create1(EPOLL_CLOEXEC);
    if (this.fd < 0) throw new BpfError("Cannot wait for fds", this.fd, { syscall: "epoll_create1" });
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
    const errno = this.#add(own);
    if (errno === 0 && this.#events(own) !== POLLERR) return own;
    this.leave(own);
    if (errno !== 0) throw new BpfError(`Cannot wait for fd ${fd}`, errno, { syscall: "epoll_ctl" });
    const hint = "it answers POLLERR, as a map does that is no ring buffer";
    throw new BpfError(`Cannot wait for fd ${fd}`, EPERM, { syscall: "poll", hint });
  }

  /** Takes out and closes what `enter` returned. */
  leave(own: number): void {
    this.#sys.epoll_ctl(this.fd, EPOLL_CTL_DEL, own, 0);
    this.#sys.close(own);
  }

  /** Whether reading from what `enter` returned would not block now, be it for data, the end or an error. */
  isReadable(own: number): boolean {
    return this.#events(own) !== 0;
  }

  close(): void {
    this.#sys.close(this.fd);
    this.#scratch[Symbol.dispose]();
  }

  #add(fd: number): number {
    return this.#sys.epoll_ctl(this.fd, EPOLL_CTL_ADD, fd, this.#scratch.address + EPOLL_EVENT_OFF);
  }

  #events(fd: number): number {
    this.#view.setInt32(POLL_FD_OFF, fd, true);
    this.#view.setInt16(POLL_REVENTS_OFF, 0, true);
    this.#sys.poll(this.#scratch.address + POLL_FD_OFF, 1, 0);
    return this.#view.getInt16(POLL_REVENTS_OFF, true);
  }
}

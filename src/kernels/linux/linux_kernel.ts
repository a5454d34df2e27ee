/**
 * LinuxKernel: the door to the real bpf(2).
 *
 * Threads: each opens its own; fds belong to the process, so that all threads may use the fd that one of them got. A thread that is
 * terminated leaves its fds and buffers behind; terminated in the milliseconds in which it opens its first LinuxKernel, it takes
 * the process along (koffi 3.3 aborts when it is interrupted while it loads).
 */
import { readFileSync, readdirSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { EINVAL, EPERM } from "../../uapi/errno.js";
import type { DirectoryEntry, Kernel, MmapOptions, ReadableOptions, UserBuffer } from "../kernel.js";
import { openHost, thisHost } from "./host.js";
import { mapAnonymous, mapFd } from "./mapping.js";
import { LinuxPlaces } from "./places.js";
import { countCpus } from "./possible_cpus.js";
import { Readiness } from "./readiness.js";
import type { Sys } from "./sys.js";

/** What statfs(2) calls a bpffs. */
const BPF_FS_MAGIC = 0xcafe4a11;

const PERF_FLAG_FD_CLOEXEC = 8;

/** Says why a path may not be given to a call that changes its last name: -EINVAL or -EPERM; else 0. */
function refusal(path: string): number {
  if (path.includes("\0")) return -EINVAL;
  return path === "" || isBpffs(dirname(path)) ? 0 : -EPERM;
}

/** True, too, for what is not there: the call gives the errno. */
function isBpffs(path: string): boolean {
  try {
    return statfsSync(path).type === BPF_FS_MAGIC;
  } catch {
    return true;
  }
}

/** The Linux kernel that this process runs on. */
export class LinuxKernel implements Kernel {
  readonly name = "linux";
  readonly possibleCpus: number;
  readonly places: LinuxPlaces;
  readonly #sys: Sys;
  readonly #readiness: Readiness;
  readonly #writability: Readiness;

  private constructor(sys: Sys) {
    this.#sys = sys;
    this.places = new LinuxPlaces(this);
    this.#readiness = new Readiness(sys, "readable");
    this.#writability = new Readiness(sys, "writable");
    this.possibleCpus = countCpus(readFileSync("/sys/devices/system/cpu/possible", "utf8"));
  }

  /**
   * Opens the way to bpf(2).
   *
   * @throws {BpfError} when this is not Linux (ENOSYS), koffi is missing (ELIBACC), or the process may not create maps (EPERM); it
   * says what is missing
   */
  static open(): LinuxKernel {
    return new LinuxKernel(openHost(thisHost));
  }

  /**
   * Pages of the process's own memory.
   *
   * They stay until disposed. After that `bytes` reads as zeroes and what is written there is lost.
   *
   * @param size In bytes, at least 1.
   * @throws {RangeError} for other sizes
   * @throws {BpfError} ENOMEM
   */
  alloc(size: number): UserBuffer {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new RangeError(`The size of a buffer is ${size}: expected an integer from 1 on`);
    }
    return mapAnonymous(this.#sys, size);
  }

  bpf(cmd: number, attr: UserBuffer, size: number = attr.bytes.length): number {
    return this.#sys.bpf(cmd, attr.address, size);
  }

  prepare(cmd: number, attr: UserBuffer): () => number {
    const sys = this.#sys;
    const { address } = attr;
    const size = attr.bytes.length;
    return () => sys.bpf(cmd, address, size);
  }

  close(fd: number): number {
    return this.#sys.close(fd);
  }

  /**
   * mmap(2), MAP_SHARED.
   *
   * Bytes that were not mapped as writable must not be written: Linux ends the process with SIGSEGV.
   *
   * @param length In bytes; the kernel maps whole pages.
   * @throws {BpfError} what mmap(2) answers: EPERM for a frozen map as writable, 524 (ENOTSUPP) for a type that cannot be mapped,
   * EINVAL beyond the map's end, EBADF
   */
  mmap(fd: number, length: number, options: MmapOptions = {}): UserBuffer {
    return mapFd(this.#sys, fd, length, options);
  }

  /**
   * Waits until fd is readable, like poll(2): an fd that is closed meanwhile is waited for all the same.
   *
   * Node's event loop stays alive until it is settled.
   *
   * @returns true when readable, false when the time is over.
   * @throws {BpfError} EBADF when fd is not open, EPERM when it cannot be waited for (a map that is no ring buffer, a file)
   * @throws the signal's reason
   */
  readable(fd: number, options: ReadableOptions = {}): Promise<boolean> {
    return this.#readiness.wait(fd, options);
  }

  /** The same until fd is writable: a user ring buffer when there is any room in it. */
  writable(fd: number, options: ReadableOptions = {}): Promise<boolean> {
    return this.#writability.wait(fd, options);
  }

  /**
   * perf_event_open(2).
   *
   * @param attr `struct perf_event_attr`.
   * @param cpu -1: on all of them, of one process.
   * @param pid -1: of all processes, on one CPU.
   * @returns An fd, or a negative errno.
   */
  perfEventOpen(attr: UserBuffer, cpu: number, pid: number = -1): number {
    return this.#sys.perf_event_open(attr.address, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
  }

  fdinfo(fd: number): string | undefined {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /**
   * unlink(2), of names in a bpffs only: other files are refused with EPERM, as OBJ_PIN refuses to make them.
   */
  unlink(path: string): number {
    return refusal(path) || this.#sys.unlink(path);
  }

  /** mkdir(2), in a bpffs only: EPERM elsewhere, as for `unlink`. */
  mkdir(path: string): number {
    return refusal(path) || this.#sys.mkdir(path, 0o777);
  }

  /** rmdir(2), in a bpffs only. */
  rmdir(path: string): number {
    return refusal(path) || this.#sys.rmdir(path);
  }

  /** rename(2), in a bpffs only. */
  rename(from: string, to: string): number {
    return refusal(from) || refusal(to) || this.#sys.rename(from, to);
  }

  readdir(path: string): DirectoryEntry[] | number {
    if (path.includes("\0")) return -EINVAL;
    if (!isBpffs(path)) return -EPERM;
    try {
      const entries = readdirSync(path, { withFileTypes: true });
      return entries
        .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno!;
    }
  }

  /** Rejects the waits of `readable` and `writable` that go on. The fds and buffers got from this kernel are the process's and stay. */
  [Symbol.dispose](): void {
    this.#readiness[Symbol.dispose]();
    this.#writability[Symbol.dispose]();
  }
}

/**
 * What all typed maps have in common: an fd, what the kernel says of the map, and the map's life.
 */
import type { Kernel } from "../kernels/kernel.js";
import type { MapInfo } from "../kernels/syscalls.js";
import type { MapFd } from "./_map_fd.js";

/** An open map, behind all classes of maps. */
export abstract class TypedMap {
  readonly kernel: Kernel;
  protected readonly mapFd: MapFd;

  protected constructor(mapFd: MapFd) {
    this.mapFd = mapFd;
    this.kernel = mapFd.kernel;
  }

  /** The map's fd, for raw commands; -1 once the map is closed. */
  get fd(): number {
    return this.mapFd.fd;
  }

  /** The map's id, by which other processes (or threads) find it. */
  get id(): number {
    return this.mapFd.info.id;
  }

  /** What its keys, values or records are, as `fromId` of its class takes them. */
  get codecs(): object {
    return {};
  }

  get name(): string {
    return this.mapFd.info.name;
  }

  get maxEntries(): number {
    return this.mapFd.info.maxEntries;
  }

  /**
   * What the kernel says of the map.
   *
   * Kernel name: BPF_OBJ_GET_INFO_BY_FD.
   *
   * @throws {BpfError} EBADF when the map is closed
   */
  info(): MapInfo {
    return this.mapFd.look();
  }

  /**
   * Gives the map a name in a bpffs: it stays while it has one.
   *
   * Kernel name: BPF_OBJ_PIN.
   *
   * @throws {TypeError | RangeError} for a path that is no string, or has a NUL in it
   * @throws {BpfError} EEXIST, ENOENT (no such directory), EPERM (no bpffs, or a "." in the name); EBADF when the map is
   * closed
   */
  pin(path: string): void {
    this.mapFd.pin(path);
  }

  /**
   * Freezes the map: from now on nobody writes to it but programs. There is no way back.
   *
   * Kernel name: BPF_MAP_FREEZE. What another thread was writing without a system call (the embedded kernel's short way) at
   * that moment may still come.
   *
   * @throws {BpfError} EPERM when it is frozen already, or the fd is read-only; EBUSY while it is mapped to write, or another
   * thread writes to it; EBADF when the map is closed
   */
  freeze(): void {
    this.mapFd.freeze();
  }

  /** Closes the map's fd: the map goes when it was the last thing that held it. Twice is no error. */
  abstract close(): void;

  [Symbol.dispose](): void {
    this.close();
  }
}

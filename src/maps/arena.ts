/**
 * Arena: pages of memory that programs and all who map them share.
 */
import { BPF_F_MMAPABLE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_TYPE_ARENA } from "../uapi/bpf.js";
import { EBADF, EBUSY, EINVAL } from "../uapi/errno.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel, UserBuffer } from "../kernels/kernel.js";
import { asCString, asU32, asU64 } from "./_arguments.js";
import { MapFd, type Wanted } from "./_map_fd.js";
import { TypedMap } from "./_typed_map.js";

const PAGE_BYTES = 4096;

/** What an arena is created with. */
export interface ArenaOptions {
  /** At most 15 letters, digits, "_" and ".". */
  readonly name?: string;
  /** How many pages of 4096 bytes: at most 4 GiB. Kernel name: max_entries. */
  readonly pages: number;
  /** Where all map it, a multiple of 4096; the first one's choice unless told. The pages do not cross 4 GiB. Kernel name: map_extra. */
  readonly address?: bigint;
}

/** How an arena is opened. */
export interface ArenaOpenOptions {
  /** Where the others have mapped it, for one that was created without an address; needed on Linux only. */
  readonly address?: bigint;
}

const wanted: Wanted = {
  className: "Arena",
  type: BPF_MAP_TYPE_ARENA,
  key: { size: 0, type: "no key" },
  value: { size: 0, type: "no value" },
};

/**
 * Pages of memory, zeroed, that all see who open it: as bytes, without a system call.
 *
 * Kernel name: BPF_MAP_TYPE_ARENA. Since Linux 6.9.
 *
 * It is mapped as long as it is open. On Linux all processes map it at one address, and each of them once: threads of one process
 * cannot open it side by side, as they can on the embedded kernel.
 *
 * @example
 * ```ts
 * using arena = Arena.create(kernel, { name: "shared", pages: 16 });
 * const words = new Uint32Array(arena.bytes.buffer, arena.bytes.byteOffset, 1024);
 * Atomics.add(words, 0, 1);
 * ```
 */
export class Arena extends TypedMap {
  readonly #mapped: UserBuffer;

  private constructor(mapFd: MapFd, address: bigint) {
    super(mapFd);
    try {
      const at = mapFd.info.mapExtra === 0n ? address : mapFd.info.mapExtra;
      const bytes = mapFd.info.maxEntries * PAGE_BYTES;
      this.#mapped = this.kernel.mmap(mapFd.fd, bytes, { writable: true, ...(at !== 0n && { address: Number(at) }) });
    } catch (error) {
      mapFd.close();
      throw withHint(error);
    }
  }

  /**
   * Creates an arena, and maps it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL for no pages, or an address that is not a multiple of 4096; E2BIG for more than 4 GiB; ERANGE for pages
   * that cross 4 GiB; EBUSY when something else is mapped there; EOPNOTSUPP where Linux has no arenas; EPERM, ENOMEM, EMFILE
   */
  static create(kernel: Kernel, options: ArenaOptions): Arena {
    const attr = {
      mapType: BPF_MAP_TYPE_ARENA,
      keySize: 0,
      valueSize: 0,
      maxEntries: asU32("pages", options.pages),
      mapFlags: BPF_F_MMAPABLE,
      mapExtra: asU64("address", options.address ?? 0n),
      mapName: asCString("name", options.name ?? ""),
    };
    return new Arena(MapFd.create(kernel, attr), 0n);
  }

  /**
   * Opens the arena that is pinned at a path, and maps it.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM; EPERM when it is frozen; EINVAL, EBUSY when it is mapped elsewhere, or by this process
   * @throws {TypeError} when it is no arena
   */
  static open(kernel: Kernel, path: string, options: ArenaOpenOptions = {}): Arena {
    const address = asU64("address", options.address ?? 0n);
    return new Arena(MapFd.open(kernel, path, wanted), address);
  }

  /**
   * Opens the arena that has an id, and maps it.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM; EPERM when it is frozen; EINVAL, EBUSY when it is mapped elsewhere, or by this process
   * @throws {TypeError} when it is no arena
   */
  static fromId(kernel: Kernel, id: number, options: ArenaOpenOptions = {}): Arena {
    const address = asU64("address", options.address ?? 0n);
    return new Arena(MapFd.fromId(kernel, id, wanted), address);
  }

  get pages(): number {
    return this.maxEntries;
  }

  /**
   * All its bytes. Not to be used once it is closed.
   *
   * @throws {BpfError} EBADF when it is closed
   */
  get bytes(): Uint8Array {
    return this.#open().bytes;
  }

  /**
   * Where its first byte lies, as a pointer for `union bpf_attr`.
   *
   * @throws {BpfError} EBADF when it is closed
   */
  get address(): bigint {
    return BigInt(this.#open().address);
  }

  override close(): void {
    if (!this.mapFd.isOpen) return;
    this.#mapped[Symbol.dispose]();
    this.mapFd.close();
  }

  #open(): UserBuffer {
    if (!this.mapFd.isOpen) throw this.mapFd.failure("look into", -EBADF, BPF_MAP_LOOKUP_ELEM);
    return this.#mapped;
  }
}

/** Of what mmap(2) answers, what one cannot guess. */
function withHint(error: unknown): unknown {
  if (!(error instanceof BpfError) || (error.errno !== -EINVAL && error.errno !== -EBUSY)) return error;
  const hint =
    "all map an arena at one address, each process once: give that address, and have nothing mapped there by this process";
  return new BpfError("Cannot map the arena", error.errno, { syscall: "mmap", hint, cause: error });
}

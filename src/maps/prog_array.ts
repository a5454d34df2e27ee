/**
 * ProgramArray: programs by index, to tail-call into.
 */
import { BPF_MAP_TYPE_PROG_ARRAY } from "../uapi/bpf.js";
import { i32, u32 } from "../codec/number.js";
import type { Kernel } from "../kernels/kernel.js";
import { KeyWalk, NextKey } from "./_key_walk.js";
import { KeyedMap } from "./_keyed_map.js";
import { MapFd } from "./_map_fd.js";
import { type MapOptions, type OpenOptions, attrOf, wanted } from "./_options.js";
import { TypedMap } from "./_typed_map.js";
import type { Walk } from "./_walk.js";

/** The programs' fds on the way in, and their ids on the way out. */
class ProgIds extends KeyedMap<number, number> {
  constructor(mapFd: MapFd) {
    super(mapFd, u32, i32);
  }

  delete(index: number): boolean {
    return this.remove(index);
  }
}

/**
 * An array of programs. Its keys are the indices from 0 to maxEntries - 1; elems are empty at first.
 *
 * Kernel name: BPF_MAP_TYPE_PROG_ARRAY. Since Linux 4.2.
 *
 * Programs are loaded by `tsbpf/program` (`Program`, `BpfObject`), on both kernels.
 *
 * @example
 * ```ts
 * using steps = ProgramArray.create(kernel, { name: "steps", maxEntries: 8 });
 * steps.getId(0); // undefined
 * ```
 */
export class ProgramArray extends TypedMap {
  readonly #ids: ProgIds;
  readonly #nextKey: NextKey<number>;

  private constructor(mapFd: MapFd) {
    super(mapFd);
    this.#ids = new ProgIds(mapFd);
    this.#nextKey = new NextKey(mapFd, u32);
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create(kernel: Kernel, options: MapOptions & OpenOptions): ProgramArray {
    return new ProgramArray(MapFd.create(kernel, attrOf(BPF_MAP_TYPE_PROG_ARRAY, u32, i32, options)));
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not an array of programs
   */
  static open(kernel: Kernel, path: string, options?: OpenOptions): ProgramArray {
    return new ProgramArray(MapFd.open(kernel, path, wantedMap, options));
  }

  /**
   * Opens the map that is pinned at a path; where nothing is pinned, creates one and pins it there.
   *
   * Threads and processes that do so at once all get the same map. One that is there must be as the options say: type, sizes,
   * maxEntries and flags; its name may be another.
   *
   * Kernel name: BPF_OBJ_GET, BPF_MAP_CREATE, BPF_OBJ_PIN.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EEXIST when the map there differs: the message and `details.differences` name each property that does; and
   * as `create`, `open` and `pin`
   */
  static openOrCreate(kernel: Kernel, path: string, options: MapOptions & OpenOptions): ProgramArray {
    const attr = attrOf(BPF_MAP_TYPE_PROG_ARRAY, u32, i32, options);
    return new ProgramArray(MapFd.openOrCreate(kernel, path, "ProgramArray", attr));
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not an array of programs
   */
  static fromId(kernel: Kernel, id: number, options?: OpenOptions): ProgramArray {
    return new ProgramArray(MapFd.fromId(kernel, id, wantedMap, options));
  }

  /** How many elems it has, empty ones too. */
  get length(): number {
    return this.maxEntries;
  }

  /**
   * Puts a program into an elem.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @param progFd The program's fd.
   * @throws {TypeError | RangeError} for what is no index, or no i32
   * @throws {BpfError} EINVAL when the fd is not a program's, or the program not like those that are there; E2BIG when the
   * index is out of range; EPERM when the fd of the map is read-only or the map frozen; EBADF when one of the fds is closed
   */
  set(index: number, progFd: number): void {
    this.#ids.set(index, progFd);
  }

  /**
   * Returns the id of an elem's program.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM.
   *
   * @returns The id, or `undefined` when the elem is empty (ENOENT).
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed
   */
  getId(index: number): number | undefined {
    return this.#ids.get(index);
  }

  /** Whether the elem has a program. */
  has(index: number): boolean {
    return this.#ids.has(index);
  }

  /**
   * Empties an elem.
   *
   * Kernel name: BPF_MAP_DELETE_ELEM.
   *
   * @returns Whether it had a program.
   * @throws {BpfError} E2BIG when the index is out of range; EPERM when the fd is read-only or the map frozen; EBADF when the
   * map is closed
   */
  delete(index: number): boolean {
    return this.#ids.delete(index);
  }

  /** A walk over the indices of elems that have a program. */
  keys(): Walk<number> {
    return new KeyWalk(this.#nextKey, (index) => (this.#ids.has(index) ? index : undefined));
  }

  /**
   * A walk over indices and the ids of their programs.
   *
   * Kernel name: BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_ELEM.
   *
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed, or was closed meanwhile
   */
  entries(): Walk<[number, number]> {
    return new KeyWalk<[number, number], number>(this.#nextKey, (index) => {
      const id = this.#ids.get(index);
      return id === undefined ? undefined : [index, id];
    });
  }

  [Symbol.iterator](): Walk<[number, number]> {
    return this.entries();
  }

  override close(): void {
    this.#nextKey.close();
    this.#ids.close();
  }
}

const wantedMap = wanted("ProgramArray", BPF_MAP_TYPE_PROG_ARRAY, u32, i32);

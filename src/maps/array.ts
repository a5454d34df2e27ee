/**
 * ArrayMap: values by index.
 */
import { BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, BPF_MAP_TYPE_ARRAY } from "../uapi/bpf.js";
import { EACCES, EINVAL } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import { u32 } from "../codec/number.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel } from "../kernels/kernel.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { KeyedMap } from "./_keyed_map.js";
import { MapFd } from "./_map_fd.js";
import { type ArrayOptions, type ValueCodec, attrOf, wanted } from "./_options.js";

/** How the elems of an array are reached. */
export interface MappedOptions {
  /**
   * Maps the array's memory: `get`, `set` and `add` are no system calls then, and `add` is one atomic step on Linux too. It is
   * created so that it can be mapped (BPF_F_MMAPABLE). Nobody can freeze it while another has it mapped so.
   */
  readonly mmap?: boolean;
}

/**
 * An array map. Its keys are the indices from 0 to maxEntries - 1; all elems exist, zero at first.
 *
 * Kernel name: BPF_MAP_TYPE_ARRAY. Since Linux 3.19.
 *
 * @example
 * ```ts
 * using counters = ArrayMap.create(kernel, { name: "counters", value: u64, maxEntries: 4 });
 * counters.add(2, 1n);
 * counters.get(2); // 1n
 * ```
 */
export class ArrayMap<V> extends KeyedMap<number, V> {
  #isMapped: boolean;

  private constructor(mapFd: MapFd, value: Codec<V>, { mmap = false }: MappedOptions) {
    refuseUnmappable(mapFd, mmap);
    super(mapFd, u32, value, undefined, mmap);
    this.#isMapped = mmap;
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, E2BIG, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create<V>(kernel: Kernel, options: ArrayOptions<V> & MappedOptions): ArrayMap<V> {
    const attr = arrayAttrOf(options);
    return new ArrayMap(MapFd.create(kernel, attr), options.value, options);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not an array map, or its key or value has not the codec's size
   */
  static open<V>(kernel: Kernel, path: string, codecs: ValueCodec<V> & MappedOptions): ArrayMap<V> {
    const fd = MapFd.open(kernel, path, wanted("ArrayMap", BPF_MAP_TYPE_ARRAY, u32, codecs.value), codecs);
    return new ArrayMap(fd, codecs.value, codecs);
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
  static openOrCreate<V>(kernel: Kernel, path: string, options: ArrayOptions<V> & MappedOptions): ArrayMap<V> {
    const attr = arrayAttrOf(options);
    return new ArrayMap(MapFd.openOrCreate(kernel, path, "ArrayMap", attr), options.value, options);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not an array map, or its key or value has not the codec's size
   */
  static fromId<V>(kernel: Kernel, id: number, codecs: ValueCodec<V> & MappedOptions): ArrayMap<V> {
    const fd = MapFd.fromId(kernel, id, wanted("ArrayMap", BPF_MAP_TYPE_ARRAY, u32, codecs.value), codecs);
    return new ArrayMap(fd, codecs.value, codecs);
  }

  /** How many elems it has: all of them, always. */
  get length(): number {
    return this.maxEntries;
  }

  /**
   * Freezes the map: see `freeze` of the other classes. A mapping of its own is no obstacle: it is given up, and elems are reached
   * by system call from then on.
   */
  override freeze(): void {
    if (!this.#isMapped || !this.mapFd.isOpen) return super.freeze();
    this.mapElems(false);
    try {
      super.freeze();
      this.#isMapped = false;
    } catch (error) {
      this.#remap();
      throw error;
    }
  }

  #remap(): void {
    try {
      this.mapElems(true);
    } catch {
      // Another has frozen it in between.
      this.#isMapped = false;
      this.mapElems(false);
    }
  }

  /**
   * Adds to the value of an index: of a struct, to each of its integers.
   *
   * One atomic step on the embedded kernel, and on Linux when the map is mapped (`mmap: true`): there each integer of a struct by
   * itself. Otherwise no system call of Linux adds: the value is read and written back, and what another thread updates in between
   * is lost.
   *
   * @throws {TypeError} when the value is not made of integers only
   * @throws {BpfError} E2BIG when the index is out of range; EPERM, EBADF as `set`
   */
  add(index: number, delta: V): void {
    this.addTo(index, delta);
  }
}

function arrayAttrOf<V>(options: ArrayOptions<V> & MappedOptions): MapAttr {
  const attr = attrOf(BPF_MAP_TYPE_ARRAY, u32, options.value, options);
  return options.mmap === true ? { ...attr, mapFlags: ((attr.mapFlags ?? 0) | BPF_F_MMAPABLE) >>> 0 } : attr;
}

/** The embedded kernel has a shorter way than the mapping, which it has for other arrays too. */
function refuseUnmappable(mapFd: MapFd, mmap: boolean): void {
  if (!mmap) return;
  const { mapFlags, name } = mapFd.info;
  const refuse = (errno: number, hint: string): never => {
    mapFd.close();
    const about = { syscall: "mmap", hint, details: { map: mapFd.info } };
    throw new BpfError(`Cannot map array map "${name}"`, errno, about);
  };
  if ((mapFlags & BPF_F_MMAPABLE) === 0)
    refuse(EINVAL, "it was created without BPF_F_MMAPABLE: create it with mmap: true");
  if ((mapFlags & BPF_F_RDONLY_PROG) !== 0)
    refuse(EACCES, "programs may only read it (BPF_F_RDONLY_PROG): such a map is not mapped to write");
}

/**
 * ArrayOfMaps: maps by index.
 */
import { BPF_MAP_TYPE_ARRAY_OF_MAPS } from "../uapi/bpf.js";
import { i32, u32 } from "../codec/number.js";
import type { Kernel } from "../kernels/kernel.js";
import { type InnerOpener, type OpenOuter, OuterMap, type OuterOptions, createOuter } from "./_map_in_map.js";
import { MapFd } from "./_map_fd.js";
import { wanted } from "./_options.js";
import type { TypedMap } from "./_typed_map.js";

/**
 * An array of maps. Its keys are the indices from 0 to maxEntries - 1; elems are empty at first.
 *
 * Kernel name: BPF_MAP_TYPE_ARRAY_OF_MAPS. Since Linux 4.12.
 *
 * @example
 * ```ts
 * const newCounts = () => HashMap.create(kernel, { key: u32, value: u64, maxEntries: 1024 });
 * using perCore = ArrayOfMaps.create(kernel, { name: "per_core", maxEntries: 4, inner: newCounts });
 * using counts = newCounts();
 * perCore.set(0, counts);
 * using again = perCore.get(0);
 * again?.id === counts.id; // true
 * ```
 */
export class ArrayOfMaps<M extends TypedMap> extends OuterMap<number, M> {
  private constructor(opened: OpenOuter<M>) {
    super(opened, u32);
  }

  /**
   * Creates a map, and opens it. Inner maps are opened as maps of the template's class and codecs.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL (the template is a map of maps, too), ENOTSUPP (it is a prog_array), EBADF (it is closed), EPERM,
   * ENOMEM, EMFILE; its hint says why
   */
  static create<M extends TypedMap>(kernel: Kernel, options: OuterOptions<M>): ArrayOfMaps<M> {
    return new ArrayOfMaps(createOuter(kernel, BPF_MAP_TYPE_ARRAY_OF_MAPS, u32, options));
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not an array of maps
   */
  static open<M extends TypedMap>(kernel: Kernel, path: string, opener: InnerOpener<M>): ArrayOfMaps<M> {
    return new ArrayOfMaps({ mapFd: MapFd.open(kernel, path, wantedMap, opener), openInner: opener.openInner });
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not an array of maps
   */
  static fromId<M extends TypedMap>(kernel: Kernel, id: number, opener: InnerOpener<M>): ArrayOfMaps<M> {
    return new ArrayOfMaps({ mapFd: MapFd.fromId(kernel, id, wantedMap, opener), openInner: opener.openInner });
  }

  /** How many elems it has, empty ones too. */
  get length(): number {
    return this.maxEntries;
  }

  /**
   * Puts a map into an elem. It stays as long as it is there, whether it is open or not.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @throws {TypeError | RangeError} for what is no index, or no map of the same kernel
   * @throws {BpfError} EINVAL when the map is not like the template; E2BIG when the index is out of range; EPERM when the fd is
   * read-only or the map frozen; EBADF when one of the two is closed
   */
  set(index: number, inner: M): void {
    this.put(index, inner);
  }
}

const wantedMap = wanted("ArrayOfMaps", BPF_MAP_TYPE_ARRAY_OF_MAPS, u32, i32);

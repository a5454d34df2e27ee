/**
 * PerCpuArray: for each index a value for each CPU.
 */
import { BPF_MAP_TYPE_PERCPU_ARRAY } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import { u32 } from "../codec/number.js";
import type { Kernel } from "../kernels/kernel.js";
import { KeyedMap, type SetOptions } from "./_keyed_map.js";
import { MapFd } from "./_map_fd.js";
import { type ArrayOptions, type ValueCodec, attrOf, wanted } from "./_options.js";
import { type PerCpu, perCpuCodec } from "./percpu.js";

/**
 * A per-CPU array map with a value for each CPU: `get` gives all of them, `set` takes all of them. Its keys are the indices from 0 to maxEntries - 1; all elems exist, zero at first.
 *
 * Kernel name: BPF_MAP_TYPE_PERCPU_ARRAY. Since Linux 4.6.
 *
 * @example
 * ```ts
 * using packets = PerCpuArray.create(kernel, { name: "packets", value: u64, maxEntries: 256 });
 * packets.add(6, 1n);
 * packets.get(6)?.sum(); // 1n
 * ```
 */
export class PerCpuArray<V> extends KeyedMap<number, PerCpu<V>> {
  private constructor(mapFd: MapFd, value: Codec<V>) {
    super(mapFd, u32, perCpuCodec(value, mapFd.kernel.possibleCpus), value);
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, E2BIG, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create<V>(kernel: Kernel, options: ArrayOptions<V>): PerCpuArray<V> {
    const attr = attrOf(BPF_MAP_TYPE_PERCPU_ARRAY, u32, options.value, options);
    return new PerCpuArray(MapFd.create(kernel, attr), options.value);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a per-CPU array map, or its key or value has not the codec's size
   */
  static open<V>(kernel: Kernel, path: string, codecs: ValueCodec<V>): PerCpuArray<V> {
    const fd = MapFd.open(kernel, path, wanted("PerCpuArray", BPF_MAP_TYPE_PERCPU_ARRAY, u32, codecs.value), codecs);
    return new PerCpuArray(fd, codecs.value);
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
  static openOrCreate<V>(kernel: Kernel, path: string, options: ArrayOptions<V>): PerCpuArray<V> {
    const attr = attrOf(BPF_MAP_TYPE_PERCPU_ARRAY, u32, options.value, options);
    return new PerCpuArray(MapFd.openOrCreate(kernel, path, "PerCpuArray", attr), options.value);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a per-CPU array map, or its key or value has not the codec's size
   */
  static fromId<V>(kernel: Kernel, id: number, codecs: ValueCodec<V>): PerCpuArray<V> {
    const fd = MapFd.fromId(kernel, id, wanted("PerCpuArray", BPF_MAP_TYPE_PERCPU_ARRAY, u32, codecs.value), codecs);
    return new PerCpuArray(fd, codecs.value);
  }

  /** How many elems it has: all of them, always. */
  get length(): number {
    return this.maxEntries;
  }

  /**
   * Sets the values of an index, a value for each CPU.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @returns `false` when the mode refused it: "create", since all elems exist; else `true`.
   * @throws {TypeError | RangeError} for an index or values that the codecs do not take, or not one for each possible CPU
   * @throws {BpfError} E2BIG when the index is out of range; EPERM when the fd is read-only or the map frozen; EBADF when the map is
   * closed
   */
  override set(index: number, values: readonly V[], options?: SetOptions): boolean {
    return super.set(index, values as PerCpu<V>, options);
  }

  /**
   * Sets the values of many indices, a value for each CPU: see `setMany` of ArrayMap.
   */
  override setMany(entries: Iterable<readonly [number, readonly V[]]>, options?: SetOptions): number {
    return super.setMany(entries as Iterable<[number, PerCpu<V>]>, options);
  }

  /**
   * Adds to the value of an index, on the CPU of this thread: it takes a free one the first time, and keeps it until the
   * kernel is disposed.
   *
   * Only on the embedded kernel: threads add to values of their own there, as programs do, without waiting for each other.
   *
   * @throws {TypeError} when a value is not made of integers only
   * @throws {BpfError} ENXIO when all CPUs belong to other threads: `possibleCpus` is too small; EOPNOTSUPP on Linux, where
   * only programs can; E2BIG when the index is out of range
   */
  add(index: number, delta: V): void {
    this.addTo(index, delta);
  }
}

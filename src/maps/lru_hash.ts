/**
 * LruHashMap: a hash map that is never full.
 */
import { BPF_MAP_TYPE_LRU_HASH } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import { HtabMap } from "./_htab_map.js";
import { createLru } from "./_lru.js";
import { MapFd } from "./_map_fd.js";
import { type Codecs, type LruOptions, attrOf, wanted } from "./_options.js";

/**
 * A hash map that is never full: what was not used for long makes room for what is new.
 *
 * Using is setting, adding to, and on the embedded kernel getting a key. On Linux only programs' lookups count, not those of
 * system calls: there, set again what you want to keep.
 *
 * Kernel name: BPF_MAP_TYPE_LRU_HASH. Since Linux 4.10.
 *
 * @example
 * ```ts
 * using pages = LruHashMap.create(kernel, { name: "pages", key: u32, value: u64, maxEntries: 2 });
 * pages.set(1, 10n);
 * pages.set(2, 20n);
 * pages.get(1); // 10n
 * pages.set(3, 30n);
 * pages.has(3); // true
 * pages.count(); // 2
 * ```
 */
export class LruHashMap<K, V> extends HtabMap<K, V> {
  private constructor(mapFd: MapFd, key: Codec<K>, value: Codec<V>) {
    super(mapFd, key, value);
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, E2BIG, EPERM, ENOMEM, EMFILE; EOPNOTSUPP for `exact` on Linux; its hint says why
   */
  static create<K, V>(kernel: Kernel, options: LruOptions<K, V>): LruHashMap<K, V> {
    const attr = attrOf(BPF_MAP_TYPE_LRU_HASH, options.key, options.value, options);
    return new LruHashMap(createLru(kernel, attr, options.exact), options.key, options.value);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not an LRU hash map, or its key or value has not the codec's size
   */
  static open<K, V>(kernel: Kernel, path: string, codecs: Codecs<K, V>): LruHashMap<K, V> {
    const fd = MapFd.open(kernel, path, wanted("LruHashMap", BPF_MAP_TYPE_LRU_HASH, codecs.key, codecs.value), codecs);
    return new LruHashMap(fd, codecs.key, codecs.value);
  }

  /**
   * Opens the map that is pinned at a path; where nothing is pinned, creates one and pins it there.
   *
   * Threads and processes that do so at once all get the same map. One that is there must be as the options say: type, sizes,
   * maxEntries and flags; its name may be another. `exact` is asked for where it is created: one that is there keeps its order.
   *
   * Kernel name: BPF_OBJ_GET, BPF_MAP_CREATE, BPF_OBJ_PIN.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EEXIST when the map there differs: the message and `details.differences` name each property that does; and
   * as `create`, `open` and `pin`
   */
  static openOrCreate<K, V>(kernel: Kernel, path: string, options: LruOptions<K, V>): LruHashMap<K, V> {
    const attr = attrOf(BPF_MAP_TYPE_LRU_HASH, options.key, options.value, options);
    const create = (): MapFd => createLru(kernel, attr, options.exact);
    return new LruHashMap(MapFd.openOrCreate(kernel, path, "LruHashMap", attr, create), options.key, options.value);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not an LRU hash map, or its key or value has not the codec's size
   */
  static fromId<K, V>(kernel: Kernel, id: number, codecs: Codecs<K, V>): LruHashMap<K, V> {
    const fd = MapFd.fromId(kernel, id, wanted("LruHashMap", BPF_MAP_TYPE_LRU_HASH, codecs.key, codecs.value), codecs);
    return new LruHashMap(fd, codecs.key, codecs.value);
  }

  /**
   * Adds to the value of a key: of a struct, to each of its integers. An elem that is not there starts at zero.
   *
   * One atomic step on the embedded kernel. On Linux, where no system call adds, the value is read and written back: what
   * another thread updates in between is lost.
   *
   * @throws {TypeError} when the value is not made of integers only
   * @throws {BpfError} EPERM, EBADF as `set`
   */
  add(key: K, delta: V): void {
    this.addTo(key, delta);
  }
}

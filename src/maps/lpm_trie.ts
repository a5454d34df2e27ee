/**
 * LpmTrie: prefixes, and the longest of them that matches.
 */
import { BPF_F_NO_PREALLOC, BPF_MAP_TYPE_LPM_TRIE } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import { KeyedMap } from "./_keyed_map.js";
import { MapFd } from "./_map_fd.js";
import { type Codecs, type CreateOptions, attrOf, wanted } from "./_options.js";

/**
 * A table of prefixes: routes, networks. `get` gives the value of the longest prefix that the key begins with.
 *
 * Kernel name: BPF_MAP_TYPE_LPM_TRIE. Since Linux 4.11.
 *
 * Keys are `prefix4`, `prefix6`, or any codec of a struct that begins with a u32, the prefix's length in bits, followed by 1
 * to 256 bytes of data in network byte order.
 *
 * @example
 * ```ts
 * using routes = LpmTrie.create(kernel, { name: "routes", key: prefix4, value: u32, maxEntries: 1024 });
 * routes.set("10.0.0.0/8", 1);
 * routes.set("10.1.0.0/16", 2);
 * routes.get("10.1.2.3"); // 2
 * ```
 */
export class LpmTrie<K, V> extends KeyedMap<K, V> {
  private constructor(mapFd: MapFd, key: Codec<K>, value: Codec<V>) {
    super(mapFd, key, value);
  }

  /**
   * Creates a map, and opens it. BPF_F_NO_PREALLOC, without which there is no trie, is set.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create<K, V>(kernel: Kernel, options: CreateOptions<K, V>): LpmTrie<K, V> {
    const mapFlags = ((options.mapFlags ?? 0) | BPF_F_NO_PREALLOC) >>> 0;
    const attr = attrOf(BPF_MAP_TYPE_LPM_TRIE, options.key, options.value, { ...options, mapFlags });
    return new LpmTrie(MapFd.create(kernel, attr), options.key, options.value);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not an LPM trie, or its key or value has not the codec's size
   */
  static open<K, V>(kernel: Kernel, path: string, codecs: Codecs<K, V>): LpmTrie<K, V> {
    const fd = MapFd.open(kernel, path, wanted("LpmTrie", BPF_MAP_TYPE_LPM_TRIE, codecs.key, codecs.value), codecs);
    return new LpmTrie(fd, codecs.key, codecs.value);
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
  static openOrCreate<K, V>(kernel: Kernel, path: string, options: CreateOptions<K, V>): LpmTrie<K, V> {
    const mapFlags = ((options.mapFlags ?? 0) | BPF_F_NO_PREALLOC) >>> 0;
    const attr = attrOf(BPF_MAP_TYPE_LPM_TRIE, options.key, options.value, { ...options, mapFlags });
    return new LpmTrie(MapFd.openOrCreate(kernel, path, "LpmTrie", attr), options.key, options.value);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not an LPM trie, or its key or value has not the codec's size
   */
  static fromId<K, V>(kernel: Kernel, id: number, codecs: Codecs<K, V>): LpmTrie<K, V> {
    const fd = MapFd.fromId(kernel, id, wanted("LpmTrie", BPF_MAP_TYPE_LPM_TRIE, codecs.key, codecs.value), codecs);
    return new LpmTrie(fd, codecs.key, codecs.value);
  }

  /**
   * Deletes a prefix: this one, not what it matches.
   *
   * Kernel name: BPF_MAP_DELETE_ELEM.
   *
   * @returns Whether it was there.
   * @throws {BpfError} EPERM when the fd is read-only or the map frozen; EBADF when the map is closed
   */
  delete(key: K): boolean {
    return this.remove(key);
  }

  /**
   * Deletes many prefixes, in their order. All are looked at before the first is deleted.
   *
   * @returns How many were there.
   * @throws {TypeError | RangeError} for a key that the codec does not take; nothing was deleted
   * @throws {BpfError} as `delete`. The message and `details.done` say how many were deleted before
   */
  deleteMany(keys: Iterable<K> | readonly K[]): number {
    return this.removeMany(keys);
  }

  /** Deletes all prefixes that are there when it begins. */
  clear(): void {
    for (const key of this.keys()) this.remove(key);
  }
}

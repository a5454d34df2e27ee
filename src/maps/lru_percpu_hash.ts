/**
 * LruPerCpuHashMap: for each key a value for each CPU; never full.
 */
import { BPF_MAP_TYPE_LRU_PERCPU_HASH } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import { createLru } from "./_lru.js";
import { MapFd } from "./_map_fd.js";
import { PerCpuHtabMap } from "./_percpu_htab_map.js";
import { type Codecs, type LruOptions, attrOf, wanted } from "./_options.js";
import { perCpuCodec } from "./percpu.js";

/**
 * A per-CPU hash map that is never full: what was not used for long makes room for what is new. `get` gives the values of all
 * CPUs, `set` takes them.
 *
 * Using is setting, adding to, and on the embedded kernel getting a key: see LruHashMap.
 *
 * Kernel name: BPF_MAP_TYPE_LRU_PERCPU_HASH. Since Linux 4.10.
 *
 * @example
 * ```ts
 * using hits = LruPerCpuHashMap.create(kernel, { name: "hits", key: ipv4, value: u64, maxEntries: 1024 });
 * hits.add("10.0.0.1", 1n);
 * hits.get("10.0.0.1")?.sum(); // 1n
 * ```
 */
export class LruPerCpuHashMap<K, V> extends PerCpuHtabMap<K, V> {
  private constructor(mapFd: MapFd, key: Codec<K>, value: Codec<V>) {
    super(mapFd, key, perCpuCodec(value, mapFd.kernel.possibleCpus), value);
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, E2BIG, EPERM, ENOMEM, EMFILE; EOPNOTSUPP for `exact` on Linux; its hint says why
   */
  static create<K, V>(kernel: Kernel, options: LruOptions<K, V>): LruPerCpuHashMap<K, V> {
    const attr = attrOf(BPF_MAP_TYPE_LRU_PERCPU_HASH, options.key, options.value, options);
    return new LruPerCpuHashMap(createLru(kernel, attr, options.exact), options.key, options.value);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not an LRU per-CPU hash map, or its key or value has not the codec's size
   */
  static open<K, V>(kernel: Kernel, path: string, codecs: Codecs<K, V>): LruPerCpuHashMap<K, V> {
    const fd = MapFd.open(
      kernel,
      path,
      wanted("LruPerCpuHashMap", BPF_MAP_TYPE_LRU_PERCPU_HASH, codecs.key, codecs.value),
      codecs,
    );
    return new LruPerCpuHashMap(fd, codecs.key, codecs.value);
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
  static openOrCreate<K, V>(kernel: Kernel, path: string, options: LruOptions<K, V>): LruPerCpuHashMap<K, V> {
    const attr = attrOf(BPF_MAP_TYPE_LRU_PERCPU_HASH, options.key, options.value, options);
    const create = (): MapFd => createLru(kernel, attr, options.exact);
    return new LruPerCpuHashMap(
      MapFd.openOrCreate(kernel, path, "LruPerCpuHashMap", attr, create),
      options.key,
      options.value,
    );
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not an LRU per-CPU hash map, or its key or value has not the codec's size
   */
  static fromId<K, V>(kernel: Kernel, id: number, codecs: Codecs<K, V>): LruPerCpuHashMap<K, V> {
    const fd = MapFd.fromId(
      kernel,
      id,
      wanted("LruPerCpuHashMap", BPF_MAP_TYPE_LRU_PERCPU_HASH, codecs.key, codecs.value),
      codecs,
    );
    return new LruPerCpuHashMap(fd, codecs.key, codecs.value);
  }
}

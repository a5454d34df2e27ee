/**
 * BloomFilter: a set of values of any codec that knows surely what it does not hold.
 */
import { BPF_MAP_LOOKUP_ELEM, BPF_MAP_TYPE_BLOOM_FILTER, BPF_MAP_UPDATE_ELEM } from "../uapi/bpf.js";
import { ENOENT } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { asU32 } from "./_arguments.js";
import { KeylessMap, wantedKeyless } from "./_keyless_map.js";
import { MapFd } from "./_map_fd.js";
import { type ValueCodec, type ValueOptions, keylessAttrOf } from "./_options.js";

/** What a bloom filter is created with. */
export interface BloomFilterOptions<V> extends ValueOptions<V> {
  /** Bits that each value sets, 1 to 15; 5 unless told. */
  readonly hashes?: number;
}

/**
 * A bloom filter: `has` is sure of what it says is absent; of what it says is there, it may be mistaken.
 *
 * Kernel name: BPF_MAP_TYPE_BLOOM_FILTER. Since Linux 5.16.
 *
 * @example
 * ```ts
 * using seen = BloomFilter.create(kernel, { name: "seen", value: u64, maxEntries: 100_000 });
 * seen.add(7n);
 * seen.has(7n); // true
 * ```
 */
export class BloomFilter<V> extends KeylessMap<V> {
  private constructor(mapFd: MapFd, value: Codec<V>) {
    super(mapFd, value);
  }

  /**
   * Creates a map, and opens it. `maxEntries` is for how many values its size is made: it takes more, and errs more often.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, E2BIG, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create<V>(kernel: Kernel, options: BloomFilterOptions<V>): BloomFilter<V> {
    return new BloomFilter(MapFd.create(kernel, attrOf(options)), options.value);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a bloom filter, or its value has not the codec's size
   */
  static open<V>(kernel: Kernel, path: string, codecs: ValueCodec<V>): BloomFilter<V> {
    return new BloomFilter(
      MapFd.open(kernel, path, wantedKeyless("BloomFilter", BPF_MAP_TYPE_BLOOM_FILTER, codecs.value), codecs),
      codecs.value,
    );
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
  static openOrCreate<V>(kernel: Kernel, path: string, options: BloomFilterOptions<V>): BloomFilter<V> {
    const attr = attrOf(options);
    return new BloomFilter(MapFd.openOrCreate(kernel, path, "BloomFilter", attr), options.value);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a bloom filter, or its value has not the codec's size
   */
  static fromId<V>(kernel: Kernel, id: number, codecs: ValueCodec<V>): BloomFilter<V> {
    return new BloomFilter(
      MapFd.fromId(kernel, id, wantedKeyless("BloomFilter", BPF_MAP_TYPE_BLOOM_FILTER, codecs.value), codecs),
      codecs.value,
    );
  }

  /**
   * Adds a value: there is no way to take it out.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @throws {TypeError | RangeError} for a value that the codec does not take
   * @throws {BpfError} EPERM when the fd is read-only or the map frozen; EBADF when the map is closed
   */
  add(value: V): void {
    const ret = this.updateElem(value, 0);
    if (ret !== 0) throw this.mapFd.failure("add a value to", ret, BPF_MAP_UPDATE_ELEM);
  }

  /**
   * Whether a value may have been added.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM.
   *
   * @returns `false` when it surely was not (ENOENT).
   * @throws {TypeError | RangeError} for a value that the codec does not take
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed
   */
  has(value: V): boolean {
    const ret = this.lookupElem(value);
    if (ret === 0) return true;
    if (ret === -ENOENT) return false;
    throw this.mapFd.failure("look for a value in", ret, BPF_MAP_LOOKUP_ELEM);
  }
}

function attrOf<V>(options: BloomFilterOptions<V>): MapAttr {
  const { hashes } = options;
  if (hashes !== undefined && (asU32("hashes", hashes) < 1 || hashes > 15))
    throw new RangeError(`hashes: wanted an integer from 1 to 15, found ${hashes}`);
  return { ...keylessAttrOf(BPF_MAP_TYPE_BLOOM_FILTER, options), mapExtra: BigInt(hashes ?? 0) };
}

/**
 * QueueMap: values of any codec, oldest first.
 */
import { BPF_MAP_TYPE_QUEUE } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import { wantedKeyless } from "./_keyless_map.js";
import { MapFd } from "./_map_fd.js";
import { type ValueCodec, type ValueOptions, keylessAttrOf } from "./_options.js";
import { QueueStackMap } from "./_queue_stack_map.js";

/**
 * A queue: `pop` gives the oldest value.
 *
 * Kernel name: BPF_MAP_TYPE_QUEUE. Since Linux 4.20.
 *
 * @example
 * ```ts
 * using jobs = QueueMap.create(kernel, { name: "jobs", value: u64, maxEntries: 1024 });
 * jobs.push(1n);
 * jobs.push(2n);
 * jobs.pop(); // 1n
 * ```
 */
export class QueueMap<V> extends QueueStackMap<V> {
  private constructor(mapFd: MapFd, value: Codec<V>) {
    super(mapFd, value);
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, E2BIG, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create<V>(kernel: Kernel, options: ValueOptions<V>): QueueMap<V> {
    return new QueueMap(MapFd.create(kernel, keylessAttrOf(BPF_MAP_TYPE_QUEUE, options)), options.value);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a queue, or its value has not the codec's size
   */
  static open<V>(kernel: Kernel, path: string, codecs: ValueCodec<V>): QueueMap<V> {
    return new QueueMap(
      MapFd.open(kernel, path, wantedKeyless("QueueMap", BPF_MAP_TYPE_QUEUE, codecs.value), codecs),
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
  static openOrCreate<V>(kernel: Kernel, path: string, options: ValueOptions<V>): QueueMap<V> {
    const attr = keylessAttrOf(BPF_MAP_TYPE_QUEUE, options);
    return new QueueMap(MapFd.openOrCreate(kernel, path, "QueueMap", attr), options.value);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a queue, or its value has not the codec's size
   */
  static fromId<V>(kernel: Kernel, id: number, codecs: ValueCodec<V>): QueueMap<V> {
    return new QueueMap(
      MapFd.fromId(kernel, id, wantedKeyless("QueueMap", BPF_MAP_TYPE_QUEUE, codecs.value), codecs),
      codecs.value,
    );
  }
}

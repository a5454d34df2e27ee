/**
 * StackMap: values of any codec, newest first.
 */
import { BPF_MAP_TYPE_STACK } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import { wantedKeyless } from "./_keyless_map.js";
import { MapFd } from "./_map_fd.js";
import { type ValueCodec, type ValueOptions, keylessAttrOf } from "./_options.js";
import { QueueStackMap } from "./_queue_stack_map.js";

/**
 * A stack: `pop` gives the newest value.
 *
 * Kernel name: BPF_MAP_TYPE_STACK. Since Linux 4.20.
 *
 * @example
 * ```ts
 * using undo = StackMap.create(kernel, { name: "undo", value: u64, maxEntries: 1024 });
 * undo.push(1n);
 * undo.push(2n);
 * undo.pop(); // 2n
 * ```
 */
export class StackMap<V> extends QueueStackMap<V> {
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
  static create<V>(kernel: Kernel, options: ValueOptions<V>): StackMap<V> {
    return new StackMap(MapFd.create(kernel, keylessAttrOf(BPF_MAP_TYPE_STACK, options)), options.value);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a stack, or its value has not the codec's size
   */
  static open<V>(kernel: Kernel, path: string, codecs: ValueCodec<V>): StackMap<V> {
    return new StackMap(
      MapFd.open(kernel, path, wantedKeyless("StackMap", BPF_MAP_TYPE_STACK, codecs.value), codecs),
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
  static openOrCreate<V>(kernel: Kernel, path: string, options: ValueOptions<V>): StackMap<V> {
    const attr = keylessAttrOf(BPF_MAP_TYPE_STACK, options);
    return new StackMap(MapFd.openOrCreate(kernel, path, "StackMap", attr), options.value);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a stack, or its value has not the codec's size
   */
  static fromId<V>(kernel: Kernel, id: number, codecs: ValueCodec<V>): StackMap<V> {
    return new StackMap(
      MapFd.fromId(kernel, id, wantedKeyless("StackMap", BPF_MAP_TYPE_STACK, codecs.value), codecs),
      codecs.value,
    );
  }
}

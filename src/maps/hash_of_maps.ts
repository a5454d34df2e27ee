/**
 * HashOfMaps: maps by keys of any codec.
 */
import { BPF_MAP_TYPE_HASH_OF_MAPS } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import { i32 } from "../codec/number.js";
import type { Kernel } from "../kernels/kernel.js";
import type { SetOptions } from "./_keyed_map.js";
import { type InnerOpener, type OpenOuter, OuterMap, type OuterOptions, createOuter } from "./_map_in_map.js";
import { MapFd } from "./_map_fd.js";
import { wanted } from "./_options.js";
import type { TypedMap } from "./_typed_map.js";

/** What the keys are. */
export interface KeyCodec<K> {
  readonly key: Codec<K>;
}

/**
 * A hash of maps.
 *
 * Kernel name: BPF_MAP_TYPE_HASH_OF_MAPS. Since Linux 4.12.
 *
 * @example
 * ```ts
 * const newRoutes = () => LpmTrie.create(kernel, { key: prefix4, value: u32, maxEntries: 1024 });
 * using tenants = HashOfMaps.create(kernel, { name: "tenants", key: u32, maxEntries: 64, inner: newRoutes });
 * using routes = newRoutes();
 * routes.set("10.0.0.0/8", 1);
 * tenants.set(7, routes);
 * using found = tenants.get(7);
 * found?.get("10.1.2.3"); // 1
 * ```
 */
export class HashOfMaps<K, M extends TypedMap> extends OuterMap<K, M> {
  private constructor(opened: OpenOuter<M>, key: Codec<K>) {
    super(opened, key);
  }

  /**
   * Creates a map, and opens it. Inner maps are opened as maps of the template's class and codecs.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL (the template is a map of maps, too), ENOTSUPP (it is a prog_array), EBADF (it is closed), E2BIG,
   * EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create<K, M extends TypedMap>(kernel: Kernel, options: OuterOptions<M> & KeyCodec<K>): HashOfMaps<K, M> {
    return new HashOfMaps(createOuter(kernel, BPF_MAP_TYPE_HASH_OF_MAPS, options.key, options), options.key);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a hash of maps, or its key has not the codec's size
   */
  static open<K, M extends TypedMap>(
    kernel: Kernel,
    path: string,
    opener: InnerOpener<M> & KeyCodec<K>,
  ): HashOfMaps<K, M> {
    return new HashOfMaps(
      { mapFd: MapFd.open(kernel, path, wantedMap(opener.key), opener), openInner: opener.openInner },
      opener.key,
    );
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a hash of maps, or its key has not the codec's size
   */
  static fromId<K, M extends TypedMap>(
    kernel: Kernel,
    id: number,
    opener: InnerOpener<M> & KeyCodec<K>,
  ): HashOfMaps<K, M> {
    return new HashOfMaps(
      { mapFd: MapFd.fromId(kernel, id, wantedMap(opener.key), opener), openInner: opener.openInner },
      opener.key,
    );
  }

  /**
   * Puts a map under a key, in the place of the one that was there. It stays as long as it is there, whether it is open or not.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @returns `false` when the mode refused it: "create" and the key is there, "replace" and it is not; else `true`.
   * @throws {TypeError | RangeError} for a key that the codec does not take, or what is no map of the same kernel
   * @throws {BpfError} EINVAL when the map is not like the template; E2BIG when the map of maps is full; ENOMEM; EPERM when the
   * fd is read-only or the map frozen; EBADF when one of the two is closed
   */
  set(key: K, inner: M, options?: SetOptions): boolean {
    return this.put(key, inner, options);
  }
}

const wantedMap = (key: Codec<unknown>): ReturnType<typeof wanted> =>
  wanted("HashOfMaps", BPF_MAP_TYPE_HASH_OF_MAPS, key, i32);

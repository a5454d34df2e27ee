/**
 * GenericMap: a map of any type that has keys, in bytes.
 */
import {
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  BPF_MAP_TYPE_PERCPU_HASH,
} from "../uapi/bpf.js";
import { mapTypeFromName } from "../uapi/names.js";
import { bytes } from "../codec/bytes.js";
import type { Kernel } from "../kernels/kernel.js";
import { align8 } from "./_access.js";
import { asU32 } from "./_arguments.js";
import { KeyWalk, NextKey } from "./_key_walk.js";
import { KeyedMap } from "./_keyed_map.js";
import { MapFd } from "./_map_fd.js";
import { type MapOptions, type OpenOptions, attrOfSizes } from "./_options.js";
import type { Walk } from "./_walk.js";

/** What a map of any type is created with. */
export interface GenericOptions extends MapOptions, OpenOptions {
  /** bpftool's word, "devmap_hash", or BPF_MAP_TYPE_*. */
  readonly type: string | number;
  /** In bytes. */
  readonly keySize: number;
  /** In bytes; of a per-CPU type, one CPU's. */
  readonly valueSize: number;
}

/**
 * A map of any type with keys: for those that have no class of their own, and for programs that are to take any map.
 *
 * Such types hold or describe objects of the Linux kernel (devices, CPUs, sockets, cgroups, tasks, events, stacks), and are
 * there only. What keys and values are, and what may be done with them, is the type's: see bpf-helpers(7) and the kernel's
 * documentation. Values of per-CPU types have a slot for each CPU, each rounded up to 8 bytes.
 *
 * @example
 * ```ts
 * using ports = GenericMap.create(kernel, { type: "devmap_hash", keySize: 4, valueSize: 4, maxEntries: 8 });
 * ports.set(new Uint8Array([7, 0, 0, 0]), new Uint8Array([1, 0, 0, 0])); // port 7 is the interface with index 1
 * ```
 */
export class GenericMap extends KeyedMap<Uint8Array, Uint8Array> {
  readonly #nextKey: NextKey<Uint8Array>;

  private constructor(mapFd: MapFd) {
    const { type, keySize, valueSize } = mapFd.info;
    super(mapFd, bytes(keySize), bytes(valueBytes(type, valueSize, mapFd.kernel)));
    this.#nextKey = new NextKey(mapFd, this.key);
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, also for a type that needs the Linux kernel; E2BIG, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create(kernel: Kernel, options: GenericOptions): GenericMap {
    const { keySize, valueSize } = options;
    const attr = attrOfSizes(asType(options.type), asSize("keySize", keySize), asSize("valueSize", valueSize), options);
    return new GenericMap(MapFd.create(kernel, attr));
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it has no keys
   */
  static open(kernel: Kernel, path: string, options: OpenOptions = {}): GenericMap {
    return GenericMap.#of(MapFd.open(kernel, path, { className: "GenericMap" }, options));
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it has no keys
   */
  static fromId(kernel: Kernel, id: number, options: OpenOptions = {}): GenericMap {
    return GenericMap.#of(MapFd.fromId(kernel, id, { className: "GenericMap" }, options));
  }

  static #of(mapFd: MapFd): GenericMap {
    const { typeName, keySize, valueSize } = mapFd.info;
    if (keySize !== 0 && valueSize !== 0) return new GenericMap(mapFd);
    mapFd.close();
    throw new TypeError(`A map of type ${typeName} has no keys or no values: GenericMap takes those that have both`);
  }

  /** bpftool's word for the map's type. */
  get typeName(): string {
    return this.mapFd.info.typeName;
  }

  /**
   * Deletes a key.
   *
   * Kernel name: BPF_MAP_DELETE_ELEM.
   *
   * @returns Whether it was there.
   * @throws {BpfError} EPERM when the fd is read-only or the map frozen; EBADF when the map is closed; and what the type answers
   */
  delete(key: Uint8Array): boolean {
    return this.remove(key);
  }

  /**
   * Takes a key out: deletes it, and returns the value that it had.
   *
   * Kernel name: BPF_MAP_LOOKUP_AND_DELETE_ELEM.
   *
   * @returns The value, or `undefined` when the key is not there (ENOENT).
   * @throws {BpfError} ENOTSUPP where the type has not the command; EPERM, EBADF as `delete`
   */
  take(key: Uint8Array): Uint8Array | undefined {
    return this.takeOut(key);
  }

  /**
   * A walk over the map's keys.
   *
   * Kernel name: BPF_MAP_GET_NEXT_KEY, a call for each key. The map may change meanwhile: no key comes twice.
   *
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed; and what the type answers
   */
  override keys(): Walk<Uint8Array> {
    return new KeyWalk(this.#nextKey, (key) => key);
  }

  /** A walk over the map's values, as `entries`. */
  override values(): Walk<Uint8Array> {
    return new KeyWalk(this.#nextKey, (key) => this.get(key));
  }

  /** A walk over the map's keys and values, as `keys`, with a lookup for each: keys that have none are left out. */
  override entries(): Walk<[Uint8Array, Uint8Array]> {
    return new KeyWalk<[Uint8Array, Uint8Array], Uint8Array>(this.#nextKey, (key) => {
      const value = this.get(key);
      return value === undefined ? undefined : [key, value];
    });
  }

  override forEach(give: (value: Uint8Array, key: Uint8Array, map: this) => void): void {
    for (const [key, value] of this.entries()) give(value, key, this);
  }

  /** How many keys there are: by a walk. */
  override count(): number {
    let count = 0;
    for (const _ of this.keys()) count++;
    return count;
  }

  override close(): void {
    this.#nextKey.close();
    super.close();
  }
}

/** Bytes of a value as system calls have it. */
function valueBytes(type: number, valueSize: number, { possibleCpus }: Kernel): number {
  const isPerCpu =
    type === BPF_MAP_TYPE_PERCPU_HASH ||
    type === BPF_MAP_TYPE_PERCPU_ARRAY ||
    type === BPF_MAP_TYPE_LRU_PERCPU_HASH ||
    type === BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  return isPerCpu ? align8(valueSize) * possibleCpus : valueSize;
}

function asType(type: string | number): number {
  if (typeof type !== "string") return asU32("type", type);
  const found = mapTypeFromName(type);
  if (found === undefined) throw new RangeError(`type: wanted a map type, found ${JSON.stringify(type)}`);
  return found;
}

function asSize(field: string, size: number): number {
  if (asU32(field, size) === 0) throw new RangeError(`${field}: wanted at least 1, found 0`);
  return size;
}

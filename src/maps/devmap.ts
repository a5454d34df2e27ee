/**
 * DevMap and DevMapHash: network devices for xdp programs to send packets to.
 */
import { BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH } from "../uapi/bpf.js";
import type { Codec } from "../codec/codec.js";
import { i32, u32 } from "../codec/number.js";
import { struct } from "../codec/struct.js";
import type { Kernel } from "../kernels/kernel.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { KeyWalk, NextKey } from "./_key_walk.js";
import { KeyedMap } from "./_keyed_map.js";
import { MapFd, type Wanted } from "./_map_fd.js";
import { type MapOptions, type OpenOptions, attrOfSizes } from "./_options.js";
import { TypedMap } from "./_typed_map.js";
import type { Walk } from "./_walk.js";

/** A device of a map. */
export interface Device {
  /** Its index, as `ip link` shows it. */
  readonly ifindex: number;
  /** The id of the program that sees each packet there; 0 for none. */
  readonly programId: number;
}

/** What a map of devices is created with. */
export type DevMapOptions = Omit<MapOptions, "btf" | "programAccess"> & OpenOptions;

/** What goes with a device. */
export interface DeviceOptions {
  /** The fd of an xdp program for BPF_XDP_DEVMAP, which is to see each packet there. */
  readonly program?: number;
}

interface DeviceValue {
  readonly ifindex: number;
  /** A program's fd on the way in, and its id on the way out. */
  readonly program: number;
}

const withProgram: Codec<DeviceValue> = struct({ ifindex: u32, program: i32 });

/** Devices as the kernel has them; of values of 4 bytes their indices alone. */
class DeviceValues<V> extends KeyedMap<number, V> {
  constructor(mapFd: MapFd, value: Codec<V>) {
    super(mapFd, u32, value);
  }

  delete(key: number): boolean {
    return this.remove(key);
  }
}

/** What both kinds have in common. */
abstract class DeviceMap extends TypedMap {
  readonly #whole: DeviceValues<DeviceValue> | undefined;
  readonly #indices: DeviceValues<number> | undefined;
  readonly #nextKey: NextKey<number>;

  protected constructor(mapFd: MapFd) {
    super(mapFd);
    if (mapFd.info.valueSize === withProgram.size) this.#whole = new DeviceValues(mapFd, withProgram);
    else this.#indices = new DeviceValues(mapFd, u32);
    this.#nextKey = new NextKey(mapFd, u32);
  }

  get #values(): DeviceValues<DeviceValue> | DeviceValues<number> {
    return this.#whole ?? this.#indices!;
  }

  /**
   * Puts a device in.
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM.
   *
   * @param ifindex The device's index.
   * @throws {TypeError | RangeError} for what is no u32; for a program, when the map's values have no room for one
   * @throws {BpfError} EINVAL when there is no such device, or the program is not one for this map; E2BIG when the index is out of range,
   * or the map is full; EPERM when the fd is read-only or the map frozen; EBADF when the map is closed
   */
  set(key: number, ifindex: number, { program = 0 }: DeviceOptions = {}): void {
    if (this.#whole !== undefined) this.#whole.set(key, { ifindex, program });
    else if (program === 0) this.#indices!.set(key, ifindex);
    else throw new TypeError("program: the map has devices alone, its values are of 4 bytes");
  }

  /**
   * Returns the device of a key.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM.
   *
   * @returns `undefined` when there is none (ENOENT).
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed
   */
  get(key: number): Device | undefined {
    if (this.#whole === undefined) {
      const ifindex = this.#indices!.get(key);
      return ifindex === undefined ? undefined : { ifindex, programId: 0 };
    }
    const found = this.#whole.get(key);
    return found === undefined ? undefined : { ifindex: found.ifindex, programId: found.program };
  }

  /** Whether a key has a device. */
  has(key: number): boolean {
    return this.#values.has(key);
  }

  /**
   * Takes a device out.
   *
   * Kernel name: BPF_MAP_DELETE_ELEM.
   *
   * @returns Whether there was one.
   * @throws {BpfError} EINVAL when an index is out of range; EPERM when the fd is read-only or the map frozen; EBADF when the map is closed
   */
  delete(key: number): boolean {
    // An array's delete succeeds where nothing is.
    const hadDevice = this.isArray ? this.#hadDevice(key) : true;
    return this.#values.delete(key) && hadDevice;
  }

  #hadDevice(key: number): boolean {
    try {
      return this.has(key);
    } catch {
      // By an fd that may not read; or delete says what it is.
      return true;
    }
  }

  protected abstract get isArray(): boolean;

  /** A walk over the keys that have a device. */
  keys(): Walk<number> {
    return new KeyWalk(this.#nextKey, (key) => (this.has(key) ? key : undefined));
  }

  /**
   * A walk over keys and their devices.
   *
   * Kernel name: BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_ELEM.
   *
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed, or was closed meanwhile
   */
  entries(): Walk<[number, Device]> {
    return new KeyWalk<[number, Device], number>(this.#nextKey, (key) => {
      const device = this.get(key);
      return device === undefined ? undefined : [key, device];
    });
  }

  [Symbol.iterator](): Walk<[number, Device]> {
    return this.entries();
  }

  override close(): void {
    this.#nextKey.close();
    this.#values.close();
  }
}

/** Values are 4 or 8 bytes. */
const wantedOf = (className: string, type: number): Wanted => ({
  className,
  type,
  key: { size: u32.size, type: u32.type },
});

function devAttrOf(mapType: number, options: DevMapOptions): MapAttr {
  return attrOfSizes(mapType, u32.size, withProgram.size, options);
}

/**
 * Network devices by index, for xdp programs to send packets to: bpf_redirect_map. Its keys are the indices from 0 to maxEntries - 1;
 * elems are empty at first.
 *
 * Kernel name: BPF_MAP_TYPE_DEVMAP. Since Linux 4.14; with programs since 5.8.
 *
 * @example
 * ```ts
 * using ports = DevMap.create(kernel, { name: "ports", maxEntries: 64 });
 * ports.set(7, 1);
 * ports.get(7); // { ifindex: 1, programId: 0 }
 * ```
 */
export class DevMap extends DeviceMap {
  private constructor(mapFd: MapFd) {
    super(mapFd);
  }

  protected get isArray(): boolean {
    return true;
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create(kernel: Kernel, options: DevMapOptions): DevMap {
    return new DevMap(MapFd.create(kernel, devAttrOf(BPF_MAP_TYPE_DEVMAP, options)));
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a devmap
   */
  static open(kernel: Kernel, path: string, options?: OpenOptions): DevMap {
    return new DevMap(MapFd.open(kernel, path, wantedOf("DevMap", BPF_MAP_TYPE_DEVMAP), options));
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
  static openOrCreate(kernel: Kernel, path: string, options: DevMapOptions): DevMap {
    return new DevMap(MapFd.openOrCreate(kernel, path, "DevMap", devAttrOf(BPF_MAP_TYPE_DEVMAP, options)));
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a devmap
   */
  static fromId(kernel: Kernel, id: number, options?: OpenOptions): DevMap {
    return new DevMap(MapFd.fromId(kernel, id, wantedOf("DevMap", BPF_MAP_TYPE_DEVMAP), options));
  }

  /** How many elems it has, empty ones too. */
  get length(): number {
    return this.maxEntries;
  }
}

/**
 * Network devices by any number, for xdp programs to send packets to: bpf_redirect_map.
 *
 * Kernel name: BPF_MAP_TYPE_DEVMAP_HASH. Since Linux 5.4; with programs since 5.8.
 *
 * @example
 * ```ts
 * using vlans = DevMapHash.create(kernel, { name: "vlans", maxEntries: 64 });
 * vlans.set(4094, 1);
 * [...vlans.keys()]; // [4094]
 * ```
 */
export class DevMapHash extends DeviceMap {
  private constructor(mapFd: MapFd) {
    super(mapFd);
  }

  protected get isArray(): boolean {
    return false;
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create(kernel: Kernel, options: DevMapOptions): DevMapHash {
    return new DevMapHash(MapFd.create(kernel, devAttrOf(BPF_MAP_TYPE_DEVMAP_HASH, options)));
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a devmap_hash
   */
  static open(kernel: Kernel, path: string, options?: OpenOptions): DevMapHash {
    return new DevMapHash(MapFd.open(kernel, path, wantedOf("DevMapHash", BPF_MAP_TYPE_DEVMAP_HASH), options));
  }

  /** Opens the map that is pinned at a path; where nothing is pinned, creates one and pins it there: as `DevMap.openOrCreate`. */
  static openOrCreate(kernel: Kernel, path: string, options: DevMapOptions): DevMapHash {
    const attr = devAttrOf(BPF_MAP_TYPE_DEVMAP_HASH, options);
    return new DevMapHash(MapFd.openOrCreate(kernel, path, "DevMapHash", attr));
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a devmap_hash
   */
  static fromId(kernel: Kernel, id: number, options?: OpenOptions): DevMapHash {
    return new DevMapHash(MapFd.fromId(kernel, id, wantedOf("DevMapHash", BPF_MAP_TYPE_DEVMAP_HASH), options));
  }
}

/**
 * A map's fd: how typed maps get one (create, open by pinned name, by id), look at it, give it back, and complain.
 */
import type { MapBtf } from "../btf/btf_of_codecs.js";
import {
  BPF_F_NO_COMMON_LRU,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_MAP_CREATE,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
} from "../uapi/bpf.js";
import { EBADF, EEXIST, ENOENT } from "../uapi/errno.js";
import { cmdName, mapTypeName } from "../uapi/names.js";
import { BpfError } from "../kernels/error.js";
import { type Failure, hintFor } from "../kernels/hints.js";
import type { Kernel } from "../kernels/kernel.js";
import {
  type MapAttr,
  type MapInfo,
  mapFreeze,
  mapGetFdById,
  mapGetInfoByFd,
  objGet,
  objPin,
} from "../kernels/syscalls.js";
import { asCString, asU32 } from "./_arguments.js";
import { createWithBtf } from "./_btf.js";
import { type OpenOptions, fdFlags } from "./_options.js";

/** What a typed map takes a map for. */
export interface Wanted {
  /** The class that opens it: "HashMap". */
  readonly className: string;
  /** BPF_MAP_TYPE_*; any unless told, as the following ones. */
  readonly type?: number;
  /** Sizes, and what they are sizes of: "u32", "struct { src: u32 }". */
  readonly key?: { readonly size: number; readonly type: string };
  readonly value?: { readonly size: number; readonly type: string };
}

/** What is known of a failure beside the map: what hints look at, and whatever else its `details` are to hold. */
export interface FailureAbout extends Pick<Failure, "inner" | "template"> {
  readonly [detail: string]: unknown;
}

/** What a typed map is created with. */
export interface TypedAttr extends MapAttr {
  readonly btf?: MapBtf | undefined;
}

/** An open map. It is the process's (or the embedded kernel's) fd that is owned: `close` gives it back. */
export class MapFd {
  readonly kernel: Kernel;
  readonly info: MapInfo;
  #fd: number;

  private constructor(kernel: Kernel, fd: number, info: MapInfo) {
    this.kernel = kernel;
    this.#fd = fd;
    this.info = info;
  }

  /**
   * @param about What is known beside attr: of a map of maps its template.
   * @throws {BpfError} whatever BPF_MAP_CREATE answers, with the hint
   */
  static create(kernel: Kernel, attr: TypedAttr, about: FailureAbout = {}): MapFd {
    const fd = createWithBtf(kernel, attr, attr.btf);
    if (fd < 0) {
      const map = {
        type: attr.mapType,
        keySize: attr.keySize,
        valueSize: attr.valueSize,
        maxEntries: attr.maxEntries,
        mapFlags: attr.mapFlags ?? 0,
        name: attr.mapName ?? "",
      };
      throw failure(kernel, `Cannot create ${describe(map)}`, fd, BPF_MAP_CREATE, map, about);
    }
    return MapFd.#adopt(kernel, fd, `Cannot create map "${attr.mapName ?? ""}"`);
  }

  /**
   * @throws {BpfError} whatever BPF_OBJ_GET answers, with the hint
   * @throws {TypeError | RangeError} for a path that is no C string; TypeError when the map is not what is wanted
   */
  static open(kernel: Kernel, path: string, wanted: Wanted, { access }: OpenOptions = {}): MapFd {
    const what = `Cannot open "${asCString("path", path)}" as ${wanted.className}`;
    const fd = objGet(kernel, path, fdFlags(access));
    if (fd < 0) throw failure(kernel, what, fd, BPF_OBJ_GET);
    return MapFd.#adopt(kernel, fd, what, wanted);
  }

  /**
   * @throws {BpfError} whatever BPF_MAP_GET_FD_BY_ID answers, with the hint
   * @throws {TypeError | RangeError} for an id that is no u32; TypeError when the map is not what is wanted
   */
  static fromId(kernel: Kernel, id: number, wanted: Wanted, { access }: OpenOptions = {}): MapFd {
    const what = `Cannot open map id ${asU32("id", id)} as ${wanted.className}`;
    const fd = mapGetFdById(kernel, id, fdFlags(access));
    if (fd < 0) throw failure(kernel, what, fd, BPF_MAP_GET_FD_BY_ID);
    return MapFd.#adopt(kernel, fd, what, wanted);
  }

  /**
   * Opens the map that is pinned at a path, if it is as attr wants it; where nothing is pinned, creates it and pins it there.
   *
   * @param create Makes it, where that is more than BPF_MAP_CREATE.
   * @throws {BpfError} EEXIST when another map is pinned there: `details.differences` has all of them; and whatever BPF_OBJ_GET,
   * BPF_MAP_CREATE and BPF_OBJ_PIN answer, with the hint
   * @throws {TypeError | RangeError} for a path that is no C string
   */
  static openOrCreate(
    kernel: Kernel,
    path: string,
    className: string,
    attr: TypedAttr,
    create: () => MapFd = () => MapFd.create(kernel, attr),
  ): MapFd {
    const what = `Cannot open or create "${asCString("path", path)}" as ${className}`;
    while (true) {
      const fd = objGet(kernel, path, (attr.mapFlags ?? 0) & FD_FLAGS);
      if (fd >= 0) {
        const found = MapFd.#adopt(kernel, fd, what);
        const differences = differencesOf(found.info, attr, kernel.possibleCpus);
        if (differences.length === 0) return found;
        found.close();
        throw new BpfError(what, EEXIST, {
          hint: `another map is pinned there: ${differences.map(differenceText).join(", ")}`,
          details: { map: found.info, differences },
        });
      }
      if (fd !== -ENOENT) throw failure(kernel, what, fd, BPF_OBJ_GET);
      const created = create();
      const ret = objPin(kernel, created.fd, path);
      if (ret === 0) return created;
      created.close();
      // Another was faster: then its map is there.
      if (ret !== -EEXIST) throw failure(kernel, what, ret, BPF_OBJ_PIN, created.info);
    }
  }

  static #adopt(kernel: Kernel, fd: number, what: string, wanted?: Wanted): MapFd {
    try {
      const info = mapGetInfoByFd(kernel, fd);
      if (typeof info === "number") throw failure(kernel, what, info, BPF_OBJ_GET_INFO_BY_FD);
      if (wanted !== undefined) refuseOther(info, wanted, what);
      return new MapFd(kernel, fd, info);
    } catch (error) {
      kernel.close(fd);
      throw error;
    }
  }

  /** -1 once it is closed: its number may be another's by then. */
  get fd(): number {
    return this.#fd;
  }

  /** What the kernel says of the map now. */
  look(): MapInfo {
    const info = this.isOpen ? mapGetInfoByFd(this.kernel, this.fd) : -EBADF;
    if (typeof info === "number") throw this.failure("look at", info, BPF_OBJ_GET_INFO_BY_FD);
    return info;
  }

  pin(path: string): void {
    const what = `Cannot pin ${describe(this.info)} at "${asCString("path", path)}"`;
    const ret = this.isOpen ? objPin(this.kernel, this.fd, path) : -EBADF;
    if (ret < 0) throw failure(this.kernel, what, ret, BPF_OBJ_PIN, this.info);
  }

  freeze(): void {
    const ret = this.isOpen ? mapFreeze(this.kernel, this.fd) : -EBADF;
    if (ret < 0) throw this.failure("freeze", ret, BPF_MAP_FREEZE);
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  close(): void {
    if (this.isOpen) this.kernel.close(this.#fd);
    this.#fd = -1;
  }

  /**
   * The exception for a command on this map.
   *
   * @param verb What was tried, as in "insert key 0x00000007 into".
   * @param about What of the error's `details` is known beside the map.
   */
  failure(verb: string, ret: number, cmd: number, about: FailureAbout = {}): BpfError {
    return failure(this.kernel, `Cannot ${verb} ${describe(this.info)}`, ret, cmd, this.info, about);
  }
}

/** Those that are the fd's, not the map's. */
const FD_FLAGS = BPF_F_RDONLY | BPF_F_WRONLY;

/** A property of a map that is not as it was wanted. */
export interface MapDifference {
  readonly property: "type" | "keySize" | "valueSize" | "maxEntries" | "mapFlags" | "mapExtra";
  readonly found: number | bigint;
  readonly wanted: number | bigint;
}

/** All that makes a map another one. Its name does not: it is for people to read. */
function differencesOf(info: MapInfo, attr: MapAttr, possibleCpus: number): MapDifference[] {
  // What programs must not write, the kernel marks itself.
  const own = attr.mapType === BPF_MAP_TYPE_DEVMAP || attr.mapType === BPF_MAP_TYPE_DEVMAP_HASH ? BPF_F_RDONLY_PROG : 0;
  const mapFlags = (((attr.mapFlags ?? 0) & ~FD_FLAGS) | own) >>> 0;
  // With lists of equal length for each CPU, the kernel rounds up.
  const step = (mapFlags & BPF_F_NO_COMMON_LRU) === 0 ? 1 : possibleCpus;
  const wanted = {
    type: attr.mapType,
    keySize: attr.keySize,
    valueSize: attr.valueSize,
    maxEntries: Math.ceil(attr.maxEntries / step) * step,
    mapFlags,
    mapExtra: attr.mapExtra ?? 0n,
  };
  return (Object.keys(wanted) as MapDifference["property"][])
    .filter((property) => info[property] !== wanted[property])
    .map((property) => ({ property, found: info[property], wanted: wanted[property] }));
}

function differenceText({ property, found, wanted }: MapDifference): string {
  const text = (value: number | bigint): string => {
    if (property === "type") return mapTypeName(Number(value)) ?? String(value);
    return property === "mapFlags" ? `0x${value.toString(16)}` : String(value);
  };
  return `its ${property} is ${text(found)}, wanted ${text(wanted)}`;
}

/** `hash map "conns"`. */
function describe({ type, name }: { type: number; name: string }): string {
  return `${mapTypeName(type) ?? `type ${type}`} map${name === "" ? "" : ` "${name}"`}`;
}

function failure(
  kernel: Kernel,
  what: string,
  ret: number,
  cmd: number,
  map?: Failure["map"],
  about: FailureAbout = {},
): BpfError {
  const { inner, template } = about;
  const hint = hintFor({ errno: -ret, cmd, kernel: kernel.name, map, inner, template });
  return new BpfError(what, ret, {
    cmd: cmdName(cmd),
    ...(hint !== undefined && { hint }),
    ...(map && { details: { map, ...about } }),
  });
}

/** Throws when a map is not of the wanted type, or its key or value has not the size that the codec has. */
function refuseOther(info: MapInfo, { type, key, value }: Wanted, what: string): void {
  const refuse = (field: string, found: number | string, wanted: number | string, codec = ""): never => {
    throw new TypeError(`${what}: its ${field} is ${found}, wanted ${wanted}${codec === "" ? "" : ` (${codec})`}`);
  };
  if (type !== undefined && info.type !== type) refuse("type", info.typeName, mapTypeName(type) ?? type);
  if (key !== undefined && info.keySize !== key.size) refuse("keySize", info.keySize, key.size, key.type);
  if (value !== undefined && info.valueSize !== value.size) refuse("valueSize", info.valueSize, value.size, value.type);
}

/**
 * What the maps of maps have in common: ArrayOfMaps and HashOfMaps.
 *
 * To the kernel an elem is the fd of its inner map on the way in, and that map's id on the way out. Here it is a typed map:
 * one that is open on the way in, one that is opened for the caller on the way out.
 */
import { BPF_MAP_GET_FD_BY_ID } from "../uapi/bpf.js";
import { cmdName } from "../uapi/names.js";
import type { Codec } from "../codec/codec.js";
import { i32 } from "../codec/number.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel } from "../kernels/kernel.js";
import { type MapInfo, mapGetFdById, mapGetInfoByFd } from "../kernels/syscalls.js";
import { kindOf } from "./_arguments.js";
import { KeyedMap, type SetOptions } from "./_keyed_map.js";
import { type FailureAbout, MapFd, type TypedAttr } from "./_map_fd.js";
import { type MapOptions, type OpenOptions, attrOf } from "./_options.js";
import { TypedMap } from "./_typed_map.js";
import type { Walk } from "./_walk.js";

/** What a map of maps is created with, beside its keys. */
export interface OuterOptions<M extends TypedMap> extends MapOptions, OpenOptions {
  /**
   * The template: a map like those that are to go in, or a function that makes one, which is closed again. It tells the kernel
   * what to take, and is not put into the map.
   */
  readonly inner: M | (() => M);
}

/** How the inner maps of a map of maps that exists are opened. */
export interface InnerOpener<M extends TypedMap> extends OpenOptions {
  /** Opens the map of an id: `(id) => HashMap.fromId(kernel, id, { key: u32, value: u64 })`. */
  readonly openInner: (id: number) => M;
}

/** An open map of maps, and how to open what is in it. */
export interface OpenOuter<M extends TypedMap> extends Pick<InnerOpener<M>, "openInner"> {
  readonly mapFd: MapFd;
  /** Undefined for a map that was not created here. */
  readonly template?: MapInfo;
}

/** The keys, and the inner maps' fds and ids. */
class Ids<K> extends KeyedMap<K, number> {
  readonly #template: MapInfo | undefined;
  /** What is on its way in. */
  given: TypedMap | undefined;

  constructor({ mapFd, template }: OpenOuter<TypedMap>, key: Codec<K>) {
    super(mapFd, key, i32);
    this.#template = template;
  }

  delete(key: K): boolean {
    return this.remove(key);
  }

  protected override aboutUpdate(): FailureAbout {
    const inner = this.given;
    if (inner === undefined || inner.fd < 0) return {};
    return { inner: inner.info(), template: this.#template ?? this.#someInner() };
  }

  /** Of a map that was created elsewhere, only what is in it tells what may go in. */
  #someInner(): MapInfo | undefined {
    if (!this.mapFd.isOpen) return undefined;
    for (const id of this.values()) {
      const fd = mapGetFdById(this.kernel, id);
      if (fd < 0) continue;
      const info = mapGetInfoByFd(this.kernel, fd);
      this.kernel.close(fd);
      return typeof info === "number" ? undefined : info;
    }
    return undefined;
  }
}

/**
 * Creates a map of maps.
 *
 * @param make Makes the map, where that is not just BPF_MAP_CREATE.
 */
export function createOuter<M extends TypedMap>(
  kernel: Kernel,
  type: number,
  key: Codec<unknown>,
  options: OuterOptions<M>,
  make: (attr: TypedAttr, about: FailureAbout) => MapFd = (attr, about) => MapFd.create(kernel, attr, about),
): OpenOuter<M> {
  const attr = attrOf(type, key, i32, options);
  const isMade = typeof options.inner === "function";
  const inner = isMade ? options.inner() : options.inner;
  try {
    refuseNoMap("inner", inner, kernel);
    const template = inner.fd < 0 ? undefined : inner.info();
    const mapFd = make({ ...attr, innerMapFd: inner.fd }, { inner: template });
    return { mapFd, openInner: openerLike(inner), ...(template && { template }) };
  } finally {
    if (isMade && inner instanceof TypedMap) inner.close();
  }
}

/** Opens maps as those of this map's class and codecs. */
function openerLike<M extends TypedMap>({ kernel, constructor, codecs }: M): (id: number) => M {
  const ofClass = constructor as unknown as { fromId(kernel: Kernel, id: number, codecs: object): M };
  return (id) => ofClass.fromId(kernel, id, codecs);
}

function refuseNoMap(field: string, map: unknown, kernel: Kernel): void {
  if (!(map instanceof TypedMap)) throw new TypeError(`${field}: wanted a typed map, found ${kindOf(map)}`);
  if (map.kernel !== kernel) throw new TypeError(`${field}: wanted a map of the same kernel`);
}

/** A map of maps. */
export abstract class OuterMap<K, M extends TypedMap> extends TypedMap {
  readonly key: Codec<K>;
  readonly #ids: Ids<K>;
  readonly #openInner: (id: number) => M;

  protected constructor(opened: OpenOuter<M>, key: Codec<K>) {
    super(opened.mapFd);
    this.key = key;
    this.#ids = new Ids(opened, key);
    this.#openInner = opened.openInner;
  }

  /**
   * Opens the inner map of a key. It is the caller's to close: `using inner = outer.get(7)`.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM, BPF_MAP_GET_FD_BY_ID. Where it is needed often, keep it open: opening takes some calls.
   *
   * @returns The map, or `undefined` when the key has none (ENOENT).
   * @throws {TypeError | RangeError} for a key that the codec does not take; TypeError when the map is not of the class or the
   * codecs that it is opened with
   * @throws {BpfError} EPERM when the fd is write-only, or may not open by id (Linux: CAP_SYS_ADMIN); EMFILE; EBADF when the
   * map is closed
   */
  get(key: K): M | undefined {
    while (true) {
      const id = this.#ids.get(key);
      if (id === undefined) return undefined;
      try {
        return this.#openInner(id);
      } catch (error) {
        // Another took it out meanwhile, and it went: what is there now?
        if (!isGone(error) || this.#ids.get(key) === id) throw error;
      }
    }
  }

  /**
   * Returns the id of a key's inner map.
   *
   * Kernel name: BPF_MAP_LOOKUP_ELEM.
   *
   * @returns The id, or `undefined` when the key has no map (ENOENT).
   * @throws {TypeError | RangeError} for a key that the codec does not take
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed
   */
  getId(key: K): number | undefined {
    return this.#ids.get(key);
  }

  /** Whether the key has a map. */
  has(key: K): boolean {
    return this.#ids.has(key);
  }

  /**
   * Deletes a key: its inner map goes, unless something else holds it.
   *
   * Kernel name: BPF_MAP_DELETE_ELEM.
   *
   * @returns Whether it had a map.
   * @throws {TypeError | RangeError} for a key that the codec does not take
   * @throws {BpfError} E2BIG for an index out of range; EPERM when the fd is read-only or the map frozen; EBADF when the map is
   * closed
   */
  delete(key: K): boolean {
    return this.#ids.delete(key);
  }

  /** Deletes all keys that are there when it begins. */
  clear(): void {
    for (const key of this.#ids.keys()) this.#ids.delete(key);
  }

  /** A walk over the keys that have a map. */
  keys(): Walk<K> {
    return this.#ids.keys();
  }

  /**
   * A walk over keys and their inner maps' ids.
   *
   * Kernel name: BPF_MAP_LOOKUP_BATCH, as `entries` of HashMap.
   *
   * @throws {BpfError} EPERM when the fd is write-only; EBADF when the map is closed, or was closed meanwhile
   */
  entries(): Walk<[K, number]> {
    return this.#ids.entries();
  }

  [Symbol.iterator](): Walk<[K, number]> {
    return this.entries();
  }

  /**
   * Calls a function with each inner map and its key: the map is opened for it, and closed when it returns.
   *
   * @throws {BpfError} as `entries` and `get`; and what the function throws, which ends the walk
   */
  forEach(give: (inner: M, key: K, map: this) => void): void {
    for (const key of this.#ids.keys()) {
      using inner = this.get(key);
      if (inner !== undefined) give(inner, key, this);
    }
  }

  /** How many keys have a map: without a walk on the embedded kernel. */
  count(): number {
    return this.#ids.count();
  }

  /** How full the map is, from 0 to 1: `count()` of `maxEntries`. */
  pressure(): number {
    return this.count() / this.maxEntries;
  }

  override close(): void {
    this.#ids.close();
  }

  /** BPF_MAP_UPDATE_ELEM: false when the mode refused it. */
  protected put(key: K, inner: M, options?: SetOptions): boolean {
    refuseNoMap("inner", inner, this.kernel);
    this.#ids.given = inner;
    return this.#ids.set(key, inner.fd, options);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof BpfError && error.code === "ENOENT" && error.cmd === cmdName(BPF_MAP_GET_FD_BY_ID);
}

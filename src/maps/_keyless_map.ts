/**
 * What the maps without keys have in common: queues, stacks, bloom filters. By system call on either kernel: the buffer and
 * the calls are bound once.
 */
import { BPF_MAP_LOOKUP_AND_DELETE_ELEM, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM } from "../uapi/bpf.js";
import { EBADF } from "../uapi/errno.js";
import { bpfAttr } from "../uapi/layouts.js";
import { BPF_ATTR_MAP_UPDATE_ELEM_END } from "../uapi/offsets.js";
import type { Codec } from "../codec/codec.js";
import type { UserBuffer } from "../kernels/kernel.js";
import { viewOf } from "../kernels/syscalls.js";
import { Column } from "./_column.js";
import type { MapFd, Wanted } from "./_map_fd.js";
import { asCodec } from "./_arguments.js";
import type { ValueCodec } from "./_options.js";
import { TypedMap } from "./_typed_map.js";

/** What a typed map without keys wants of a map that it opens. */
export function wantedKeyless(className: string, type: number, value: Codec<unknown>): Wanted {
  return { className, type, key: { size: 0, type: "no key" }, value: asCodec("value", value) };
}

/** A map without keys. */
export abstract class KeylessMap<V> extends TypedMap {
  readonly value: Codec<V>;
  readonly #buffer: UserBuffer;
  readonly #attr: DataView;
  #valueAt: Column<V>;
  readonly #update: () => number;
  readonly #lookup: () => number;
  readonly #pop: () => number;

  protected constructor(mapFd: MapFd, value: Codec<V>) {
    super(mapFd);
    this.value = value;
    const { kernel, fd } = mapFd;
    try {
      this.#buffer = kernel.alloc(BPF_ATTR_MAP_UPDATE_ELEM_END + value.size);
    } catch (error) {
      mapFd.close();
      throw error;
    }
    const { address, bytes } = this.#buffer;
    this.#attr = viewOf(this.#buffer);
    this.#attr.setUint32(bpfAttr.mapElem.map_fd.off, fd, true);
    this.#attr.setBigUint64(bpfAttr.mapElem.value.off, BigInt(address + BPF_ATTR_MAP_UPDATE_ELEM_END), true);
    this.#valueAt = new Column(value, bytes.subarray(BPF_ATTR_MAP_UPDATE_ELEM_END));
    const attr = { ...this.#buffer, bytes: bytes.subarray(0, BPF_ATTR_MAP_UPDATE_ELEM_END) };
    this.#update = kernel.prepare(BPF_MAP_UPDATE_ELEM, attr);
    this.#lookup = kernel.prepare(BPF_MAP_LOOKUP_ELEM, attr);
    this.#pop = kernel.prepare(BPF_MAP_LOOKUP_AND_DELETE_ELEM, attr);
  }

  override get codecs(): ValueCodec<V> {
    return { value: this.value };
  }

  /** BPF_MAP_UPDATE_ELEM: 0 or a negative errno. */
  protected updateElem(value: V, flags: number): number {
    this.#valueAt.write(0, value, "value");
    if (!this.mapFd.isOpen) return -EBADF;
    const { off } = bpfAttr.mapElem.flags;
    this.#attr.setUint32(off, flags, true);
    const ret = this.#update();
    this.#attr.setUint32(off, 0, true);
    return ret;
  }

  /** BPF_MAP_LOOKUP_ELEM, of the value that `found` reads, or of one that is asked for. */
  protected lookupElem(asked?: V): number {
    if (asked !== undefined) this.#valueAt.write(0, asked, "value");
    return this.mapFd.isOpen ? this.#lookup() : -EBADF;
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM, of the value that `found` reads. */
  protected popElem(): number {
    return this.mapFd.isOpen ? this.#pop() : -EBADF;
  }

  /** The value that the last call has found. */
  protected found(): V {
    return this.#valueAt.read(0);
  }

  override close(): void {
    if (!this.mapFd.isOpen) return;
    this.#buffer[Symbol.dispose]();
    // Values are looked at all the same.
    this.#valueAt = new Column(this.value);
    this.mapFd.close();
  }
}

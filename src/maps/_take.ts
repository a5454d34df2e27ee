/**
 * Lookup and delete in one step, by system call on either kernel: a key's value, and the elem gone.
 */
import { BPF_MAP_LOOKUP_AND_DELETE_ELEM } from "../uapi/bpf.js";
import { bpfAttr } from "../uapi/layouts.js";
import { BPF_ATTR_MAP_LOOKUP_AND_DELETE_ELEM_END } from "../uapi/offsets.js";
import type { Codec } from "../codec/codec.js";
import type { UserBuffer } from "../kernels/kernel.js";
import { viewOf } from "../kernels/syscalls.js";
import { align8 } from "./_access.js";
import { Column } from "./_column.js";
import type { MapFd } from "./_map_fd.js";

/** BPF_MAP_LOOKUP_AND_DELETE_ELEM of one map, with a buffer of its own. */
export class TakeCall<K, V> {
  readonly #buffer: UserBuffer;
  readonly #key: Column<K>;
  readonly #value: Column<V>;
  readonly #call: () => number;

  constructor({ kernel, fd }: MapFd, key: Codec<K>, value: Codec<V>) {
    const keyOff = align8(BPF_ATTR_MAP_LOOKUP_AND_DELETE_ELEM_END);
    const valueOff = keyOff + align8(key.size);
    const buffer = kernel.alloc(valueOff + value.size);
    const view = viewOf(buffer);
    view.setUint32(bpfAttr.mapElem.map_fd.off, fd, true);
    view.setBigUint64(bpfAttr.mapElem.key.off, BigInt(buffer.address + keyOff), true);
    view.setBigUint64(bpfAttr.mapElem.value.off, BigInt(buffer.address + valueOff), true);
    this.#buffer = buffer;
    this.#key = new Column(key, buffer.bytes.subarray(keyOff, keyOff + key.size));
    this.#value = new Column(value, buffer.bytes.subarray(valueOff));
    const attr = { ...buffer, bytes: buffer.bytes.subarray(0, BPF_ATTR_MAP_LOOKUP_AND_DELETE_ELEM_END) };
    this.#call = kernel.prepare(BPF_MAP_LOOKUP_AND_DELETE_ELEM, attr);
  }

  /** 0 or a negative errno. */
  call(key: K): number {
    this.#key.write(0, key, "key");
    return this.#call();
  }

  /** What the last call has found. */
  get value(): V {
    return this.#value.read(0);
  }

  close(): void {
    this.#buffer[Symbol.dispose]();
  }
}

/**
 * One map by raw bpf(): attr, key, value and next key lie in one buffer, and every call returns what bpf() does.
 */
import type { Kernel, UserBuffer } from "tsbpf";
import {
  BPF_ATTR_MAP_DELETE_ELEM_END,
  BPF_ATTR_MAP_ELEM_FLAGS_OFF,
  BPF_ATTR_MAP_ELEM_KEY_OFF,
  BPF_ATTR_MAP_ELEM_MAP_FD_OFF,
  BPF_ATTR_MAP_ELEM_VALUE_OFF,
  BPF_ATTR_MAP_GET_NEXT_KEY_END,
  BPF_ATTR_SIZE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
} from "tsbpf/uapi";

const align8 = (size: number): number => (size + 7) & ~7;

export class RawMap {
  readonly kernel: Kernel;
  readonly attr: DataView;
  readonly key: DataView;
  readonly value: DataView;
  /** Where `nextKey` writes. */
  readonly next: DataView;
  readonly #buffer: UserBuffer;
  readonly #keyAt: number;
  readonly #valueAt: number;
  readonly #nextAt: number;

  /** @param valueSize As system calls have it: of a per-CPU map, all slots. */
  constructor(kernel: Kernel, fd: number, keySize: number, valueSize: number) {
    this.kernel = kernel;
    const keyOff = align8(BPF_ATTR_SIZE);
    const valueOff = keyOff + align8(keySize);
    const nextOff = valueOff + align8(valueSize);
    const buffer = kernel.alloc(nextOff + keySize);
    const view = (off: number, size: number): DataView =>
      new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset + off, size);
    this.#buffer = buffer;
    this.attr = view(0, BPF_ATTR_SIZE);
    this.key = view(keyOff, keySize);
    this.value = view(valueOff, valueSize);
    this.next = view(nextOff, keySize);
    this.#keyAt = buffer.address + keyOff;
    this.#valueAt = buffer.address + valueOff;
    this.#nextAt = buffer.address + nextOff;
    this.fd = fd;
  }

  /** The fd that calls are made on. */
  set fd(fd: number) {
    this.attr.setUint32(BPF_ATTR_MAP_ELEM_MAP_FD_OFF, fd, true);
  }

  lookup(): number {
    return this.#call(BPF_MAP_LOOKUP_ELEM, this.#valueAt, 0, BPF_ATTR_SIZE);
  }

  update(flags = 0): number {
    return this.#call(BPF_MAP_UPDATE_ELEM, this.#valueAt, flags, BPF_ATTR_SIZE);
  }

  remove(): number {
    return this.#call(BPF_MAP_DELETE_ELEM, 0, 0, BPF_ATTR_MAP_DELETE_ELEM_END);
  }

  /** The key that follows `key`, to `next`. */
  nextKey(): number {
    return this.#call(BPF_MAP_GET_NEXT_KEY, this.#nextAt, 0, BPF_ATTR_MAP_GET_NEXT_KEY_END);
  }

  #call(cmd: number, value: number, flags: number, size: number): number {
    const { attr } = this;
    attr.setBigUint64(BPF_ATTR_MAP_ELEM_KEY_OFF, BigInt(this.#keyAt), true);
    attr.setBigUint64(BPF_ATTR_MAP_ELEM_VALUE_OFF, BigInt(value), true);
    attr.setBigUint64(BPF_ATTR_MAP_ELEM_FLAGS_OFF, BigInt(flags), true);
    return this.kernel.bpf(cmd, this.#buffer, size);
  }

  [Symbol.dispose](): void {
    this.#buffer[Symbol.dispose]();
  }
}

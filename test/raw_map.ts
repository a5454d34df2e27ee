/**
 * One map by raw bpf(), made for tests that call much: attr, key, value and next key lie in one buffer, calls are prepared, and
 * every call returns what bpf() does.
 */
import type { Kernel, UserBuffer } from "tsbpf";
import {
  BPF_ATTR_MAP_DELETE_ELEM_END,
  BPF_ATTR_MAP_ELEM_FLAGS_OFF,
  BPF_ATTR_MAP_ELEM_KEY_OFF,
  BPF_ATTR_MAP_ELEM_MAP_FD_OFF,
  BPF_ATTR_MAP_ELEM_NEXT_KEY_OFF,
  BPF_ATTR_MAP_ELEM_VALUE_OFF,
  BPF_ATTR_MAP_GET_NEXT_KEY_END,
  BPF_ATTR_MAP_UPDATE_ELEM_END,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
} from "tsbpf/uapi";

const align8 = (size: number): number => (size + 7) & ~7;

export class RawMap {
  readonly key: DataView;
  readonly value: DataView;
  /** Where `nextKey` writes. */
  readonly next: DataView;
  /** BPF_MAP_LOOKUP_ELEM of `key`, to `value`. */
  readonly lookup: () => number;
  /** BPF_MAP_DELETE_ELEM of `key`. */
  readonly remove: () => number;
  /** BPF_MAP_GET_NEXT_KEY: the key that follows `key`, to `next`. */
  readonly nextKey: () => number;
  readonly #updateAny: () => number;
  readonly #buffer: UserBuffer;
  /** For all but nextKey; then for nextKey. */
  readonly #attrs: readonly DataView[];

  /** @param valueSize As system calls have it: of a per-CPU map, all slots. */
  constructor(kernel: Kernel, fd: number, keySize: number, valueSize: number) {
    const nextAttrOff = BPF_ATTR_MAP_UPDATE_ELEM_END;
    const keyOff = nextAttrOff + BPF_ATTR_MAP_GET_NEXT_KEY_END;
    const valueOff = keyOff + align8(keySize);
    const nextOff = valueOff + align8(valueSize);
    const buffer = kernel.alloc(nextOff + keySize);
    const { bytes, address } = buffer;
    const view = (off: number, size: number): DataView => new DataView(bytes.buffer, bytes.byteOffset + off, size);
    this.key = view(keyOff, keySize);
    this.value = view(valueOff, valueSize);
    this.next = view(nextOff, keySize);
    this.#buffer = buffer;

    const attr = view(0, BPF_ATTR_MAP_UPDATE_ELEM_END);
    attr.setBigUint64(BPF_ATTR_MAP_ELEM_KEY_OFF, BigInt(address + keyOff), true);
    attr.setBigUint64(BPF_ATTR_MAP_ELEM_VALUE_OFF, BigInt(address + valueOff), true);
    const nextAttr = view(nextAttrOff, BPF_ATTR_MAP_GET_NEXT_KEY_END);
    nextAttr.setBigUint64(BPF_ATTR_MAP_ELEM_KEY_OFF, BigInt(address + keyOff), true);
    nextAttr.setBigUint64(BPF_ATTR_MAP_ELEM_NEXT_KEY_OFF, BigInt(address + nextOff), true);
    this.#attrs = [attr, nextAttr];
    this.fd = fd;

    const prepare = (cmd: number, off: number, size: number): (() => number) =>
      kernel.prepare(cmd, { ...buffer, address: address + off, bytes: bytes.subarray(off, off + size) });
    this.lookup = prepare(BPF_MAP_LOOKUP_ELEM, 0, BPF_ATTR_MAP_UPDATE_ELEM_END);
    this.#updateAny = prepare(BPF_MAP_UPDATE_ELEM, 0, BPF_ATTR_MAP_UPDATE_ELEM_END);
    this.remove = prepare(BPF_MAP_DELETE_ELEM, 0, BPF_ATTR_MAP_DELETE_ELEM_END);
    this.nextKey = prepare(BPF_MAP_GET_NEXT_KEY, nextAttrOff, BPF_ATTR_MAP_GET_NEXT_KEY_END);
  }

  /** The fd that calls are made on. */
  set fd(fd: number) {
    for (const attr of this.#attrs) attr.setInt32(BPF_ATTR_MAP_ELEM_MAP_FD_OFF, fd, true);
  }

  /** BPF_MAP_UPDATE_ELEM of `key` with `value`. */
  update(flags = 0): number {
    if (flags === 0) return this.#updateAny();
    const [attr] = this.#attrs;
    attr!.setUint32(BPF_ATTR_MAP_ELEM_FLAGS_OFF, flags, true);
    const ret = this.#updateAny();
    attr!.setUint32(BPF_ATTR_MAP_ELEM_FLAGS_OFF, 0, true);
    return ret;
  }

  [Symbol.dispose](): void {
    this.#buffer[Symbol.dispose]();
  }
}

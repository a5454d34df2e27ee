/**
 * The last prefix that a walk over an LPM trie has met.
 *
 * Both kernels give prefixes in one order, whatever comes and goes meanwhile: longer ones before those that they begin with,
 * then by their bits. So what a walk has met already, when the kernel has begun again at the first, is what does not come
 * behind the last.
 */

/** The prefix's length in bits, in front of its data. */
const HEAD_BYTES = 4;

export class LastPrefix {
  #bits = -1;
  readonly #data: Uint8Array;

  /** @param keySize Of a key: u32 prefixlen, and data. */
  constructor(keySize: number) {
    this.#data = new Uint8Array(keySize - HEAD_BYTES);
  }

  /** Whether the key at an offset comes behind the last prefix; then it is the last. */
  moveTo(bytes: Uint8Array, off: number): boolean {
    const bits = bytes[off]! | (bytes[off + 1]! << 8);
    const at = off + HEAD_BYTES;
    if (!this.#isBefore(bytes, at, bits)) return false;
    this.#bits = bits;
    for (let i = 0; i < this.#data.length; i++) this.#data[i] = bytes[at + i]!;
    return true;
  }

  #isBefore(bytes: Uint8Array, at: number, bits: number): boolean {
    const limit = Math.min(bits, this.#bits);
    for (let i = 0; i << 3 < limit; i++) {
      const mask = limit - (i << 3) < 8 ? (0xff00 >> (limit & 7)) & 0xff : 0xff;
      const last = this.#data[i]! & mask;
      const next = bytes[at + i]! & mask;
      if (last !== next) return last < next;
    }
    return bits < this.#bits || this.#bits < 0;
  }
}

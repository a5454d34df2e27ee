/**
 * Bytes as they are, and C's strings in an array of char.
 */
import { checkCount, checkOf, make } from "./_make.js";
import { found, wrongType } from "./_refuse.js";
import type { Codec } from "./codec.js";

/** So many bytes are copied one by one in less time than it takes to make a window on them (measured). */
const fewBytes = 16;

/** `size` bytes of a view, to write through. */
function window(view: DataView, offset: number, size: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, size);
}

/** A copy that is not shared memory, which TextDecoder would refuse in browsers. */
function copy(view: DataView, offset: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  if (size > fewBytes) bytes.set(window(view, offset, size));
  else for (let i = 0; i < size; i++) bytes[i] = view.getUint8(offset + i);
  return bytes;
}

/**
 * Writes n bytes, four at a time: who hashes a key right after it was written waits for stores that are narrower than its
 * loads.
 */
function writeBytes(view: DataView, offset: number, n: number, byteAt: (i: number) => number): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const word = byteAt(i) | (byteAt(i + 1) << 8) | (byteAt(i + 2) << 16) | (byteAt(i + 3) << 24);
    view.setUint32(offset + i, word, true);
  }
  for (; i < n; i++) view.setUint8(offset + i, byteAt(i));
}

const isBytes = (value: unknown): boolean => value instanceof Uint8Array;

/**
 * C's `u8[n]`, as a Uint8Array of exactly n bytes. Reading copies.
 *
 * @param n In bytes, at least 1.
 */
export function bytes(n: number): Codec<Uint8Array> {
  checkCount(n, "n of bytes(n)");
  const fits = (value: unknown): boolean => value instanceof Uint8Array && value.length === n;
  const check = checkOf(fits, isBytes, `a Uint8Array of ${n} bytes`);
  return make<Uint8Array>({
    type: `u8[${n}]`,
    size: n,
    align: 1,
    fits,
    write(view, offset, value, at = "value") {
      if (!fits(value)) check(value, at);
      if (n > fewBytes) window(view, offset, n).set(value);
      else writeBytes(view, offset, n, (i) => value[i]!);
    },
    read: (view, offset) => copy(view, offset, n),
    check,
  });
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Length in UTF-8, in bytes; -1 where a NUL or half of a surrogate pair stands in the way. */
function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0) return -1;
    if (unit < 0x80) continue;
    length += unit < 0x800 ? 1 : 2;
    if (unit < 0xd800 || unit > 0xdfff) continue;
    // A pair has 2 units and 4 bytes: the second unit is counted already.
    const next = text.charCodeAt(i + 1);
    if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return -1;
    i++;
  }
  return length;
}

/** strnlen(3). */
function stringLength(view: DataView, offset: number, max: number): number {
  let length = 0;
  while (length < max && view.getUint8(offset + length) !== 0) length++;
  return length;
}

/**
 * C's `char[n]`, as a string: UTF-8, ended by a NUL within the n bytes, zeroes behind it.
 *
 * What is read ends at the first NUL, or after n bytes where there is none; bytes that are no UTF-8 become U+FFFD.
 * A string that could not be read back is refused: too long, with a NUL in it, or with half of a surrogate pair.
 *
 * @param n In bytes, at least 1; the longest string has n - 1.
 */
export function cstring(n: number): Codec<string> {
  checkCount(n, "n of cstring(n)");
  const wanted = `a string of at most ${n - 1} bytes of UTF-8 without NUL (char[${n}])`;
  const fits = (value: unknown): boolean => {
    // No unit takes less than a byte, so a long string need not be walked.
    if (typeof value !== "string" || value.length >= n) return false;
    const length = utf8Length(value);
    return length >= 0 && length < n;
  };
  const check = (value: string, at: string): void => {
    if (fits(value)) return;
    if (typeof value !== "string") throw wrongType(at, wanted, value);
    throw new RangeError(`${at}: wanted ${wanted}, found ${found(value)} of ${encoder.encode(value).length} bytes`);
  };
  return make<string>({
    type: `char[${n}]`,
    size: n,
    align: 1,
    fits,
    write(view, offset, value, at = "value") {
      if (!fits(value)) check(value, at);
      if (utf8Length(value) === value.length) {
        writeBytes(view, offset, n, (i) => (i < value.length ? value.charCodeAt(i) : 0));
      } else {
        const bytes = encoder.encode(value);
        writeBytes(view, offset, n, (i) => bytes[i] ?? 0);
      }
    },
    read(view, offset) {
      const units: number[] = [];
      for (let i = 0; i < n; i++) {
        const byte = view.getUint8(offset + i);
        if (byte === 0) break;
        // Short ASCII, as kernel names are, takes less time so than through the decoder (measured).
        if (byte >= 0x80 || i === 32) return decoder.decode(copy(view, offset, stringLength(view, offset, n)));
        units.push(byte);
      }
      return String.fromCharCode(...units);
    },
    check,
  });
}

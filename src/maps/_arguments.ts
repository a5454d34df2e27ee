/**
 * Arguments other than keys and values: refused by name, before any call.
 */
import type { Codec } from "../codec/codec.js";
import type { MapAccess } from "./_options.js";

/** @throws {TypeError | RangeError} for what is no u32: the kernel would see its lower bits */
export function asU32(field: string, value: number): number {
  if (typeof value !== "number") throw new TypeError(`${field}: wanted a number, found ${kindOf(value)}`);
  if (value >>> 0 !== value) throw new RangeError(`${field}: wanted an integer from 0 to 4294967295, found ${value}`);
  return value;
}

/** @throws {TypeError | RangeError} for what is no u64 */
export function asU64(field: string, value: bigint): bigint {
  if (typeof value !== "bigint") throw new TypeError(`${field}: wanted a bigint, found ${kindOf(value)}`);
  if (BigInt.asUintN(64, value) !== value) {
    throw new RangeError(`${field}: wanted an integer from 0 to 18446744073709551615, found ${value}`);
  }
  return value;
}

/** @throws {TypeError | RangeError} for what is no string that C can hold: the kernel would see what is before the NUL */
export function asCString(field: string, value: string): string {
  if (typeof value !== "string") throw new TypeError(`${field}: wanted a string, found ${kindOf(value)}`);
  if (value.includes("\0"))
    throw new RangeError(`${field}: wanted a string without NUL, found ${JSON.stringify(value)}`);
  return value;
}

/**
 * Who may read and who may write, as one of two flags or none.
 *
 * @throws {TypeError} for what is none of the three
 */
export function asAccess(field: string, value: MapAccess | undefined, readOnly: number, writeOnly: number): number {
  if (value === undefined || value === "read-write") return 0;
  if (value === "read") return readOnly;
  if (value === "write") return writeOnly;
  throw new TypeError(`${field}: wanted "read", "write" or "read-write", found ${JSON.stringify(value)}`);
}

/** @throws {TypeError} for what is no codec */
export function asCodec<T>(field: string, value: Codec<T>): Codec<T> {
  if (typeof value?.read !== "function") throw new TypeError(`${field}: wanted a codec, found ${kindOf(value)}`);
  return value;
}

/** What a value is, for a message. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  return value === null ? "null" : `${/^[aeiou]/.test(typeof value) ? "an" : "a"} ${typeof value}`;
}

/**
 * What a key or a value is: a codec turns it into bytes of a fixed size, in place, and back.
 *
 * Bytes are little endian, as on every machine that the two kernels run on.
 */

/** An integer inside a value, for atomic adding: its byte offset and its width (1, 2, 4 or 8). */
export interface Lane {
  readonly offset: number;
  readonly width: number;
}

/**
 * Writes and reads a T as `size` bytes, the way C lays it out.
 *
 * None of the functions uses `this`.
 */
export interface Codec<T> {
  /** What it is, in C's words where it has some: "u32", "struct { src: u32; port: be16 }", "u8[16]". */
  readonly type: string;
  /** In bytes, padding included. */
  readonly size: number;
  /** In bytes: 1, 2, 4 or 8. */
  readonly align: number;
  /** Whether `write` would take the value. */
  fits(value: unknown): boolean;
  /**
   * Writes value at offset: all `size` bytes, padding as zeroes.
   *
   * @param at What a message calls the value: "key" makes "key.src: wanted a u32 ...". "value" unless told.
   * @throws {TypeError} The value, or a field of it, is of another type
   * @throws {RangeError} It is of the type, but none of its values. Nothing was written, in both cases.
   */
  write(view: DataView, offset: number, value: T, at?: string): void;
  /** Reads the value at offset. It shares no memory with `view`. */
  read(view: DataView, offset: number): T;
  /** Throws what `write` would throw; `at` names the value, as there. */
  check(value: T, at: string): void;
  /** The integers it is made of, where it is made of aligned native-endian integers only; else undefined. */
  readonly lanes: readonly Lane[] | undefined;
}

/** The type that a codec writes and reads. */
export type Of<C> = C extends Codec<infer T> ? T : never;

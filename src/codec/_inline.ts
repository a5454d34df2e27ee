/**
 * Codecs as source text, to be written out inside the functions that are generated for a struct (see _generate.ts).
 */
import type { Codec } from "./codec.js";
import type { Field } from "./_field.js";

/** Gives something outside of the generated code a name in it. */
export type Use = (what: unknown) => string;

/** One of the units that a value is stored in: its bytes as an integer, lowest byte first. */
export interface Unit {
  readonly bytes: 1 | 2;
  readonly bits: string;
}

/** A codec of one part. All are expressions; `view`, `at`, `value` and `x` are such too. */
export interface Scalar {
  /** What of a value is tested and stored, worked out once; the value itself unless told. */
  readonly encode?: (value: string, use: Use) => string;
  readonly test: (x: string, use: Use) => string;
  readonly store: (view: string, at: string, x: string, use: Use) => string;
  /** The same in units, where they are smaller than a word: neighbours are stored together. */
  readonly units?: (x: string) => readonly Unit[];
  readonly load: (view: string, at: string, use: Use) => string;
}

/** A struct. */
export interface Fields {
  readonly fields: readonly Field[];
  /** Offsets of the bytes that no field covers. */
  readonly padding: readonly number[];
}

/** By the codec itself: one made from another (`{ ...u32, read }`) is not that codec. */
const known = new WeakMap<Codec<unknown>, Scalar | Fields>();

/** Notes how a codec is written out. */
export function setInline(codec: Codec<unknown>, inline: Scalar | Fields): void {
  known.set(codec, inline);
}

/** How a codec is written out: one that has not said so, by calls of its functions. */
export function inlineOf(codec: Codec<unknown>): Scalar | Fields {
  return (
    known.get(codec) ?? {
      test: (x, use) => `${use(codec)}.fits(${x})`,
      store: (view, at, x, use) => `${use(codec)}.write(${view}, ${at}, ${x})`,
      load: (view, at, use) => `${use(codec)}.read(${view}, ${at})`,
    }
  );
}

/** The bits of a big endian unit of two bytes: of the lower 16 bits of x. */
export const swapped16 = (x: string): string => `((${x} & 255) << 8 | ${x} >>> 8 & 255)`;

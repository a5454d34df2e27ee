/**
 * What a codec is made of, for those who tell it in other words (BTF): noted by whoever makes it. A struct's fields are noted in
 * _inline.ts already.
 */
import type { Codec } from "./codec.js";
import type { Field } from "./_field.js";

/** An array. */
export interface Elems {
  readonly of: Codec<unknown>;
  readonly n: number;
}

/** What JavaScript has as one value, and C as a struct. */
export interface Members {
  readonly fields: readonly Field[];
}

const known = new WeakMap<Codec<unknown>, Elems | Members>();

/** Notes what a codec is made of, and returns it. */
export function withShape<T>(codec: Codec<T>, shape: Elems | Members): Codec<T> {
  known.set(codec, shape);
  return codec;
}

/** What a codec is made of, where it was noted. */
export function shapeOf(codec: Codec<unknown>): Elems | Members | undefined {
  return known.get(codec);
}

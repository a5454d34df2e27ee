/**
 * Makes codecs: all of one shape, so that a map's `key.write(...)` stays one cheap load whatever codec it has.
 */
import type { Codec, Lane } from "./codec.js";
import { type Fields, type Scalar, setInline } from "./_inline.js";
import { wrongType, wrongValue } from "./_refuse.js";

/** The parts of a codec; lanes are worked out when first asked for, since an array may have thousands. */
export interface CodecParts<T> extends Omit<Codec<T>, "lanes"> {
  readonly lanes?: () => readonly Lane[] | undefined;
  /** How it is written out in generated code; by calls of its functions unless told. */
  readonly inline?: Scalar | Fields;
}

class MadeCodec<T> implements Codec<T> {
  readonly type: string;
  readonly size: number;
  readonly align: number;
  readonly fits: Codec<T>["fits"];
  readonly write: Codec<T>["write"];
  readonly read: Codec<T>["read"];
  readonly check: Codec<T>["check"];
  readonly #lanes: () => readonly Lane[] | undefined;

  constructor(parts: CodecParts<T>) {
    this.type = parts.type;
    this.size = parts.size;
    this.align = parts.align;
    this.fits = parts.fits;
    this.write = parts.write;
    this.read = parts.read;
    this.check = parts.check;
    this.#lanes = parts.lanes ?? noLanes;
  }

  get lanes(): readonly Lane[] | undefined {
    return this.#lanes();
  }
}

const noLanes = (): undefined => undefined;

/** A codec from its parts. */
export function make<T>(parts: CodecParts<T>): Codec<T> {
  const codec = new MadeCodec(parts);
  if (parts.inline !== undefined) setInline(codec, parts.inline);
  return codec;
}

/**
 * The check of a codec without fields: what `fits` refuses is a RangeError when it is of the right type, else a TypeError.
 *
 * @param wanted With its article: "a u8 (integer from 0 to 255)".
 */
export function checkOf(
  fits: (value: unknown) => boolean,
  isType: (value: unknown) => boolean,
  wanted: string,
): (value: unknown, at: string) => void {
  return (value, at) => {
    if (fits(value)) return;
    throw isType(value) ? wrongValue(at, wanted, value) : wrongType(at, wanted, value);
  };
}

/**
 * The lanes of a value made of several: those of each, moved to where it lies.
 *
 * None when a part has none, or where packing put an integer off its alignment, for atomics need it.
 */
export function joinLanes(parts: Iterable<readonly [codec: Codec<unknown>, off: number]>): readonly Lane[] | undefined {
  const joined: Lane[] = [];
  for (const [{ lanes }, off] of parts) {
    if (lanes === undefined) return undefined;
    for (const { offset, width } of lanes) {
      if ((off + offset) % width !== 0) return undefined;
      joined.push({ offset: off + offset, width });
    }
  }
  return joined;
}

/** Checks a count or size that makes a codec. */
export function checkCount(count: number, what: string): void {
  if (typeof count !== "number") throw wrongType(what, "a number", count);
  if (!Number.isInteger(count) || count < 1) throw wrongValue(what, "an integer of at least 1", count);
}

/**
 * C's structs: properties in C's order, at C's offsets.
 *
 *     struct({ proto: u8, port: be.u16, bytes: u64 })
 *
 *     0       1       2               4                               8                              16
 *     | proto | pad   | port          | pad                           | bytes                         |
 *
 * Padding is written as zeroes, for a map compares and hashes keys with it.
 */
import type { Field, Row } from "./_field.js";
import { generateRow } from "./_generate.js";
import { joinLanes, make } from "./_make.js";
import { wrongType } from "./_refuse.js";
import { rowAccess } from "./_row.js";
import type { Codec, Of } from "./codec.js";

/** What a struct is made of: name -> codec, in C's order. */
export type StructFields = Readonly<Record<string, Codec<unknown>>>;

export interface StructOptions {
  /** Neither padding nor alignment, as GCC's `__attribute__((packed))`. */
  readonly packed?: boolean;
}

const alignUp = (off: number, align: number): number => Math.ceil(off / align) * align;

/** Refuses names that JavaScript would treat otherwise than the others. */
function checkName(name: string): void {
  if (/^\d+$/.test(name)) {
    throw new TypeError(
      `Cannot have a struct field "${name}": JavaScript moves properties named by integers to the front`,
    );
  }
  if (name === "__proto__")
    throw new TypeError('Cannot have a struct field "__proto__": JavaScript gives it a meaning');
}

/**
 * A struct with C's layout: fields in the order of the properties, each aligned, zeroed padding between and behind.
 *
 * A value needs every field; properties that the struct does not have are ignored, save that TypeScript reports them in
 * literals. What is read is a plain object with the fields in order.
 *
 * @throws {TypeError} There is no field, or one is named by an integer ("7"), which JavaScript would reorder
 * @example
 * const flow = struct({ src: ipv4, dst: ipv4, sport: be.u16, dport: be.u16, proto: u8 });
 */
export function struct<F extends StructFields>(
  fields: F,
  options: StructOptions = {},
): Codec<{ -readonly [K in keyof F]: Of<F[K]> }> {
  const packed = options.packed ?? false;
  const laidOut: Field[] = [];
  const padding: number[] = [];
  let end = 0;
  let align = 1;
  const padTo = (off: number): void => {
    for (; end < off; end++) padding.push(end);
  };
  for (const [name, codec] of Object.entries(fields)) {
    checkName(name);
    if (!packed) {
      padTo(alignUp(end, codec.align));
      align = Math.max(align, codec.align);
    }
    laidOut.push({ name, codec, off: end });
    end += codec.size;
  }
  if (laidOut.length === 0) throw new TypeError("Cannot make a struct without fields");
  padTo(alignUp(end, align));

  const members = laidOut.map(({ name, codec }) => `${name}: ${codec.type}`).join("; ");
  const type = `struct ${packed ? "__packed " : ""}{ ${members} }`;
  const check = (row: Row, at: string): void => {
    if (typeof row !== "object" || row === null) throw wrongType(at, type, row);
    for (const { name, codec } of laidOut) {
      if (!(name in row)) throw new TypeError(`${at}.${name}: wanted ${codec.type}, found no such property`);
      codec.check(row[name], `${at}.${name}`);
    }
  };
  const common = { padding, check };
  const { fits, write, read } = generateRow(laidOut, common) ?? rowAccess(laidOut, common);
  // The rows are read and written by the fields' own codecs, so they are of the type that the fields say.
  return make({
    type,
    size: end,
    align,
    fits,
    write,
    read,
    check,
    inline: { fields: laidOut, padding },
    lanes: () => joinLanes(laidOut.map(({ codec, off }) => [codec, off] as const)),
  }) as Codec<unknown> as Codec<{ -readonly [K in keyof F]: Of<F[K]> }>;
}

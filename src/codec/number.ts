/**
 * Numbers: integers of the machine's byte order and of network byte order (`be`), floats, and bool.
 *
 * Each codec is spelled out, with its test and its DataView method at a place of its own in the source: V8 inlines
 * them there, while one closure for all, with the method as a variable, costs some 6 ns more a call (measured).
 */
import { type Scalar, swapped16 } from "./_inline.js";
import { checkOf, make } from "./_make.js";
import { readU64, writeU64 } from "./_words.js";
import type { Codec } from "./codec.js";

const isNumber = (value: unknown): boolean => typeof value === "number";
const isBigint = (value: unknown): boolean => typeof value === "bigint";
const isBool = (value: unknown): boolean => typeof value === "boolean";

// Narrowing to the width changes what does not fit: fractions, NaN and infinities too.
const isU8 = (value: unknown): boolean => typeof value === "number" && (value & 0xff) === value;
const isU16 = (value: unknown): boolean => typeof value === "number" && (value & 0xffff) === value;
const isU32 = (value: unknown): boolean => typeof value === "number" && value >>> 0 === value;
const isI8 = (value: unknown): boolean => typeof value === "number" && (value << 24) >> 24 === value;
const isI16 = (value: unknown): boolean => typeof value === "number" && (value << 16) >> 16 === value;
const isI32 = (value: unknown): boolean => typeof value === "number" && (value | 0) === value;

const isU64 = (value: unknown): boolean => typeof value === "bigint" && BigInt.asUintN(64, value) === value;
const isI64 = (value: unknown): boolean => typeof value === "bigint" && BigInt.asIntN(64, value) === value;

type Access<T> = Pick<Codec<T>, "write" | "read">;

/** The same test, and the same DataView method, as text. */
function inlineInteger(sign: "u" | "i", bits: 8 | 16 | 32 | 64, order: "native" | "be"): Scalar {
  const little = order === "native" && bits > 8 ? ", true" : "";
  if (bits === 64) {
    const as = sign === "u" ? "BigInt.asUintN" : "BigInt.asIntN";
    const method = sign === "u" ? "BigUint64" : "BigInt64";
    const test = (x: string): string => `typeof ${x} === "bigint" && ${as}(64, ${x}) === ${x}`;
    if (order === "be") {
      return {
        test,
        store: (view, at, x) => `${view}.set${method}(${at}, ${x})`,
        load: (view, at) => `${view}.get${method}(${at})`,
      };
    }
    return {
      test,
      store: (view, at, x, use) => `${use(writeU64)}(${view}, ${at}, ${x})`,
      load: (view, at, use) =>
        sign === "u" ? `${use(readU64)}(${view}, ${at})` : `${as}(64, ${use(readU64)}(${view}, ${at}))`,
    };
  }
  const shift = 32 - bits;
  const narrowed = (x: string): string =>
    sign === "i" ? `(${x} << ${shift}) >> ${shift}` : bits === 32 ? `${x} >>> 0` : `(${x} & ${2 ** bits - 1})`;
  const method = `${sign === "u" ? "Uint" : "Int"}${bits}`;
  return {
    test: (x) => `typeof ${x} === "number" && ${narrowed(x)} === ${x}`,
    store: (view, at, x) => `${view}.set${method}(${at}, ${x}${little})`,
    load: (view, at) => `${view}.get${method}(${at}${little})`,
    ...(bits === 8 && { units: (x) => [{ bytes: 1, bits: `(${x} & 255)` }] }),
    ...(bits === 16 && {
      units: (x) => [{ bytes: 2, bits: order === "be" ? swapped16(x) : `(${x} & 65535)` }],
    }),
  };
}

/** The same of floats. */
function inlineFloat(bits: 32 | 64): Scalar {
  return {
    test: (x) => `typeof ${x} === "number"`,
    store: (view, at, x) => `${view}.setFloat${bits}(${at}, ${x}, true)`,
    load: (view, at) => `${view}.getFloat${bits}(${at}, true)`,
  };
}

/** An integer codec; its name says sign, width and byte order. */
function integer<T extends number | bigint>(
  sign: "u" | "i",
  bits: 8 | 16 | 32 | 64,
  order: "native" | "be",
  fits: (value: unknown) => boolean,
  { write, read }: Access<T>,
): Codec<T> {
  const width = bits / 8;
  const big = bits === 64;
  const min = sign === "u" ? 0n : -(1n << BigInt(bits - 1));
  const max = (1n << BigInt(sign === "u" ? bits : bits - 1)) - 1n;
  const name = `${order === "be" ? "a be." : sign === "u" ? "a " : "an "}${sign}${bits}`;
  const wanted = `${name} (${big ? "bigint" : "integer"} from ${min} to ${max}${big ? ", like 7n" : ""})`;
  return make<T>({
    // C has one word for big endian integers with and without a sign.
    type: order === "be" ? `be${bits}` : `${sign === "u" ? "u" : "s"}${bits}`,
    size: width,
    align: width,
    fits,
    write,
    read,
    check: checkOf(fits, big ? isBigint : isNumber, wanted),
    inline: inlineInteger(sign, bits, order),
    lanes: () => (order === "be" ? undefined : [{ offset: 0, width }]),
  });
}

/** An unsigned integer of 1 byte. */
export const u8: Codec<number> = integer("u", 8, "native", isU8, {
  write(view, offset, value, at = "value") {
    if (!isU8(value)) u8.check(value, at);
    view.setUint8(offset, value);
  },
  read: (view, offset) => view.getUint8(offset),
});

/** An unsigned integer of 2 bytes. */
export const u16: Codec<number> = integer("u", 16, "native", isU16, {
  write(view, offset, value, at = "value") {
    if (!isU16(value)) u16.check(value, at);
    view.setUint16(offset, value, true);
  },
  read: (view, offset) => view.getUint16(offset, true),
});

/** An unsigned integer of 4 bytes. */
export const u32: Codec<number> = integer("u", 32, "native", isU32, {
  write(view, offset, value, at = "value") {
    if (!isU32(value)) u32.check(value, at);
    view.setUint32(offset, value, true);
  },
  read: (view, offset) => view.getUint32(offset, true),
});

/** An unsigned integer of 8 bytes: a bigint, never a number. */
export const u64: Codec<bigint> = integer("u", 64, "native", isU64, {
  write(view, offset, value, at = "value") {
    if (!isU64(value)) u64.check(value, at);
    writeU64(view, offset, value);
  },
  read: readU64,
});

/** A signed integer of 1 byte. */
export const i8: Codec<number> = integer("i", 8, "native", isI8, {
  write(view, offset, value, at = "value") {
    if (!isI8(value)) i8.check(value, at);
    view.setInt8(offset, value);
  },
  read: (view, offset) => view.getInt8(offset),
});

/** A signed integer of 2 bytes. */
export const i16: Codec<number> = integer("i", 16, "native", isI16, {
  write(view, offset, value, at = "value") {
    if (!isI16(value)) i16.check(value, at);
    view.setInt16(offset, value, true);
  },
  read: (view, offset) => view.getInt16(offset, true),
});

/** A signed integer of 4 bytes. */
export const i32: Codec<number> = integer("i", 32, "native", isI32, {
  write(view, offset, value, at = "value") {
    if (!isI32(value)) i32.check(value, at);
    view.setInt32(offset, value, true);
  },
  read: (view, offset) => view.getInt32(offset, true),
});

/** A signed integer of 8 bytes: a bigint, never a number. */
export const i64: Codec<bigint> = integer("i", 64, "native", isI64, {
  write(view, offset, value, at = "value") {
    if (!isI64(value)) i64.check(value, at);
    writeU64(view, offset, value);
  },
  read: (view, offset) => BigInt.asIntN(64, readU64(view, offset)),
});

/** Integers in network byte order (big endian), as ports and protocol numbers travel: C's __be16, __be32, __be64. */
export const be: {
  readonly u16: Codec<number>;
  readonly u32: Codec<number>;
  readonly u64: Codec<bigint>;
  readonly i16: Codec<number>;
  readonly i32: Codec<number>;
  readonly i64: Codec<bigint>;
} = {
  u16: integer<number>("u", 16, "be", isU16, {
    write(view, offset, value, at = "value") {
      if (!isU16(value)) be.u16.check(value, at);
      view.setUint16(offset, value);
    },
    read: (view, offset) => view.getUint16(offset),
  }),
  u32: integer<number>("u", 32, "be", isU32, {
    write(view, offset, value, at = "value") {
      if (!isU32(value)) be.u32.check(value, at);
      view.setUint32(offset, value);
    },
    read: (view, offset) => view.getUint32(offset),
  }),
  u64: integer<bigint>("u", 64, "be", isU64, {
    write(view, offset, value, at = "value") {
      if (!isU64(value)) be.u64.check(value, at);
      view.setBigUint64(offset, value);
    },
    read: (view, offset) => view.getBigUint64(offset),
  }),
  i16: integer<number>("i", 16, "be", isI16, {
    write(view, offset, value, at = "value") {
      if (!isI16(value)) be.i16.check(value, at);
      view.setInt16(offset, value);
    },
    read: (view, offset) => view.getInt16(offset),
  }),
  i32: integer<number>("i", 32, "be", isI32, {
    write(view, offset, value, at = "value") {
      if (!isI32(value)) be.i32.check(value, at);
      view.setInt32(offset, value);
    },
    read: (view, offset) => view.getInt32(offset),
  }),
  i64: integer<bigint>("i", 64, "be", isI64, {
    write(view, offset, value, at = "value") {
      if (!isI64(value)) be.i64.check(value, at);
      view.setBigInt64(offset, value);
    },
    read: (view, offset) => view.getBigInt64(offset),
  }),
};

/** C's float: a number is rounded to the nearest one, as an assignment in C does. */
export const f32: Codec<number> = make<number>({
  type: "float",
  size: 4,
  align: 4,
  fits: isNumber,
  write(view, offset, value, at = "value") {
    if (!isNumber(value)) f32.check(value, at);
    view.setFloat32(offset, value, true);
  },
  read: (view, offset) => view.getFloat32(offset, true),
  check: checkOf(isNumber, isNumber, "an f32 (number)"),
  inline: inlineFloat(32),
});

/** C's double. */
export const f64: Codec<number> = make<number>({
  type: "double",
  size: 8,
  align: 8,
  fits: isNumber,
  write(view, offset, value, at = "value") {
    if (!isNumber(value)) f64.check(value, at);
    view.setFloat64(offset, value, true);
  },
  read: (view, offset) => view.getFloat64(offset, true),
  check: checkOf(isNumber, isNumber, "an f64 (number)"),
  inline: inlineFloat(64),
});

/** C's bool, 1 byte: written as 0 or 1; every other byte than 0 is read as true. */
export const bool: Codec<boolean> = make<boolean>({
  type: "bool",
  size: 1,
  align: 1,
  fits: isBool,
  write(view, offset, value, at = "value") {
    if (!isBool(value)) bool.check(value, at);
    view.setUint8(offset, value ? 1 : 0);
  },
  read: (view, offset) => view.getUint8(offset) !== 0,
  check: checkOf(isBool, isBool, "a bool (true or false)"),
  inline: {
    test: (x) => `typeof ${x} === "boolean"`,
    store: (view, at, x) => `${view}.setUint8(${at}, ${x} ? 1 : 0)`,
    units: (x) => [{ bytes: 1, bits: `(${x} ? 1 : 0)` }],
    load: (view, at) => `${view}.getUint8(${at}) !== 0`,
  },
});

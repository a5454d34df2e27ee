/**
 * Numbers: what is refused with which words, byte order, and the edges of every range.
 */
import { describe, expect, it } from "vitest";
import { be, bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from "tsbpf";
import type { Codec } from "tsbpf";

/** What `write` throws: its class and its message. */
function refusal(codec: Codec<unknown>, value: unknown, at?: string): string {
  const bytes = new Uint8Array(codec.size).fill(0x5a);
  try {
    codec.write(new DataView(bytes.buffer), 0, value, at);
  } catch (error) {
    expect(new Set(bytes)).toEqual(new Set([0x5a]));
    return String(error);
  }
  return "nothing was thrown";
}

const written = <T>(codec: Codec<T>, value: T): number[] => {
  const bytes = new Uint8Array(codec.size);
  codec.write(new DataView(bytes.buffer), 0, value);
  return [...bytes];
};

describe("what is refused", () => {
  const u32Wanted = "wanted a u32 (integer from 0 to 4294967295)";
  const u64Wanted = "wanted a u64 (bigint from 0 to 18446744073709551615, like 7n)";

  it.each<[codec: Codec<unknown>, value: unknown, message: string]>([
    [u32, "7", `TypeError: key.src: ${u32Wanted}, found "7"`],
    [u32, 7n, `TypeError: key.src: ${u32Wanted}, found 7n`],
    [u32, undefined, `TypeError: key.src: ${u32Wanted}, found undefined`],
    [u32, null, `TypeError: key.src: ${u32Wanted}, found null`],
    [u32, true, `TypeError: key.src: ${u32Wanted}, found true`],
    [u32, Symbol("s"), `TypeError: key.src: ${u32Wanted}, found Symbol(s)`],
    [u32, Math.max, `TypeError: key.src: ${u32Wanted}, found a function`],
    [u32, [1, 2], `TypeError: key.src: ${u32Wanted}, found an array of 2`],
    [u32, new Map(), `TypeError: key.src: ${u32Wanted}, found a Map`],
    [u32, { valueOf: () => 7 }, `TypeError: key.src: ${u32Wanted}, found an Object`],
    [u32, Object.create(null), `TypeError: key.src: ${u32Wanted}, found an Object`],
    [u32, new Uint8Array(4), `TypeError: key.src: ${u32Wanted}, found a Uint8Array of 4 bytes`],
    [u32, "x".repeat(60), `TypeError: key.src: ${u32Wanted}, found "${"x".repeat(45)}..."`],
    [u32, 2 ** 32, `RangeError: key.src: ${u32Wanted}, found 4294967296`],
    [u32, -1, `RangeError: key.src: ${u32Wanted}, found -1`],
    [u32, 1.5, `RangeError: key.src: ${u32Wanted}, found 1.5`],
    [u32, NaN, `RangeError: key.src: ${u32Wanted}, found NaN`],
    [u32, Infinity, `RangeError: key.src: ${u32Wanted}, found Infinity`],
    [u8, 256, "RangeError: key.src: wanted a u8 (integer from 0 to 255), found 256"],
    [u16, -1, "RangeError: key.src: wanted a u16 (integer from 0 to 65535), found -1"],
    [i8, 128, "RangeError: key.src: wanted an i8 (integer from -128 to 127), found 128"],
    [i16, -32769, "RangeError: key.src: wanted an i16 (integer from -32768 to 32767), found -32769"],
    [i32, 2 ** 31, "RangeError: key.src: wanted an i32 (integer from -2147483648 to 2147483647), found 2147483648"],
    [be.u16, 65536, "RangeError: key.src: wanted a be.u16 (integer from 0 to 65535), found 65536"],
    [be.i16, "1", 'TypeError: key.src: wanted a be.i16 (integer from -32768 to 32767), found "1"'],
    [u64, 7, `TypeError: key.src: ${u64Wanted}, found 7`],
    [u64, -1n, `RangeError: key.src: ${u64Wanted}, found -1n`],
    [u64, 2n ** 64n, `RangeError: key.src: ${u64Wanted}, found 18446744073709551616n`],
    [
      i64,
      2n ** 63n,
      "RangeError: key.src: wanted an i64 (bigint from -9223372036854775808 to 9223372036854775807, like 7n), found 9223372036854775808n",
    ],
    [f32, "1", 'TypeError: key.src: wanted an f32 (number), found "1"'],
    [f64, 1n, "TypeError: key.src: wanted an f64 (number), found 1n"],
    [bool, 1, "TypeError: key.src: wanted a bool (true or false), found 1"],
  ])("%# %s", (codec, value, message) => {
    expect(refusal(codec, value, "key.src")).toBe(message);
    expect(codec.fits(value)).toBe(false);
    expect(() => codec.check(value, "key.src")).toThrow(message.replace(/^\w+: /, ""));
  });

  it("is called value unless told", () => {
    expect(refusal(u8, 256)).toBe("RangeError: value: wanted a u8 (integer from 0 to 255), found 256");
  });
});

const integers: [name: string, codec: Codec<unknown>, signed: boolean][] = [
  ...Object.entries({ u8, u16, u32, u64 }).map(([name, codec]): [string, Codec<unknown>, boolean] => [
    name,
    codec,
    false,
  ]),
  ...Object.entries({ i8, i16, i32, i64 }).map(([name, codec]): [string, Codec<unknown>, boolean] => [
    name,
    codec,
    true,
  ]),
  ...Object.entries(be).map(([name, codec]): [string, Codec<unknown>, boolean] => [
    `be.${name}`,
    codec,
    name[0] === "i",
  ]),
];

describe("the edges of a range", () => {
  it.each(integers)("%s", (_, codec, signed) => {
    const bits = BigInt(codec.size * 8);
    const min = signed ? -(2n ** (bits - 1n)) : 0n;
    const max = 2n ** (signed ? bits - 1n : bits) - 1n;
    const given = (value: bigint): number | bigint => (bits === 64n ? value : Number(value));
    for (const value of [min, max]) {
      const view = new DataView(new ArrayBuffer(codec.size));
      codec.write(view, 0, given(value));
      expect(codec.read(view, 0)).toBe(given(value));
    }
    for (const value of [min - 1n, max + 1n]) expect(refusal(codec, given(value))).toMatch(/^RangeError/);
  });
});

describe("bytes", () => {
  it("are little endian, and big endian with be", () => {
    expect(written(u32, 0x01020304)).toEqual([4, 3, 2, 1]);
    expect(written(be.u32, 0x01020304)).toEqual([1, 2, 3, 4]);
    expect(written(i16, -2)).toEqual([0xfe, 0xff]);
    expect(written(be.i16, -2)).toEqual([0xff, 0xfe]);
    expect(written(u64, 1n)).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
    expect(written(be.i64, -2n)).toEqual([255, 255, 255, 255, 255, 255, 255, 254]);
  });

  it("of floats are IEEE 754, rounded to the nearest f32", () => {
    expect(written(f32, 1)).toEqual([0, 0, 0x80, 0x3f]);
    expect(written(f64, 1)).toEqual([0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    expect(f32.read(new DataView(new Uint8Array(written(f32, 0.1)).buffer), 0)).toBe(Math.fround(0.1));
    expect(f64.read(new DataView(new Uint8Array(written(f64, NaN)).buffer), 0)).toBeNaN();
  });

  it("of bool are 0 and 1, and any but 0 is true", () => {
    expect([...written(bool, false), ...written(bool, true)]).toEqual([0, 1]);
    expect(bool.read(new DataView(new Uint8Array([0x80]).buffer), 0)).toBe(true);
  });
});

describe("types and lanes", () => {
  it("are C's", () => {
    expect([u8, u16, u32, u64, i8, i16, i32, i64].map(({ type }) => type)).toEqual([
      "u8",
      "u16",
      "u32",
      "u64",
      "s8",
      "s16",
      "s32",
      "s64",
    ]);
    expect(Object.values(be).map(({ type }) => type)).toEqual(["be16", "be32", "be64", "be16", "be32", "be64"]);
    expect([f32, f64, bool].map(({ type }) => type)).toEqual(["float", "double", "bool"]);
  });

  it("has a lane where it is a native-endian integer", () => {
    for (const codec of [u8, u16, u32, u64, i8, i16, i32, i64]) {
      expect(codec.lanes).toEqual([{ offset: 0, width: codec.size }]);
    }
    for (const codec of [...Object.values(be), f32, f64, bool]) expect(codec.lanes).toBe(undefined);
  });
});

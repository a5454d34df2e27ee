/**
 * Structs as generated code: what could go wrong in text. The project "no eval" (vitest.config.ts) runs this folder again
 * where code may not be generated.
 */
import { describe, expect, it } from "vitest";
import { be, bool, bytes, f32, f64, i16, i32, i64, i8, ipv4, ipv6, mac, struct, u16, u32, u64, u8 } from "tsbpf";
import type { Codec } from "tsbpf";
import { mayGenerate } from "../../src/codec/_generate.js";
import { WordView } from "../../src/codec/_words.js";

/** What codec writes at an offset of a view, each kind of view there is; all must be the same. */
function written<T>(codec: Codec<T>, value: T, offset = 0): string {
  const texts = [0, 1].map((isWords) => {
    const bytes = new Uint8Array(Math.ceil((offset + codec.size) / 8) * 8).fill(0xee);
    const view = isWords === 1 ? new WordView(bytes.buffer, 0, bytes.length) : new DataView(bytes.buffer);
    codec.write(view, offset, value);
    expect(codec.read(view, offset)).toEqual(value);
    expect(bytes.subarray(0, offset).every((byte) => byte === 0xee)).toBe(true);
    expect(bytes.subarray(offset + codec.size).every((byte) => byte === 0xee)).toBe(true);
    return Buffer.from(bytes.subarray(offset, offset + codec.size)).toString("hex");
  });
  expect(texts[0]).toBe(texts[1]);
  return texts[0]!;
}

it("is in use, unless code may not be generated", () => {
  expect(mayGenerate()).toBe(!process.execArgv.includes("--disallow-code-generation-from-strings"));
});

describe("small fields", () => {
  it("keep their places, whatever their neighbours are", () => {
    const codec = struct({ a: u8, b: i8, c: be.u16, d: i16, e: bool, f: u8, g: be.i16, h: u32, i: u8 });
    const row = { a: 0x12, b: -2, c: 0x3456, d: -3, e: true, f: 0xff, g: -0x1234, h: 0x89abcdef, i: 0x80 };
    expect(written(codec, row)).toBe("12fe3456fdff01ffedcc0000efcdab8980000000");
    const bare = struct({ a: u8, b: be.u16, c: u16, d: u8, m: mac, e: u8 }, { packed: true });
    const packed = { a: 1, b: 0x0203, c: 0x0504, d: 6, m: "07:08:09:0a:0b:0c", e: 13 };
    for (const offset of [0, 1, 2, 3, 8]) expect(written(bare, packed, offset)).toBe("0102030405060708090a0b0c0d");
  });

  it("may be the only ones", () => {
    expect(written(struct({ a: u8 }), { a: 255 })).toBe("ff");
    expect(written(struct({ a: u16 }), { a: 0xff00 })).toBe("00ff");
    expect(written(struct({ a: bool, b: i8 }), { a: false, b: -128 })).toBe("0080");
    expect(written(struct({ m: mac, n: mac }), { m: "ff:ee:dd:cc:bb:aa", n: "00:00:00:00:00:80" })).toBe(
      "ffeeddccbbaa000000000080",
    );
  });
});

it("addresses of one kind do not mix", () => {
  const codec = struct({ src: ipv6, dst: ipv6, a: ipv4, b: ipv4, m: mac, n: mac });
  const row = {
    src: "2001:db8::1",
    dst: "::ffff:10.0.0.1",
    a: "255.255.255.254",
    b: "0.0.0.0",
    m: "ff:ff:ff:ff:ff:fe",
    n: "00:00:00:00:00:01",
  };
  expect(written(codec, row)).toBe(
    `20010db8${"0".repeat(22)}01${"0".repeat(20)}ffff0a000001fffffffe00000000fffffffffffe000000000001`,
  );
});

it("words are written and read where they are not aligned too", () => {
  const codec = struct({ a: u64, b: i64, c: be.u64, d: be.i64 });
  const row = { a: 2n ** 64n - 1n, b: -(2n ** 63n), c: 0x0102030405060708n, d: -2n };
  for (const offset of [0, 4, 8, 9]) {
    expect(written(codec, row, offset)).toBe("ffffffffffffffff00000000000000800102030405060708fffffffffffffffe");
    expect(written(u64, 0x8877665544332211n, offset)).toBe("1122334455667788");
    expect(written(i64, -2n, offset)).toBe("feffffffffffffff");
  }
});

it("names are quoted", () => {
  const names = [
    'a"b',
    "it's",
    "back\\slash",
    "new\nline",
    "\u2028",
    "${x}",
    "constructor",
    "toString",
    "row",
    "no;",
    "",
    " no;",
  ];
  const codec = struct(Object.fromEntries(names.map((name) => [name, u8])));
  const row = Object.fromEntries(names.map((name, i) => [name, i]));
  expect(written(codec, row)).toBe(names.map((_, i) => i.toString(16).padStart(2, "0")).join(""));
  expect(() => codec.write(new DataView(new ArrayBuffer(99)), 0, { ...row, "no;": 256 })).toThrow(
    new RangeError("value.no;: wanted a u8 (integer from 0 to 255), found 256"),
  );
  expect(() => struct({ constructor: u8 }).write(new DataView(new ArrayBuffer(1)), 0, {} as never)).toThrow(TypeError);
});

it("codecs of the user's are called", () => {
  const calls: string[] = [];
  const celsius: Codec<string> = {
    type: "s32",
    size: 4,
    align: 4,
    lanes: undefined,
    fits: (value) => typeof value === "string" && value.endsWith("C"),
    write(view, offset, value) {
      calls.push(`write ${value}`);
      view.setInt32(offset, Number(value.slice(0, -1)), true);
    },
    read: (view, offset) => `${view.getInt32(offset, true)}C`,
    check(value, at) {
      if (!this.fits(value)) throw new RangeError(`${at}: wanted degrees`);
    },
  };
  // As much as u32 as can be, and yet another codec.
  const doubled: Codec<number> = { ...u32, fits: u32.fits, read: (view, offset) => 2 * view.getUint32(offset, true) };
  const codec = struct({ at: celsius, n: doubled, inner: struct({ again: celsius }) });
  const bytes = new DataView(new ArrayBuffer(16));
  codec.write(bytes, 0, { at: "20C", n: 4, inner: { again: "-3C" } });
  expect(calls).toEqual(["write 20C", "write -3C"]);
  expect(codec.read(bytes, 0)).toEqual({ at: "20C", n: 8, inner: { again: "-3C" } });
  expect(() => codec.write(bytes, 0, { at: "1C", n: 1, inner: { again: "1F" } })).toThrow(
    new RangeError("value.inner.again: wanted degrees"),
  );
  expect(calls).toHaveLength(2);
});

it("nothing is written when any field at any depth does not fit", () => {
  const codec = struct({ a: u32, inner: struct({ b: u8, deep: struct({ c: u64, d: ipv4 }) }), e: bytes(3), f: ipv6 });
  const good = { a: 1, inner: { b: 2, deep: { c: 3n, d: "1.2.3.4" } }, e: new Uint8Array(3), f: "::1" };
  const bad: [unknown, string][] = [
    [{ ...good, inner: { b: 2, deep: { c: 3, d: "1.2.3.4" } } }, "value.inner.deep.c"],
    [{ ...good, inner: { b: 2, deep: { c: 3n, d: "1.2.3" } } }, "value.inner.deep.d"],
    [{ ...good, inner: { b: 2, deep: null } }, "value.inner.deep"],
    [{ ...good, inner: 7 }, "value.inner"],
    [{ ...good, e: new Uint8Array(4) }, "value.e"],
    [{ ...good, f: ":::" }, "value.f"],
  ];
  for (const [value, at] of bad) {
    const bytes = new Uint8Array(codec.size).fill(0xee);
    expect(codec.fits(value)).toBe(false);
    expect(() => codec.write(new DataView(bytes.buffer), 0, value as typeof good)).toThrow(`${at}: wanted`);
    expect(new Set(bytes)).toEqual(new Set([0xee]));
  }
  expect(codec.fits(good)).toBe(true);
  expect(written(codec, good)).toHaveLength(2 * codec.size);
});

it("what is read is a plain object with its fields in order", () => {
  const codec = struct({ z: u8, a: f32, m: struct({ y: i32, b: f64 }) });
  const view = new DataView(new ArrayBuffer(codec.size));
  codec.write(view, 0, { z: 1, a: 0.5, m: { y: -1, b: Number.NaN } });
  const read = codec.read(view, 0);
  expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  expect(JSON.stringify(read)).toBe('{"z":1,"a":0.5,"m":{"y":-1,"b":null}}');
  expect(codec.read(view, 0)).not.toBe(read);
});

it("structs of very many fields work as well", () => {
  const names = Array.from({ length: 300 }, (_, i) => `field${i}`);
  const codec = struct(Object.fromEntries(names.map((name) => [name, u16])));
  const row = Object.fromEntries(names.map((name, i) => [name, i * 7]));
  written(codec, row);
  const outer = struct({ a: codec, b: struct({ c: codec }) });
  written(outer, { a: row, b: { c: row } });
});

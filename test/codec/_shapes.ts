/**
 * Random codecs: each with values for it, its declaration in C, and C that assigns such a value.
 */
import fc from "fast-check";
import {
  array,
  be,
  bool,
  bytes,
  cstring,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  ipv4,
  ipv6,
  mac,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "tsbpf";
import type { Codec } from "tsbpf";

/** Of all random tests here; printed with their names. */
export const seed = Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

export interface Shape {
  readonly codec: Codec<unknown>;
  readonly value: fc.Arbitrary<unknown>;
  /** `${base} name${dimensions}` declares it in C. */
  readonly base: string;
  readonly dimensions: string;
  /** C statements that put the value at the path. */
  readonly assign: (path: string, value: never) => string;
}

function leaf<T>(
  codec: Codec<T>,
  value: fc.Arbitrary<T>,
  base: string,
  assign: (path: string, value: T) => string,
  dimensions = "",
): Shape {
  return { codec, value, base, dimensions, assign };
}

const number = (bits: number, signed: boolean): fc.Arbitrary<number> =>
  signed
    ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
    : fc.integer({ min: 0, max: 2 ** bits - 1 });
const anyU64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const anyI64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const hex = (value: number | bigint, bits: number): string =>
  `0x${BigInt.asUintN(bits, BigInt(value)).toString(16)}ULL`;

function integer<T extends number | bigint>(
  codec: Codec<T>,
  value: fc.Arbitrary<T>,
  signed: boolean,
  swap = false,
): Shape {
  const bits = codec.size * 8;
  return leaf(codec, value, `${signed ? "" : "u"}int${bits}_t`, (path, given) => {
    const literal = hex(given, bits);
    return `${path} = ${swap ? `__builtin_bswap${bits}(${literal})` : literal};`;
  });
}

function copy(path: string, content: Iterable<number>): string {
  const list = [...content];
  return list.length === 0 ? "" : `memcpy(${path}, (uint8_t[]){${list.join()}}, ${list.length});`;
}

const isInfinite = (value: number): boolean => Math.abs(value) === Infinity;
const literal = (value: number): string =>
  isInfinite(value) ? `${value < 0 ? "-" : ""}__builtin_inf()` : value.toExponential().replace(/^-?\d+(?=e)/, "$&.0");
const assignFloat = (path: string, value: number): string =>
  `${path} = ${Object.is(value, -0) ? "-0.0" : literal(value)};`;

const utf8 = new TextEncoder();
const text = (maxBytes: number): fc.Arbitrary<string> =>
  fc
    .string({ unit: "binary", maxLength: maxBytes })
    .filter((s) => !s.includes("\0") && s.isWellFormed() && utf8.encode(s).length <= maxBytes);

const macText = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((six) => Array.from(six, (byte) => byte.toString(16).padStart(2, "0")).join(":"));
/** In the form that reading gives. */
const ipv6Text = fc.ipV6().map((address) => {
  const view = new DataView(new ArrayBuffer(16));
  ipv6.write(view, 0, address);
  return ipv6.read(view, 0);
});

/** Codecs without others in them. */
export const leaves: Readonly<Record<string, Shape>> = {
  u8: integer(u8, number(8, false), false),
  u16: integer(u16, number(16, false), false),
  u32: integer(u32, number(32, false), false),
  u64: integer(u64, anyU64, false),
  i8: integer(i8, number(8, true), true),
  i16: integer(i16, number(16, true), true),
  i32: integer(i32, number(32, true), true),
  i64: integer(i64, anyI64, true),
  "be.u16": integer(be.u16, number(16, false), false, true),
  "be.u32": integer(be.u32, number(32, false), false, true),
  "be.u64": integer(be.u64, anyU64, false, true),
  "be.i16": integer(be.i16, number(16, true), true, true),
  "be.i32": integer(be.i32, number(32, true), true, true),
  "be.i64": integer(be.i64, anyI64, true, true),
  f32: leaf(f32, fc.float({ noNaN: true }), "float", assignFloat),
  f64: leaf(f64, fc.double({ noNaN: true }), "double", assignFloat),
  bool: leaf(bool, fc.boolean(), "_Bool", (path, value) => `${path} = ${Number(value)};`),
  "bytes(5)": leaf(bytes(5), fc.uint8Array({ minLength: 5, maxLength: 5 }), "uint8_t", copy, "[5]"),
  "bytes(40)": leaf(bytes(40), fc.uint8Array({ minLength: 40, maxLength: 40 }), "uint8_t", copy, "[40]"),
  "cstring(16)": leaf(cstring(16), text(15), "char", (path, value) => copy(path, utf8.encode(value)), "[16]"),
  "cstring(70)": leaf(cstring(70), text(69), "char", (path, value) => copy(path, utf8.encode(value)), "[70]"),
  ipv4: leaf(ipv4, fc.ipV4(), "struct in_addr", (path, value) => `inet_pton(AF_INET, "${value}", &${path});`),
  ipv6: leaf(ipv6, ipv6Text, "struct in6_addr", (path, value) => `inet_pton(AF_INET6, "${value}", &${path});`),
  mac: leaf(
    mac,
    macText,
    "uint8_t",
    (path, value) =>
      copy(
        path,
        value.split(":").map((byte) => parseInt(byte, 16)),
      ),
    "[6]",
  ),
};

function arrayOf(of: Shape, n: number): Shape {
  return {
    codec: array(of.codec, n),
    value: fc.array(of.value, { minLength: n, maxLength: n }),
    base: of.base,
    dimensions: `[${n}]${of.dimensions}`,
    assign: (path, value: never[]) => value.map((elem, i) => of.assign(`${path}[${i}]`, elem)).join(" "),
  };
}

function structOf(fields: readonly Shape[], packed: boolean): Shape {
  const named = fields.map((shape, i) => [`f${i}`, shape] as const);
  const pick = <T>(part: (shape: Shape) => T): Record<string, T> =>
    Object.fromEntries(named.map(([name, shape]) => [name, part(shape)]));
  const members = named.map(([name, { base, dimensions }]) => `${base} ${name}${dimensions};`).join(" ");
  return {
    codec: struct(
      pick(({ codec }) => codec),
      { packed },
    ),
    value: fc.record(pick(({ value }) => value)),
    base: `struct ${packed ? "__attribute__((packed)) " : ""}{ ${members} }`,
    dimensions: "",
    assign: (path, value: Record<string, never>) =>
      named.map(([name, shape]) => shape.assign(`${path}.${name}`, value[name]!)).join(" "),
  };
}

const { any, composed } = fc.letrec<{ any: Shape; composed: Shape }>((tie) => ({
  any: fc.oneof({ maxDepth: 3, withCrossShrink: true }, fc.constantFrom(...Object.values(leaves)), tie("composed")),
  composed: fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.array(tie("any"), { minLength: 1, maxLength: 11 }), fc.boolean())
        .map((made) => structOf(...made)),
    },
    { weight: 1, arbitrary: fc.tuple(tie("any"), fc.integer({ min: 1, max: 3 })).map((made) => arrayOf(...made)) },
  ),
}));

/** Codecs of every kind, nested up to three deep. */
export const anyShape = any;
/** Structs and arrays. */
export const composedShape = composed;

/** A shape and a value of it. */
export const withValue = (shapes: fc.Arbitrary<Shape>): fc.Arbitrary<[Shape, unknown]> =>
  shapes.chain((shape) => shape.value.map((value): [Shape, unknown] => [shape, value]));

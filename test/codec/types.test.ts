/**
 * What TypeScript infers from codecs. The type check is the test: `expectTypeOf` does nothing at run time.
 */
import { expect, expectTypeOf, it } from "vitest";
import { array, be, bool, bytes, cstring, f32, ipv6, struct, u32, u64, u8 } from "tsbpf";
import type { Codec, Of } from "tsbpf";

it("infers the type of a value from its codec", () => {
  expectTypeOf(u32).toEqualTypeOf<Codec<number>>();
  expectTypeOf(u64).toEqualTypeOf<Codec<bigint>>();
  expectTypeOf(be.u64).toEqualTypeOf<Codec<bigint>>();
  expectTypeOf(array(u8, 4)).toEqualTypeOf<Codec<number[]>>();
  expectTypeOf(array(array(bool, 2), 2)).toEqualTypeOf<Codec<boolean[][]>>();
  expectTypeOf(struct({ src: u32, port: be.u16 })).toEqualTypeOf<Codec<{ src: number; port: number }>>();

  const nested = struct({ name: cstring(16), at: ipv6, raw: bytes(4), load: f32, sums: array(struct({ n: u64 }), 2) });
  interface Nested {
    name: string;
    at: string;
    raw: Uint8Array;
    load: number;
    sums: { n: bigint }[];
  }
  expectTypeOf<Of<typeof nested>>().toEqualTypeOf<Nested>();
  expectTypeOf<Of<typeof u64>>().toEqualTypeOf<bigint>();
  expectTypeOf<Of<string>>().toEqualTypeOf<never>();
});

it("refuses values of other types", () => {
  const flow = struct({ src: u32, bytes: u64 });
  const view = new DataView(new ArrayBuffer(flow.size));
  // @ts-expect-error a number is no bigint
  expect(() => flow.write(view, 0, { src: 1, bytes: 1 })).toThrow(TypeError);
  // @ts-expect-error bytes is missing
  expect(() => flow.write(view, 0, { src: 1 })).toThrow(TypeError);
  // @ts-expect-error in a literal, what the struct does not have
  flow.write(view, 0, { src: 1, bytes: 1n, more: 1 });
  flow.write(view, 0, { src: 1, bytes: 1n } as const);
});

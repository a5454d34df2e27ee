/**
 * Structs and arrays: layout, words of refusal, padding, lanes, and what is read.
 */
import { describe, expect, it } from "vitest";
import { array, be, bool, bytes, f64, ipv4, mac, struct, u16, u32, u64, u8 } from "tsbpf";
import type { Codec } from "tsbpf";

function hex<T>(codec: Codec<T>, value: T): string {
  const bytes = new Uint8Array(codec.size).fill(0xee);
  codec.write(new DataView(bytes.buffer), 0, value);
  return Buffer.from(bytes).toString("hex");
}

/** The error of writing a value; nothing may have been written. */
function refusal(codec: Codec<unknown>, value: unknown, at?: string): Error {
  const bytes = new Uint8Array(codec.size).fill(0xee);
  try {
    codec.write(new DataView(bytes.buffer), 0, value, at);
  } catch (error) {
    expect(new Set(bytes)).toEqual(new Set([0xee]));
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

const flow = struct({ src: ipv4, dst: ipv4, sport: be.u16, dport: be.u16, proto: u8 });
const someFlow = { src: "10.0.0.1", dst: "10.0.0.2", sport: 80, dport: 443, proto: 6 };

describe("layout", () => {
  it("aligns fields and pads the end, with zeroes over what was there", () => {
    const codec = struct({ a: u8, b: u16, c: u8, d: u64, e: u8 });
    expect(codec).toMatchObject({ size: 24, align: 8, type: "struct { a: u8; b: u16; c: u8; d: u64; e: u8 }" });
    expect(hex(codec, { a: 1, b: 2, c: 3, d: 4n, e: 5 })).toBe("010002000300000004000000000000000500000000000000");
  });

  it("of a flow is what its C has", () => {
    expect(flow).toMatchObject({ size: 16, align: 4 });
    expect(hex(flow, someFlow)).toBe("0a0000010a000002005001bb06000000");
  });

  it("packs fields without padding", () => {
    const codec = struct({ a: u8, b: u32, c: u64, d: be.u16 }, { packed: true });
    expect(codec).toMatchObject({ size: 15, align: 1, type: "struct __packed { a: u8; b: u32; c: u64; d: be16 }" });
    expect(hex(codec, { a: 1, b: 2, c: 3n, d: 4 })).toBe("010200000003000000000000000004");
  });

  it("puts a packed struct at an odd offset of another one", () => {
    const inner = struct({ a: u8, b: u32 }, { packed: true });
    const outer = struct({ tag: u8, inner, after: u16 });
    expect(outer).toMatchObject({ size: 8, align: 2 });
    expect(hex(outer, { tag: 9, inner: { a: 1, b: 0x02030405 }, after: 7 })).toBe("0901050403020700");
  });

  it("of nested arrays has C's order of lengths", () => {
    expect(array(array(u16, 2), 3)).toMatchObject({ type: "u16[3][2]", size: 12, align: 2 });
    expect(array(struct({ a: array(u8, 3) }), 2).type).toBe("struct { a: u8[3] }[2]");
    expect(
      hex(array(array(u8, 2), 2), [
        [1, 2],
        [3, 4],
      ]),
    ).toBe("01020304");
  });
});

describe("what is read", () => {
  it("is a plain object with the fields in order", () => {
    const view = new DataView(new ArrayBuffer(16));
    flow.write(view, 0, { proto: 6, dport: 443, sport: 80, dst: "10.0.0.2", src: "10.0.0.1" });
    const read = flow.read(view, 0);
    expect(read).toStrictEqual(someFlow);
    expect(Object.keys(read)).toEqual(["src", "dst", "sport", "dport", "proto"]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 20])("is what was written, with %i fields", (count) => {
    const names = Array.from({ length: count }, (_, i) => `field${i}`);
    const codec = struct(Object.fromEntries(names.map((name) => [name, u32])));
    const value = Object.fromEntries(names.map((name, i) => [name, i + 1]));
    const view = new DataView(new ArrayBuffer(codec.size));
    codec.write(view, 0, value);
    expect(new Uint32Array(view.buffer)).toEqual(Uint32Array.from(names, (_, i) => i + 1));
    expect(codec.read(view, 0)).toStrictEqual(value);
    for (const name of names) {
      expect(refusal(codec, { ...value, [name]: -1 }).message).toMatch(`value.${name}: wanted a u32`);
    }
    expect(refusal(codec, 7).message).toMatch(/^value: wanted struct \{ .* \}, found 7$/);
  });

  it("ignores properties that the struct does not have", () => {
    const wider = { ...someFlow, note: "to be ignored" };
    expect(hex(flow, wider)).toBe(hex(flow, someFlow));
  });

  it("takes values of any class, and getters once", () => {
    let asked = 0;
    class Pair {
      get a(): number {
        asked++;
        return 1;
      }
    }
    expect(hex(struct({ a: u8 }), new Pair())).toBe("01");
    expect(asked).toBe(1);
  });
});

describe("what is refused", () => {
  const value = struct({ id: u32, flows: array(struct({ port: be.u16, bytes: u64 }), 4) });
  const good = { port: 1, bytes: 1n };

  it("is named by its path", () => {
    expect(refusal(value, { id: 1, flows: [good, good, good, { port: 1, bytes: 7 }] })).toEqual(
      new TypeError("value.flows[3].bytes: wanted a u64 (bigint from 0 to 18446744073709551615, like 7n), found 7"),
    );
    expect(refusal(value, { id: 1, flows: [good, { port: 70000, bytes: 1n }, good, good] }, "key")).toEqual(
      new RangeError("key.flows[1].port: wanted a be.u16 (integer from 0 to 65535), found 70000"),
    );
  });

  it("is a property that is missing", () => {
    expect(refusal(flow, { ...someFlow, dst: undefined }, "key")).toEqual(
      new TypeError('key.dst: wanted an IPv4 address like "10.0.0.1", found undefined'),
    );
    const { dst: _, ...rest } = someFlow;
    expect(refusal(flow, rest, "key")).toEqual(new TypeError("key.dst: wanted be32, found no such property"));
  });

  it("is another thing than an object", () => {
    const pair = struct({ a: u8, length: u8 });
    const wanted = "value: wanted struct { a: u8; length: u8 }";
    expect(refusal(pair, null)).toEqual(new TypeError(`${wanted}, found null`));
    expect(refusal(pair, undefined)).toEqual(new TypeError(`${wanted}, found undefined`));
    expect(refusal(pair, "text")).toEqual(new TypeError(`${wanted}, found "text"`));
    expect(refusal(struct({ length: u8 }), "text")).toEqual(
      new TypeError('value: wanted struct { length: u8 }, found "text"'),
    );
  });

  it("is an array of another length, or none", () => {
    expect(refusal(array(u8, 2), [1, 2, 3])).toEqual(
      new RangeError("value: wanted an array of 2 (u8[2]), found an array of 3"),
    );
    expect(refusal(array(u8, 4), [1, 2, 3])).toEqual(
      new RangeError("value: wanted an array of 4 (u8[4]), found an array of 3"),
    );
    expect(refusal(array(u8, 4), { length: 4 })).toEqual(
      new TypeError("value: wanted an array of 4 (u8[4]), found an Object"),
    );
    // oxlint-disable-next-line no-sparse-arrays -- the hole is what is tested
    expect(refusal(array(u8, 2), [1, ,])).toEqual(
      new TypeError("value[1]: wanted a u8 (integer from 0 to 255), found undefined"),
    );
  });
});

describe("a definition is refused", () => {
  it("with a name that JavaScript would reorder or hide", () => {
    expect(() => struct({ a: u8, 7: u8 })).toThrow(
      new TypeError('Cannot have a struct field "7": JavaScript moves properties named by integers to the front'),
    );
    expect(() => struct({ ["__proto__"]: u8 })).toThrow(
      new TypeError('Cannot have a struct field "__proto__": JavaScript gives it a meaning'),
    );
  });

  it("without fields", () => {
    expect(() => struct({})).toThrow(new TypeError("Cannot make a struct without fields"));
  });

  it.each([0, -1, 2.5])("with an array of %d", (n) => {
    expect(() => array(u8, n)).toThrow(
      new RangeError(`n of array(of, n): wanted an integer of at least 1, found ${n}`),
    );
  });
});

describe("lanes", () => {
  it("are those of the fields, where they lie", () => {
    expect(struct({ packets: u64, bytes: u64 }).lanes).toEqual([
      { offset: 0, width: 8 },
      { offset: 8, width: 8 },
    ]);
    expect(struct({ a: u8, b: array(struct({ c: u16, d: u32 }), 2) }).lanes).toEqual([
      { offset: 0, width: 1 },
      { offset: 4, width: 2 },
      { offset: 8, width: 4 },
      { offset: 12, width: 2 },
      { offset: 16, width: 4 },
    ]);
    expect(array(u32, 2).lanes).toEqual([
      { offset: 0, width: 4 },
      { offset: 4, width: 4 },
    ]);
  });

  it.each<[string, Codec<unknown>]>([
    ["big endian", be.u32],
    ["a float", f64],
    ["a bool", bool],
    ["bytes", bytes(4)],
    ["an address", mac],
  ])("are none with %s in it", (_, codec) => {
    expect(struct({ count: u64, codec }).lanes).toBe(undefined);
    expect(array(codec, 2).lanes).toBe(undefined);
  });

  it("are none where packing puts an integer off its alignment", () => {
    const packed = struct({ a: u8, b: u32 }, { packed: true });
    expect(packed.lanes).toBe(undefined);
    const aligned = struct({ b: u32, a: u8 }, { packed: true });
    expect(aligned.lanes).toEqual([
      { offset: 0, width: 4 },
      { offset: 4, width: 1 },
    ]);
    expect(array(aligned, 2).lanes).toBe(undefined);
    expect(struct({ tag: u8, aligned }).lanes).toBe(undefined);
  });
});

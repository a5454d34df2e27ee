/**
 * Values by their types, where strict differs from bpftool (what is the same is compared with it in bpftool_btf.test.ts): what is
 * written as JSON is JSON, and says what the value is.
 */
import { describe, expect, it } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { BtfBuilder } from "../../src/btf/builder.js";
import type { BtfId } from "../../src/btf/types.js";
import { writeElem } from "../../src/cli/btf_value.js";
import { JsonWriter } from "../../src/cli/json_writer.js";
import type { MapInfo } from "../../src/kernels/syscalls.js";
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY } from "../../src/uapi/bpf.js";

function show(
  value: readonly number[],
  build: (btf: BtfBuilder) => BtfId,
  style: { strict?: boolean; plain?: boolean; type?: number } = {},
): string {
  const { strict = true, plain = false, type = BPF_MAP_TYPE_ARRAY } = style;
  const builder = new BtfBuilder();
  const id = build(builder);
  const btf = Btf.parse(builder.bytes());
  const info = { type, keySize: 4, valueSize: value.length } as MapInfo;
  const stride = Math.ceil(value.length / 8) * 8;
  const bytes = new Uint8Array(type === BPF_MAP_TYPE_ARRAY ? value.length : 2 * stride);
  bytes.set(value);
  let text = "";
  const json = new JsonWriter((part) => void (text += part), { pretty: false, bpftoolEscapes: !strict });
  writeElem(json, { btf, key: 0, value: id }, info, { plain, strict }, new Uint8Array(4), bytes);
  return text;
}

const reading = (btf: BtfBuilder): BtfId =>
  btf.struct("reading", 12, [
    { name: "celsius", type: btf.float("float", 4), bitsOffset: 0 },
    { name: "count", type: btf.int("int", 4, "SIGNED"), bitsOffset: 32 },
    { name: "more", type: 1, bitsOffset: 64 },
  ]);

describe("values by their types, strict", () => {
  it("floats are numbers; bpftool has none, and ends the object there", () => {
    const bytes = [0, 0, 192, 63, 254, 255, 255, 255, 0, 0, 128, 127];
    expect(JSON.parse(show(bytes, reading))).toEqual({ value: { celsius: 1.5, count: -2, more: "Infinity" } });
    expect(show(bytes, reading, { strict: false })).toBe('{"value":{"celsius":(unsupported-kind}}');
    const double = (btf: BtfBuilder): BtfId => btf.float("double", 8);
    expect(show([0, 0, 0, 0, 0, 0, 240, 63], double)).toBe('{"value":1}');
    expect(
      show(
        Array.from({ length: 16 }, () => 0),
        (btf) => btf.float("long double", 16),
      ),
    ).toContain("unsupported");
  });

  it("values of unsigned enums are unsigned; bpftool's are signed", () => {
    const flags = (btf: BtfBuilder): BtfId => btf.enum("flags", { NONE: 0, TOP: 0xffff_fffe });
    expect(show([254, 255, 255, 255], flags)).toBe('{"value":"TOP"}');
    expect(show([255, 255, 255, 255], flags)).toBe('{"value":4294967295}');
    expect(show([255, 255, 255, 255], flags, { strict: false })).toBe('{"value":-1}');
    expect(show([255, 255, 255, 255], (btf) => btf.enum("signed", { LOW: -5 }))).toBe('{"value":-1}');
  });

  it("text and letters are escaped", () => {
    const text = (btf: BtfBuilder): BtfId => {
      const char = btf.int("char", 1, "SIGNED");
      return btf.array(char, 4, char);
    };
    expect(JSON.parse(show([34, 92, 97, 0], text))).toEqual({ value: '"\\a' });
    const letter = (btf: BtfBuilder): BtfId => btf.int("letter", 1, "CHAR");
    expect(JSON.parse(show([34], letter))).toEqual({ value: '"' });
    expect(JSON.parse(show([7], letter))).toEqual({ value: "\u0007" });
    expect(show([34], letter, { strict: false })).toBe('{"value":"""}');
  });

  it("bit-fields and pointers: quoted in JSON, bare for people", () => {
    const bits = (btf: BtfBuilder): BtfId =>
      btf.struct("bits", 16, [
        { name: "low", type: btf.int("unsigned int", 4), bitsOffset: 3, bitfieldSize: 7 },
        { name: "to", type: btf.ptr(0), bitsOffset: 64 },
      ]);
    const bytes = [255, 255, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x80];
    expect(show(bytes, bits)).toBe('{"value":{"low":"0x7f","to":9223372036854775809}}');
    expect(show(bytes, bits, { plain: true })).toBe('{"value":{"low":0x7f,"to":0x8000000000000001}}');
  });

  it("of a per-CPU map, a value for each CPU", () => {
    expect(show([1, 2], (btf) => btf.int("short", 2), { type: BPF_MAP_TYPE_PERCPU_ARRAY })).toBe(
      '{"values":[{"cpu":0,"value":513},{"cpu":1,"value":0}]}',
    );
  });

  it("types that reach behind the value read zeroes, and no error", () => {
    expect(show([1, 0], (btf) => btf.int("long", 8, "SIGNED"))).toBe('{"value":1}');
    expect(() => show([1], reading)).not.toThrow();
  });
});

/**
 * bytes(n) and cstring(n): exact lengths, NULs, UTF-8, and copies.
 */
import { describe, expect, it } from "vitest";
import { bytes, cstring } from "tsbpf";

const viewOf = (content: Iterable<number>): DataView<ArrayBuffer> => new DataView(new Uint8Array(content).buffer);

describe("bytes(n)", () => {
  it.each([6, 100])("reads a copy of %i bytes, unshared", (n) => {
    const shared = new Uint8Array(new SharedArrayBuffer(n)).fill(7);
    const read = bytes(n).read(new DataView(shared.buffer), 0);
    shared.fill(8);
    expect(read).toEqual(new Uint8Array(n).fill(7));
    expect(read.buffer).toBeInstanceOf(ArrayBuffer);
  });

  it("takes a Buffer, which is a Uint8Array", () => {
    const view = viewOf([9, 9, 9, 9]);
    bytes(3).write(view, 1, Buffer.from("abc"));
    expect(new Uint8Array(view.buffer)).toEqual(new Uint8Array([9, 97, 98, 99]));
  });

  it("refuses another length or type", () => {
    const view = viewOf([9, 9, 9]);
    expect(() => bytes(3).write(view, 0, new Uint8Array(2), "key")).toThrow(
      new RangeError("key: wanted a Uint8Array of 3 bytes, found a Uint8Array of 2 bytes"),
    );
    expect(() => bytes(3).write(view, 0, [1, 2, 3] as never)).toThrow(
      new TypeError("value: wanted a Uint8Array of 3 bytes, found an array of 3"),
    );
    expect(() => bytes(3).write(view, 0, new Int8Array(3) as never)).toThrow(
      new TypeError("value: wanted a Uint8Array of 3 bytes, found an Int8Array of 3 bytes"),
    );
    expect(new Uint8Array(view.buffer)).toEqual(new Uint8Array([9, 9, 9]));
  });

  it("is u8[n], aligned to 1, without lanes", () => {
    expect(bytes(6)).toMatchObject({ type: "u8[6]", size: 6, align: 1 });
    expect(bytes(6).lanes).toBe(undefined);
  });
});

describe("cstring(n)", () => {
  const written = (text: string, n: number): string => {
    const view = viewOf(new Uint8Array(n).fill(0xff));
    cstring(n).write(view, 0, text);
    return Buffer.from(view.buffer).toString("hex");
  };

  it("writes UTF-8 and zeroes", () => {
    expect(written("", 3)).toBe("000000");
    expect(written("ab", 3)).toBe("616200");
    expect(written("aé€😀", 12)).toBe("61c3a9e282acf09f98800000");
  });

  it("reads up to the first NUL, or to the end", () => {
    expect(cstring(5).read(viewOf([0x61, 0x62, 0, 0x63, 0x64]), 0)).toBe("ab");
    expect(cstring(3).read(viewOf([0x61, 0x62, 0x63]), 0)).toBe("abc");
    expect(cstring(5).read(viewOf([0xc3, 0xa9, 0, 0xc3, 0xa9]), 0)).toBe("é");
    expect(cstring(40).read(viewOf(new Uint8Array(40).fill(0x61)), 0)).toBe("a".repeat(40));
  });

  it("reads what is no UTF-8 as U+FFFD, and keeps a byte order mark", () => {
    expect(cstring(4).read(viewOf([0x61, 0xff, 0x62, 0]), 0)).toBe("a\ufffdb");
    expect(cstring(4).read(viewOf([0xef, 0xbb, 0xbf, 0]), 0)).toBe("\ufeff");
  });

  const wanted = "wanted a string of at most 3 bytes of UTF-8 without NUL (char[4])";
  it.each([
    ["abcd", `value: ${wanted}, found "abcd" of 4 bytes`],
    ["éé", `value: ${wanted}, found "éé" of 4 bytes`],
    ["a\0b", `value: ${wanted}, found "a\\u0000b" of 3 bytes`],
    ["\ud83d", `value: ${wanted}, found "\\ud83d" of 3 bytes`],
    ["\ude00", `value: ${wanted}, found "\\ude00" of 3 bytes`],
    ["\ud83dx", `value: ${wanted}, found "\\ud83dx" of 4 bytes`],
  ])("refuses %j", (text, message) => {
    const view = viewOf([9, 9, 9, 9]);
    expect(() => cstring(4).write(view, 0, text)).toThrow(new RangeError(message));
    expect(new Uint8Array(view.buffer)).toEqual(new Uint8Array([9, 9, 9, 9]));
  });

  it("refuses halves of surrogate pairs wherever they stand", () => {
    for (const half of ["\ud83d", "\ude00", "\ude00\ude00", "\ud83d\ud83d", "a\ude00\ud83d"]) {
      expect([half, cstring(16).fits(half)]).toEqual([half, false]);
      expect(cstring(16).fits(`${half}\ude00`)).toBe(half.endsWith("\ud83d") && half.length === 1);
    }
  });

  it("refuses what is no string", () => {
    expect(() => cstring(4).write(viewOf([9, 9, 9, 9]), 0, 7 as never, "value.name")).toThrow(
      new TypeError(`value.name: ${wanted}, found 7`),
    );
  });

  it("is char[n], aligned to 1, without lanes", () => {
    expect(cstring(16)).toMatchObject({ type: "char[16]", size: 16, align: 1 });
    expect(cstring(16).lanes).toBe(undefined);
  });
});

describe("a size", () => {
  it.each([0, -1, 1.5, NaN])("of %d is refused", (n) => {
    expect(() => bytes(n)).toThrow(new RangeError(`n of bytes(n): wanted an integer of at least 1, found ${n}`));
    expect(() => cstring(n)).toThrow(new RangeError(`n of cstring(n): wanted an integer of at least 1, found ${n}`));
  });

  it("that is no number is refused", () => {
    expect(() => bytes("6" as never)).toThrow(new TypeError('n of bytes(n): wanted a number, found "6"'));
  });
});

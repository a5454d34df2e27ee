/**
 * Addresses: their text against Node's own parsers and the URL standard's canonical form.
 */
import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ipv4, ipv6, mac } from "tsbpf";
import type { Codec } from "tsbpf";
import { seed } from "./_shapes.js";

const written = (codec: Codec<string>, text: string): Buffer<ArrayBuffer> => {
  const bytes = new Uint8Array(codec.size);
  codec.write(new DataView(bytes.buffer), 0, text);
  return Buffer.from(bytes.buffer);
};
const canonical = (codec: Codec<string>, text: string): string =>
  codec.read(new DataView(written(codec, text).buffer), 0);

/** Texts that are addresses but for a few changes, or strings of an address's characters. */
function nearly(address: fc.Arbitrary<string>, alphabet: string): fc.Arbitrary<string> {
  const character = fc.constantFrom("", ...alphabet.split(""));
  const changed = fc
    .tuple(address, fc.nat(40), fc.nat(2), character)
    .map(([text, at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop));
  return fc.oneof(
    address,
    changed,
    fc.array(character, { maxLength: 20 }).map((all) => all.join("")),
  );
}

describe(`ipv4 (TEST_SEED=${seed})`, () => {
  it("is 4 bytes in network order, aligned to 4", () => {
    expect([...written(ipv4, "10.0.0.1")]).toEqual([10, 0, 0, 1]);
    expect(canonical(ipv4, "255.255.255.255")).toBe("255.255.255.255");
    expect(ipv4).toMatchObject({ type: "be32", size: 4, align: 4 });
    expect(ipv4.lanes).toBe(undefined);
  });

  it("takes what node:net takes", () => {
    const property = fc.property(nearly(fc.ipV4(), "0123456789.-x "), (text) => {
      expect([text, ipv4.fits(text)]).toEqual([text, isIPv4(text)]);
      if (isIPv4(text)) expect(canonical(ipv4, text)).toBe(text);
    });
    fc.assert(property, { seed, numRuns: 3000 });
  });

  it.each(["10.0.0.256", "10.0.0", "10.0.0.1.", "10.0.0.01", ".0.0.1", ""])("refuses %j", (text) => {
    expect(() => ipv4.check(text, "key.src")).toThrow(
      new RangeError(`key.src: wanted an IPv4 address like "10.0.0.1", found "${text}"`),
    );
    expect(() => written(ipv4, text)).toThrow(RangeError);
  });

  it("refuses a number", () => {
    expect(() => ipv4.write(new DataView(new ArrayBuffer(4)), 0, 167772161 as never, "key")).toThrow(
      new TypeError('key: wanted an IPv4 address like "10.0.0.1", found 167772161'),
    );
  });
});

describe(`ipv6 (TEST_SEED=${seed})`, () => {
  it.each([
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"],
    ["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
    ["::FFFF:0a00:1", "::ffff:10.0.0.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a"],
    ["::1.2.3.4", "::102:304"],
    ["fe80::0204:61ff:fe9d:f156", "fe80::204:61ff:fe9d:f156"],
  ])("%s is read as %s", (text, read) => {
    expect(canonical(ipv6, text)).toBe(read);
  });

  it("is 16 bytes in network order, aligned to 4 as struct in6_addr", () => {
    expect(written(ipv6, "2001:db8::ff00:42:8329").toString("hex")).toBe("20010db8000000000000ff0000428329");
    expect(ipv6).toMatchObject({ type: "struct in6_addr", size: 16, align: 4 });
    expect(ipv6.lanes).toBe(undefined);
  });

  it("takes what node:net takes, and reads what the URL standard serializes", () => {
    const property = fc.property(nearly(fc.ipV6(), "0123456789abcdefABCDEFg:.: "), (text) => {
      expect([text, ipv6.fits(text)]).toEqual([text, isIPv6(text)]);
      if (!isIPv6(text)) return;
      const read = canonical(ipv6, text);
      const url = new URL(`http://[${text}]/`).hostname.slice(1, -1);
      // The URL standard has no mixed form.
      if (read.startsWith("::ffff:") && read.includes(".")) expect(url).toMatch(/^::ffff:/);
      else expect(read).toBe(url);
      expect(written(ipv6, read)).toEqual(written(ipv6, text));
    });
    fc.assert(property, { seed, numRuns: 5000 });
  });

  it("shortens every run of zeroes as the URL standard does", () => {
    for (let mask = 0; mask < 256; mask++) {
      const groups = Array.from({ length: 8 }, (_, i) => ((mask >> i) & 1 ? "abc" : "0"));
      const text = groups.join(":");
      expect(canonical(ipv6, text)).toBe(new URL(`http://[${text}]/`).hostname.slice(1, -1));
    }
  });

  it.each([
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    "::1%eth0",
    "1:2:3:4:5:6:7:8::",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::1:2:3:4:5:6:7:1.2.3.4",
    "",
  ])("refuses %j", (text) => {
    expect(() => ipv6.check(text, "key.src")).toThrow(
      new RangeError(`key.src: wanted an IPv6 address like "2001:db8::1", found "${text}"`),
    );
    expect(() => written(ipv6, text)).toThrow(RangeError);
  });
});

describe("mac", () => {
  it("is 6 bytes, aligned to 1", () => {
    expect([...written(mac, "02:00:5e:10:00:ff")]).toEqual([2, 0, 0x5e, 0x10, 0, 0xff]);
    expect(canonical(mac, "02:AB:cd:EF:00:01")).toBe("02:ab:cd:ef:00:01");
    expect(mac).toMatchObject({ type: "u8[6]", size: 6, align: 1 });
    expect(mac.lanes).toBe(undefined);
  });

  it.each(["02:00:00:00:00", "02:00:00:00:00:0g", "02-00-00-00-00-01", "02:00:00:00:00:01:", "2:0:0:0:0:1", ""])(
    "refuses %j",
    (text) => {
      expect(() => written(mac, text)).toThrow(
        new RangeError(`value: wanted a MAC address like "02:00:00:00:00:01", found "${text}"`),
      );
    },
  );

  it("refuses bytes", () => {
    expect(() => mac.check(new Uint8Array(6) as never, "key")).toThrow(
      new TypeError('key: wanted a MAC address like "02:00:00:00:00:01", found a Uint8Array of 6 bytes'),
    );
  });
});

/**
 * Addresses as text: IPv4, IPv6 and MAC. Their bytes are in network byte order.
 */
import { hexDigit, ipv4Text, ipv6Text, parseIpv4, parseIpv6 } from "./_address_text.js";
import { swapped16 } from "./_inline.js";
import { checkOf, make } from "./_make.js";
import type { Codec } from "./codec.js";

const isString = (value: unknown): boolean => typeof value === "string";

/** The address as a u32, or -1 where it is none. */
const ipv4Of = (value: unknown): number => (typeof value === "string" ? parseIpv4(value) : -1);
const isIpv4 = (value: unknown): boolean => ipv4Of(value) >= 0;

/** An IPv4 address, "10.0.0.1": 4 bytes, C's __be32 or struct in_addr. */
export const ipv4: Codec<string> = make<string>({
  type: "be32",
  size: 4,
  align: 4,
  fits: isIpv4,
  write(view, offset, value, at = "value") {
    const address = ipv4Of(value);
    if (address < 0) ipv4.check(value, at);
    view.setUint32(offset, address);
  },
  read: (view, offset) => ipv4Text(view.getUint32(offset)),
  check: checkOf(isIpv4, isString, 'an IPv4 address like "10.0.0.1"'),
  inline: {
    encode: (value, use) => `${use(ipv4Of)}(${value})`,
    test: (x) => `${x} >= 0`,
    store: (view, at, x) => `${view}.setUint32(${at}, ${x})`,
    load: (view, at, use) => `${use(ipv4Text)}(${view}.getUint32(${at}))`,
  },
});

/** The address at hand, between parsing it and writing it, or reading it and making its text. */
const groups = new Uint16Array(8);
const isIpv6 = (value: unknown): boolean => typeof value === "string" && parseIpv6(value, groups);

/** The address in `to`; undefined where it is none. */
function ipv6Of(value: unknown, to: Uint16Array): Uint16Array | undefined {
  return typeof value === "string" && parseIpv6(value, to) ? to : undefined;
}

/** Writes what parseIpv6 gave. */
export function writeIpv6(view: DataView, offset: number, from: Uint16Array): void {
  for (let i = 0; i < 8; i += 2) view.setUint32(offset + i * 2, (from[i]! << 16) | from[i + 1]!);
}

function readIpv6(view: DataView, offset: number): string {
  for (let i = 0; i < 8; i++) groups[i] = view.getUint16(offset + i * 2);
  return ipv6Text(groups);
}

/**
 * An IPv6 address: 16 bytes, C's struct in6_addr.
 *
 * Every form of RFC 4291 is taken ("2001:DB8:0::1", "::ffff:10.0.0.1"); what is read has the canonical one of RFC 5952
 * ("2001:db8::1").
 */
export const ipv6: Codec<string> = make<string>({
  type: "struct in6_addr",
  size: 16,
  align: 4,
  fits: isIpv6,
  write(view, offset, value, at = "value") {
    if (!isIpv6(value)) ipv6.check(value, at);
    writeIpv6(view, offset, groups);
  },
  read: readIpv6,
  check: checkOf(isIpv6, isString, 'an IPv6 address like "2001:db8::1"'),
  inline: {
    // Groups of its own for each field: two of them are parsed before the first is written.
    encode: (value, use) => `${use(ipv6Of)}(${value}, ${use(new Uint16Array(8))})`,
    test: (x) => `${x} !== undefined`,
    store: (view, at, x, use) => `${use(writeIpv6)}(${view}, ${at}, ${x})`,
    load: (view, at, use) => `${use(readIpv6)}(${view}, ${at})`,
  },
});

/** Their text is "02:00:00:00:00:01": two digits and a colon for each byte. */
const macLength = 17;

/** The address as an integer of 48 bits, or -1 where it is none. */
function macOf(value: unknown): number {
  if (typeof value !== "string" || value.length !== macLength) return -1;
  let address = 0;
  for (let i = 0; i < macLength; i += 3) {
    const high = hexDigit(value.charCodeAt(i));
    const low = hexDigit(value.charCodeAt(i + 1));
    if ((high | low) < 0 || (i > 0 && value.charCodeAt(i - 1) !== 0x3a)) return -1;
    address = address * 256 + high * 16 + low;
  }
  return address;
}

const isMac = (value: unknown): boolean => macOf(value) >= 0;

/** All 48 bits: stores what `macOf` gave. */
function writeMac(view: DataView, offset: number, address: number): void {
  view.setUint16(offset, address / 0x1_0000_0000);
  view.setUint32(offset + 2, address);
}

const hexOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Texts of two bytes, as they were asked for: "02:00". */
const pairTexts: (string | undefined)[] = [];

function pairText(pair: number): string {
  if (pairTexts.length === 0) pairTexts.length = 0x10000;
  return pairTexts[pair] ?? (pairTexts[pair] = `${hexOfByte[pair >>> 8]}:${hexOfByte[pair & 255]}`);
}

function readMac(view: DataView, offset: number): string {
  return `${pairText(view.getUint16(offset))}:${pairText(view.getUint16(offset + 2))}:${pairText(view.getUint16(offset + 4))}`;
}

/** A MAC address, "02:00:00:00:00:01": 6 bytes, C's u8[ETH_ALEN]. */
export const mac: Codec<string> = make<string>({
  type: "u8[6]",
  size: 6,
  align: 1,
  fits: isMac,
  write(view, offset, value, at = "value") {
    const address = macOf(value);
    if (address < 0) mac.check(value, at);
    writeMac(view, offset, address);
  },
  read: readMac,
  check: checkOf(isMac, isString, 'a MAC address like "02:00:00:00:00:01"'),
  inline: {
    encode: (value, use) => `${use(macOf)}(${value})`,
    test: (x) => `${x} >= 0`,
    store: (view, at, x, use) => `${use(writeMac)}(${view}, ${at}, ${x})`,
    units: (x) => [
      { bytes: 2, bits: swapped16(`(${x} / 0x100000000)`) },
      { bytes: 2, bits: swapped16(`(${x} >>> 16)`) },
      { bytes: 2, bits: swapped16(x) },
    ],
    load: (view, at, use) => `${use(readMac)}(${view}, ${at})`,
  },
});

/**
 * Addresses as text: IPv4, IPv6 and MAC. Their bytes are in network byte order.
 */
import { hexDigit, ipv4Text, ipv6Text, parseIpv4, parseIpv6 } from "./_address_text.js";
import { checkOf, make } from "./_make.js";
import type { Codec } from "./codec.js";

const isString = (value: unknown): boolean => typeof value === "string";

const isIpv4 = (value: unknown): boolean => typeof value === "string" && parseIpv4(value) >= 0;

/** An IPv4 address, "10.0.0.1": 4 bytes, C's __be32 or struct in_addr. */
export const ipv4: Codec<string> = make<string>({
  type: "be32",
  size: 4,
  align: 4,
  fits: isIpv4,
  write(view, offset, value, at = "value") {
    const address = typeof value === "string" ? parseIpv4(value) : -1;
    if (address < 0) ipv4.check(value, at);
    view.setUint32(offset, address);
  },
  read: (view, offset) => ipv4Text(view.getUint32(offset)),
  check: checkOf(isIpv4, isString, 'an IPv4 address like "10.0.0.1"'),
});

/** The address at hand, between parsing it and writing it, or reading it and making its text. */
const groups = new Uint16Array(8);
const isIpv6 = (value: unknown): boolean => typeof value === "string" && parseIpv6(value, groups);

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
    for (let i = 0; i < 8; i++) view.setUint16(offset + i * 2, groups[i]!);
  },
  read(view, offset) {
    for (let i = 0; i < 8; i++) groups[i] = view.getUint16(offset + i * 2);
    return ipv6Text(groups);
  },
  check: checkOf(isIpv6, isString, 'an IPv6 address like "2001:db8::1"'),
});

const macSize = 6;

/** The byte i of a MAC address's text, or a negative number where there is none. */
function macByte(text: string, i: number): number {
  const high = hexDigit(text.charCodeAt(i * 3));
  const low = hexDigit(text.charCodeAt(i * 3 + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function isMac(value: unknown): boolean {
  if (typeof value !== "string" || value.length !== macSize * 3 - 1) return false;
  for (let i = 0; i < macSize; i++) {
    if (macByte(value, i) < 0 || (i > 0 && value[i * 3 - 1] !== ":")) return false;
  }
  return true;
}

const hexOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** A MAC address, "02:00:00:00:00:01": 6 bytes, C's u8[ETH_ALEN]. */
export const mac: Codec<string> = make<string>({
  type: `u8[${macSize}]`,
  size: macSize,
  align: 1,
  fits: isMac,
  write(view, offset, value, at = "value") {
    if (!isMac(value)) mac.check(value, at);
    for (let i = 0; i < macSize; i++) view.setUint8(offset + i, macByte(value, i));
  },
  read(view, offset) {
    let text = hexOfByte[view.getUint8(offset)]!;
    for (let i = 1; i < macSize; i++) text += `:${hexOfByte[view.getUint8(offset + i)]!}`;
    return text;
  },
  check: checkOf(isMac, isString, 'a MAC address like "02:00:00:00:00:01"'),
});

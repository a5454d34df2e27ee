/**
 * Prefixes as text, "10.0.0.0/8": the keys of an LPM trie. struct bpf_lpm_trie_key: prefixlen (u32, host byte order), and an
 * address in network byte order.
 */
import { parseIpv4, parseIpv6 } from "./_address_text.js";
import { checkOf, make } from "./_make.js";
import { withShape } from "./_shape.js";
import { ipv4, ipv6, writeIpv6 } from "./address.js";
import { bytes } from "./bytes.js";
import { u32 } from "./number.js";
import type { Codec } from "./codec.js";

const isString = (value: unknown): boolean => typeof value === "string";

/** What the number behind the "/" is; `bits` where there is none, -1 where it is no prefix's length. */
function lengthOf(text: string, slash: number, bits: number): number {
  if (slash < 0) return bits;
  const first = slash + 1;
  const end = text.length;
  let length = 0;
  for (let i = first; i < end; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
    // No number of more digits is one, and 08 is none.
    if (length > bits || (length === digit && i > first)) return -1;
  }
  return end === first ? -1 : length;
}

/** Writes an address; false, and nothing is written, where the text is none. */
type Put = (view: DataView, offset: number, text: string) => boolean;

/** Room for a prefix that is only looked at. */
const nowhere = new DataView(new ArrayBuffer(20));

/** @param address Of `put`'s kind. */
function prefix(address: Codec<string>, put: Put, type: string, wanted: string): Codec<string> {
  const bits = 8 * address.size;
  /** Writes a prefix; false, and nothing is written, where the value is none. */
  const write = (view: DataView, offset: number, value: unknown): boolean => {
    if (typeof value !== "string") return false;
    const slash = value.indexOf("/");
    const length = lengthOf(value, slash, bits);
    if (length < 0 || !put(view, offset + 4, slash < 0 ? value : value.slice(0, slash))) return false;
    view.setUint32(offset, length, true);
    return true;
  };
  const fits = (value: unknown): boolean => write(nowhere, 0, value);
  const check = checkOf(fits, isString, wanted);
  const codec = make<string>({
    type,
    size: 4 + address.size,
    align: 4,
    fits,
    write(view, offset, value, at = "value") {
      if (!write(view, offset, value)) check(value, at);
    },
    read: (view, offset) => `${address.read(view, offset + 4)}/${view.getUint32(offset, true)}`,
    check,
  });
  const data = bytes(address.size) as Codec<unknown>;
  const prefixlen = u32 as Codec<unknown>;
  return withShape(codec, {
    fields: [
      { name: "prefixlen", codec: prefixlen, off: 0 },
      { name: "data", codec: data, off: 4 },
    ],
  });
}

function putIpv4(view: DataView, offset: number, text: string): boolean {
  const address = parseIpv4(text);
  if (address < 0) return false;
  view.setUint32(offset, address);
  return true;
}

const groups = new Uint16Array(8);

function putIpv6(view: DataView, offset: number, text: string): boolean {
  if (!parseIpv6(text, groups)) return false;
  writeIpv6(view, offset, groups);
  return true;
}

/** A prefix of IPv4, "10.0.0.0/8"; an address alone is one of 32 bits. 8 bytes. */
export const prefix4: Codec<string> = prefix(
  ipv4,
  putIpv4,
  "struct { u32 prefixlen; be32 }",
  'an IPv4 prefix like "10.0.0.0/8"',
);

/** A prefix of IPv6, "2001:db8::/32"; an address alone is one of 128 bits. 20 bytes. */
export const prefix6: Codec<string> = prefix(
  ipv6,
  putIpv6,
  "struct { u32 prefixlen; struct in6_addr }",
  'an IPv6 prefix like "2001:db8::/32"',
);

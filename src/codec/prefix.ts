/**
 * Prefixes as text, "10.0.0.0/8": the keys of an LPM trie. struct bpf_lpm_trie_key: prefixlen (u32, host byte order), and an
 * address in network byte order.
 */
import { checkOf, make } from "./_make.js";
import { withShape } from "./_shape.js";
import { ipv4, ipv6 } from "./address.js";
import { bytes } from "./bytes.js";
import { u32 } from "./number.js";
import type { Codec } from "./codec.js";

const isString = (value: unknown): boolean => typeof value === "string";

/** Where the "/" is, or the end; and what the prefix's length is, -1 for none that there is. */
function lengthOf(text: string, slash: number, bits: number): number {
  if (slash < 0) return bits;
  const digits = text.slice(slash + 1);
  const length = /^(?:0|[1-9][0-9]{0,2})$/.test(digits) ? Number(digits) : -1;
  return length <= bits ? length : -1;
}

/** @param bits Of the address. */
function prefix(address: Codec<string>, bits: number, type: string, wanted: string): Codec<string> {
  const split = (value: unknown): { readonly host: string; readonly length: number } | undefined => {
    if (typeof value !== "string") return undefined;
    const slash = value.indexOf("/");
    const host = slash < 0 ? value : value.slice(0, slash);
    const length = lengthOf(value, slash, bits);
    return length >= 0 && address.fits(host) ? { host, length } : undefined;
  };
  const fits = (value: unknown): boolean => split(value) !== undefined;
  const check = checkOf(fits, isString, wanted);
  const codec = make<string>({
    type,
    size: 4 + address.size,
    align: 4,
    fits,
    write(view, offset, value, at = "value") {
      const parts = split(value);
      if (parts === undefined) return check(value, at);
      view.setUint32(offset, parts.length, true);
      address.write(view, offset + 4, parts.host);
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

/** A prefix of IPv4, "10.0.0.0/8"; an address alone is one of 32 bits. 8 bytes. */
export const prefix4: Codec<string> = prefix(
  ipv4,
  32,
  "struct { u32 prefixlen; be32 }",
  'an IPv4 prefix like "10.0.0.0/8"',
);

/** A prefix of IPv6, "2001:db8::/32"; an address alone is one of 128 bits. 20 bytes. */
export const prefix6: Codec<string> = prefix(
  ipv6,
  128,
  "struct { u32 prefixlen; struct in6_addr }",
  'an IPv6 prefix like "2001:db8::/32"',
);

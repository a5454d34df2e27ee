/**
 * Routes to fill tries with: the ranges of npm's @ip-location-db/asn, whose addresses they are, as prefixes.
 */
import { readFileSync } from "node:fs";
import { packageFolder } from "./npm_package.js";

/** Prefixes by address, none in another. */
export interface Routes {
  /** Of an address: 1 or 4. */
  readonly words: number;
  readonly count: number;
  readonly lengths: Uint8Array;
  /** `words` for each, as a key has them: network byte order in memory. */
  readonly addresses: Int32Array;
  /** The number of the autonomous system. */
  readonly values: Uint32Array;
}

/**
 * The prefixes of the addresses of so many bits, 32 or 128.
 *
 * @throws {Error} when the package is not installed
 */
export function readRoutes(bits: 32 | 128): Routes {
  const file = `${packageFolder("asn")}/asn-ipv${bits === 32 ? 4 : 6}-num.csv`;
  const words = bits / 32;
  const lengths: number[] = [];
  const addresses: number[] = [];
  const values: number[] = [];
  for (const line of readFileSync(file, "latin1").split("\n")) {
    const [first, last, value] = line.split(",", 3);
    if (value === undefined) continue;
    for (const [address, length] of prefixesOf(BigInt(first!), BigInt(last!), bits)) {
      lengths.push(length);
      for (let word = words - 1; word >= 0; word--) {
        addresses.push(swapped(Number(BigInt.asUintN(32, address >> BigInt(32 * word)))));
      }
      values.push(Number(value));
    }
  }
  return {
    words,
    count: lengths.length,
    lengths: Uint8Array.from(lengths),
    addresses: Int32Array.from(addresses),
    values: Uint32Array.from(values),
  };
}

/** The fewest prefixes that are a range together. */
function* prefixesOf(first: bigint, last: bigint, bits: number): Iterable<[address: bigint, length: number]> {
  while (first <= last) {
    let size = first === 0n ? 1n << BigInt(bits) : first & -first;
    while (first + size - 1n > last) size >>= 1n;
    yield [first, bits - (size.toString(2).length - 1)];
    first += size;
  }
}

/** A word's bytes the other way round. */
export function swapped(word: number): number {
  return ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24)) >>> 0;
}

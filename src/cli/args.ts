/**
 * Reading the words of a command: keywords by any prefix, numbers by C's rules, bytes.
 *
 * Strict reading refuses what bpftool takes without a word: numbers that do not fit and are cut, signs, and empty
 * words, which are a prefix of every keyword.
 */

import { ArgsError } from "./failures.js";

/** The words of a command that are still to be read. */
export class Args {
  readonly strict: boolean;
  readonly #words: readonly string[];
  #at: number;

  constructor(words: readonly string[], strict: boolean, at = 0) {
    this.#words = words;
    this.strict = strict;
    this.#at = at;
  }

  /** How many words are left. */
  get left(): number {
    return this.#words.length - this.#at;
  }

  /** The next word, or undefined at the end. */
  get next(): string | undefined {
    return this.#words[this.#at];
  }

  /** The word before the next. */
  get previous(): string {
    return this.#words[this.#at - 1] ?? "";
  }

  /** Says whether the next word is `keyword` or a prefix of it. */
  is(keyword: string): boolean {
    const word = this.next;
    return word !== undefined && keyword.startsWith(word) && !(this.strict && word === "");
  }

  /** Reads the next word. */
  take(): string {
    const word = this.next;
    if (word === undefined) throw new ArgsError(`'${this.previous}' needs an argument`);
    this.#at++;
    return word;
  }

  /** Reads the next word when it is `keyword`. */
  takeIf(keyword: string): boolean {
    const is = this.is(keyword);
    if (is) this.#at++;
    return is;
  }

  /** Asserts that `count` words are left. */
  need(count: number): void {
    if (this.left >= count) return;
    throw new ArgsError(`'${this.previous}' needs at least ${count} arguments, ${this.left} found`);
  }

  /** Reads a number of 32 bits; `what` names it in errors: "key size". */
  takeU32(what: string): number {
    const word = this.take();
    const value = parseUnsigned(word, 0, this.strict);
    if (value === undefined) throw new ArgsError(`can't parse ${word} as ${what}`);
    if (this.strict && value > 0xffff_ffffn) throw new ArgsError(`${what} out of range 0..4294967295: ${word}`);
    return Number(BigInt.asUintN(32, value));
  }

  /** Reads `size` bytes: [hex] BYTES. `what` names them in errors: "key". */
  takeBytes(what: string, size: number): Uint8Array {
    const base = this.takeIf("hex") ? 16 : 0;
    const bytes = new Uint8Array(size);
    let count = 0;
    for (; count < size && this.left > 0; count++) {
      const word = this.take();
      const value = parseUnsigned(word, base, this.strict);
      if (value === undefined) throw new ArgsError(`error parsing byte: ${word}`);
      if (this.strict && value > 255n) throw new ArgsError(`byte out of range 0..255: ${word}`);
      bytes[count] = Number(BigInt.asUintN(8, value));
    }
    if (count !== size) throw new ArgsError(`${what} expected ${size} bytes got ${count}`);
    return bytes;
  }
}

const NUMBER = /^(?<lead>[ \t\n\v\f\r]*(?<sign>[+-]?))(?<prefix>0x)?(?<digits>[0-9a-f]+)$/i;
const ULONG_MAX = (1n << 64n) - 1n;

/** Reads an unsigned number as strtoul(3) does; undefined when the word is not one. Strict: no sign, nothing cut. */
function parseUnsigned(word: string, base: 0 | 16, strict: boolean): bigint | undefined {
  if (word === "") return strict ? undefined : 0n;
  const { lead = "", sign, prefix, digits = "" } = NUMBER.exec(word)?.groups ?? {};
  if (strict && lead !== "") return undefined;
  let value: bigint;
  if (base === 16 || prefix !== undefined) {
    if (digits === "") return undefined;
    value = BigInt(`0x${digits}`);
  } else if (/^0[0-7]*$/.test(digits)) {
    value = BigInt(`0o${digits}`);
  } else if (/^[1-9][0-9]*$/.test(digits)) {
    value = BigInt(digits);
  } else {
    return undefined;
  }
  if (value > ULONG_MAX && !strict) return ULONG_MAX;
  return sign === "-" ? BigInt.asUintN(64, -value) : value;
}

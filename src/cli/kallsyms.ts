/**
 * /proc/kallsyms: names of the kernel's functions by their addresses, and of programs'.
 *
 *     ffffffff81234560 T __htab_map_lookup_elem
 *     ffffffffc0201a3c t bpf_prog_9929ed5b3bb022ae_helper     [bpf]
 */
import { readFileSync } from "node:fs";

const ADDRESS_LETTERS = 16;

/** What the kernel calls its functions. */
export class Kallsyms {
  /** Sorted by address, without those whose addresses are hidden. */
  readonly #lines: readonly string[];
  /** What calls of helpers are relative to; 0 where it is hidden. */
  readonly callBase: bigint;

  constructor(text: string) {
    const hidden = "0".repeat(ADDRESS_LETTERS);
    const lines = text.split("\n").filter((line) => line.length > ADDRESS_LETTERS && !line.startsWith(hidden));
    const addressOf = (line: string): string => line.slice(0, ADDRESS_LETTERS);
    // Stable: which of several names of an address is found depends on it.
    this.#lines = lines.sort((a, b) => (addressOf(a) < addressOf(b) ? -1 : addressOf(a) > addressOf(b) ? 1 : 0));
    const base = lines.findLast((line) => line.endsWith(" __bpf_call_base"));
    this.callBase = base === undefined ? 0n : BigInt(`0x${addressOf(base)}`);
  }

  /** Of the running kernel; nothing where it does not tell. */
  static read(): Kallsyms {
    try {
      return new Kallsyms(readFileSync("/proc/kallsyms", "utf8"));
    } catch {
      return new Kallsyms("");
    }
  }

  /** The name of what begins at an address: as bsearch(3) finds it, where it has several. */
  nameAt(address: bigint): string | undefined {
    const wanted = address.toString(16).padStart(ADDRESS_LETTERS, "0");
    let [low, high] = [0, this.#lines.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const line = this.#lines[middle]!;
      const found = line.slice(0, ADDRESS_LETTERS);
      if (found === wanted) return line.slice(ADDRESS_LETTERS + 3).split(/\s/, 1)[0];
      if (wanted < found) high = middle;
      else low = middle + 1;
    }
    return undefined;
  }
}

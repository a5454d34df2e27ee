/**
 * Keys that all contenders are given, in one order to insert and another to look up. syscall_loop.c makes the same.
 */

/** How many keys a map holds, unless told otherwise. */
export const KEYS = 65_536;

/** max_entries of a hash that holds so many: what "insert + delete" inserts at a time fits in as well. */
export function roomFor(keys: number): number {
  return keys + 4096;
}

/** MurmurHash3's finalizer: a bijection on 32 bits. */
function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * `count` different integers below 2^31: what V8 keeps as small integers, to the advantage of JavaScript's Map.
 *
 * @param first How many of them to leave out.
 */
export function scattered(first: number, count: number): number[] {
  const keys: number[] = [];
  for (let i = 1; keys.length < first + count; i++) {
    const key = mix(i);
    if (key < 2 ** 31) keys.push(key);
  }
  return keys.slice(first);
}

/** The same in another order, the same each time. */
export function shuffled<T>(list: readonly T[]): T[] {
  const result = [...list];
  shuffle(result);
  return result;
}

/** Fisher and Yates's. */
function shuffle<T>(list: { readonly length: number; [i: number]: T }): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = mix(i) % (i + 1);
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
}

/** Keys as integers, for maps so large that lists of JavaScript's numbers would be in the way. */
export interface IntKeys {
  /** As Load's, of `hits`. */
  readonly mask: number;
  readonly present: Int32Array;
  /** A power of two of them in the order of lookups: all, or as many as that leaves. */
  readonly hits: Int32Array;
}

/** The first `count` of `scattered`. */
export function intKeys(count: number): IntKeys {
  const present = new Int32Array(count);
  for (let i = 1, found = 0; found < count; i++) {
    const key = mix(i);
    if (key < 2 ** 31) present[found++] = key;
  }
  const all = present.slice();
  shuffle(all);
  const hits = all.slice(0, 2 ** Math.floor(Math.log2(count)));
  return { mask: hits.length - 1, present, hits };
}

/** What operations work on: lists of equal length. */
export interface Load<K, V> {
  /** The lists' length is a power of two: this and-ed with any integer is an index. */
  readonly mask: number;
  /** Keys that the map holds, as they are inserted. */
  readonly present: readonly K[];
  /** The same in the order of lookups. */
  readonly hits: readonly K[];
  /** Keys that it does not hold. */
  readonly absent: readonly K[];
  readonly values: readonly V[];
}

export function loadOf<K, V>(keyOf: (n: number) => K, valueOf: (n: number) => V, keys: number = KEYS): Load<K, V> {
  const present = scattered(0, keys).map(keyOf);
  return {
    mask: keys - 1,
    present,
    hits: shuffled(present),
    absent: shuffled(scattered(keys, keys).map(keyOf)),
    values: present.map((_, i) => valueOf(i)),
  };
}

/** The indices of an array, as keys. */
export function indicesOf<V>(valueOf: (n: number) => V): Load<number, V> {
  const present = Array.from({ length: KEYS }, (_, i) => i);
  return { mask: KEYS - 1, present, hits: shuffled(present), absent: [], values: present.map(valueOf) };
}

/** Where results go, so that no compiler leaves them out. */
export const kept: { value: unknown } = { value: undefined };

/**
 * C's arrays of a fixed length.
 */
import { checkCount, joinLanes, make } from "./_make.js";
import { wrongType, wrongValue } from "./_refuse.js";
import { withShape } from "./_shape.js";
import type { Codec } from "./codec.js";

/** C writes the outer length first: three of "u32[2]" are "u32[3][2]". */
function arrayType(of: string, n: number): string {
  const [dimensions] = /(?:\[\d+\])*$/.exec(of)!;
  return `${of.slice(0, of.length - dimensions.length)}[${n}]${dimensions}`;
}

/**
 * C's `of[n]`, as a list of exactly n.
 *
 * @param of What each elem is.
 * @param n How many, at least 1.
 * @example array(u8, 4)  array(struct({ packets: u64, bytes: u64 }), 2)
 */
export function array<T>(of: Codec<T>, n: number): Codec<T[]> {
  checkCount(n, "n of array(of, n)");
  const stride = of.size;
  const type = arrayType(of.type, n);

  const fits = (value: unknown): boolean => {
    if (!Array.isArray(value) || value.length !== n) return false;
    for (let i = 0; i < n; i++) if (!of.fits(value[i])) return false;
    return true;
  };
  const check = (value: T[], at: string): void => {
    const wanted = `an array of ${n} (${type})`;
    if (!Array.isArray(value)) throw wrongType(at, wanted, value);
    if (value.length !== n) throw wrongValue(at, wanted, value);
    for (let i = 0; i < n; i++) of.check(value[i]!, `${at}[${i}]`);
  };
  const codec = make<T[]>({
    type,
    size: stride * n,
    align: of.align,
    fits,
    write(view, offset, value, at = "value") {
      if (!fits(value)) check(value, at);
      for (let i = 0; i < n; i++) of.write(view, offset + i * stride, value[i]!);
    },
    read(view, offset) {
      const list: T[] = [];
      for (let i = 0; i < n; i++) list.push(of.read(view, offset + i * stride));
      return list;
    },
    check,
    lanes: () => joinLanes(Array.from({ length: n }, (_, i) => [of, i * stride] as const)),
  });
  return withShape(codec, { of, n });
}

/**
 * PerCpu: what a per-CPU map has for a key, a value for each CPU.
 */
import type { Codec } from "../codec/codec.js";

/** A number, or a struct of numbers: what can be summed up. */
export type Summable = number | bigint | { readonly [field: string]: Summable };

/**
 * The values of all possible CPUs, CPU 0 first.
 *
 * @example
 * ```ts
 * const packets = perCpu.get(0)?.sum();
 * ```
 */
export class PerCpu<V> extends Array<V> {
  /** A list with a value for each CPU. */
  static override of<V>(...values: V[]): PerCpu<V> {
    return PerCpu.from(values);
  }

  static override from<V>(values: Iterable<V> | ArrayLike<V>): PerCpu<V> {
    const list = new PerCpu<V>();
    for (const value of Array.from(values)) list.push(value);
    return list;
  }

  /**
   * Adds up the values of all CPUs: of structs field by field.
   *
   * @throws {TypeError} when V has something that is not a number or a bigint
   */
  sum(this: PerCpu<V & Summable>): V {
    return fold(
      this,
      (x, y) => x + y,
      (x, y) => x + y,
    ) as V;
  }

  /**
   * The largest value: of structs of each field.
   *
   * @throws {TypeError} when V has something that is not a number or a bigint
   */
  max(this: PerCpu<V & Summable>): V {
    return fold(
      this,
      (x, y) => Math.max(x, y),
      (x, y) => (x > y ? x : y),
    ) as V;
  }
}

/** One value of many: of numbers, of bigints, or of structs field by field. `at` names the field. */
function fold(
  values: readonly unknown[],
  numbers: (x: number, y: number) => number,
  bigints: (x: bigint, y: bigint) => bigint,
  at = "value",
): unknown {
  if (values.every((value) => typeof value === "number")) return values.reduce(numbers);
  if (values.every((value) => typeof value === "bigint")) return values.reduce(bigints);
  if (!values.every(isPlain)) {
    throw new TypeError(`${at}: wanted numbers, bigints or structs of them for each CPU, found ${typeof values[0]}`);
  }
  const field = (name: string): unknown =>
    fold(
      values.map((value) => value[name]),
      numbers,
      bigints,
      `${at}.${name}`,
    );
  return Object.fromEntries(Object.keys(values[0]!).map((name) => [name, field(name)]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !Array.isArray(value);
}

const align8 = (size: number): number => (size + 7) & ~7;

/** The codec of all CPUs' values: as system calls have them, a slot each, rounded up to 8 bytes. */
export function perCpuCodec<V>(of: Codec<V>, possibleCpus: number): Codec<PerCpu<V>> {
  const slot = align8(of.size);
  const fits = (values: unknown): boolean =>
    Array.isArray(values) && values.length === possibleCpus && Array.from(values).every((value) => of.fits(value));
  const check = (values: readonly V[], at: string): void => {
    if (!Array.isArray(values)) {
      throw new TypeError(`${at}: wanted a list of ${possibleCpus} values, one for each CPU, found ${typeof values}`);
    }
    if (values.length !== possibleCpus) {
      throw new RangeError(`${at}: wanted ${possibleCpus} values, one for each CPU, found ${values.length}`);
    }
    // Not forEach, which passes over holes.
    for (const [cpu, value] of values.entries()) of.check(value, `${at}[${cpu}]`);
  };
  return {
    type: `${of.type} for each of ${possibleCpus} CPUs`,
    size: slot * possibleCpus,
    align: 8,
    lanes: undefined,
    fits,
    check,
    write(view, offset, values, at = "value") {
      check(values, at);
      for (let cpu = 0; cpu < possibleCpus; cpu++) {
        of.write(view, offset + cpu * slot, values[cpu]!);
        for (let pad = of.size; pad < slot; pad++) view.setUint8(offset + cpu * slot + pad, 0);
      }
    },
    read(view, offset) {
      // Pushing onto a subclass of Array costs 40 ns an element, and this 4 (measured on Node 20).
      const values = new PerCpu<V>(possibleCpus);
      for (let cpu = 0; cpu < possibleCpus; cpu++) values[cpu] = of.read(view, offset + cpu * slot);
      return values;
    },
  };
}

/**
 * Structs in a value that are the kernel's, whoever reads or writes the value: they read as 0, and 0 is what is written.
 */
import { checkOf, make } from "./_make.js";
import type { Codec } from "./codec.js";

const isZero = (value: unknown): boolean => value === 0;

/** The codec of one; `type` is "struct " and its name. */
export function kernelField(type: `struct ${string}`, size: number, align: number): Codec<0> {
  const wanted = `0: a ${type.slice("struct ".length)} is the kernel's`;
  const check = checkOf(isZero, (value) => typeof value === "number", wanted);
  return make<0>({
    type,
    size,
    align,
    fits: isZero,
    write(view, offset, value, at = "value") {
      if (!isZero(value)) check(value, at);
      for (let i = 0; i < size; i += 4) view.setUint32(offset + i, 0, true);
    },
    read: () => 0,
    check: (value, at) => check(value, at),
  });
}

/**
 * What holds for every codec, on random ones with random values.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyShape, composedShape, leaves, seed, withValue } from "./_shapes.js";
import type { Shape } from "./_shapes.js";

const fill = (size: number, byte: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(size)).fill(byte);
const viewOf = (memory: Uint8Array): DataView => new DataView(memory.buffer);

/** Writes into dirty memory at an offset, and reads back. */
function roundTrip({ codec }: Shape, value: unknown, offset: number): void {
  const [ones, twos] = [0x11, 0x22].map((dirt) => {
    const memory = fill(offset + codec.size + 8, dirt);
    codec.write(viewOf(memory), offset, value);
    expect(codec.read(viewOf(memory), offset)).toEqual(value);
    const around = [...memory.subarray(0, offset), ...memory.subarray(offset + codec.size)];
    expect(new Set(around)).toEqual(new Set([dirt]));
    return memory.subarray(offset, offset + codec.size);
  });
  // Every byte was written, those of the padding too.
  expect(ones).toEqual(twos);
}

describe(`round trips (TEST_SEED=${seed})`, () => {
  it.each(Object.entries(leaves))("%s", (_, shape) => {
    const property = fc.property(shape.value, fc.nat(9), (value, offset) => roundTrip(shape, value, offset));
    fc.assert(property, { seed, numRuns: 300 });
  });

  it("arrays and structs", () => {
    const property = fc.property(withValue(composedShape), fc.nat(9), ([shape, value], offset) =>
      roundTrip(shape, value, offset),
    );
    fc.assert(property, { seed, numRuns: 500 });
  });
});

interface Place {
  readonly path: string;
  readonly set: (value: unknown) => void;
}

/** Every place in a value where something without parts stands. */
function places(value: unknown, path: string, set: (value: unknown) => void): Place[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return [{ path, set }];
  return Object.entries(value).flatMap(([name, part]) =>
    places(part, Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`, (given) =>
      Reflect.set(value, name, given),
    ),
  );
}

describe(`a value with one wrong part (TEST_SEED=${seed})`, () => {
  it("is refused by the part's path, and nothing is written", () => {
    const property = fc.property(withValue(anyShape), fc.nat(), ([{ codec }, value], nth) => {
      const box = { value };
      const all = places(value, "key", (given) => (box.value = given));
      const { path, set } = all[nth % all.length]!;
      set(Symbol("wrong"));

      const memory = fill(codec.size, 0x5a);
      const wanted = expect.objectContaining({
        name: "TypeError",
        message: expect.stringContaining(`${path}: wanted `),
      });
      expect(codec.fits(box.value)).toBe(false);
      expect(() => codec.check(box.value, "key")).toThrow(wanted);
      expect(() => codec.write(viewOf(memory), 0, box.value, "key")).toThrow(wanted);
      expect(memory).toEqual(fill(codec.size, 0x5a));
    });
    fc.assert(property, { seed, numRuns: 500 });
  });

  it("is taken once it is right again", () => {
    const property = fc.property(withValue(anyShape), ([{ codec }, value]) => {
      expect(codec.fits(value)).toBe(true);
      expect(() => codec.check(value, "key")).not.toThrow();
    });
    fc.assert(property, { seed, numRuns: 300 });
  });
});

/**
 * LpmTrie: what each method promises; and random routes against a list that is looked through.
 */
import fc from "fast-check";
import { LpmTrie, prefix4, prefix6, struct, u32, u8 } from "tsbpf";
import { describe, expect, it } from "vitest";
import { forEachWay, seed, thrownBy } from "./_ways.js";

const options = { name: "routes", key: prefix4, value: u32, maxEntries: 1000 };

/** The bits of "10.1.0.0/16", as text. */
function bitsOf(prefix: string): string {
  const [address = "", length = "32"] = prefix.split("/");
  const bits = address.split(".").map((byte) => Number(byte).toString(2).padStart(8, "0"));
  return bits.join("").slice(0, Number(length));
}

/** Routes in a list: the longest that matches is found by looking at all. */
class Routes {
  readonly #routes = new Map<string, { readonly text: string; readonly value: number }>();

  set(text: string, value: number): void {
    this.#routes.set(bitsOf(text), { text, value });
  }
  delete(text: string): boolean {
    return this.#routes.delete(bitsOf(text));
  }
  get(text: string): number | undefined {
    const bits = bitsOf(text);
    for (let length = bits.length; length >= 0; length--) {
      const found = this.#routes.get(bits.slice(0, length));
      if (found !== undefined) return found.value;
    }
    return undefined;
  }
  /** Longer prefixes before those that they begin with. */
  entries(): [string, number][] {
    const padded = (bits: string): string => bits.padEnd(33, "2");
    return [...this.#routes]
      .toSorted(([a], [b]) => (padded(a) < padded(b) ? -1 : 1))
      .map(([, { text, value }]) => [text, value]);
  }
}

// Few bits differ, so that prefixes lie in each other.
const prefix = fc
  .tuple(fc.constantFrom(0, 1, 128, 129), fc.constantFrom(0, 3, 192, 255), fc.constantFrom(0, 1), fc.nat(32))
  .map(([a, b, c, length]) => `${a}.${b}.${c}.${c}/${length}`);
const step = fc.record({ op: fc.constantFrom("set", "set", "set", "delete", "get"), prefix, value: fc.nat(1e6) });

forEachWay((kernel) => {
  it("the longest prefix that matches counts", () => {
    using routes = LpmTrie.create(kernel(), options);
    expect(routes.get("10.1.2.3")).toBeUndefined();
    routes.set("0.0.0.0/0", 0);
    routes.set("10.0.0.0/8", 1);
    routes.set("10.1.0.0/16", 2);
    expect(["10.1.2.3", "10.2.2.3", "11.0.0.1", "10.1.0.0/12"].map((key) => routes.get(key))).toEqual([2, 1, 0, 1]);
    expect(routes.has("192.168.0.1")).toBe(true);
    expect(routes.delete("10.1.0.0/16")).toBe(true);
    expect(routes.delete("10.1.0.0/16")).toBe(false);
    expect(routes.delete("10.1.2.3")).toBe(false);
    expect(routes.get("10.1.2.3")).toBe(1);
    expect(routes.count()).toBe(2);
  });

  it("modes", () => {
    using routes = LpmTrie.create(kernel(), options);
    expect(routes.set("10.0.0.0/8", 1, { mode: "replace" })).toBe(false);
    expect(routes.set("10.0.0.0/8", 1, { mode: "create" })).toBe(true);
    expect(routes.set("10.0.0.0/8", 2, { mode: "create" })).toBe(false);
    expect(routes.set("10.0.0.0/8", 3, { mode: "replace" })).toBe(true);
    expect([...routes]).toEqual([["10.0.0.0/8", 3]]);
  });

  it("IPv6, and keys of any struct", () => {
    using routes = LpmTrie.create(kernel(), { key: prefix6, value: u32, maxEntries: 10 });
    routes.set("2001:db8::/32", 1);
    routes.set("2001:db8:1::/48", 2);
    expect([routes.get("2001:db8:1::9"), routes.get("2001:db8:2::9"), routes.get("2001:db9::")]).toEqual([
      2,
      1,
      undefined,
    ]);
    const key = struct({ prefixlen: u32, room: u8, seat: u8 });
    using seats = LpmTrie.create(kernel(), { key, value: u8, maxEntries: 10 });
    seats.set({ prefixlen: 8, room: 3, seat: 0 }, 7);
    expect(seats.get({ prefixlen: 16, room: 3, seat: 99 })).toBe(7);
    expect([...seats.keys()]).toEqual([{ prefixlen: 8, room: 3, seat: 0 }]);
  });

  it("what is no prefix is refused", () => {
    using routes = LpmTrie.create(kernel(), options);
    for (const wrong of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0/8", "10.0.0.0/-1", "", "::/0"]) {
      expect(() => routes.set(wrong, 1), wrong).toThrow(/wanted an IPv4 prefix like "10\.0\.0\.0\/8"/);
    }
    expect(() => routes.get(8 as never)).toThrow(TypeError);
    expect(thrownBy(() => LpmTrie.create(kernel(), { ...options, key: u32 }))).toMatchObject({ code: "EINVAL" });
  });

  it("walks in batches of any size, longer prefixes first", () => {
    using routes = LpmTrie.create(kernel(), { ...options, maxEntries: 30_000 });
    const entries = Array.from({ length: 20_000 }, (_, i): [string, number] => [`${i >> 8}.${i & 255}.0.0/16`, i]);
    expect(routes.setMany(entries)).toBe(20_000);
    expect([...routes]).toEqual(entries);
    expect(routes.getMany(["0.1.2.3", "255.0.0.0"])).toEqual([1, undefined]);
    const met = new Set<string>();
    // The elem that the walk stands on goes: the kernel begins again, and the walk leaves out what it has met.
    for (const key of routes.keys()) {
      expect(met.has(key)).toBe(false);
      met.add(key);
      if (met.size % 3000 === 0) routes.deleteMany([...met]);
    }
    expect(met.size).toBe(20_000);
    routes.clear();
    expect(routes.count()).toBe(0);
  });

  describe(`random routes, TEST_SEED=${seed}`, () => {
    it("are as in a list", () => {
      fc.assert(
        fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
          using routes = LpmTrie.create(kernel(), options);
          const model = new Routes();
          for (const { op, prefix: key, value } of steps) {
            if (op === "set") {
              routes.set(key, value);
              model.set(key, value);
            } else if (op === "delete") {
              expect(routes.delete(key)).toBe(model.delete(key));
            } else {
              expect(routes.get(key)).toBe(model.get(key));
            }
          }
          expect([...routes]).toEqual(model.entries());
        }),
        { seed, numRuns: 60 },
      );
    });
  });
});

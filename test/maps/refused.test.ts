/**
 * What is refused before any call: options, keys and values of wrong types and sizes, by the field's name.
 */
import { inspect } from "node:util";
import { HashMap, array, bytes, cstring, ipv4, struct, u16, u32, u64, u8 } from "tsbpf";
import { describe, expect, it } from "vitest";
import { inUse } from "../leaks.js";
import { forEachWay, kinds, replaced, thrownBy, valueFor } from "./_ways.js";

forEachWay((kernel) => {
  /** A kernel that answers no call: what is refused must not get there. */
  const mute = (): ReturnType<typeof kernel> =>
    replaced(kernel(), {
      direct: undefined,
      bpf: (cmd) => {
        throw new Error(`Command ${cmd} was called`);
      },
    });

  describe.each(kinds)("$name", (kind) => {
    const u32Range = "wanted an integer from 0 to 4294967295, found";
    const refusals: [object, Error][] = [
      [{ maxEntries: undefined }, new TypeError("maxEntries: wanted a number, found nothing")],
      [{ maxEntries: "4" }, new TypeError("maxEntries: wanted a number, found a string")],
      [{ maxEntries: null }, new TypeError("maxEntries: wanted a number, found null")],
      [{ maxEntries: 4n }, new TypeError("maxEntries: wanted a number, found a bigint")],
      [{ maxEntries: -1 }, new RangeError(`maxEntries: ${u32Range} -1`)],
      [{ maxEntries: 1.5 }, new RangeError(`maxEntries: ${u32Range} 1.5`)],
      [{ maxEntries: 2 ** 32 }, new RangeError(`maxEntries: ${u32Range} 4294967296`)],
      [{ maxEntries: Number.NaN }, new RangeError(`maxEntries: ${u32Range} NaN`)],
      [{ mapFlags: -1 }, new RangeError(`mapFlags: ${u32Range} -1`)],
      [{ mapFlags: {} }, new TypeError("mapFlags: wanted a number, found an object")],
      [{ numaNode: 0.5 }, new RangeError(`numaNode: ${u32Range} 0.5`)],
      [{ name: 7 }, new TypeError("name: wanted a string, found a number")],
      [{ name: null }, new TypeError("name: wanted a string, found null")],
      [{ name: "a\0b" }, new RangeError('name: wanted a string without NUL, found "a\\u0000b"')],
      [{ value: undefined }, new TypeError("value: wanted a codec, found nothing")],
      [{ value: "u32" }, new TypeError("value: wanted a codec, found a string")],
    ];
    it.each(refusals.map((row) => [inspect(row[0]), ...row] as const))(
      "refuses options with %s",
      (_, option, wanted) => {
        const options = { value: u32, maxEntries: 4, ...option };
        const error = thrownBy(() => kind.create(mute(), options));
        expect(error).toEqual(wanted);
        expect(error.constructor).toBe(wanted.constructor);
      },
    );

    it("leaves to the kernel what is the kernel's to refuse", () => {
      const before = inUse(kernel());
      const refused = (option: object): string =>
        thrownBy(() => kind.create(kernel(), { name: "m", value: u32, maxEntries: 4, ...option })).message;
      expect(refused({ maxEntries: 0 })).toBe(
        `Cannot create ${kind.typeName} map "m": BPF_MAP_CREATE failed with EINVAL (maxEntries is 0: it must be at least 1)`,
      );
      for (const name of ["sixteen_letters_", "a-b", "é"]) {
        expect(refused({ name })).toBe(
          `Cannot create ${kind.typeName} map "${name}": BPF_MAP_CREATE failed with EINVAL (a name has at most 15 letters, digits, "_" and ".")`,
        );
      }
      using map = kind.create(kernel(), { name: "fifteen_letters", value: u32, maxEntries: 1 });
      expect(map.info().name).toBe("fifteen_letters");
      map.close();
      expect(inUse(kernel())).toBe(before);
    });

    it("refuses keys and values that it does not take, and changes nothing", () => {
      const value = struct({ n: u32, at: struct({ port: u16 }) });
      using map = kind.create(kernel(), { value, maxEntries: 2 });
      const one = valueFor(kind, kernel(), { n: 1, at: { port: 2 } });
      map.set(1, one);
      const wantedKey = "wanted a u32 (integer from 0 to 4294967295), found";
      const withKey: ((key: never) => unknown)[] = [
        (key) => map.get(key),
        (key) => map.has(key),
        (key) => map.set(key, one),
        (key) => map.add(key, { n: 1, at: { port: 1 } }),
      ];
      if (kind.isHash) withKey.push((key) => (map as unknown as HashMap<number, unknown>).delete(key));
      for (const call of withKey) {
        expect(thrownBy(() => call("1" as never))).toEqual(new TypeError(`key: ${wantedKey} "1"`));
        expect(thrownBy(() => call(1n as never))).toEqual(new TypeError(`key: ${wantedKey} 1n`));
        expect(thrownBy(() => call(undefined as never))).toEqual(new TypeError(`key: ${wantedKey} undefined`));
        expect(thrownBy(() => call(-1 as never))).toEqual(new RangeError(`key: ${wantedKey} -1`));
        expect(thrownBy(() => call(1.5 as never))).toEqual(new RangeError(`key: ${wantedKey} 1.5`));
        expect(thrownBy(() => call((2 ** 32) as never))).toEqual(new RangeError(`key: ${wantedKey} 4294967296`));
      }
      const at = kind.isPerCpu ? "value[0]" : "value";
      const wrong = (wrongValue: unknown): Error =>
        thrownBy(() => map.set(1, valueFor(kind, kernel(), wrongValue) as never));
      const port = "wanted a u16 (integer from 0 to 65535), found";
      expect(wrong({ n: 5, at: { port: 65536 } })).toEqual(new RangeError(`${at}.at.port: ${port} 65536`));
      expect(wrong({ n: 5, at: { port: "80" } })).toEqual(new TypeError(`${at}.at.port: ${port} "80"`));
      expect(wrong({ n: 5 })).toBeInstanceOf(TypeError);
      expect(wrong(5)).toBeInstanceOf(TypeError);
      expect(wrong(undefined)).toBeInstanceOf(TypeError);
      const delta = { n: 1, at: { port: -1 } };
      expect(thrownBy(() => map.add(1, delta))).toEqual(new RangeError(`delta.at.port: ${port} -1`));
      expect(map.get(1)).toEqual(one);
      expect(map.count()).toBe(kind.isHash ? 1 : 2);
    });

    it("refuses modes that there are not", () => {
      using map = kind.create(kernel(), { value: u32, maxEntries: 2 });
      const mode = "update" as "create";
      expect(thrownBy(() => map.set(1, valueFor(kind, kernel(), 1), { mode }))).toEqual(
        new TypeError('options.mode is "update": wanted "create" or "replace"'),
      );
      if (kind.isHash) expect(map.count()).toBe(0);
    });
  });

  it("names the fields of keys, and takes no shorter or longer bytes", () => {
    const key = struct({ src: ipv4, ports: array(u16, 2) });
    using map = HashMap.create(kernel(), { key, value: bytes(4), maxEntries: 2 });
    const good = { src: "10.0.0.1", ports: [1, 2] };
    expect(thrownBy(() => map.get({ ...good, ports: [1, -2] })).message).toMatch(
      /^key\.ports\[1\]: wanted a u16 .* found -2$/,
    );
    expect(thrownBy(() => map.delete({ ...good, src: "10.0.0" })).message).toMatch(/^key\.src: /);
    expect(thrownBy(() => map.set(good, Uint8Array.of(1, 2, 3)))).toEqual(
      new RangeError("value: wanted a Uint8Array of 4 bytes, found a Uint8Array of 3 bytes"),
    );
    expect(map.count()).toBe(0);
  });

  it("shows in messages the keys that it can", () => {
    const message = (map: { set(key: never, value: number): boolean }, key: unknown): string =>
      /key (.*) into/.exec(thrownBy(() => map.set(key as never, 1)).message)?.[1] ?? "";
    const full = <K>(key: Parameters<typeof HashMap.create<K, number>>[1]["key"], first: K): HashMap<K, number> => {
      const map = HashMap.create(kernel(), { key, value: u8, maxEntries: 1 });
      map.set(first, 0);
      return map;
    };
    using byU64 = full(u64, 0n);
    expect(message(byU64, 0xabcn)).toBe("0x0000000000000abc");
    using byText = full(cstring(4), "");
    expect(message(byText, "ab")).toBe("61 62 00 00");
    using byBytes = full(bytes(40), new Uint8Array(40));
    expect(message(byBytes, new Uint8Array(40).fill(255))).toBe(
      `${Array.from({ length: 32 }, () => "ff").join(" ")} ...`,
    );
  });
});

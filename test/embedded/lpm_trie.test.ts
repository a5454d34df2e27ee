/**
 * LPM tries on the embedded kernel: what their memory costs, that it comes back, and that prefixes can be deleted when none is left.
 */
import { type BpfError, EmbeddedKernel, LpmTrie, bytes, prefix4, prefix6, struct, u32 } from "tsbpf";
import { describe, expect, it } from "vitest";
import { randomFrom } from "../threads/clock.js";

/** What /proc/self/fdinfo says. */
function memoryOf(kernel: EmbeddedKernel, fd: number): number {
  return Number(/memlock:\t(\d+)/.exec(kernel.fdinfo(fd) ?? "")![1]!);
}

/** What Linux charges: a node of 24 bytes, data and value for each prefix, rounded up to 8. */
const linuxBytes = (prefixes: number, dataAndValue: number): number => prefixes * ((24 + dataAndValue + 7) & ~7);

describe("memory", () => {
  it.each(["by address", "in any order"])("is less than Linux charges, %s, and comes back", async (order) => {
    using kernel = await EmbeddedKernel.create();
    const n = 100_000;
    using routes = LpmTrie.create(kernel, { key: prefix4, value: u32, maxEntries: n });
    const empty = memoryOf(kernel, routes.fd);
    const random = randomFrom(7);
    const all = Array.from(
      { length: n },
      (_, i) => [`${1 + (i >> 14)}.${(i >> 6) & 255}.${(i & 63) << 2}.0/22`, i] as const,
    );
    const given =
      order === "by address"
        ? all
        : all
            .map((entry) => [random(2 ** 30), entry] as const)
            .toSorted(([a], [b]) => a - b)
            .map(([, entry]) => entry);
    expect(routes.setMany(given)).toBe(n);
    expect(memoryOf(kernel, routes.fd)).toBeLessThan(linuxBytes(n, 8));
    expect(kernel.check()).toEqual([]);
    expect(routes.deleteMany(given.map(([key]) => key))).toBe(n);
    // A page stays, for what comes next.
    expect(memoryOf(kernel, routes.fd)).toBeLessThanOrEqual(empty + 4096);
  });

  it("of IPv6 prefixes and of few", async () => {
    using kernel = await EmbeddedKernel.create();
    using wide = LpmTrie.create(kernel, { key: prefix6, value: u32, maxEntries: 50_000 });
    for (let i = 0; i < 50_000; i++) wide.set(`2001:${(i >> 8).toString(16)}:${((i & 255) << 4).toString(16)}::/44`, i);
    expect(memoryOf(kernel, wide.fd)).toBeLessThan(linuxBytes(50_000, 20));
    using few = LpmTrie.create(kernel, { key: prefix4, value: u32, maxEntries: 300 });
    for (let i = 0; i < 300; i++) few.set(`${i & 255}.${i >> 8}.0.0/16`, i);
    expect(memoryOf(kernel, few.fd)).toBeLessThan(4096 * 6);
  });
});

describe("when memory is out", () => {
  // In the nodes, and apart.
  it.each([4, 40])("prefixes can be deleted all the same, values of %i bytes", async (size) => {
    using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 21, possibleCpus: 1 });
    // The kernel takes no pages that users ever had: these are for walks and checks.
    kernel.alloc(2 ** 20)[Symbol.dispose]();
    using routes = LpmTrie.create(kernel, { key: prefix4, value: bytes(size), maxEntries: 100_000 });
    const model = new Map<string, number>();
    const random = randomFrom(size);
    const value = (n: number): Uint8Array => new Uint8Array(size).fill(n);
    routes.set("0.0.0.0/0", value(1));
    routes.set("10.0.0.0/8", value(2));
    const fill = (): void => {
      try {
        while (true) {
          const key = `10.${random(8)}.${random(256)}.${random(256)}/32`;
          const n = 3 + random(200);
          routes.set(key, value(n));
          model.set(key, n);
        }
      } catch (error) {
        expect((error as BpfError).code).toBe("ENOMEM");
      }
    };
    for (let round = 0; round < 2; round++) {
      fill();
      expect(kernel.check()).toEqual([]);
      for (const key of Array.from(model.keys())) {
        if (random(20) > 0) continue;
        // So that what a deletion gives back is no room for the next.
        expect(routes.delete(key)).toBe(true);
        expect(routes.delete(key)).toBe(false);
        expect(routes.get(key)).toEqual(value(2));
        model.delete(key);
        fill();
      }
      expect(routes.count()).toBe(model.size + 2);
      expect(kernel.check()).toEqual([]);
      for (const [key, n] of model) expect(routes.get(key)).toEqual(value(n));
      expect([...routes.keys()].length).toBe(model.size + 2);
    }
    expect(routes.deleteMany([...model.keys()])).toBe(model.size);
    expect([...routes]).toEqual([
      ["10.0.0.0/8", value(2)],
      ["0.0.0.0/0", value(1)],
    ]);
  });
});

describe("keys of many bytes", () => {
  it.each([
    [1, 1],
    [2, 4],
    [3, 8],
    [4, 4],
    [5, 7],
    [8, 2],
    [16, 4],
    [16, 24],
    [33, 25],
    [256, 12],
  ])("random prefixes of %i bytes, values of %i, are as in a list", async (size, valueSize) => {
    using kernel = await EmbeddedKernel.create();
    const key = struct({ prefixlen: u32, data: bytes(size) });
    using trie = LpmTrie.create(kernel, { key, value: bytes(valueSize), maxEntries: 1000 });
    const random = randomFrom(size + valueSize);
    const valueOf = (i: number): Uint8Array => new Uint8Array(valueSize).fill(i);
    const bitsOf = (data: Uint8Array, length: number): string =>
      [...data]
        .map((byte) => byte.toString(2).padStart(8, "0"))
        .join("")
        .slice(0, length);
    const model = new Map<string, { data: Uint8Array; value: Uint8Array }>();
    // Few bits differ, at the ends and in the middle.
    const next = (): { prefixlen: number; data: Uint8Array } => {
      const data = new Uint8Array(size);
      for (const at of [0, size >> 1, size - 1]) data[at] = random(4) * 85;
      const prefixlen = random(2) === 0 ? random(8 * size + 1) : 8 * size - random(Math.min(9, 8 * size));
      // With host bits, and without: only these can be kept short.
      if (random(3) > 0) {
        for (let bit = prefixlen; bit < 8 * size; bit++) data[bit >> 3]! &= ~(128 >> (bit & 7));
      }
      return { prefixlen, data };
    };
    for (let i = 0; i < (size < 100 ? 3000 : 50); i++) {
      const { prefixlen, data } = next();
      const bits = bitsOf(data, prefixlen);
      if (random(3) === 0) {
        expect(trie.delete({ prefixlen, data })).toBe(model.delete(bits));
      } else {
        trie.set({ prefixlen, data }, valueOf(i));
        model.set(bits, { data, value: valueOf(i) });
      }
      const probe = next();
      let wanted: Uint8Array | undefined;
      for (let length = probe.prefixlen; length >= 0 && wanted === undefined; length--)
        wanted = model.get(bitsOf(probe.data, length))?.value;
      expect(trie.get(probe)).toEqual(wanted);
      if (i % 500 === 0) expect(kernel.check()).toEqual([]);
    }
    expect(kernel.check()).toEqual([]);
    const padded = (bits: string): string => bits.padEnd(8 * size + 1, "2");
    const inOrder = [...model].toSorted(([a], [b]) => (padded(a) < padded(b) ? -1 : 1));
    expect([...trie]).toEqual(inOrder.map(([bits, { data, value }]) => [{ prefixlen: bits.length, data }, value]));
    for (const [bits, { data }] of model) expect(trie.delete({ prefixlen: bits.length, data })).toBe(true);
    expect(trie.count()).toBe(0);
    expect(kernel.check()).toEqual([]);
  });
});

describe("so many that lookups begin with tables", () => {
  const word = (n: number): string => n.toString(16);
  it.each([
    {
      family: "IPv4",
      codec: prefix4,
      bits: 32,
      textOf: (random: (below: number) => number) =>
        [random(4), random(64), random(64), random(4) << 6].map(String).join("."),
    },
    {
      family: "IPv6",
      codec: prefix6,
      bits: 128,
      textOf: (random: (below: number) => number) =>
        `2001:${word(random(400) << 6)}:${word(random(20) << 7)}:${word(random(9))}::${word(random(7))}`,
    },
  ])("$family prefixes come and go", async ({ codec, bits, textOf }) => {
    using kernel = await EmbeddedKernel.create();
    using routes = LpmTrie.create(kernel, { key: codec, value: u32, maxEntries: 80_000 });
    const random = randomFrom(bits);
    const held = new Map<string, number>();
    const keys: string[] = [];
    for (let i = 0; i < 60_000; i++) {
      // Prefixes of hosts, so that no two texts are one prefix; and some that many begin with.
      const key = random(20) === 0 ? `${textOf(random)}/${bits - 1}` : textOf(random);
      routes.set(key, i);
      keys.push(key);
      if (random(3) === 0) routes.delete(keys[random(keys.length)]!);
    }
    for (const [key, value] of routes) held.set(key, value);
    expect(held.size).toBe(routes.count());
    expect(held.size).toBeGreaterThan(16_384);
    expect(kernel.check()).toEqual([]);
    for (const [key, value] of held) if (routes.get(key) !== value) throw new Error(`${key} is not ${value}`);
    for (const key of held.keys()) {
      routes.delete(key);
      if (routes.count() % 3000 === 0) expect(kernel.check()).toEqual([]);
    }
    expect(routes.count()).toBe(0);
  });
});

/**
 * A thread dies at each step of changes to an LPM trie: prefixes come, are replaced and go, with and without forks above them.
 */
import { afterAll, describe, expect, it } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { ArrayMap } from "../../src/maps/array.js";
import { LpmTrie } from "../../src/maps/lpm_trie.js";
import { prefix4, prefix6, u32 } from "../../src/codec/index.js";
import { bytes } from "../../src/codec/bytes.js";
import type { Codec } from "../../src/codec/codec.js";
import { type Scenario, exhaust, report } from "./harness.js";

type Routes = LpmTrie<string, Uint8Array>;

interface State {
  readonly routes: Routes;
  readonly before: ReadonlyMap<string, number>;
  readonly after: ReadonlyMap<string, number>;
}

interface Change {
  readonly name: string;
  readonly before: readonly string[];
  /** Those that went again, so that there are free nodes. */
  readonly gone?: readonly string[];
  readonly set?: string;
  /** What `set` replaces: the same prefix with other host bits. */
  readonly instead?: string;
  readonly delete?: string;
  /** No memory is left for it. */
  readonly isFull?: boolean;
}

const NEW = 200;
const ENTRIES = 6;

const three = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];

const changes: readonly Change[] = [
  { name: "the first", before: [], set: "10.0.0.0/8" },
  { name: "below another", before: ["10.0.0.0/8"], set: "10.1.0.0/16" },
  { name: "above another", before: ["10.1.0.0/16"], set: "10.0.0.0/8" },
  { name: "a fork", before: ["10.1.0.0/16"], set: "10.2.0.0/16" },
  {
    name: "a fork, of nodes that were free",
    before: ["10.1.0.0/16"],
    gone: ["1.0.0.0/8", "2.0.0.0/8"],
    set: "10.2.0.0/16",
  },
  { name: "in the place of a fork", before: ["10.0.0.0/16", "10.1.0.0/16"], set: "10.0.0.0/15" },
  { name: "a replacement", before: ["10.0.0.0/8", "10.1.0.0/16"], set: "10.0.0.0/8" },
  {
    name: "the last that fits",
    before: ["1.0.0.0/8", "2.0.0.0/8", "3.0.0.0/8", "4.0.0.0/8", "5.0.0.0/8"],
    set: "6.0.0.0/8",
  },
  { name: "deleting the only one", before: ["10.0.0.0/8"], delete: "10.0.0.0/8" },
  { name: "deleting a leaf under an elem", before: ["10.0.0.0/8", "10.1.0.0/16"], delete: "10.1.0.0/16" },
  { name: "deleting one with one below", before: ["10.0.0.0/8", "10.1.0.0/16"], delete: "10.0.0.0/8" },
  { name: "deleting a leaf under a fork", before: ["10.1.0.0/16", "10.2.0.0/16"], delete: "10.2.0.0/16" },
  { name: "deleting one with two below", before: ["10.0.0.0/15", "10.0.0.0/16", "10.1.0.0/16"], delete: "10.0.0.0/15" },
  { name: "one more in a node", before: three, set: "10.4.0.0/16" },
  { name: "above a node", before: three, set: "8.0.0.0/5" },
  { name: "beside a node, on its way", before: ["10.1.1.0/24", "10.1.2.0/24"], set: "10.2.0.0/16" },
  { name: "behind an elem of a node", before: three, set: "10.3.1.1/32" },
  { name: "deleting one of three", before: three, delete: "10.2.0.0/16" },
  {
    name: "deleting one of two below a node",
    before: ["10.1.1.0/24", "10.1.2.0/24", "11.0.0.0/8"],
    delete: "10.1.1.0/24",
  },
  {
    name: "deleting one, and a node is left",
    before: ["10.1.1.0/24", "10.1.2.0/24", "10.9.0.0/16"],
    delete: "10.9.0.0/16",
  },
  { name: "deleting one of three when memory is out", before: three, delete: "10.2.0.0/16", isFull: true },
  {
    name: "deleting one of two when memory is out",
    before: ["10.1.1.0/24", "10.1.2.0/24", "11.0.0.0/8"],
    delete: "10.1.1.0/24",
    isFull: true,
  },
  { name: "deleting what is not there", before: ["10.0.0.0/8"], delete: "11.0.0.0/8" },
  { name: "one with host bits", before: three, set: "10.4.1.1/16" },
  { name: "host bits that come", before: three, set: "10.3.1.1/16", instead: "10.3.0.0/16" },
  { name: "host bits that go", before: ["10.1.0.0/16", "10.2.1.1/16"], set: "10.2.0.0/16", instead: "10.2.1.1/16" },
  { name: "a fork beside host bits", before: ["10.1.1.1/16"], set: "10.2.0.0/16" },
  { name: "deleting one beside host bits", before: ["10.1.1.1/16", "10.2.0.0/16"], delete: "10.2.0.0/16" },
];

/** At the root these prefixes are too long to be short elems; below a fork they are. */
const changes6: readonly Change[] = [
  { name: "a fork that makes short", before: ["2001:db8:1::/48"], set: "2001:db9:1::/48" },
  { name: "the end of one", before: ["2001:db8:1::/48", "2001:db9:1::/48"], delete: "2001:db9:1::/48" },
  {
    name: "the end of one when memory is out",
    before: ["2001:db8:1::/48", "2001:db9:1::/48"],
    delete: "2001:db9:1::/48",
    isFull: true,
  },
  { name: "a fork that does not", before: ["2001:db8::1/128"], set: "2001:db9::1/128" },
  { name: "a replacement", before: ["2001:db8::1/128"], set: "2001:db8::1/128" },
];

const valueOf = (version: number, valueSize: number): Uint8Array => new Uint8Array(valueSize).fill(version);

/** Takes all memory that maps can have. */
function fillMemory(kernel: EmbeddedKernel): { close(): void }[] {
  // Pages that users had stay theirs: for the check, and for walks.
  kernel.alloc(2 ** 18)[Symbol.dispose]();
  const maps: { close(): void }[] = [];
  const fill = (create: () => { close(): void }): void => {
    try {
      for (;;) maps.push(create());
    } catch (error) {
      expect((error as { code?: string }).code).toBe("ENOMEM");
    }
  };
  for (let size = 2 ** 20; size > 4096; size /= 2) {
    fill(() => ArrayMap.create(kernel, { value: u32, maxEntries: size / 8 }));
  }
  // An empty one is a page.
  fill(() => LpmTrie.create(kernel, { key: prefix4, value: u32, maxEntries: 1 }));
  return maps;
}

interface Kind {
  readonly key: Codec<string>;
  /** A prefix of 8 bits, of a byte; and an address in it. */
  readonly wide: (byte: number) => string;
  readonly inside: (byte: number) => string;
}

const kind4: Kind = { key: prefix4, wide: (byte) => `${byte}.0.0.0/8`, inside: (byte) => `${byte}.1.1.1` };
const word = (byte: number): string => (byte << 8).toString(16);
const kind6: Kind = { key: prefix6, wide: (byte) => `${word(byte)}::/8`, inside: (byte) => `${word(byte)}::1` };

function scenario(change: Change, valueSize: number, { key, wide, inside }: Kind): Scenario<State> {
  const codecs = { key, value: bytes(valueSize) };
  const value = (version: number): Uint8Array => valueOf(version, valueSize);
  const open = (kernel: EmbeddedKernel, id: number): Routes => LpmTrie.fromId(kernel, id, codecs);
  let theirs: Routes | undefined;
  let fillers: readonly { close(): void }[] = [];
  return {
    name: change.name,
    setUp({ survivor }, victim) {
      // Without BTF, whose fd is for a moment the one before.
      const routes = LpmTrie.create(survivor, { ...codecs, maxEntries: ENTRIES, btf: false });
      for (const key of change.gone ?? []) routes.set(key, value(99));
      for (const key of change.gone ?? []) routes.delete(key);
      const before = new Map(change.before.map((key, i) => [key, i + 1]));
      for (const [key, version] of before) routes.set(key, value(version));
      const after = new Map(before);
      if (change.instead !== undefined) after.delete(change.instead);
      if (change.set !== undefined) after.set(change.set, NEW);
      if (change.delete !== undefined) after.delete(change.delete);
      theirs = open(victim, routes.id);
      fillers = change.isFull === true ? fillMemory(survivor) : [];
      return { routes, before, after };
    },
    act() {
      if (change.set !== undefined) theirs!.set(change.set, value(NEW));
      else theirs!.delete(change.delete!);
    },
    end() {
      theirs!.close();
    },
    verify({ survivor }, { routes, before, after }, died) {
      if (died) expect(survivor.close(routes.fd + 1)).toBe(0);
      for (const filler of fillers) filler.close();
      const found = [...routes].map(([key, value]) => {
        expect(new Set(value).size, "torn").toBe(1);
        return `${key} ${value[0]}`;
      });
      const tell = (content: ReadonlyMap<string, number>): string[] =>
        [...content].map(([k, v]) => `${k} ${v}`).toSorted();
      expect([...(died ? [tell(before)] : []), tell(after)]).toContainEqual(found.toSorted());
      expect(routes.count()).toBe(found.length);
      // The capacity is whole.
      routes.clear();
      for (let i = 0; i < ENTRIES; i++) routes.set(wide(i), value(i));
      expect(() => routes.set(wide(77), value(1))).toThrow("ENOSPC");
      for (let i = 0; i < ENTRIES; i++) expect(routes.get(inside(i))).toEqual(value(i));
      routes.close();
    },
  };
}

// Values of up to 24 bytes can lie in the nodes, others apart; the largest in pages of their own.
describe.each([4, 30, 3000])("values of %i", (valueSize) => {
  it.each(changes)("$name", async (change) => {
    expect(await exhaust(scenario(change, valueSize, kind4))).toBeGreaterThan(3);
  });
  it.each(changes6)("IPv6: $name", async (change) => {
    expect(await exhaust(scenario(change, valueSize, kind6))).toBeGreaterThan(3);
  });
});

/** So many that lookups begin with tables; most of them in one node's reach. */
const MANY = 16384;

interface Large {
  readonly routes: LpmTrie<string, number>;
  readonly theirs: LpmTrie<string, number>;
  readonly count: number;
}

/** IPv4 has one table, IPv6 three, by hashes; `others` fork before the byte that each goes by. */
const families = [
  {
    key: prefix4,
    textOf: (i: number): string => `10.0.${i >> 6}.${(i & 63) << 2}/30`,
    probe: "10.0.1.1",
    others: [["10.1.1.0/24", "10.1.2.0/24"]],
  },
  {
    key: prefix6,
    textOf: (i: number): string => `2001:0:${(i >> 6).toString(16)}:${(i & 63).toString(16)}::/64`,
    probe: "2001:0:1::1",
    others: [
      ["2002:110::/28", "2002:120::/28"],
      ["2002:100:1000::/36", "2002:100:2000::/36"],
      ["2002:100:101::/48", "2002:100:102::/48"],
    ],
  },
] as const;

/** A change of a trie that has, gets or loses its tables: `have` prefixes are set first, and from `left` on deleted. */
function largeScenario(
  name: string,
  { key, textOf, probe }: (typeof families)[number],
  have: number,
  left: number,
  act: (routes: Large["theirs"]) => void,
): Scenario<Large> {
  return {
    name,
    setUp({ survivor }, victim) {
      const routes = LpmTrie.create(survivor, { key, value: u32, maxEntries: MANY, btf: false });
      routes.setMany(Array.from({ length: have }, (_, i) => [textOf(i), i] as const));
      routes.deleteMany(Array.from({ length: have - left }, (_, i) => textOf(left + i)));
      return { routes, theirs: LpmTrie.fromId(victim, routes.id, { key, value: u32 }), count: routes.count() };
    },
    act: (_, { theirs }) => act(theirs),
    end: ({ theirs }) => theirs.close(),
    verify({ survivor }, { routes, count }, died) {
      if (died) expect(survivor.close(routes.fd + 1)).toBe(0);
      expect(Math.abs(routes.count() - count)).toBeLessThanOrEqual(2);
      expect(routes.keys().next().done).toBe(false);
      expect(routes.get(probe)).toBe(64);
      routes.close();
    },
  };
}

describe.each(families)("many of $probe", (family) => {
  const { textOf, others } = family;
  it.each([
    largeScenario("getting tables", family, MANY - 1, MANY - 1, (routes) => routes.set(textOf(MANY - 1), 1)),
    largeScenario("losing them", family, MANY, MANY / 4, (routes) => routes.delete(textOf(MANY / 4 - 1))),
    ...others.map((pair) =>
      largeScenario(`first nodes that come and go: ${pair[0]}`, family, MANY, MANY - 2, (routes) => {
        for (const other of pair) routes.set(other, 1);
        for (const other of pair) routes.delete(other);
      }),
    ),
  ])("$name", async (large) => {
    expect(await exhaust(large)).toBeGreaterThan(10);
  });
});

afterAll(() => console.log(report()));

/**
 * A thread dies at each step of changes to an LPM trie: prefixes come, are replaced and go, with and without forks above them.
 */
import { afterAll, expect, it } from "vitest";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { LpmTrie } from "../../src/maps/lpm_trie.js";
import { prefix4 } from "../../src/codec/index.js";
import { bytes } from "../../src/codec/bytes.js";
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
  readonly delete?: string;
}

const NEW = 200;
const ENTRIES = 6;

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
  { name: "deleting what is not there", before: ["10.0.0.0/8"], delete: "11.0.0.0/8" },
];

const valueSize = 12;
const valueOf = (version: number): Uint8Array => new Uint8Array(valueSize).fill(version);
const codecs = { key: prefix4, value: bytes(valueSize) };

function scenario(change: Change): Scenario<State> {
  const open = (kernel: EmbeddedKernel, id: number): Routes => LpmTrie.fromId(kernel, id, codecs);
  let theirs: Routes | undefined;
  return {
    name: change.name,
    setUp({ survivor }, victim) {
      const routes = LpmTrie.create(survivor, { ...codecs, maxEntries: ENTRIES });
      for (const key of change.gone ?? []) routes.set(key, valueOf(99));
      for (const key of change.gone ?? []) routes.delete(key);
      const before = new Map(change.before.map((key, i) => [key, i + 1]));
      for (const [key, version] of before) routes.set(key, valueOf(version));
      const after = new Map(before);
      if (change.set !== undefined) after.set(change.set, NEW);
      if (change.delete !== undefined) after.delete(change.delete);
      theirs = open(victim, routes.id);
      return { routes, before, after };
    },
    act() {
      if (change.set !== undefined) theirs!.set(change.set, valueOf(NEW));
      else theirs!.delete(change.delete!);
    },
    end() {
      theirs!.close();
    },
    verify({ survivor }, { routes, before, after }, died) {
      if (died) expect(survivor.close(routes.fd + 1)).toBe(0);
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
      for (let i = 0; i < ENTRIES; i++) routes.set(`${i}.0.0.0/8`, valueOf(i));
      expect(() => routes.set("77.0.0.0/8", valueOf(1))).toThrow("ENOSPC");
      for (let i = 0; i < ENTRIES; i++) expect(routes.get(`${i}.1.1.1`)).toEqual(valueOf(i));
      routes.close();
    },
  };
}

it.each(changes)("$name", async (change) => {
  expect(await exhaust(scenario(change))).toBeGreaterThan(3);
});

afterAll(() => console.log(report()));

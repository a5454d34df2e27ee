/**
 * Jobs on an LPM trie: half of its routes stay, writers set and delete the others and set those again; readers ask for addresses, and walk.
 */
import { type EmbeddedKernel, LpmTrie, struct, u32 } from "tsbpf";
import { forMs, randomFrom } from "./clock.js";

const key = struct({ prefixlen: u32, address: u32 });
/** Of 4 bytes, which lie in the nodes, and of 40, which lie apart: the number of the route, in each word. */
export const values = [
  struct({ a: u32 }),
  struct({ a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32, i: u32, j: u32 }),
];

interface Route {
  readonly length: number;
  /** Its bits, as a number; and as a key has them. */
  readonly bits: number;
  readonly address: number;
}

/** So many routes that lie in each other. */
export function routesOf(count: number): readonly Route[] {
  const random = randomFrom(count);
  const routes = new Map<string, Route>();
  while (routes.size < count) {
    // The first bytes are few, and the last bits alike.
    const length = [0, 8, 9, 12, 16, 17, 20, 23, 24, 24, 25, 28, 30, 31, 32, 32][random(16)]!;
    const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
    const bits = ((random(3) << 24) | (random(16) << 16) | random(65_536)) & mask;
    routes.set(`${bits}/${length}`, { length, bits: bits >>> 0, address: swapped(bits >>> 0) });
  }
  return [...routes.values()];
}

const swapped = (word: number): number =>
  ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24)) >>> 0;

const stays = (n: number): boolean => n % 2 === 0;

const isIn = ({ length, bits }: Route, address: number): boolean =>
  length === 0 || (address ^ bits) >>> (32 - length) === 0;

type Words = Readonly<Record<string, number>>;
type Routes = LpmTrie<{ prefixlen: number; address: number }, Words>;

function open(kernel: EmbeddedKernel, id: number, which: number): Routes {
  return LpmTrie.fromId(kernel, id, { key, value: values[which] as never });
}

export function createRoutes(kernel: EmbeddedKernel, count: number, which: number): Routes {
  const trie: Routes = LpmTrie.create(kernel, { key, value: values[which] as never, maxEntries: count });
  routesOf(count).forEach((route, n) => {
    if (stays(n)) set(trie, route, n);
  });
  return trie;
}

const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

function set(trie: Routes, { length, address }: Route, n: number): void {
  trie.set({ prefixlen: length, address }, Object.fromEntries(names.map((name) => [name, n])));
}

function numberIn(value: Words): number {
  for (const word of Object.values(value)) {
    if (word !== value["a"]) throw new Error(`A value is torn: ${Object.values(value).join()}`);
  }
  return value["a"]!;
}

export interface RoutingArg {
  readonly id: number;
  readonly count: number;
  /** Of `values`. */
  readonly which: number;
  readonly role: "write" | "read";
  readonly ms: number;
  readonly seed: number;
}

/** Writes, or reads and checks. Returns how often. */
export function routing(kernel: EmbeddedKernel, { id, count, which, role, ms, seed }: RoutingArg): number {
  using trie = open(kernel, id, which);
  const routes = routesOf(count);
  const random = randomFrom(seed);
  const step = role === "write" ? writer(trie, routes, random) : reader(trie, routes, random);
  let steps = 0;
  for (const goOn = forMs(ms); goOn(); steps++) step();
  return steps;
}

function writer(trie: Routes, routes: readonly Route[], random: (below: number) => number): () => void {
  return () => {
    const n = random(routes.length);
    const route = routes[n]!;
    if (stays(n) || random(2) === 0) set(trie, route, n);
    else trie.delete({ prefixlen: route.length, address: route.address });
  };
}

/** Addresses, each with the length of the longest route that it is in and that stays. */
function probesOf(routes: readonly Route[], random: (below: number) => number): { address: number; least: number }[] {
  const staying = routes.filter((_, n) => stays(n));
  return Array.from({ length: 300 }, () => {
    const { bits, length } = routes[random(routes.length)]!;
    const address = (bits | (length === 32 ? 0 : random(2 ** 31) & (0xffffffff >>> length))) >>> 0;
    let least = -1;
    for (const route of staying) if (route.length > least && isIn(route, address)) least = route.length;
    return { address, least };
  });
}

function reader(trie: Routes, routes: readonly Route[], random: (below: number) => number): () => void {
  const probes = probesOf(routes, random);
  let steps = 0;
  return () => {
    const { address, least } = probes[random(probes.length)]!;
    const value = trie.get({ prefixlen: 32, address: swapped(address) });
    const route = value === undefined ? undefined : routes[numberIn(value)]!;
    if ((route?.length ?? -1) < least || (route !== undefined && !isIn(route, address)))
      throw new Error(`${address} is in ${JSON.stringify(route)}, and a route of ${least} bits stays`);
    if (++steps % 2000 === 0) walk(trie, routes);
  };
}

/** Each route once, with its value; those that stay all. */
function walk(trie: Routes, routes: readonly Route[]): void {
  const met = new Set<number>();
  for (const [{ prefixlen, address }, value] of trie) {
    const n = numberIn(value);
    if (routes[n]!.length !== prefixlen || routes[n]!.address !== address)
      throw new Error(`${address}/${prefixlen} has the value of ${JSON.stringify(routes[n])}`);
    if (met.has(n)) throw new Error(`A walk has met ${address}/${prefixlen} twice`);
    met.add(n);
  }
  for (let n = 0; n < routes.length; n += 2) {
    if (!met.has(n)) throw new Error(`A walk has missed ${JSON.stringify(routes[n])}`);
  }
}

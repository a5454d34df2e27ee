/**
 * LPM tries: the routes of routes.ts, looked up by addresses in them, on the embedded and the Linux kernel.
 *
 * Keys are a struct of words, which is written in place: what is measured is the map. Words of addresses are i32: one of 2^31 and more
 * as u32 is no small integer for V8, which makes an object of each that a property gets (40 ns a lookup of four, measured). `text` has the same by addresses as text.
 */
import { EmbeddedKernel, LpmTrie, type Kernel, i32, prefix4, prefix6, struct, u32 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { BPF_MAP_GET_NEXT_KEY, bpfAttr } from "tsbpf/uapi";
import { kept, shuffled } from "./keys.js";
import type { Op, Ops, Suite } from "./measure.js";
import { type Routes, readRoutes, swapped } from "./routes.js";

export const ROUTES4 = "lpm_trie, IPv4 routes";
export const ROUTES6 = "lpm_trie, IPv6 routes";
export const LOOKUP = "lookup";
export const INSERT = "insert, by address";
const ROWS = [LOOKUP, INSERT, "insert, in any order", "replace", "delete + insert", "get_next_key", "iterate"];

/** How many addresses are looked up in turn: a power of two. */
const PROBES = 65_536;

interface Key {
  prefixlen: number;
  a: number;
  b: number;
  c: number;
  d: number;
}

const key4 = struct({ prefixlen: u32, a: i32 });
const key6 = struct({ prefixlen: u32, a: i32, b: i32, c: i32, d: i32 });

/** Addresses, each in a route, and the route's value. */
interface Probes {
  readonly addresses: Int32Array;
  readonly values: Uint32Array;
}

/** Each route as likely as the other, and each address in it. */
function probesOf({ words, count, lengths, addresses, values }: Routes): Probes {
  const random = xorshift(1);
  const probes = { addresses: new Int32Array(PROBES * words), values: new Uint32Array(PROBES) };
  for (let i = 0; i < PROBES; i++) {
    const route = random() % count;
    probes.values[i] = values[route]!;
    for (let word = 0; word < words; word++) {
      const fixed = Math.min(32, Math.max(0, lengths[route]! - 32 * word));
      const host = fixed === 32 ? 0 : 0xffffffff >>> fixed;
      probes.addresses[i * words + word] = addresses[route * words + word]! | swapped((random() & host) >>> 0);
    }
  }
  return probes;
}

function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

type Trie = LpmTrie<Key, number>;

/** All of a trie's rows go through one key. */
class Rows {
  readonly #kernel: Kernel;
  readonly #routes: Routes;
  readonly #key: Key = { prefixlen: 0, a: 0, b: 0, c: 0, d: 0 };

  constructor(kernel: Kernel, routes: Routes) {
    this.#kernel = kernel;
    this.#routes = routes;
  }

  ops(): Ops {
    const { count, values } = this.#routes;
    const anyOrder = shuffled(Uint32Array.from({ length: count }, (_, i) => i) as unknown as readonly number[]);
    const full = this.filled();
    const each =
      (act: (route: number) => void): Op =>
      (from, n) => {
        for (let i = from; i < from + n; i++) act(anyOrder[i % count]!);
        return n;
      };
    return {
      [LOOKUP]: this.#lookup(full),
      [INSERT]: this.#insert((i) => i),
      "insert, in any order": this.#insert((i) => anyOrder[i]!),
      replace: each((route) => full.set(this.#route(route), values[route]!)),
      "delete + insert": each((route) => {
        full.delete(this.#route(route));
        full.set(this.#route(route), values[route]!);
      }),
      get_next_key: nextKeyOp(this.#kernel, full),
      iterate: () => {
        full.forEach((value, key) => {
          kept.value = key;
          kept.value = value;
        });
        return count;
      },
    };
  }

  /** A trie of all routes, set in some order: by address unless told. */
  filled(order?: readonly number[]): Trie {
    const trie = this.#create();
    for (let i = 0; i < this.#routes.count; i++) {
      const route = order === undefined ? i : order[i]!;
      trie.set(this.#route(route), this.#routes.values[route]!);
    }
    return trie;
  }

  #create(): Trie {
    const key = (this.#routes.words === 1 ? key4 : key6) as never;
    return LpmTrie.create(this.#kernel, { name: "routes", key, value: u32, maxEntries: this.#routes.count });
  }

  #route(i: number): Key {
    const { words, lengths, addresses } = this.#routes;
    return this.#at(lengths[i]!, words, addresses, i * words);
  }

  #at(prefixlen: number, words: number, from: Int32Array, at: number): Key {
    const key = this.#key;
    key.prefixlen = prefixlen;
    key.a = from[at]!;
    if (words === 4) {
      key.b = from[at + 1]!;
      key.c = from[at + 2]!;
      key.d = from[at + 3]!;
    }
    return key;
  }

  #lookup(full: Trie): Op {
    const { words } = this.#routes;
    const { addresses, values } = probesOf(this.#routes);
    return (from, n) => {
      for (let i = from; i < from + n; i++) {
        const probe = i % PROBES;
        const value = full.get(this.#at(32 * words, words, addresses, probe * words));
        if (value !== values[probe]) throw new Error("An address is not in its route");
      }
      return n;
    };
  }

  /** Fills a trie, from one call to the next; and then another. */
  #insert(order: (i: number) => number): Op {
    const { count, values } = this.#routes;
    let trie = this.#create();
    let next = 0;
    return (_, n) => {
      for (let done = 0; done < n; done++) {
        if (next === count) {
          trie.close();
          trie = this.#create();
          next = 0;
        }
        const route = order(next++);
        trie.set(this.#route(route), values[route]!);
      }
      return n;
    };
  }
}

/** The command alone: each key is the next one's. */
function nextKeyOp(kernel: Kernel, trie: Trie): Op {
  const { map_fd, key, next_key } = bpfAttr.mapElem;
  const keyOff = next_key.off + next_key.size;
  const buffer = kernel.alloc(keyOff + 2 * trie.key.size);
  const view = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset, buffer.bytes.byteLength);
  const attr = { ...buffer, bytes: buffer.bytes.subarray(0, keyOff) };
  view.setUint32(map_fd.off, trie.fd, true);
  view.setBigUint64(next_key.off, BigInt(buffer.address + keyOff + trie.key.size), true);
  const call = kernel.prepare(BPF_MAP_GET_NEXT_KEY, attr);
  const first = (): void => view.setBigUint64(key.off, 0n, true);
  first();
  return (_, n) => {
    for (let i = 0; i < n; i++) {
      if (call() === 0) {
        buffer.bytes.copyWithin(keyOff, keyOff + trie.key.size);
        view.setBigUint64(key.off, BigInt(buffer.address + keyOff), true);
      } else {
        first();
      }
    }
    return n;
  };
}

/** The same looked up by text. */
function textOps(kernel: Kernel, routes: Routes): Ops {
  const { words, count, lengths, addresses, values } = routes;
  const trie = LpmTrie.create(kernel, { key: words === 1 ? prefix4 : prefix6, value: u32, maxEntries: count });
  const textOf = (list: Int32Array, i: number): string => {
    const view = new DataView(list.buffer, list.byteOffset + 4 * words * i, 4 * words);
    return words === 1
      ? Array.from({ length: 4 }, (_, byte) => view.getUint8(byte)).join(".")
      : Array.from({ length: 8 }, (_, group) => view.getUint16(2 * group).toString(16)).join(":");
  };
  for (let i = 0; i < count; i++) trie.set(`${textOf(addresses, i)}/${lengths[i]!}`, values[i]!);
  const probes = probesOf(routes);
  const texts = Array.from({ length: PROBES }, (_, i) => textOf(probes.addresses, i));
  return {
    [LOOKUP]: (from, n) => {
      for (let i = from; i < from + n; i++) {
        if (trie.get(texts[i % PROBES]!) !== probes.values[i % PROBES])
          throw new Error("An address is not in its route");
      }
      return n;
    },
  };
}

/** What JavaScript offers: a Map for each length, the longest first. Keys are small integers, for the length's bits. */
function mapsOps(routes: Routes): Ops {
  const { count, lengths, addresses, values } = routes;
  const bitsOf = (address: number, length: number): number => (length === 0 ? 0 : address >>> (32 - length));
  const hosts = addresses.map(swapped);
  const order = shuffled(Uint32Array.from({ length: count }, (_, i) => i) as unknown as readonly number[]);
  const set = (maps: Map<number, number>[], i: number): unknown =>
    maps[lengths[i]!]!.set(bitsOf(hosts[i]!, lengths[i]!), values[i]!);
  const empty = (): Map<number, number>[] => Array.from({ length: 33 }, () => new Map<number, number>());
  const full = empty();
  for (let i = 0; i < count; i++) set(full, i);
  const known = Array.from(full.keys()).filter((length) => full[length]!.size > 0);
  const longestFirst = known.toReversed();
  const probes = probesOf(routes);
  const probeHosts = probes.addresses.map(swapped);
  const get = (address: number): number | undefined => {
    for (const length of longestFirst) {
      const value = full[length]!.get(bitsOf(address, length));
      if (value !== undefined) return value;
    }
    return undefined;
  };
  const insert = (route: (i: number) => number): Op => {
    let maps = empty();
    let next = 0;
    return (_, n) => {
      for (let done = 0; done < n; done++) {
        if (next === count) {
          maps = empty();
          next = 0;
        }
        set(maps, route(next++));
      }
      return n;
    };
  };
  return {
    [LOOKUP]: (from, n) => {
      for (let i = from; i < from + n; i++) {
        if (get(probeHosts[i % PROBES]!) !== probes.values[i % PROBES])
          throw new Error("An address is not in its route");
      }
      return n;
    },
    [INSERT]: insert((i) => i),
    "insert, in any order": insert((i) => order[i]!),
    replace: (from, n) => {
      for (let i = from; i < from + n; i++) set(full, order[i % count]!);
      return n;
    },
  };
}

async function open(contender: string, bits: 32 | 128): Promise<Ops> {
  const routes = readRoutes(bits);
  if (contender === "js") return mapsOps(routes);
  const kernel = contender === "linux" ? LinuxKernel.open() : await EmbeddedKernel.create();
  return contender === "text" ? textOps(kernel, routes) : new Rows(kernel, routes).ops();
}

/** What kernels charge for a trie of all routes of a family, in MB (10^6 bytes). */
export interface RoutesMemory {
  readonly family: "IPv4" | "IPv6";
  readonly prefixes: number;
  /** Set by address, and in any order. */
  readonly embeddedMb: number;
  readonly anyOrderMb: number;
  readonly linuxMb: number | undefined;
}

export async function routesMemory(): Promise<RoutesMemory[]> {
  return [await memoryOf("IPv4", readRoutes(32)), await memoryOf("IPv6", readRoutes(128))];
}

async function memoryOf(family: RoutesMemory["family"], routes: Routes): Promise<RoutesMemory> {
  const { count } = routes;
  const anyOrder = shuffled(Array.from({ length: count }, (_, i) => i));
  const charged = (kernel: Kernel, order?: readonly number[]): number => {
    using trie = new Rows(kernel, routes).filled(order);
    return Number(/memlock:\t(\d+)/.exec(kernel.fdinfo(trie.fd) ?? "")?.[1]) / 1e6;
  };
  const embedded = await EmbeddedKernel.create();
  const ours = { embeddedMb: charged(embedded), anyOrderMb: charged(embedded, anyOrder) };
  try {
    return { family, prefixes: count, ...ours, linuxMb: charged(LinuxKernel.open()) };
  } catch {
    return { family, prefixes: count, ...ours, linuxMb: undefined };
  }
}

const titles = { text: "embedded, by text", js: "JS Maps, one a length" };

export const lpmTrieSuites: readonly Suite[] = [
  {
    name: ROUTES4,
    titles,
    note: `The ranges of npm's @ip-location-db/asn as prefixes; addresses of routes that are equally likely. What JavaScript's
Maps have for them knows no order`,
    rows: ROWS,
    contenders: ["embedded", "text", "js", "linux"],
    needs: ["asn"],
    open: (contender) => open(contender, 32),
  },
  {
    name: ROUTES6,
    titles,
    rows: ROWS,
    contenders: ["embedded", "text", "linux"],
    needs: ["asn"],
    open: (contender) => open(contender, 128),
  },
];

/**
 * LRU hashes against npm's lru-cache and Linux's; and against a hash of the same kernel, which a get may cost 1.5 times of.
 */
import { HashMap, LruHashMap } from "tsbpf";
import { KEYS, kept, loadOf, roomFor } from "./keys.js";
import { u32ToU64 } from "./kinds.js";
import type { Op, Ops, Suite } from "./measure.js";
import { load } from "./npm_package.js";
import { openKernel, typedOps } from "./typed.js";

const EVICTING = "insert into a full one";

interface LruCache {
  get(key: number): bigint | undefined;
  set(key: number, value: bigint): unknown;
}

interface LruCacheModule {
  LRUCache: new (options: { max: number }) => LruCache;
}

async function open(contender: string): Promise<Ops> {
  const { key, value } = u32ToU64;
  const keys = loadOf(u32ToU64.keyOf, u32ToU64.valueOf, KEYS);
  // Linux lets go of elems before it is full: with room to spare all keys stay.
  const maxEntries = 2 * KEYS;
  if (contender === "lru-cache") {
    const { LRUCache } = load("lru-cache") as LruCacheModule;
    const cache = new LRUCache({ max: maxEntries });
    for (let i = 0; i < KEYS; i++) cache.set(keys.present[i]!, keys.values[i]!);
    return { ...cacheOps(cache, keys), [EVICTING]: evicting(new LRUCache({ max: KEYS })) };
  }
  const kernel = await openKernel(contender);
  if (contender === "hash") {
    return typedOps(HashMap.create(kernel, { key, value, maxEntries: roomFor(KEYS) }), keys);
  }
  const exact = contender === "exact";
  const map = LruHashMap.create(kernel, { key, value, maxEntries, exact });
  const full = LruHashMap.create(kernel, { key, value, maxEntries: KEYS, exact });
  return { ...typedOps(map, keys), [EVICTING]: evicting(full) };
}

function cacheOps(cache: LruCache, { mask, hits, absent, values }: ReturnType<typeof loadOf<number, bigint>>): Ops {
  return {
    lookup: (from, n) => {
      for (let i = from; i < from + n; i++) {
        const value = cache.get(hits[i & mask]!);
        if (value === undefined) throw new Error("A key that was set is not there");
        kept.value = value;
      }
      return n;
    },
    "lookup miss": (from, n) => {
      let found = 0;
      for (let i = from; i < from + n; i++) if (cache.get(absent[i & mask]!) !== undefined) found++;
      if (found !== 0) throw new Error("A key is there that was never set");
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) cache.set(hits[i & mask]!, values[i & mask]!);
      return n;
    },
  };
}

/** Keys that were never there: each takes the place of another. */
function evicting(map: { set(key: number, value: bigint): unknown }): Op {
  for (let key = 0; key < 2 * KEYS; key++) map.set(key, 1n);
  let next = 2 * KEYS;
  return (_, n) => {
    for (let i = 0; i < n; i++) map.set(next++ & 0x3fff_ffff, 1n);
    return n;
  };
}

export const lruSuite: Suite = {
  name: `lru_hash ${u32ToU64.name}`,
  rows: ["lookup", "lookup miss", "update", EVICTING],
  contenders: ["embedded", "hash", "exact", "lru-cache", "linux"],
  titles: { hash: "embedded hash", "lru-cache": "npm lru-cache", exact: "embedded, exact" },
  note: "The embedded kernel's gets are uses, those of Linux's system calls are not. Hit rates: node build/bench/hit_rates.js",
  open,
};

/**
 * Hash maps against JavaScript's Map, npm's bpf, and C.
 */
import { HashMap } from "tsbpf";
import { BPF_MAP_TYPE_HASH } from "tsbpf/uapi";
import { KEYS, type Load, kept, loadOf, roomFor } from "./keys.js";
import { type Kind, structToStruct, textFlowToU64, u32ToU32, u32ToU64, wordsToU32 } from "./kinds.js";
import { syscallLoop } from "./linux_c.js";
import type { Op, Ops, Suite } from "./measure.js";
import { npmHashOps } from "./npm_bpf.js";
import { addOp, forEachOp, openKernel, pairs, typedOps } from "./typed.js";

const ROWS = ["lookup", "lookup miss", "update", "insert + delete", "add", "iterate", "iterate in batches", "forEach"];

/** @param parts What differs from the usual: fewer contenders or rows, other titles. */
function suiteOf<K, V>(kind: Kind<K, V>, parts: Partial<Suite> = {}): Suite {
  return {
    name: `hash ${kind.name}`,
    rows: ROWS,
    contenders: ["embedded", "mixed", "js", "grown", "linux", "npm", "c"],
    ...parts,
    program: (contender) =>
      contender === "c" ? syscallLoop(BPF_MAP_TYPE_HASH, kind.key.size, kind.value.size) : undefined,
    open: (contender) => open(kind, contender, KEYS),
  };
}

async function open<K, V>(kind: Kind<K, V>, contender: string, keys: number): Promise<Ops> {
  const load = loadOf(kind.keyOf, kind.valueOf, keys);
  if (contender === "js" || contender === "grown") return mapOps(kind, load, contender === "grown");
  if (contender === "text") return mapOps({ ...kind, jsKey: kind.jsText! }, load, false);
  if (contender === "npm") return npmHashOps(kind, load);
  const { key, value } = kind;
  const map = HashMap.create(await openKernel(contender), { name: "bench", key, value, maxEntries: roomFor(keys) });
  return { ...typedOps(map, load), add: addOp(map, load, kind.delta) };
}

/**
 * JavaScript's Map. Filled with a power of two of keys, its table is as full as it gets: one key more doubles it, and from
 * then on it is faster, by up to two fifths. `grown` is that Map.
 */
function mapOps<K, V>(kind: Kind<K, V>, load: Load<K, V>, grown: boolean): Ops {
  const { jsKey, jsAdd, delta } = kind;
  const { mask, hits, absent, values } = load;
  const map = filled(kind, load);
  if (grown) map.set(jsKey(absent[0]!), values[0]!);
  if (grown) map.delete(jsKey(absent[0]!));
  // Inserting would make it grow.
  const other = filled(kind, load);
  const iterate: Op = () => {
    let count = 0;
    for (const entry of map) {
      kept.value = entry;
      count++;
    }
    return count;
  };
  return {
    lookup: (from, n) => {
      for (let i = from; i < from + n; i++) {
        const value = map.get(jsKey(hits[i & mask]!));
        if (value === undefined) throw new Error("A key that was set is not there");
        kept.value = value;
      }
      return n;
    },
    "lookup miss": (from, n) => {
      let found = 0;
      for (let i = from; i < from + n; i++) if (map.get(jsKey(absent[i & mask]!)) !== undefined) found++;
      if (found !== 0) throw new Error("A key is there that was never set");
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) map.set(jsKey(hits[i & mask]!), values[i & mask]!);
      return n;
    },
    "insert + delete": pairs((from, n) => {
      for (let i = from; i < from + n; i++) other.set(jsKey(absent[i & mask]!), values[i & mask]!);
      for (let i = from; i < from + n; i++) other.delete(jsKey(absent[i & mask]!));
      return n;
    }),
    add: (from, n) => {
      for (let i = from; i < from + n; i++) jsAdd(map, jsKey(hits[i & mask]!), delta);
      return n;
    },
    iterate,
    "iterate in batches": iterate,
    forEach: forEachOp(map),
  };
}

function filled<K, V>({ jsKey }: Kind<K, V>, { present, values }: Load<K, V>): Map<unknown, V> {
  return new Map(present.map((key, i) => [jsKey(key), values[i]!]));
}

/** A map that stays in the nearest caches: what is left is the way to the elem. A system call costs the same as above. */
const few: Suite = {
  name: `hash ${u32ToU32.name}, 1,024 keys`,
  rows: ["lookup", "lookup miss", "update", "add"],
  contenders: ["embedded", "mixed", "js", "grown"],
  open: (contender) => open(u32ToU32, contender, 1024),
};

const words = suiteOf(wordsToU32, {
  titles: { js: "JS Map, keys of 8 chars", text: 'JS Map, keys "a,b,c,d"' },
  note: "JS Map is keyed by strings of the same bytes: 8 characters of 16 bits, the fastest way there is; or decimals",
  contenders: ["embedded", "mixed", "js", "text", "linux", "npm", "c"],
});

const textFlow = suiteOf(textFlowToU64, {
  rows: ["lookup", "update"],
  contenders: ["embedded", "js"],
  note: "Addresses are parsed from text for each key; JS Map is keyed by a string of the fields",
});

export const hashSuites: readonly Suite[] = [
  suiteOf(u32ToU32),
  few,
  suiteOf(u32ToU64),
  words,
  suiteOf(structToStruct),
  textFlow,
];

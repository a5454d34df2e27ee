/**
 * Hash maps against JavaScript's Map, npm's bpf, and C.
 */
import { HashMap } from "tsbpf";
import { BPF_MAP_TYPE_HASH } from "tsbpf/uapi";
import { KEYS, type Load, MASK, kept, loadOf } from "./keys.js";
import { type Kind, structToStruct, u32ToU32, u32ToU64 } from "./kinds.js";
import { syscallLoop } from "./linux_c.js";
import type { Op, Ops, Suite } from "./measure.js";
import { npmHashOps } from "./npm_bpf.js";
import { addOp, openKernel, pairs, typedOps } from "./typed.js";

const ROWS = ["lookup", "lookup miss", "update", "insert + delete", "add", "iterate", "iterate in batches"];

function suiteOf<K, V>(kind: Kind<K, V>): Suite {
  const load = (): Load<K, V> => loadOf(kind.keyOf, kind.valueOf);
  return {
    name: `hash ${kind.name}`,
    rows: ROWS,
    contenders: ["embedded", "mixed", "js", "linux", "npm", "c"],
    program: (contender) =>
      contender === "c" ? syscallLoop(BPF_MAP_TYPE_HASH, kind.key.size, kind.value.size) : undefined,
    async open(contender) {
      if (contender === "js") return mapOps(kind, load());
      if (contender === "npm") return npmHashOps(kind, load());
      const { key, value } = kind;
      const map = HashMap.create(await openKernel(contender), { name: "bench", key, value, maxEntries: 2 * KEYS });
      const work = load();
      return { ...typedOps(map, work), add: addOp(map, work, kind.delta) };
    },
  };
}

/** JavaScript's Map. */
function mapOps<K, V>({ jsKey, jsAdd, delta }: Kind<K, V>, { present, hits, absent, values }: Load<K, V>): Ops {
  const map = new Map<unknown, V>();
  for (let i = 0; i < present.length; i++) map.set(jsKey(present[i]!), values[i]!);
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
        const value = map.get(jsKey(hits[i & MASK]!));
        if (value === undefined) throw new Error("A key that was set is not there");
        kept.value = value;
      }
      return n;
    },
    "lookup miss": (from, n) => {
      let found = 0;
      for (let i = from; i < from + n; i++) if (map.get(jsKey(absent[i & MASK]!)) !== undefined) found++;
      if (found !== 0) throw new Error("A key is there that was never set");
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) map.set(jsKey(hits[i & MASK]!), values[i & MASK]!);
      return n;
    },
    "insert + delete": pairs((from, n) => {
      for (let i = from; i < from + n; i++) map.set(jsKey(absent[i & MASK]!), values[i & MASK]!);
      for (let i = from; i < from + n; i++) map.delete(jsKey(absent[i & MASK]!));
      return n;
    }),
    add: (from, n) => {
      for (let i = from; i < from + n; i++) jsAdd(map, hits[i & MASK]!, delta);
      return n;
    },
    iterate,
    "iterate in batches": iterate,
  };
}

export const hashSuites: readonly Suite[] = [suiteOf(u32ToU32), suiteOf(u32ToU64), suiteOf(structToStruct)];

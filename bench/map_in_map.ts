/**
 * Maps of maps: 256 keys, each with a map; and a JavaScript Map of Maps, which is what they are to one thread.
 */
import { HashMap, HashOfMaps, type Kernel, u32, u64 } from "tsbpf";
import { kept, shuffled } from "./keys.js";
import type { Op, Ops, Suite } from "./measure.js";
import { openKernel } from "./typed.js";

const KEYS = 256;
const LOOKUP = "lookup of the id";
const OPEN = "open + close";
const BOTH = "open + lookup in it + close";
const REPLACE = "replace";

/** On Linux, where an update waits for milliseconds, so many maps would take their time. */
const INNER = 2;

function order(): (i: number) => number {
  const keys = shuffled(Array.from({ length: KEYS }, (_, i) => i));
  return (i) => keys[i & (KEYS - 1)]!;
}

function ops(kernel: Kernel): Ops {
  const codecs = { key: u32, value: u64, maxEntries: 8 };
  const create = (): HashMap<number, bigint> => HashMap.create(kernel, codecs);
  const outer = HashOfMaps.create(kernel, { name: "bench", key: u32, maxEntries: KEYS, inner: create });
  const isSlow = kernel.name === "linux";
  const keys = isSlow ? INNER : KEYS;
  const inner = Array.from({ length: keys }, create);
  inner.forEach((map, i) => {
    map.set(i, BigInt(i));
    outer.set(i, map);
  });
  const key = order();
  const each =
    (act: (key: number, i: number) => void): Op =>
    (from, n) => {
      for (let i = from; i < from + n; i++) act(key(i) % keys, i);
      return n;
    };
  const rows = {
    [LOOKUP]: each((key) => (kept.value = outer.getId(key))),
    [OPEN]: each((key) => outer.get(key)!.close()),
    [BOTH]: each((key) => {
      using map = outer.get(key)!;
      kept.value = map.get(key);
    }),
  };
  return isSlow ? rows : { ...rows, [REPLACE]: each((key, i) => outer.set(key, inner[(key + i) % keys]!)) };
}

function jsOps(): Ops {
  const inner = Array.from({ length: KEYS }, (_, i) => new Map([[i, BigInt(i)]]));
  const outer = new Map(inner.map((map, i) => [i, map]));
  const key = order();
  return {
    [LOOKUP]: (from, n) => {
      for (let i = from; i < from + n; i++) kept.value = outer.get(key(i));
      return n;
    },
    [REPLACE]: (from, n) => {
      for (let i = from; i < from + n; i++) outer.set(key(i), inner[(key(i) + i) & (KEYS - 1)]!);
      return n;
    },
  };
}

export const mapInMapSuite: Suite = {
  name: "hash_of_maps u32 -> hash",
  titles: { js: "JS Map of Maps" },
  note: `On Linux with ${INNER} maps, and without "${REPLACE}": it waits some milliseconds for programs that may be using the map`,
  rows: [LOOKUP, REPLACE, OPEN, BOTH],
  contenders: ["embedded", "js", "linux"],
  open: async (contender) => (contender === "js" ? jsOps() : ops(await openKernel(contender))),
};

/**
 * What is measured of tsbpf's typed maps, on either kernel.
 */
import { cpus } from "node:os";
import {
  ArrayMap,
  EmbeddedKernel,
  HashMap,
  type Kernel,
  PerCpuHashMap,
  bytes,
  i16,
  ipv4,
  mac,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { type Load, kept } from "./keys.js";
import type { Op, Ops } from "./measure.js";

/** What a typed map offers to be measured. */
interface TypedMap<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): boolean;
  delete?(key: K): boolean;
  entries(): Iterable<[K, V]>;
  forEach(give: (value: V, key: K) => void): void;
}

/** Opens the kernel that a contender stands for; "mixed" has used many maps of other codecs before. */
export async function openKernel(contender: string): Promise<Kernel> {
  if (contender === "linux") return LinuxKernel.open();
  const kernel = await EmbeddedKernel.create({ possibleCpus: cpus().length });
  if (contender === "mixed") stir(kernel);
  return kernel;
}

/** Rows of any map. */
export function typedOps<K, V>(map: TypedMap<K, V>, load: Load<K, V>): Ops {
  const { mask, present, hits, absent, values } = load;
  for (let i = 0; i < present.length; i++) map.set(present[i]!, values[i]!);
  const lookup: Op = (from, n) => {
    for (let i = from; i < from + n; i++) {
      const value = map.get(hits[i & mask]!);
      if (value === undefined) throw new Error("A key that was set is not there");
      kept.value = value;
    }
    return n;
  };
  const update: Op = (from, n) => {
    for (let i = from; i < from + n; i++) map.set(hits[i & mask]!, values[i & mask]!);
    return n;
  };
  const iterate: Op = () => {
    let count = 0;
    for (const entry of map.entries()) {
      kept.value = entry;
      count++;
    }
    return count;
  };
  const rows = { lookup, update, iterate, "iterate in batches": iterate, forEach: forEachOp(map) };
  return absent.length === 0 ? rows : { ...rows, ...absentOps(map, load) };
}

/** The row "forEach", of typed maps and of Map. */
export function forEachOp(map: { forEach(give: (value: unknown, key: unknown) => void): void }): Op {
  return () => {
    let count = 0;
    map.forEach((value, key) => {
      kept.value = value;
      kept.value = key;
      count++;
    });
    return count;
  };
}

function absentOps<K, V>(map: TypedMap<K, V>, { mask, absent, values }: Load<K, V>): Ops {
  return {
    "lookup miss": (from, n) => {
      let found = 0;
      for (let i = from; i < from + n; i++) if (map.get(absent[i & mask]!) !== undefined) found++;
      if (found !== 0) throw new Error("A key is there that was never set");
      return n;
    },
    "insert + delete": pairs((from, n) => {
      for (let i = from; i < from + n; i++) map.set(absent[i & mask]!, values[i & mask]!);
      for (let i = from; i < from + n; i++) map.delete!(absent[i & mask]!);
      return n;
    }),
  };
}

/** Inserts some thousand keys, then deletes them, and so on: a pair counts as one operation. */
export function pairs(some: (from: number, n: number) => void): Op {
  return (from, n) => {
    for (let done = 0; done < n; done += 4096) some(from + done, Math.min(4096, n - done));
    return n;
  };
}

/** The row "add". */
export function addOp<K, V>(
  map: { add(key: K, delta: V): void },
  { mask, hits }: Pick<Load<K, unknown>, "mask" | "hits">,
  delta: V,
): Op {
  return (from, n) => {
    for (let i = from; i < from + n; i++) map.add(hits[i & mask]!, delta);
    return n;
  };
}

/** Uses maps of many codecs, each long enough for V8 to take note of it. */
function stir(kernel: Kernel): void {
  const maxEntries = 64;
  const flow = struct({ src: ipv4, dst: ipv4, port: u16, proto: u8 });
  use(HashMap.create(kernel, { key: u64, value: u16, maxEntries }), (n) => BigInt(n), 1);
  use(HashMap.create(kernel, { key: ipv4, value: u64, maxEntries }), (n) => `10.0.0.${n}`, 1n);
  use(
    HashMap.create(kernel, { key: mac, value: struct({ seen: u64, port: u32 }), maxEntries }),
    (n) => `02:00:00:00:00:${n.toString(16).padStart(2, "0")}`,
    { seen: 1n, port: 2 },
  );
  use(
    HashMap.create(kernel, { key: flow, value: bytes(24), maxEntries }),
    (n) => ({ src: `10.0.0.${n}`, dst: "10.0.0.1", port: n, proto: 6 }),
    new Uint8Array(24),
  );
  use(HashMap.create(kernel, { key: u32, value: i16, maxEntries }), (n) => n, -1);
  use(ArrayMap.create(kernel, { value: struct({ low: u32, high: u32 }), maxEntries }), (n) => n, { low: 1, high: 2 });
  const perCpu = PerCpuHashMap.create(kernel, { key: u8, value: u64, maxEntries });
  for (let i = 0; i < 5000; i++) perCpu.add(i % maxEntries, 1n);
  for (let i = 0; i < 5000; i++) kept.value = perCpu.get(i % maxEntries);
}

function use<K, V>(map: TypedMap<K, V>, keyOf: (n: number) => K, value: V): void {
  for (let i = 0; i < 5000; i++) {
    const key = keyOf(i % 64);
    map.set(key, value);
    kept.value = map.get(key);
    if (i % 500 === 0) for (const entry of map.entries()) kept.value = entry;
    if (i % 50 === 0) map.delete?.(key);
  }
}

/**
 * The job of adding: all workers add to the same few keys of the same maps, and count what they added.
 */
import {
  ArrayMap,
  type EmbeddedKernel,
  HashMap,
  PerCpuArray,
  PerCpuHashMap,
  bytes,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "tsbpf";
import { forMs, randomFrom } from "./clock.js";

/** Few enough for all workers to meet on each. */
export const keys = 24;

const count = struct({ packets: u64, bytes: u64 });
const three = struct({ a: u32, b: u32, c: u32 });
const flow = struct({ src: u32, dst: u32, sport: u16, dport: u16, proto: u8 });

/** What is added with number n: a value whose parts tell a lost add from a torn one. */
const countOf = (n: number): { packets: bigint; bytes: bigint } => ({ packets: 1n, bytes: BigInt(n) });
const flowOf = (i: number): { src: number; dst: number; sport: number; dport: number; proto: number } => ({
  src: 0x0a000001,
  dst: i,
  sport: i & 3,
  dport: 443,
  proto: 6,
});
const fiveBytes = (i: number): Uint8Array => Uint8Array.of(1, 2, 3, i >> 8, i);

/** How often, and how much in all, was added to a key. */
export interface Sum {
  times: number;
  total: number;
}

const countSum = ({ times, total }: Sum): unknown => ({ packets: BigInt(times), bytes: BigInt(total) });
const total = ({ total }: Sum): unknown => BigInt(total);

interface Adding {
  readonly id: number;
  readonly add: (i: number, n: number) => void;
  readonly get: (i: number) => unknown;
  readonly close: () => void;
}

/** A map of type M: how it is made, opened, added to, read; and what it must have in the end. */
function kind<M extends { id: number; close(): void }>(
  create: (kernel: EmbeddedKernel) => M,
  open: (kernel: EmbeddedKernel, id: number) => M,
  add: (map: M, i: number, n: number) => void,
  get: (map: M, i: number) => unknown,
  wanted: (sum: Sum) => unknown,
): { create(kernel: EmbeddedKernel): Adding; open(kernel: EmbeddedKernel, id: number): Adding; wanted: typeof wanted } {
  const adding = (map: M): Adding => ({
    id: map.id,
    add: (i, n) => add(map, i, n),
    get: (i) => get(map, i),
    close: () => map.close(),
  });
  return {
    create: (kernel) => adding(create(kernel)),
    open: (kernel, id) => adding(open(kernel, id)),
    wanted,
  };
}

const u32ToU64 = { key: u32, value: u64 };
const u32ToCount = { key: u32, value: count };
const flowToU64 = { key: flow, value: u64 };
const bytesToCount = { key: bytes(5), value: count };

export const kinds = {
  "hash, u32 to u64": kind(
    (kernel) => HashMap.create(kernel, { ...u32ToU64, maxEntries: keys }),
    (kernel, id) => HashMap.fromId(kernel, id, u32ToU64),
    (map, i, n) => map.add(i, BigInt(n)),
    (map, i) => map.get(i),
    total,
  ),
  "hash, u32 to struct": kind(
    (kernel) => HashMap.create(kernel, { ...u32ToCount, maxEntries: keys }),
    (kernel, id) => HashMap.fromId(kernel, id, u32ToCount),
    (map, i, n) => map.add(i, countOf(n)),
    (map, i) => map.get(i),
    countSum,
  ),
  "hash, struct to u64": kind(
    (kernel) => HashMap.create(kernel, { ...flowToU64, maxEntries: keys }),
    (kernel, id) => HashMap.fromId(kernel, id, flowToU64),
    (map, i, n) => map.add(flowOf(i), BigInt(n)),
    (map, i) => map.get(flowOf(i)),
    total,
  ),
  "hash, 5 bytes to struct": kind(
    (kernel) => HashMap.create(kernel, { ...bytesToCount, maxEntries: keys }),
    (kernel, id) => HashMap.fromId(kernel, id, bytesToCount),
    (map, i, n) => map.add(fiveBytes(i), countOf(n)),
    (map, i) => map.get(fiveBytes(i)),
    countSum,
  ),
  "array of u64": kind(
    (kernel) => ArrayMap.create(kernel, { value: u64, maxEntries: keys }),
    (kernel, id) => ArrayMap.fromId(kernel, id, { value: u64 }),
    (map, i, n) => map.add(i, BigInt(n)),
    (map, i) => map.get(i),
    total,
  ),
  "array of 2 u64": kind(
    (kernel) => ArrayMap.create(kernel, { value: count, maxEntries: keys }),
    (kernel, id) => ArrayMap.fromId(kernel, id, { value: count }),
    (map, i, n) => map.add(i, countOf(n)),
    (map, i) => map.get(i),
    countSum,
  ),
  "array of 3 u32": kind(
    (kernel) => ArrayMap.create(kernel, { value: three, maxEntries: keys }),
    (kernel, id) => ArrayMap.fromId(kernel, id, { value: three }),
    (map, i, n) => map.add(i, { a: 1, b: n, c: 0xffffffff }),
    (map, i) => map.get(i),
    ({ times, total }) => ({ a: times, b: total % 2 ** 32, c: -times >>> 0 }),
  ),
  "per-CPU hash, u32 to u64": kind(
    (kernel) => PerCpuHashMap.create(kernel, { ...u32ToU64, maxEntries: keys }),
    (kernel, id) => PerCpuHashMap.fromId(kernel, id, u32ToU64),
    (map, i, n) => map.add(i, BigInt(n)),
    (map, i) => map.get(i)?.sum(),
    total,
  ),
  "per-CPU hash, 5 bytes to struct": kind(
    (kernel) => PerCpuHashMap.create(kernel, { ...bytesToCount, maxEntries: keys }),
    (kernel, id) => PerCpuHashMap.fromId(kernel, id, bytesToCount),
    (map, i, n) => map.add(fiveBytes(i), countOf(n)),
    (map, i) => map.get(fiveBytes(i))?.sum(),
    countSum,
  ),
  "per-CPU array of u64": kind(
    (kernel) => PerCpuArray.create(kernel, { value: u64, maxEntries: keys }),
    (kernel, id) => PerCpuArray.fromId(kernel, id, { value: u64 }),
    (map, i, n) => map.add(i, BigInt(n)),
    (map, i) => map.get(i)?.sum(),
    total,
  ),
  "per-CPU array of 2 u64": kind(
    (kernel) => PerCpuArray.create(kernel, { value: count, maxEntries: keys }),
    (kernel, id) => PerCpuArray.fromId(kernel, id, { value: count }),
    (map, i, n) => map.add(i, countOf(n)),
    (map, i) => map.get(i)?.sum(),
    countSum,
  ),
};

export interface AddArg {
  readonly maps: readonly { readonly kind: keyof typeof kinds; readonly id: number }[];
  readonly ms: number;
  readonly seed: number;
}

/** Adds to random keys of all maps in turn. Returns for each map what was added to each key. */
export function add(kernel: EmbeddedKernel, { maps, ms, seed }: AddArg): Sum[][] {
  const random = randomFrom(seed);
  const opened = maps.map(({ kind, id }) => kinds[kind].open(kernel, id));
  const sums = maps.map(() => Array.from({ length: keys }, () => ({ times: 0, total: 0 })));
  for (const goOn = forMs(ms); goOn();) {
    opened.forEach((map, m) => {
      for (let burst = 0; burst < 16; burst++) {
        const i = random(keys);
        const n = random(1000);
        map.add(i, n);
        const sum = sums[m]![i]!;
        sum.times++;
        sum.total += n;
      }
    });
  }
  for (const map of opened) map.close();
  return sums;
}

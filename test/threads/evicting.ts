/**
 * The job of evicting: all workers set keys of their own and common ones in LRU hashes that are full all the time.
 */
import { type EmbeddedKernel, LruHashMap, LruPerCpuHashMap, bytes, struct, u32, u64 } from "tsbpf";
import { forMs, randomFrom } from "./clock.js";

export const maxEntries = 200;
/** Keys of one worker, and keys that all set. */
const OWN_KEYS = 200;
const COMMON_KEYS = 100;

/** A map whose values tell the key that they were set for, and a number. */
interface Marked {
  readonly id: number;
  readonly fd: number;
  set(key: number, n: number): void;
  /** The number; undefined if the key is not there. Throws when it is another key's value, or torn. */
  get(key: number): number | undefined;
  count(): number;
  close(): void;
}

function numberFor(key: number, found: number, n: number): number {
  if (found !== key) throw new Error(`Key ${key} has the value of ${found}`);
  return n;
}

const words = { key: u32, value: u64 };
const ofWords = (map: LruHashMap<number, bigint>): Marked => ({
  id: map.id,
  fd: map.fd,
  set: (key, n) => void map.set(key, (BigInt(key) << 32n) | BigInt(n)),
  get(key) {
    const value = map.get(key);
    return value === undefined ? undefined : numberFor(key, Number(value >> 32n), Number(value & 0xffff_ffffn));
  },
  count: () => map.count(),
  close: () => map.close(),
});

const twins = struct({ of: u32, n: u32, pad: u32, twin: u32 });
const structs = { key: u32, value: twins };
const ofStructs = (map: LruHashMap<number, { of: number; n: number; pad: number; twin: number }>): Marked => ({
  id: map.id,
  fd: map.fd,
  set: (key, n) => void map.set(key, { of: key, n, pad: 0, twin: n }),
  get(key) {
    const value = map.get(key);
    if (value === undefined) return undefined;
    if (value.n !== value.twin) throw new Error(`A value is torn: ${value.n} and ${value.twin}`);
    return numberFor(key, value.of, value.n);
  },
  count: () => map.count(),
  close: () => map.close(),
});

const long = { key: bytes(40), value: twins };
const longKey = (key: number): Uint8Array => new Uint8Array(new Uint32Array(10).fill(key).buffer);
const ofLong = (map: LruHashMap<Uint8Array, { of: number; n: number; pad: number; twin: number }>): Marked =>
  ofStructs(
    new Proxy(map, {
      get(target, name) {
        if (name === "set") return (key: number, value: never) => target.set(longKey(key), value);
        if (name === "get") return (key: number) => target.get(longKey(key));
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === "function" ? (member.bind(target) as unknown) : member;
      },
    }) as never,
  );

const ofPerCpu = (map: LruPerCpuHashMap<number, bigint>): Marked => ({
  id: map.id,
  fd: map.fd,
  set: (key, n) => void map.set(key, Array(map.kernel.possibleCpus).fill((BigInt(key) << 32n) | BigInt(n))),
  get(key) {
    // Updates of several CPUs' values are one after the other: the first tells.
    const values = map.get(key);
    if (values === undefined) return undefined;
    for (const value of values) numberFor(key, Number(value >> 32n), 0);
    return Number(values[0]! & 0xffff_ffffn);
  },
  count: () => map.count(),
  close: () => map.close(),
});

export const kinds = {
  "LRU hash of u64": {
    create: (kernel: EmbeddedKernel) => ofWords(LruHashMap.create(kernel, { ...words, maxEntries })),
    open: (kernel: EmbeddedKernel, id: number) => ofWords(LruHashMap.fromId(kernel, id, words)),
  },
  "LRU hash of structs": {
    create: (kernel: EmbeddedKernel) => ofStructs(LruHashMap.create(kernel, { ...structs, maxEntries })),
    open: (kernel: EmbeddedKernel, id: number) => ofStructs(LruHashMap.fromId(kernel, id, structs)),
  },
  "LRU hash with keys of 40 bytes": {
    create: (kernel: EmbeddedKernel) => ofLong(LruHashMap.create(kernel, { ...long, maxEntries })),
    open: (kernel: EmbeddedKernel, id: number) => ofLong(LruHashMap.fromId(kernel, id, long)),
  },
  "LRU per-CPU hash": {
    create: (kernel: EmbeddedKernel) => ofPerCpu(LruPerCpuHashMap.create(kernel, { ...words, maxEntries })),
    open: (kernel: EmbeddedKernel, id: number) => ofPerCpu(LruPerCpuHashMap.fromId(kernel, id, words)),
  },
  "exact LRU hash": {
    create: (kernel: EmbeddedKernel) => ofStructs(LruHashMap.create(kernel, { ...structs, maxEntries, exact: true })),
    open: (kernel: EmbeddedKernel, id: number) => ofStructs(LruHashMap.fromId(kernel, id, structs)),
  },
} as const;

export type Kind = keyof typeof kinds;

export interface EvictArg {
  readonly kind: Kind;
  readonly id: number;
  readonly index: number;
  readonly seed: number;
  readonly ms: number;
}

/** How often a worker found what it had set, and how often it was gone. */
export interface Evicted {
  found: number;
  gone: number;
}

export function evict(kernel: EmbeddedKernel, { kind, id, index, seed, ms }: EvictArg): Evicted {
  const map = kinds[kind].open(kernel, id);
  const random = randomFrom(seed);
  const goOn = forMs(ms);
  const mine = new Map<number, number>();
  const seen: Evicted = { found: 0, gone: 0 };
  for (let n = 1; goOn(); n++) {
    const own = 1_000_000 * (index + 1) + random(OWN_KEYS);
    if (random(3) === 0) {
      map.set(own, n);
      mine.set(own, n);
    } else {
      const wanted = mine.get(own);
      const found = map.get(own);
      // Another life of this place may have set it.
      if (found !== undefined && wanted !== undefined && found !== wanted) {
        throw new Error(`Key ${own} has ${found}, where ${wanted} was set last`);
      }
      if (wanted !== undefined) seen[found === undefined ? "gone" : "found"]++;
    }
    const common = random(COMMON_KEYS);
    if (random(2) === 0) map.set(common, n);
    else map.get(common);
    const count = map.count();
    if (count > maxEntries) throw new Error(`The map holds ${count} of ${maxEntries} elems`);
  }
  map.close();
  return seen;
}

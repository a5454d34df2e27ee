/**
 * The job of keeping a model: each worker inserts, replaces and deletes keys of its own, and knows what must be there.
 */
import { type EmbeddedKernel, HashMap, LpmTrie, PerCpuHashMap, bytes, struct, u16, u32, u64, u8 } from "tsbpf";
import { BPF_F_NO_PREALLOC, BPF_NOEXIST } from "tsbpf/uapi";
import { RawMap } from "../raw_map.js";
import { forMs, randomFrom } from "./clock.js";
import { expectOneOf } from "./tearing.js";

/** Keys of one worker. */
export const ownKeys = 200;

const flow = struct({ src: u32, dst: u32, sport: u16, dport: u16, proto: u8 });
const flowOf = (key: number) => ({ src: key, dst: ~key >>> 0, sport: key & 0xffff, dport: 53, proto: 17 });

/** A map as one of numbers: what a per-CPU map has for a key is a list of the same. */
interface Numbers {
  readonly id: number;
  set(key: number, value: number, mode?: "create" | "replace"): boolean;
  get(key: number): number | undefined;
  delete(key: number): boolean;
  count(): number;
  close(): void;
}

/** CPUs have different values, where each set gave all the same: so only a set that a thread died in may leave them. */
export class CpusDiffer extends Error {
  readonly values: readonly number[];

  constructor(values: readonly number[]) {
    super(`CPUs have ${values.join()}`);
    this.values = values;
  }
}

const options = (mode?: "create" | "replace") => (mode === undefined ? undefined : { mode });

const ofU32 = (map: HashMap<number, number>): Numbers => ({
  id: map.id,
  set: (key, value, mode) => map.set(key, value, options(mode)),
  get: (key) => map.get(key),
  delete: (key) => map.delete(key),
  count: () => [...map.keys()].length,
  close: () => map.close(),
});
const ofFlows = (map: HashMap<ReturnType<typeof flowOf>, bigint>): Numbers => ({
  id: map.id,
  set: (key, value, mode) => map.set(flowOf(key), BigInt(value), options(mode)),
  get: (key) => {
    const value = map.get(flowOf(key));
    return value === undefined ? undefined : Number(value);
  },
  delete: (key) => map.delete(flowOf(key)),
  count: () => [...map.keys()].length,
  close: () => map.close(),
});
const ofLong = (map: HashMap<Uint8Array, Uint8Array>): Numbers => {
  const long = (n: number, size: number): Uint8Array => {
    const all = new Uint8Array(size);
    new DataView(all.buffer).setUint32(size - 4, n);
    return all;
  };
  return {
    id: map.id,
    set: (key, value, mode) => map.set(long(key, 300), long(value, 48), options(mode)),
    get: (key) => {
      const value = map.get(long(key, 300));
      return value === undefined ? undefined : new DataView(value.buffer).getUint32(44);
    },
    delete: (key) => map.delete(long(key, 300)),
    count: () => [...map.keys()].length,
    close: () => map.close(),
  };
};
const ofPerCpu = (map: PerCpuHashMap<number, number>): Numbers => {
  const cpus = map.kernel.possibleCpus;
  return {
    id: map.id,
    set: (key, value, mode) => map.set(key, Array(cpus).fill(value) as never, options(mode)),
    get: (key) => {
      const values = map.get(key);
      if (values?.some((value) => value !== values[0])) throw new CpusDiffer([...values]);
      return values?.[0];
    },
    delete: (key) => map.delete(key),
    count: () => [...map.keys()].length,
    close: () => map.close(),
  };
};

const prefix = struct({ prefixlen: u32, address: u32 });
/** Whole addresses: a get gives the key's own value, and none of a shorter prefix. */
const prefixOf = (key: number) => ({ prefixlen: 32, address: key });
const ofPrefixes = (map: LpmTrie<ReturnType<typeof prefixOf>, Uint8Array>): Numbers => {
  const wide = (value: number): Uint8Array => new Uint8Array(new Uint32Array(map.value.size / 4).fill(value).buffer);
  return {
    id: map.id,
    set: (key, value, mode) => map.set(prefixOf(key), wide(value), options(mode)),
    get: (key) => {
      const value = map.get(prefixOf(key));
      if (value === undefined) return undefined;
      const words = new Uint32Array(value.slice().buffer);
      if (words.some((word) => word !== words[0])) throw new Error(`A value is torn: ${words.join()}`);
      return words[0];
    },
    delete: (key) => map.delete(prefixOf(key)),
    count: () => [...map.keys()].length,
    close: () => map.close(),
  };
};

const u32ToU32 = { key: u32, value: u32 };
const flowToU64 = { key: flow, value: u64 };
const longToBytes = { key: bytes(300), value: bytes(48) };
/** Of a trie whose elems lie in its nodes, and of one whose elems do not. */
const prefixToBytes = (size: 12 | 40) => ({ key: prefix, value: bytes(size) });
const trie = (size: 12 | 40) => ({
  create: (kernel: EmbeddedKernel, maxEntries: number) =>
    ofPrefixes(LpmTrie.create(kernel, { ...prefixToBytes(size), maxEntries })),
  open: (kernel: EmbeddedKernel, id: number) => ofPrefixes(LpmTrie.fromId(kernel, id, prefixToBytes(size))),
});

export const kinds = {
  hash: {
    create: (kernel: EmbeddedKernel, maxEntries: number) => ofU32(HashMap.create(kernel, { ...u32ToU32, maxEntries })),
    open: (kernel: EmbeddedKernel, id: number) => ofU32(HashMap.fromId(kernel, id, u32ToU32)),
  },
  "hash with struct keys, not preallocated": {
    create: (kernel: EmbeddedKernel, maxEntries: number) =>
      ofFlows(HashMap.create(kernel, { ...flowToU64, maxEntries, mapFlags: BPF_F_NO_PREALLOC })),
    open: (kernel: EmbeddedKernel, id: number) => ofFlows(HashMap.fromId(kernel, id, flowToU64)),
  },
  "hash with keys of 300 bytes": {
    create: (kernel: EmbeddedKernel, maxEntries: number) =>
      ofLong(HashMap.create(kernel, { ...longToBytes, maxEntries })),
    open: (kernel: EmbeddedKernel, id: number) => ofLong(HashMap.fromId(kernel, id, longToBytes)),
  },
  "per-CPU hash": {
    create: (kernel: EmbeddedKernel, maxEntries: number) =>
      ofPerCpu(PerCpuHashMap.create(kernel, { ...u32ToU32, maxEntries })),
    open: (kernel: EmbeddedKernel, id: number) => ofPerCpu(PerCpuHashMap.fromId(kernel, id, u32ToU32)),
  },
  "LPM trie, values in its nodes": trie(12),
  "LPM trie, values apart": trie(40),
};

export interface ModelArg {
  readonly maps: readonly { readonly kind: keyof typeof kinds; readonly id: number }[];
  /** The worker's first key. */
  readonly first: number;
  readonly ms: number;
}

/** Changes its keys at random, and throws at the first answer that its model does not give. Returns the models. */
export function keepModel(kernel: EmbeddedKernel, { maps, first, ms }: ModelArg): Map<number, number>[] {
  const random = randomFrom(first + 1);
  const opened = maps.map(({ kind, id }) => ({
    kind,
    map: kinds[kind].open(kernel, id),
    model: new Map<number, number>(),
  }));
  for (const goOn = forMs(ms); goOn();) {
    for (const { kind, map, model } of opened) {
      const key = first + random(ownKeys);
      const had = model.get(key);
      const value = random(2 ** 31);
      const expectSame = (what: string, found?: number | boolean, wanted?: number | boolean): void => {
        if (found !== wanted) throw new Error(`${kind}: ${what} of key ${key} gave ${found}: expected ${wanted}`);
      };
      switch (random(6)) {
        case 0:
          expectSame("create", map.set(key, value, "create"), had === undefined);
          if (had === undefined) model.set(key, value);
          break;
        case 1:
          expectSame("replace", map.set(key, value, "replace"), had !== undefined);
          if (had !== undefined) model.set(key, value);
          break;
        case 2:
          expectSame("set", map.set(key, value), true);
          model.set(key, value);
          break;
        case 3:
        case 4:
          expectSame("delete", map.delete(key), had !== undefined);
          model.delete(key);
          break;
        default:
          expectSame("get", map.get(key), had);
      }
    }
  }
  for (const { map } of opened) map.close();
  return opened.map(({ model }) => model);
}

export interface PoolArg {
  readonly fds: readonly number[];
  readonly index: number;
  readonly ms: number;
}

/** Keys that a worker inserts and deletes: as many as it may, where the map has just as many elems as there are workers' keys. */
export const poolKeys = 3;

/**
 * Inserts and deletes keys of its own as fast as can be: elems go from hand to hand. Nothing may fail, and what was inserted must
 * be there, with its value. Returns how often it did.
 */
export function churnPool(kernel: EmbeddedKernel, { fds, index, ms }: PoolArg): number {
  const raws = fds.flatMap((fd) =>
    Array.from({ length: poolKeys }, (_, i) => {
      const raw = new RawMap(kernel, fd, 4, 16);
      const key = index * poolKeys + i;
      raw.key.setUint32(0, key, true);
      return { raw, key };
    }),
  );
  let rounds = 0;
  for (const goOn = forMs(ms); goOn(); rounds++) {
    for (const { raw, key } of raws) {
      raw.value.setUint32(0, key, true);
      raw.value.setUint32(12, rounds, true);
      expectOneOf(raw.update(BPF_NOEXIST), 0);
      // A value of more than a word: the second update takes another elem, and gives the first one back.
      if (rounds & 1) expectOneOf(raw.update(), 0);
    }
    for (const { raw, key } of raws) {
      expectOneOf(raw.lookup(), 0);
      const [has, round] = [raw.value.getUint32(0, true), raw.value.getUint32(12, true)];
      if (has !== key || round !== rounds) throw new Error(`Key ${key}, round ${rounds}: has key ${has}, ${round}`);
      expectOneOf(raw.remove(), 0);
    }
  }
  for (const { raw } of raws) raw[Symbol.dispose]();
  return rounds;
}

/**
 * The jobs of recycling memory: maps of all types and sizes are made and ended, in any order, by several workers; and memory is
 * filled to the last page, freed, and filled again.
 */
import {
  ArrayMap,
  BpfError,
  type EmbeddedKernel,
  HashMap,
  PerCpuArray,
  PerCpuHashMap,
  type UserBuffer,
  bytes,
  u32,
} from "tsbpf";
import { BPF_F_MMAPABLE, BPF_F_NO_PREALLOC } from "tsbpf/uapi";
import { randomFrom } from "./clock.js";
import type { Barrier } from "./crew.js";

/** A map of any type, as one of bytes. */
interface AnyMap {
  get(key: number): unknown;
  set(key: number, value: never): boolean;
  count(): number;
  pin(path: string): void;
  close(): void;
}

const kinds: readonly ((kernel: EmbeddedKernel, size: number, maxEntries: number) => AnyMap)[] = [
  (kernel, size, maxEntries) => HashMap.create(kernel, { key: u32, value: bytes(size), maxEntries }),
  (kernel, size, maxEntries) =>
    HashMap.create(kernel, { key: u32, value: bytes(size), maxEntries, mapFlags: BPF_F_NO_PREALLOC }),
  (kernel, size, maxEntries) => PerCpuHashMap.create(kernel, { key: u32, value: bytes(size), maxEntries }),
  (kernel, size, maxEntries) => ArrayMap.create(kernel, { value: bytes(size), maxEntries }),
  (kernel, size, maxEntries) => ArrayMap.create(kernel, { value: bytes(size), maxEntries, mapFlags: BPF_F_MMAPABLE }),
  (kernel, size, maxEntries) => PerCpuArray.create(kernel, { value: bytes(size), maxEntries }),
];

/** What `make` returns, or undefined when there is no memory. Any other error comes out. */
export function unlessFull<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    const isFull = error instanceof BpfError && error.code === "ENOMEM" && error.message.includes("maxMemory");
    if (isFull) return undefined;
    throw error;
  }
}

/** A new map of some kind and of at most about so many bytes, with an elem in it; or undefined when there is no memory. */
function makeMap(kernel: EmbeddedKernel, random: (below: number) => number, most: number): AnyMap | undefined {
  const size = 1 + random(random(4) === 0 ? 1000 : 40);
  // Most are small. A page each is what maps have around their elems.
  const room = random(12) === 0 ? most : Math.min(most, 4000);
  const maxEntries = 1 + random(Math.ceil(room / (size + 16) / kernel.possibleCpus));
  const kind = random(kinds.length);
  const map = unlessFull(() => kinds[kind]!(kernel, size, maxEntries));
  if (map === undefined) return undefined;
  const isPerCpu = kind === 2 || kind === 5;
  const value = new Uint8Array(size).fill(random(256));
  const all = isPerCpu ? Array.from({ length: kernel.possibleCpus }, () => value) : value;
  const key = random(maxEntries);
  // One that is not preallocated may find no memory for the elem.
  if (unlessFull(() => map.set(key, all as never)) === true) {
    const found = map.get(key) as Uint8Array | Uint8Array[];
    for (const part of isPerCpu ? found : [found]) {
      if (!(part instanceof Uint8Array) || part.some((byte) => byte !== value[0])) {
        throw new Error(`A new map of kind ${kind} has ${String(found)} for key ${key}, and was given ${value[0]}`);
      }
    }
  }
  return map;
}

export interface RecycleArg {
  /** How many maps to make. */
  readonly maps: number;
  readonly index: number;
  readonly seed: number;
}

/** Maps and buffers that are alive at a time, in each worker. */
const alive = 16;

/** Makes maps and buffers, which live for a random while. Returns how often there was no memory for one. */
export function recycle(kernel: EmbeddedKernel, { maps, index, seed }: RecycleArg): number {
  const random = randomFrom(seed);
  const living: (AnyMap | undefined)[] = Array.from({ length: alive });
  const buffers: (UserBuffer | undefined)[] = Array.from({ length: alive });
  const path = `/sys/fs/bpf/recycled_${index}`;
  let full = 0;
  for (let made = 0; made < maps;) {
    const place = random(alive);
    living[place]?.close();
    const map = makeMap(kernel, random, 400_000);
    living[place] = map;
    if (map === undefined) full++;
    else made++;
    if (random(16) === 0) {
      const other = random(alive);
      buffers[other]?.[Symbol.dispose]();
      buffers[other] = unlessFull(() => kernel.alloc(1 + random(random(4) === 0 ? 100_000 : 5000)));
    }
    if (map !== undefined && random(32) === 0) {
      unlessFull(() => map.pin(path));
      kernel.unlink(path);
    }
  }
  for (const map of living) map?.close();
  for (const buffer of buffers) buffer?.[Symbol.dispose]();
  return full;
}

export interface ExhaustArg {
  readonly rounds: number;
  readonly index: number;
  readonly seed: number;
}

/** Bytes that were in use when memory was full, in each round. */
export function exhaust(kernel: EmbeddedKernel, { rounds, index, seed }: ExhaustArg, barrier: Barrier): number[] {
  const used: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const random = randomFrom(seed + round);
    const maps: AnyMap[] = [];
    // Large ones first, then what still fits between them.
    for (const most of [1_000_000, 100_000, 4000, 1]) {
      for (let failures = 0; failures < 8;) {
        const map = makeMap(kernel, random, most);
        if (map === undefined) failures++;
        else maps.push(map);
      }
    }
    barrier.wait();
    used.push(kernel.usage().bytes);
    barrier.wait();
    // One closes them in the order they were made in, the other the other way round.
    for (const map of index === 0 ? maps : maps.toReversed()) map.close();
    barrier.wait();
  }
  return used;
}

/**
 * What all threads of the isolated page do at the same time, the main thread among them: they add to the same counters, update, read
 * and delete the same elems, and make and close maps.
 *
 * Modules for browsers import the package by its files, relative to where the site has them: workers have no import maps.
 */
import {
  ArrayMap,
  type EmbeddedKernel,
  HashMap,
  type KernelHandle,
  PerCpuArray,
  bytes,
  u32,
  u64,
} from "../../dist/index.js";
import { randomFrom } from "../threads/clock.js";

/** Few, for the threads to meet on each. */
export const keys = 8;

const counter = { key: u32, value: u64 };
const record = { key: u32, value: bytes(48) };

/** The maps that are shared. */
export interface Maps {
  readonly counts: HashMap<number, bigint>;
  readonly records: HashMap<number, Uint8Array>;
  readonly cells: ArrayMap<bigint>;
  readonly sums: PerCpuArray<bigint>;
}

type Ids = { readonly [M in keyof Maps]: number };

/** What a thread is given. */
export interface Orders {
  readonly handle: KernelHandle;
  readonly ids: Ids;
  /** Rounds that each thread has done: a word for each. */
  readonly progress: SharedArrayBuffer;
  /** Which word is this thread's, and its seed. */
  readonly index: number;
}

/** What a thread did. */
export interface Done {
  readonly isolated: boolean;
  readonly mayBlock: boolean;
  /** How much it added to each key. */
  readonly added: number[];
  /** Records that it read and found whole. */
  readonly whole: number;
}

export function createMaps(kernel: EmbeddedKernel): Maps {
  return {
    counts: HashMap.create(kernel, { name: "counts", ...counter, maxEntries: keys }),
    records: HashMap.create(kernel, { name: "records", ...record, maxEntries: keys }),
    cells: ArrayMap.create(kernel, { name: "cells", value: u64, maxEntries: keys }),
    sums: PerCpuArray.create(kernel, { name: "sums", value: u64, maxEntries: keys }),
  };
}

export function openMaps(kernel: EmbeddedKernel, ids: Ids): Maps {
  return {
    counts: HashMap.fromId(kernel, ids.counts, counter),
    records: HashMap.fromId(kernel, ids.records, record),
    cells: ArrayMap.fromId(kernel, ids.cells, { value: u64 }),
    sums: PerCpuArray.fromId(kernel, ids.sums, { value: u64 }),
  };
}

export function idsOf({ counts, records, cells, sums }: Maps): Ids {
  return { counts: counts.id, records: records.id, cells: cells.id, sums: sums.id };
}

export function closeMaps(maps: Maps): void {
  for (const map of Object.values(maps) as HashMap<number, unknown>[]) map.close();
}

/** Rounds that every thread does at least. Nobody stops before all have: so each of them is contended for all the while. */
const rounds = 4000;

export function work(
  kernel: EmbeddedKernel,
  maps: Maps,
  { progress, index }: Pick<Orders, "progress" | "index">,
): Done {
  const random = randomFrom(index + 1);
  const done = new Int32Array(progress);
  const added = Array.from({ length: keys }, () => 0);
  let whole = 0;
  for (let round = 0; done.some((_, i) => Atomics.load(done, i) < rounds); round++) {
    for (let burst = 0; burst < 8; burst++) {
      const key = random(keys);
      const n = 1 + random(9);
      maps.counts.add(key, BigInt(n));
      maps.cells.add(key, BigInt(n));
      maps.sums.add(key, BigInt(n));
      added[key]! += n;
      if (random(4) === 0) maps.records.delete(key);
      else maps.records.set(key, new Uint8Array(48).fill(random(256)));
      whole += readWhole(maps.records, random(keys));
    }
    if (round % 16 === 0) liveAndDie(kernel, 1 + random(2000));
    Atomics.add(done, index, 1);
  }
  return { isolated: globalThis.crossOriginIsolated, mayBlock: mayBlock(), added, whole };
}

/** Reads a record, if it is there: all its bytes are of one writer. */
function readWhole(records: Maps["records"], key: number): number {
  const found = records.get(key);
  if (found === undefined) return 0;
  if (found.some((byte) => byte !== found[0])) throw new Error(`The record of key ${key} is torn: ${found.join()}`);
  return 1;
}

/** A map of this thread alone, for the sake of what makes and ends maps. */
function liveAndDie(kernel: EmbeddedKernel, maxEntries: number): void {
  const map = HashMap.create(kernel, { ...counter, maxEntries });
  map.set(1, 2n);
  if (map.get(1) !== 2n || map.count() !== 1) throw new Error("A map of this thread alone was changed");
  map.close();
}

function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

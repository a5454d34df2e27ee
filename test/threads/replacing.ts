/**
 * The jobs of replacing: some set values of keys of their own, others take out what they find.
 */
import { type EmbeddedKernel, HashMap, LruHashMap, u32 } from "tsbpf";
import { randomFrom } from "./clock.js";

export type Replaced = "hash" | "lru_hash";

export interface ReplacingArg {
  readonly id: number;
  readonly kind: Replaced;
  readonly index: number;
  readonly setters: number;
  /** Keys of each setter. */
  readonly keys: number;
  readonly count: number;
  /** Set when all setters have ended: how many have. */
  readonly ended: SharedArrayBuffer;
}

type Numbers = HashMap<number, number> | LruHashMap<number, number>;

/** A key and a value. */
export type Entry = readonly [key: number, value: number];

/** What a worker has to tell: of a setter what it set and did not find again, of a taker what it took. */
export function replaceOrTake(kernel: EmbeddedKernel, arg: ReplacingArg): readonly Entry[] {
  const { id, kind, index, setters, keys } = arg;
  using map = (kind === "hash" ? HashMap : LruHashMap).fromId(kernel, id, { key: u32, value: u32 });
  const ended = new Int32Array(arg.ended);
  return index < setters ? replace(map, arg, ended) : take(map, setters * keys, setters, ended);
}

function replace(map: Numbers, { index, keys, count }: ReplacingArg, ended: Int32Array): Entry[] {
  const random = randomFrom(index + 1);
  const gone: Entry[] = [];
  for (let value = 1; value <= count; value++) {
    const key = index * keys + random(keys);
    map.set(key, value);
    const found = map.get(key);
    if (found === undefined) gone.push([key, value]);
    else if (found !== value) throw new Error(`Key ${key} has ${found}: expected ${value}, which was set last`);
  }
  Atomics.add(ended, 0, 1);
  return gone;
}

function take(map: Numbers, keys: number, setters: number, ended: Int32Array): Entry[] {
  const taken: Entry[] = [];
  for (let round = 0; Atomics.load(ended, 0) < setters; round++) {
    if (round % 8 === 0) {
      for (const batch of map.drain()) taken.push(...batch);
      continue;
    }
    for (let key = 0; key < keys; key++) {
      const value = map.take(key);
      if (value !== undefined) taken.push([key, value]);
    }
  }
  return taken;
}

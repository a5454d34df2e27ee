/**
 * The job of changing everything while the main thread saves: elems come, change and go; so do whole maps and buffers.
 */
import { ArrayMap, type EmbeddedKernel, HashMap, PerCpuHashMap, bytes, u32 } from "tsbpf";
import { BPF_F_NO_PREALLOC, ENOENT } from "tsbpf/uapi";
import { RawMap } from "../raw_map.js";
import { forMs, randomFrom } from "./clock.js";
import { expectOneOf, putValue } from "./tearing.js";

export const keys = 200;
export const valueSize = 64;
const codecs = { key: u32, value: bytes(valueSize) };
const options = { ...codecs, maxEntries: keys };

export const kinds = {
  hash: {
    create: (kernel: EmbeddedKernel) => HashMap.create(kernel, options),
    open: (kernel: EmbeddedKernel, id: number) => HashMap.fromId(kernel, id, codecs),
  },
  "not preallocated": {
    create: (kernel: EmbeddedKernel) => HashMap.create(kernel, { ...options, mapFlags: BPF_F_NO_PREALLOC }),
    open: (kernel: EmbeddedKernel, id: number) => HashMap.fromId(kernel, id, codecs),
  },
  "per-CPU": {
    create: (kernel: EmbeddedKernel) => PerCpuHashMap.create(kernel, options),
    open: (kernel: EmbeddedKernel, id: number) => PerCpuHashMap.fromId(kernel, id, codecs),
  },
};

export interface ChurnArg {
  readonly ids: readonly { readonly kind: keyof typeof kinds; readonly id: number }[];
  /** "elems" changes those of these maps, "maps" makes and closes maps of its own. */
  readonly role: "elems" | "maps";
  readonly ms: number;
  readonly seed: number;
}

export function churn(kernel: EmbeddedKernel, { ids, role, ms, seed }: ChurnArg): number {
  const random = randomFrom(seed);
  return role === "maps" ? churnMaps(kernel, forMs(ms), random) : churnElems(kernel, ids, forMs(ms), random);
}

function churnElems(
  kernel: EmbeddedKernel,
  ids: ChurnArg["ids"],
  goOn: () => boolean,
  random: (below: number) => number,
): number {
  const maps = ids.map(({ kind, id }) => {
    const typed = kinds[kind].open(kernel, id);
    return { typed, size: typed.value.size, raw: new RawMap(kernel, typed.fd, 4, typed.value.size) };
  });
  let changes = 0;
  for (; goOn(); changes++) {
    for (const { raw, size } of maps) {
      const key = random(keys);
      raw.key.setUint32(0, key, true);
      if (random(3) === 0) {
        expectOneOf(raw.remove(), 0, -ENOENT);
        continue;
      }
      for (let at = 0; at < size; at += valueSize) putValue(raw.value, at, valueSize, key, random(2 ** 31));
      expectOneOf(raw.update(), 0);
    }
  }
  for (const { typed, raw } of maps) {
    raw[Symbol.dispose]();
    typed.close();
  }
  return changes;
}

/** Maps, buffers, and keys and paths that are copied to memory of their own: all that pages are taken for. */
function churnMaps(kernel: EmbeddedKernel, goOn: () => boolean, random: (below: number) => number): number {
  const long = { key: bytes(1000), value: u32 };
  let changes = 0;
  for (; goOn(); changes++) {
    using array = ArrayMap.create(kernel, { value: u32, maxEntries: 1 + random(50_000) });
    array.set(0, 1);
    using hash = HashMap.create(kernel, { ...long, maxEntries: 1 + random(200), mapFlags: BPF_F_NO_PREALLOC });
    for (let i = 0; i < 20; i++) {
      const key = new Uint8Array(1000).fill(i);
      hash.set(key, i, { mode: "replace" });
      hash.delete(key);
    }
    const path = `/sys/fs/bpf/churn_${random(100)}`;
    array.pin(path);
    kernel.unlink(path);
  }
  return changes;
}

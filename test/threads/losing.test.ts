/**
 * No elem is lost, and none stays: what is in the maps in the end is what the workers, each for its own keys, say.
 */
import { EmbeddedKernel, HashMap, bytes, u32 } from "tsbpf";
import { BPF_F_NO_PREALLOC } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";
import { kinds, ownKeys, poolKeys } from "./losing.js";

it("elems of all workers are there, and no others", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
  const check = watchLeaks(kernel);
  const names = Object.keys(kinds) as (keyof typeof kinds)[];
  // As many elems as there are keys: more would hide a leaked one.
  const maps = names.map((kind) => kinds[kind].create(kernel, crewSize * ownKeys));
  const models = await run(
    kernel,
    "keepModel",
    each((index) => ({ maps: names.map((kind, m) => ({ kind, id: maps[m]!.id })), first: index * 100_000, ms: 2500 })),
  );
  maps.forEach((map, m) => {
    let count = 0;
    models.forEach((worker, index) => {
      for (let key = index * 100_000; key < index * 100_000 + ownKeys; key++) {
        expect(map.get(key), `${names[m]}, key ${key}`).toBe(worker[m]!.get(key));
      }
      count += worker[m]!.size;
    });
    expect(map.count()).toBe(count);
    // The capacity is whole.
    for (let key = 0; key < crewSize * ownKeys; key++) {
      const own = Math.floor(key / ownKeys) * 100_000 + (key % ownKeys);
      expect(map.set(own, key), `${names[m]}, key ${own}`).toBe(true);
    }
    expect(() => map.set(99_999, 1)).toThrow(/E2BIG|ENOSPC/);
    map.close();
  });
  check();
});

it("elems go from hand to hand, each in one hand at a time", async () => {
  // One CPU: no elem more than can be needed.
  using kernel = await EmbeddedKernel.create({ possibleCpus: 1 });
  const check = watchLeaks(kernel);
  const maps = [0, BPF_F_NO_PREALLOC].map((mapFlags) =>
    HashMap.create(kernel, { key: u32, value: bytes(16), maxEntries: crewSize * poolKeys, mapFlags }),
  );
  const fds = maps.map((map) => map.fd);
  const rounds = await run(
    kernel,
    "churnPool",
    each((index) => ({ fds, index, ms: 2000 })),
  );
  for (const n of rounds) expect(n).toBeGreaterThan(1000);
  for (const map of maps) {
    expect(map.count()).toBe(0);
    for (let key = 0; key < crewSize * poolKeys; key++) map.set(key, new Uint8Array(16).fill(key));
    for (let key = 0; key < crewSize * poolKeys; key++) expect(map.get(key)).toEqual(new Uint8Array(16).fill(key));
    map.close();
  }
  check();
});

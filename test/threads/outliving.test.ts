/**
 * Lives that end in use: a map is freed while others look into it, or hold it still; fds and ids are those of other maps next.
 */
import { EmbeddedKernel, HashMap, bytes, u32 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { each, run } from "./crew.js";
import { NEWS_WORDS } from "./outliving.js";

it.each([
  ["through fds", ["make", "make", "look", "look"]],
  ["through fds, and held by id", ["make", "make", "look", "hold"]],
] as const)("nobody reads from a map that was freed: %s", async (_, roles) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 1, maxMemory: 2 ** 26 });
  const check = watchLeaks(kernel);
  const news = new SharedArrayBuffer(2 * NEWS_WORDS * 4);
  // There is none yet, and no fd.
  for (const maker of [0, 1]) new Int32Array(news).set([1, -1], maker * NEWS_WORDS);
  const counts = await run(
    kernel,
    "outlive",
    each((index) => ({ news, role: roles[index]!, index, ms: 2500, seed: index + 1 })),
  );
  for (const count of counts) expect(count).toBeGreaterThan(50);
  check();
});

/** The word that holds the id given last: of the superblock's words the one that follows the ids of new maps. */
function lastIdOf(kernel: EmbeddedKernel): Uint32Array {
  const superblock = new Uint32Array(kernel.share().memory.buffer, 0x1000, 1024);
  let candidates = [...superblock.keys()];
  for (let i = 0; i < 5; i++) {
    using map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 1, btf: false });
    const { id } = map;
    map.close();
    candidates = candidates.filter((at) => superblock[at] === id);
  }
  expect(candidates).toHaveLength(1);
  return superblock.subarray(candidates[0], candidates[0]! + 1);
}

it("ids that begin again at 1 while several workers make maps are no living map's", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 3, maxMemory: 2 ** 26 });
  const check = watchLeaks(kernel);
  const lastId = lastIdOf(kernel);
  // Every fifth map stays.
  const codecs = { key: u32, value: bytes(40) };
  const kept: HashMap<number, Uint8Array>[] = [];
  for (let i = 0; i < 100; i++) {
    const map = HashMap.create(kernel, { ...codecs, maxEntries: 2 });
    map.set(map.id, new Uint8Array(40).fill(map.id));
    if (i % 5 === 0) kept.push(map);
    else map.close();
  }
  lastId[0] = 2 ** 31 - 50;
  const ids = (
    await run(
      kernel,
      "createAndClose",
      each((index) => ({ ms: 1000, seed: index + 1 })),
    )
  ).flat();
  expect(Math.max(...ids)).toBe(2 ** 31 - 1);
  expect(ids.length).toBeGreaterThan(200);
  expect(new Set(ids).size).toBe(ids.length);
  const living = new Set(kept.map(({ id }) => id));
  expect(ids.filter((id) => id <= 0 || living.has(id))).toEqual([]);
  // All the others were given.
  expect(Math.min(...ids)).toBe(1);
  for (const map of kept) {
    using same = HashMap.fromId(kernel, map.id, codecs);
    expect([...same]).toEqual([[map.id, new Uint8Array(40).fill(map.id)]]);
    map.close();
  }
  check();
});

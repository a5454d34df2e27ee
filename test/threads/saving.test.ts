/**
 * Images that are saved while other threads work: each loads, is consistent, and has no memory that nobody owns.
 */
import { setImmediate as nextTask } from "node:timers/promises";
import { EmbeddedKernel } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { each, run } from "./crew.js";
import { keys, kinds, valueSize } from "./saving.js";
import { checkValue } from "./tearing.js";

it("images saved while workers write are consistent", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2, maxMemory: 2 ** 25 });
  const check = watchLeaks(kernel);
  const names = Object.keys(kinds) as (keyof typeof kinds)[];
  const maps = names.map((kind) => ({ kind, map: kinds[kind].create(kernel) }));
  const ids = maps.map(({ kind, map }) => ({ kind, id: map.id }));
  const crew = { isWorking: true };
  const churning = run(
    kernel,
    "churn",
    each((index) => ({ ids, role: index === 0 ? "maps" : "elems", ms: 2500, seed: index + 1 })),
  ).finally(() => (crew.isWorking = false));
  let images = 0;
  let elems = 0;
  while (crew.isWorking) {
    // The workers' messages are tasks: from Node 22 on nothing below waits for one.
    await nextTask();
    const loaded = await EmbeddedKernel.load(kernel.save());
    for (const { kind, id } of ids) {
      const map = kinds[kind].open(loaded, id);
      let count = 0;
      for (const [key, value] of map as Iterable<[number, Uint8Array | Uint8Array[]]>) {
        expect(key).toBeLessThan(keys);
        for (const { buffer, byteOffset } of value instanceof Uint8Array ? [value] : value) {
          checkValue(new DataView(buffer, byteOffset, valueSize), 0, valueSize, key, `image ${images}, ${kind}`);
        }
        expect(map.has(key)).toBe(true);
        count++;
      }
      expect(map.count(), kind).toBe(count);
      elems += count;
      map.close();
    }
    for (let fd = 0; fd < 100; fd++) loaded.close(fd);
    for (let i = 0; i < 100; i++) loaded.unlink(`/sys/fs/bpf/churn_${i}`);
    expect(loaded.usage(), `image ${images}`).toEqual({ fds: 0, maps: 0, bytes: 0 });
    loaded[Symbol.dispose]();
    images++;
  }
  for (const changes of await churning) expect(changes).toBeGreaterThan(10);
  expect(images).toBeGreaterThan(10);
  expect(elems).toBeGreaterThan(keys);
  for (const { map } of maps) map.close();
  check();
});

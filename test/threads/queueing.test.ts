/**
 * Values go through queues and stacks from four threads to four threads: none is lost, none comes twice, none is torn, and a
 * queue keeps the order of each producer.
 */
import { EmbeddedKernel, QueueMap, StackMap } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";
import { job } from "./queueing.js";

const COUNT = 20_000;

it.each(["queue", "stack"])("a %s that all push to and pop from", async (kind) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 1 });
  const check = watchLeaks(kernel);
  const isStack = kind === "stack";
  const map = (isStack ? StackMap : QueueMap).create(kernel, { value: job, maxEntries: 64 });
  const popped = await run(
    kernel,
    "pushAndPop",
    each((index) => ({ id: map.id, isStack, index, count: COUNT })),
  );
  const rest: [number, number][] = [];
  for (let value = map.pop(); value !== undefined; value = map.pop()) rest.push([value.worker, value.n]);
  const seen = new Set([...popped, rest].flat().map(([worker, n]) => worker * COUNT + n));
  expect([...popped, rest].flat().length).toBe(crewSize * COUNT);
  expect(seen.size).toBe(crewSize * COUNT);
  for (const list of isStack ? [] : [...popped, rest]) {
    const last = Array<number>(crewSize).fill(-1);
    for (const [worker, n] of list) {
      expect(n).toBeGreaterThan(last[worker]!);
      last[worker] = n;
    }
  }
  map.close();
  check();
});

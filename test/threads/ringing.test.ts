/**
 * Four threads write to a ring that is much too small, one reads: no record is lost, torn, or out of its writer's order.
 */
import { EmbeddedKernel, RingBuffer } from "tsbpf";
import { expect, it } from "vitest";
import { crewSize, run } from "./crew.js";
import { recordWords } from "./ringing.js";

const records = 30000;

it("has every writer's records whole and in order", { timeout: 60000 }, async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  using ring = RingBuffer.create(kernel, { size: 8192 });
  const args = Array.from({ length: crewSize }, (_, writer) => ({ id: ring.id, writer, records }));
  const writers = run(kernel, "write", args);
  const next = Array<number>(crewSize).fill(0);
  let left = crewSize * records;
  for await (const batch of ring.batches()) {
    for (const record of batch) {
      const words = new Uint32Array(record.buffer, record.byteOffset, record.byteLength / 4);
      const i = next[words[0]!]!++;
      if (words.length !== recordWords(i) || words.subarray(1).some((word) => word !== i)) {
        throw new Error(`Record ${i} of writer ${words[0]} is ${words.join(" ")}`);
      }
    }
    left -= batch.length;
    if (left === 0) break;
  }
  await writers;
  expect(next).toEqual(Array(crewSize).fill(records));
  expect(kernel.check()).toEqual([]);
});

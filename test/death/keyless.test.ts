/**
 * A thread dies at each step of each operation on queues, stacks and bloom filters.
 */
import { afterAll, describe, expect, it } from "vitest";
import { BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK } from "../../src/uapi/index.js";
import { exhaust, report } from "./harness.js";
import { type KeylessOp, bloomScenario, queueScenario } from "./keyless.js";

describe.each([
  { kind: "queue", mapType: BPF_MAP_TYPE_QUEUE },
  { kind: "stack", mapType: BPF_MAP_TYPE_STACK },
])("$kind", ({ kind, mapType }) => {
  it.each([1, 4, 8, 12, 5000])("values of %i", async (valueSize) => {
    const shape = { name: `${kind}, values of ${valueSize}`, mapType, valueSize, maxEntries: 3 };
    let deaths = 0;
    for (const op of ["push", "overwrite", "pop", "peek"] satisfies KeylessOp["op"][]) {
      for (const held of [0, 1, 3]) {
        for (const turned of [0, 2]) deaths += await exhaust(queueScenario(shape, { op, held, turned }));
      }
    }
    expect(deaths).toBeGreaterThan(100);
  });
});

it.each([1, 4, 16, 300])("bloom filter, values of %i", async (valueSize) => {
  expect(await exhaust(bloomScenario(valueSize))).toBeGreaterThan(5);
});

afterAll(() => console.log(report()));

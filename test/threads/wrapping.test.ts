/**
 * Counters that begin again at 0: the seq of lines and stripes, the numbers of changes of a count. They are set near to their
 * ends; then threads use the maps as elsewhere.
 */
import { EmbeddedKernel, HashMap, bytes, u32 } from "tsbpf";
import { describe, expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";
import { kinds as models, ownKeys } from "./losing.js";
import { type Kind, fillAll, kinds, shapes } from "./tearing.js";

/** Addresses of kernel/super.ts, and a task's offset of kernel/task.ts. */
const TASKS = 0x2000;
const TASK_SIZE = 1024;
const FD_TABLE = 0x43000;
const COUNT_SEQ_OFF = 8;
/** Of a map's head: kernel/map.ts, kernel/maps/_htab.ts. */
const STRIPES_OFF = 72;
const LINES_OFF = 168;
const SEQ_OFF = 4;

/** A few changes before a seq is 0 again; even, since nobody writes. */
const NEAR_END = 2 ** 32 - 6;

const wordsOf = (kernel: EmbeddedKernel): Uint32Array => new Uint32Array(kernel.share().memory.buffer);

/** Sets the seq of all lines and stripes of a map. Returns where they lie. */
function seedSeqs(kernel: EmbeddedKernel, fd: number, isHash: boolean): number[] {
  const words = wordsOf(kernel);
  const head = words[FD_TABLE / 4 + 2 * fd]! / 4;
  const seqs: number[] = [];
  const [stripes, mask, row, rows] = words.subarray(head + STRIPES_OFF / 4);
  for (let r = 0; r < rows!; r++) for (let i = 0; i <= mask!; i++) seqs.push(stripes! + r * row! + 8 * i + SEQ_OFF);
  if (isHash) {
    const [lines, size, count] = words.subarray(head + LINES_OFF / 4);
    for (let i = 0; i < count!; i++) seqs.push(lines! + i * size! + SEQ_OFF);
  }
  for (const at of seqs) words[at / 4] = NEAR_END;
  return seqs;
}

describe.each(Object.keys(kinds) as Kind[])("a %s whose seqs begin again", (kind) => {
  it("gives whole values of the key that was asked for", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 3 });
    const check = watchLeaks(kernel);
    const words = wordsOf(kernel);
    const maps = shapes.map((shape) => {
      const map = kinds[kind].create(kernel, shape);
      fillAll(kernel, kind, map.fd, shape);
      return { map, seqs: seedSeqs(kernel, map.fd, kinds[kind].keyed) };
    });
    const values = await run(
      kernel,
      "tear",
      each((index) => ({
        kind,
        ids: maps.map(({ map }) => map.id),
        role: index % 2 === 0 ? "write" : "read",
        ms: 700,
        seed: index + 1,
      })),
    );
    for (const n of values) expect(n).toBeGreaterThan(500);
    const begunAgain = maps.flatMap(({ seqs }) => seqs).filter((at) => words[at / 4]! < NEAR_END);
    expect(begunAgain.length).toBeGreaterThan(0);
    for (const { map } of maps) map.close();
    check();
  });
});

it("counts are exact when the numbers of their changes begin again", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
  const check = watchLeaks(kernel);
  const words = wordsOf(kernel);
  const seqAt = (slot: number): number => (TASKS + (slot - 1) * TASK_SIZE + COUNT_SEQ_OFF) / 4;
  for (let slot = 1; slot <= crewSize + 1; slot++) words[seqAt(slot)] = 2 ** 20 - 20;
  const kind = "hash with struct keys, not preallocated";
  const map = models[kind].create(kernel, crewSize * ownKeys);
  const found = await run(
    kernel,
    "keepModel",
    each((index) => ({ maps: [{ kind, id: map.id }], first: index * 100_000, ms: 700 })),
  );
  for (let slot = 2; slot <= crewSize + 1; slot++) expect(words[seqAt(slot)]).toBeLessThan(2 ** 20 - 20);
  expect(map.count()).toBe(found.reduce((sum, [model]) => sum + model!.size, 0));
  map.close();

  const full = HashMap.create(kernel, { key: u32, value: bytes(16), maxEntries: 100 });
  words[seqAt(kernel.slot)] = 2 ** 20 - 20;
  for (let round = 0; round < 3; round++) {
    for (let key = 0; key < 100; key++) full.set(key, new Uint8Array(16));
    expect(() => full.set(100, new Uint8Array(16))).toThrow("E2BIG");
    expect(full.count()).toBe(100);
    full.clear();
    expect(full.count()).toBe(0);
  }
  full.close();
  check();
});

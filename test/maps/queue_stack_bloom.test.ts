/**
 * QueueMap, StackMap, BloomFilter: what each method promises.
 */
import { BloomFilter, BpfError, QueueMap, StackMap, struct, u32, u64 } from "tsbpf";
import { BPF_F_RDONLY, BPF_F_WRONLY } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { forEachKernel } from "../kernels.js";
import type { Kernel } from "tsbpf";
import { afterAll, beforeAll } from "vitest";
import { thrownBy } from "./_ways.js";

forEachKernel((_, open) => {
  let kernel: Kernel;
  beforeAll(async () => {
    kernel = await open();
  });
  afterAll(() => kernel[Symbol.dispose]());

  it("a queue gives the oldest, a stack the newest", () => {
    using queue = QueueMap.create(kernel, { name: "jobs", value: u64, maxEntries: 3 });
    using stack = StackMap.create(kernel, { name: "undo", value: u64, maxEntries: 3 });
    for (const map of [queue, stack]) {
      expect(map.pop()).toBeUndefined();
      expect(map.peek()).toBeUndefined();
      for (const value of [1n, 2n, 3n]) map.push(value);
    }
    expect([queue.peek(), queue.pop(), queue.pop(), queue.pop(), queue.pop()]).toEqual([1n, 1n, 2n, 3n, undefined]);
    expect([stack.peek(), stack.pop(), stack.pop(), stack.pop(), stack.pop()]).toEqual([3n, 3n, 2n, 1n, undefined]);
  });

  it("a full one says so, or lets the oldest go", () => {
    for (const map of [
      QueueMap.create(kernel, { name: "jobs", value: u32, maxEntries: 2 }),
      StackMap.create(kernel, { name: "jobs", value: u32, maxEntries: 2 }),
    ]) {
      map.push(1);
      map.push(2, {});
      const error = thrownBy(() => map.push(3));
      expect(error).toBeInstanceOf(BpfError);
      expect((error as BpfError).message).toMatch(
        /^Cannot push a value to (queue|stack) map "jobs": BPF_MAP_UPDATE_ELEM failed with E2BIG \(the map holds 2 of 2 values: pop some, or push with overwrite\)$/,
      );
      map.push(3, { overwrite: true });
      expect(new Set([map.pop(), map.pop(), map.pop()])).toEqual(new Set([2, 3, undefined]));
      map.close();
    }
  });

  it("a bloom filter forgets nothing, and is seldom mistaken", () => {
    using seen = BloomFilter.create(kernel, { name: "seen", value: u32, maxEntries: 1000 });
    for (let i = 0; i < 1000; i++) seen.add(i * 7);
    for (let i = 0; i < 1000; i++) expect(seen.has(i * 7)).toBe(true);
    let mistaken = 0;
    for (let i = 0; i < 10_000; i++) if (seen.has(1_000_000 + i)) mistaken++;
    // Five of 8,192 bits each: some 2 % at most.
    expect(mistaken).toBeLessThan(500);
  });

  it("hashes: how many bits a value sets", () => {
    using one = BloomFilter.create(kernel, { value: u32, maxEntries: 10, hashes: 1 });
    one.add(1);
    expect(one.has(1)).toBe(true);
    for (const hashes of [0, 16, 1.5, -1]) {
      expect(() => BloomFilter.create(kernel, { value: u32, maxEntries: 10, hashes })).toThrow(RangeError);
    }
  });

  it("values are looked at before any call", () => {
    const flow = struct({ src: u32, dst: u32 });
    using queue = QueueMap.create(kernel, { value: flow, maxEntries: 2 });
    expect(() => queue.push({ src: 1, dst: -1 })).toThrow(RangeError);
    expect(queue.pop()).toBeUndefined();
    queue.push({ src: 1, dst: 2 });
    expect(queue.pop()).toEqual({ src: 1, dst: 2 });
    queue.close();
    expect(() => queue.push({ src: 1, dst: -1 })).toThrow(RangeError);
    expect(thrownBy(() => queue.push({ src: 1, dst: 2 }))).toMatchObject({ code: "EBADF" });
    expect(thrownBy(() => queue.pop())).toMatchObject({ code: "EBADF" });
    expect(thrownBy(() => queue.peek())).toMatchObject({ code: "EBADF" });
    queue.close();
  });

  it("opens by id, and refuses other types and sizes", () => {
    using queue = QueueMap.create(kernel, { name: "jobs", value: u32, maxEntries: 2 });
    using again = QueueMap.fromId(kernel, queue.id, { value: u32 });
    queue.push(5);
    expect(again.pop()).toBe(5);
    expect(() => StackMap.fromId(kernel, queue.id, { value: u32 })).toThrow(
      /as StackMap: its type is queue, wanted stack/,
    );
    expect(() => QueueMap.fromId(kernel, queue.id, { value: u64 })).toThrow(/its valueSize is 4, wanted 8 \(u64\)/);
    expect(again.info()).toMatchObject({ typeName: "queue", keySize: 0, valueSize: 4, maxEntries: 2, name: "jobs" });
  });

  it("read-only and write-only fds", () => {
    using reader = QueueMap.create(kernel, { value: u32, maxEntries: 2, mapFlags: BPF_F_RDONLY });
    expect(reader.peek()).toBeUndefined();
    expect(thrownBy(() => reader.push(1))).toMatchObject({ code: "EPERM" });
    expect(thrownBy(() => reader.pop())).toMatchObject({ code: "EPERM" });
    using writer = BloomFilter.create(kernel, { value: u32, maxEntries: 2, mapFlags: BPF_F_WRONLY });
    writer.add(1);
    expect(thrownBy(() => writer.has(1))).toMatchObject({ code: "EPERM" });
  });

  it("a frozen one only reads", () => {
    using queue = QueueMap.create(kernel, { value: u32, maxEntries: 2 });
    queue.push(1);
    queue.freeze();
    expect(queue.peek()).toBe(1);
    expect(thrownBy(() => queue.push(2))).toMatchObject({ code: "EPERM" });
    expect(thrownBy(() => queue.pop())).toMatchObject({ code: "EPERM" });
  });
});

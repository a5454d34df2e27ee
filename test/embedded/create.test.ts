/**
 * EmbeddedKernel.create and alloc: options in and out of range, and buffers.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { BpfError, EmbeddedKernel, HashMap, PerCpuArray, u32, u64 } from "tsbpf";
import { describe, expect, it, vi } from "vitest";
import { open } from "./_kernel.js";

describe("EmbeddedKernel.create", () => {
  it.each([0, -1, 1025, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "2" as never])(
    "refuses %s CPUs by the option's name",
    async (possibleCpus) => {
      await expect(EmbeddedKernel.create({ possibleCpus })).rejects.toThrow(
        new RangeError(`possibleCpus is ${possibleCpus}: wanted an integer from 1 to 1024`),
      );
    },
  );

  it.each([0, 2 ** 21 - 1, 2 ** 32 + 1, 2 ** 22 + 0.5, Number.NaN, "4194304" as never])(
    "refuses %s bytes of memory by the option's name",
    async (maxMemory) => {
      await expect(EmbeddedKernel.create({ maxMemory })).rejects.toThrow(
        new RangeError(`maxMemory is ${maxMemory}: wanted an integer from 2097152 to 4294967296`),
      );
    },
  );

  it.each([1, 2, 1024])("has %i CPUs where it is told so", async (possibleCpus) => {
    const kernel = await open({ possibleCpus });
    expect(kernel.possibleCpus).toBe(possibleCpus);
    using map = PerCpuArray.create(kernel, { value: u32, maxEntries: 3 });
    map.add(2, 7);
    expect(map.get(2)).toHaveLength(possibleCpus);
    expect(map.get(2)!.sum()).toBe(7);
  });

  it.each([2 ** 21, 2 ** 21 + 1, 2 ** 30, 2 ** 32])(
    "reserves %i bytes, in whole pages of WebAssembly",
    async (bytes) => {
      const kernel = await open({ maxMemory: bytes });
      expect(kernel.maxMemory).toBe(Math.ceil(bytes / 65536) * 65536);
      using map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 10 });
      map.set(1, 2n);
      expect(map.get(1)).toBe(2n);
    },
  );

  it("takes less memory where the system refuses as much, and says so once", async () => {
    const { Memory } = WebAssembly;
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    try {
      WebAssembly.Memory = class extends Memory {
        constructor(limits: WebAssembly.MemoryDescriptor) {
          if (limits.initial > 1024) throw new RangeError("could not allocate memory");
          super(limits);
        }
      };
      for (let i = 0; i < 2; i++) {
        const kernel = await open({ maxMemory: 2 ** 28 });
        expect(kernel.maxMemory).toBe(2 ** 26);
        using map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 10 });
        map.set(1, 2n);
      }
      expect(warn.mock.calls).toEqual([
        ["tsbpf: The system refused to reserve 268435456 bytes of memory: the kernel has 67108864"],
      ]);
      WebAssembly.Memory = function () {
        throw new RangeError("could not allocate memory");
      } as unknown as typeof Memory;
      await expect(EmbeddedKernel.create()).rejects.toThrow(/Cannot reserve 1073741824 bytes of memory/);
    } finally {
      WebAssembly.Memory = Memory;
      warn.mockRestore();
    }
  });
});

describe("alloc", () => {
  it.each([0, -1, 1.5, Number.NaN, 2 ** 53, "8" as never])("refuses a size of %s", async (size) => {
    const kernel = await open();
    expect(() => kernel.alloc(size)).toThrow(RangeError);
    expect(() => kernel.alloc(size)).toThrow(`The size of a buffer is ${size}`);
  });

  it.each([2 ** 26, 2 ** 26 + 1, 2 ** 32, 2 ** 32 + 8, 2 ** 40])(
    "has no %i bytes in 64 MiB: ENOMEM, naming maxMemory",
    async (size) => {
      const kernel = await open({ maxMemory: 2 ** 26 });
      expect(() => kernel.alloc(size)).toThrow(BpfError);
      expect(() => kernel.alloc(size)).toThrow(expect.objectContaining({ code: "ENOMEM" }));
      expect(() => kernel.alloc(size)).toThrow(/create it with a larger maxMemory/);
    },
  );

  it("gives zeroed, aligned memory of its own", async () => {
    const kernel = await open({ maxMemory: 2 ** 26 });
    const buffers = [1, 7, 8, 4095, 4096, 4097, 100_000].map((size) => kernel.alloc(size));
    for (const { address, bytes } of buffers) {
      expect(address % 8).toBe(0);
      expect(bytes.byteOffset).toBe(address);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      bytes.fill(0xff);
    }
    const ranges = buffers
      .map(({ address, bytes }) => [address, address + bytes.length])
      .toSorted(([a], [b]) => a! - b!);
    ranges.reduce((before, range) => {
      expect(range[0]).toBeGreaterThanOrEqual(before[1]!);
      return range;
    });
    for (const buffer of buffers) {
      buffer[Symbol.dispose]();
      // Twice is no error, and gives nothing back twice.
      buffer[Symbol.dispose]();
    }
    const again = kernel.alloc(100_000);
    expect(again.bytes.every((byte) => byte === 0)).toBe(true);
    again[Symbol.dispose]();
  });
});

it("a thread that may not sleep waits for a lock all the same", async () => {
  const wait = vi.spyOn(Atomics, "wait").mockImplementation(() => {
    throw new TypeError("Atomics.wait cannot be called in this context");
  });
  const kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 21 });
  wait.mockClear();
  // Another thread holds the tables lock (kernel/super.ts), and lets it go after a while.
  const words = new Int32Array(kernel.share().memory.buffer);
  const tablesLock = 0x1080 / 4;
  words[tablesLock] = 2;
  const script = `
    const { workerData: { words, at } } = require("node:worker_threads");
    setTimeout(() => Atomics.store(words, at, 0), 50);`;
  const worker = new Worker(script, { eval: true, workerData: { words, at: tablesLock } });
  try {
    await once(worker, "online");
    using map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 1 });
    expect(map.id).toBe(1);
    expect(wait).not.toHaveBeenCalled();
  } finally {
    wait.mockRestore();
    await worker.terminate();
    kernel[Symbol.dispose]();
  }
});

it("disposing a kernel twice is no error", async () => {
  const kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 21 });
  const first = await EmbeddedKernel.attach(kernel.share());
  first[Symbol.dispose]();
  const second = await EmbeddedKernel.attach(kernel.share());
  // The slot is the second's now.
  first[Symbol.dispose]();
  const others = [];
  for (let i = 2; i < 256; i++) others.push(await EmbeddedKernel.attach(kernel.share()));
  await expect(EmbeddedKernel.attach(kernel.share())).rejects.toThrow(/256 threads/);
  for (const one of [...others, second, kernel]) one[Symbol.dispose]();
});

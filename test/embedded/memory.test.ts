/**
 * Memory: what happens when it is out, that all of it comes back, and that nobody sees what others left in it.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  ArrayMap,
  BpfError,
  type EmbeddedKernel,
  HashMap,
  PerCpuArray,
  PerCpuHashMap,
  type UserBuffer,
  bytes,
  u32,
  u64,
} from "tsbpf";
import {
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_MAP_CREATE,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  E2BIG,
  ENOMEM,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { call, open } from "./_kernel.js";

const enomem = expect.objectContaining({ code: "ENOMEM" });
const isZero = (found: Uint8Array): boolean => found.every((byte) => byte === 0);

/** Creates until it is refused, which must be with ENOMEM. */
function fillWith<T>(create: () => T): T[] {
  const all: T[] = [];
  while (true) {
    try {
      all.push(create());
    } catch (error) {
      expect(error).toBeInstanceOf(BpfError);
      expect(error).toEqual(enomem);
      expect((error as BpfError).message).toMatch(/maxMemory/);
      return all;
    }
  }
}

describe("memory that is full", () => {
  const makers: Record<string, (kernel: EmbeddedKernel) => { close(): void }> = {
    hash: (kernel) => HashMap.create(kernel, { key: u32, value: bytes(100), maxEntries: 1000 }),
    "per-CPU hash": (kernel) => PerCpuHashMap.create(kernel, { key: u32, value: bytes(100), maxEntries: 1000 }),
    array: (kernel) => ArrayMap.create(kernel, { value: bytes(100), maxEntries: 1000 }),
    "mappable array": (kernel) =>
      ArrayMap.create(kernel, { value: bytes(100), maxEntries: 1000, mapFlags: BPF_F_MMAPABLE }),
    "per-CPU array": (kernel) => PerCpuArray.create(kernel, { value: bytes(100), maxEntries: 1000 }),
  };

  it.each(Object.entries(makers))("is whole again once every %s is closed", async (_, make) => {
    const kernel = await open({ maxMemory: 2 ** 24 });
    const maps = fillWith(() => make(kernel));
    expect(maps.length).toBeGreaterThan(5);
    for (const map of maps) map.close();
    expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
    const again = fillWith(() => make(kernel));
    expect(again).toHaveLength(maps.length);
    for (const map of again) map.close();
  });

  it("is there for buffers, too, when maps have given it back", async () => {
    const kernel = await open({ maxMemory: 2 ** 24 });
    const maps = fillWith(() => makers["hash"]!(kernel));
    const rest = fillWith(() => kernel.alloc(4096));
    for (const map of maps) map.close();
    for (const buffer of rest) buffer[Symbol.dispose]();
    using large = kernel.alloc(2 ** 23);
    expect(isZero(large.bytes)).toBe(true);
    // And a map beside it.
    using map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 1000 });
    for (let i = 0; i < 1000; i++) map.set(i, BigInt(i));
    expect([...map].length).toBe(1000);
  });

  it("refuses elems of a map that is not preallocated, and takes them when others are deleted", async () => {
    const kernel = await open({ maxMemory: 2 ** 22 });
    using map = HashMap.create(kernel, {
      name: "big",
      key: u32,
      value: bytes(1000),
      maxEntries: 100_000,
      mapFlags: BPF_F_NO_PREALLOC,
    });
    const value = new Uint8Array(1000).fill(7);
    let n = 0;
    expect(() => {
      for (; ; n++) map.set(n, value);
    }).toThrow(enomem);
    expect(() => map.set(n, value)).toThrow(/"big".*maxMemory/);
    expect(n).toBeGreaterThan(1000);
    expect(map.count()).toBe(n);
    for (let i = 0; i < n; i++) expect(map.has(i)).toBe(true);
    for (let i = 0; i < 10; i++) expect(map.delete(i)).toBe(true);
    for (let i = 0; i < 10; i++) expect(map.set(n + i, value)).toBe(true);
    expect(() => map.set(n + 10, value)).toThrow(enomem);
    expect(map.count()).toBe(n);
  });

  it("leaves nothing behind of a map that could not be opened, wherever memory ended", async () => {
    const kernel = await open({ maxMemory: 2 ** 21 });
    // A buffer for one of its values takes ten pages.
    const create = () => HashMap.create(kernel, { key: u32, value: bytes(40_000), maxEntries: 1 });
    // A hole that only maps can have, of this map's size.
    const hole = create();
    using _behind = create();
    hole.close();
    const rest: UserBuffer[] = fillWith(() => kernel.alloc(1));
    let made = 0;
    for (let free = 0; free < 20; free++) {
      const before = kernel.usage();
      try {
        create().close();
        made++;
      } catch (error) {
        expect(error).toEqual(enomem);
      }
      expect(kernel.usage()).toEqual(before);
      rest.pop()![Symbol.dispose]();
    }
    for (const buffer of rest) buffer[Symbol.dispose]();
    expect(made).toBeGreaterThan(0);
    expect(made).toBeLessThan(12);
  });

  it("leaves nothing behind of a short way that could not be opened", async () => {
    const kernel = await open({ maxMemory: 2 ** 21 });
    const map = HashMap.create(kernel, { key: u32, value: bytes(40_000), maxEntries: 1 });
    const rest = fillWith(() => kernel.alloc(1));
    const before = kernel.usage();
    expect(() => kernel.direct(map.fd)).toThrow(enomem);
    expect(() => kernel.direct(map.fd, { lanes: [{ offset: 39_999, width: 8 }] })).toThrow(enomem);
    for (const buffer of rest) buffer[Symbol.dispose]();
    expect(() => kernel.direct(map.fd, { lanes: [{ offset: 39_999, width: 8 }] })).toThrow(RangeError);
    expect(kernel.usage().maps).toBe(before.maps);
    // The map ends with its fd: nobody holds it.
    map.close();
    expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
  });
});

describe("memory that is used again", () => {
  const ones = (size: number): Uint8Array => new Uint8Array(size).fill(0xff);

  it.each([
    ["array", ArrayMap, 0],
    ["mappable array", ArrayMap, BPF_F_MMAPABLE],
    ["per-CPU array", PerCpuArray, 0],
  ] as const)("is zero in a new %s", async (_, type, mapFlags) => {
    const kernel = await open({ maxMemory: 2 ** 24, possibleCpus: 2 });
    for (let round = 0; round < 2; round++) {
      // Both zones have been written all over.
      const maps = fillWith(() => HashMap.create(kernel, { key: u32, value: bytes(4000), maxEntries: 200 }));
      for (const map of maps) for (let i = 0; i < 200; i++) map.set(i, ones(4000));
      for (const map of maps) map.close();
      const buffer = kernel.alloc(2 ** 21);
      buffer.bytes.fill(0xff);
      buffer[Symbol.dispose]();
      using map = type.create(kernel, { value: bytes(400), maxEntries: 2000, mapFlags });
      for (const value of map.values() as Iterable<Uint8Array | Uint8Array[]>) {
        for (const part of value instanceof Uint8Array ? [value] : value) expect(isZero(part)).toBe(true);
      }
    }
  });

  it("is zero in a new buffer, whoever had it", async () => {
    const kernel = await open({ maxMemory: 2 ** 23 });
    const map = HashMap.create(kernel, { key: u32, value: bytes(4000), maxEntries: 1500 });
    for (let i = 0; i < 1500; i++) map.set(i, ones(4000));
    map.close();
    for (const size of [1, 4096, 10_000, 2 ** 20, 6 * 2 ** 20, 8192]) {
      using buffer = kernel.alloc(size);
      expect(isZero(buffer.bytes)).toBe(true);
      buffer.bytes.fill(0xff);
    }
  });

  it("shows nothing of other maps in a new hash", async () => {
    const kernel = await open({ maxMemory: 2 ** 23, possibleCpus: 3 });
    for (const type of [HashMap, PerCpuHashMap]) {
      const array = ArrayMap.create(kernel, { value: bytes(1000), maxEntries: 3000 });
      for (let i = 0; i < 3000; i++) array.set(i, ones(1000));
      array.close();
      using map = type.create(kernel, { key: u32, value: u64, maxEntries: 20_000 });
      expect(map.count()).toBe(0);
      expect([...map]).toEqual([]);
      expect(map.get(0xffffffff)).toBeUndefined();
      if (map instanceof PerCpuHashMap) {
        map.add(5, 1n);
        expect([...map.get(5)!]).toEqual([1n, 0n, 0n]);
      }
    }
  });
});

describe("sizes that do not fit into 32 bits", () => {
  const create = (kernel: EmbeddedKernel, sizes: readonly number[], map_flags = 0): number => {
    const [map_type, key_size, value_size, max_entries] = sizes as [number, number, number, number];
    return call(kernel, BPF_MAP_CREATE, "mapCreate", { map_type, key_size, value_size, max_entries, map_flags });
  };
  const M = 2 ** 20;

  // Each is 4 GiB or a little more, or a multiple: as 32-bit numbers they are 0 or small.
  it.each([
    [BPF_MAP_TYPE_ARRAY, 4, 65536, 65536],
    [BPF_MAP_TYPE_ARRAY, 4, 65536, 65537],
    [BPF_MAP_TYPE_ARRAY, 4, 8, 2 ** 29],
    [BPF_MAP_TYPE_ARRAY, 4, 1, 2 ** 29 + 1],
    [BPF_MAP_TYPE_ARRAY, 4, 8, 2 ** 32 - 1],
    [BPF_MAP_TYPE_ARRAY, 4, 2 ** 31 - 1, 2],
    [BPF_MAP_TYPE_ARRAY, 4, 2 ** 31 - 1, 2 ** 32 - 1],
    [BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32768, 2 ** 7],
    [BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2 ** 19],
    [BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2 ** 19 + 1],
    [BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32768, 2 ** 32 - 1],
    [BPF_MAP_TYPE_PERCPU_HASH, 4, 32768, 2 ** 7],
    [BPF_MAP_TYPE_PERCPU_HASH, 4, 32768, 2 ** 17],
    [BPF_MAP_TYPE_PERCPU_HASH, 4, 32768, 2 ** 27],
    [BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 2 ** 19],
    [BPF_MAP_TYPE_HASH, 8, 16, 2 ** 27],
    [BPF_MAP_TYPE_HASH, 4, 4 * M - 65, 1024],
    [BPF_MAP_TYPE_HASH, 4 * M - 65, 4, 1024],
    [BPF_MAP_TYPE_HASH, 4, 4 * M - 65, 2 ** 27],
  ])("type %i, key %i, value %i, %i elems: ENOMEM", async (...sizes) => {
    const kernel = await open({ maxMemory: 2 ** 32, possibleCpus: 1024 });
    expect(create(kernel, sizes)).toBe(-ENOMEM);
    const isMappable = sizes[0] === BPF_MAP_TYPE_ARRAY;
    if (isMappable) expect(create(kernel, sizes, BPF_F_MMAPABLE)).toBe(-ENOMEM);
  });

  it.each([
    [BPF_MAP_TYPE_HASH, 2 ** 32 - 1, 2 ** 32 - 1, 1],
    [BPF_MAP_TYPE_HASH, 2 ** 32 - 1, 8, 1],
    [BPF_MAP_TYPE_HASH, 8, 2 ** 32 - 1, 1],
    [BPF_MAP_TYPE_HASH, 4, 4, 2 ** 32 - 1],
    [BPF_MAP_TYPE_PERCPU_HASH, 4, 2 ** 32 - 1, 1],
    [BPF_MAP_TYPE_PERCPU_ARRAY, 4, 2 ** 32 - 1, 1],
    [BPF_MAP_TYPE_ARRAY, 4, 2 ** 32 - 1, 1],
    [BPF_MAP_TYPE_ARRAY, 4, 2 ** 31, 1],
  ])("type %i, key %i, value %i, %i elems: E2BIG", async (...sizes) => {
    const kernel = await open({ maxMemory: 2 ** 32, possibleCpus: 1024 });
    expect(create(kernel, sizes)).toBe(-E2BIG);
  });

  it("the last elems of maps of gigabytes are elems like others", async () => {
    const kernel = await open({ maxMemory: 2 ** 32, possibleCpus: 2 });
    {
      using array = ArrayMap.create(kernel, { value: u64, maxEntries: 2 ** 28 + 2 ** 27 });
      const last = array.maxEntries - 1;
      expect(array.set(last, 7n)).toBe(true);
      array.add(last, 1n);
      expect([array.get(last), array.get(0), array.get(last - 1), array.get(last + 1)]).toEqual([
        8n,
        0n,
        0n,
        undefined,
      ]);
      expect(kernel.usage().bytes).toBeGreaterThan(3 * 2 ** 30);
    }
    {
      using array = PerCpuArray.create(kernel, { value: u64, maxEntries: 2 ** 27 });
      array.set(2 ** 27 - 1, Object.assign(array.get(0)!, [1n, 2n]));
      expect([...array.get(2 ** 27 - 1)!]).toEqual([1n, 2n]);
      expect([...array.get(2 ** 27 - 2)!]).toEqual([0n, 0n]);
    }
    {
      using hash = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 2 ** 26 });
      for (let i = 0; i < 1000; i++) hash.set(i * 4_294_967, BigInt(i));
      for (let i = 0; i < 1000; i++) expect(hash.get(i * 4_294_967)).toBe(BigInt(i));
      expect(hash.count()).toBe(1000);
    }
  });
});

it("a hash of 10 million elems takes memory as it fills", () => {
  const script = fileURLToPath(new URL("../../build/test/embedded/ten_million.js", import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--expose-gc", script], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const grown = JSON.parse(stdout) as { created: number; filled: number };
  expect(grown.created).toBeLessThan(5 * 2 ** 20);
  // 100,000 elems, each in a line of its own: a page for nearly all of them.
  expect(grown.filled).toBeGreaterThan(2 * 2 ** 20);
  expect(grown.filled).toBeLessThan(300 * 2 ** 20);
});

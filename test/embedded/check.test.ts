/**
 * kernel.check(): silent on a kernel that is whole, and finds each damage that is planted in its memory.
 */
import { EmbeddedKernel, HashMap, bytes, u32, u64 } from "tsbpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

/** Addresses of kernel/super.ts. */
const SUPER = 0x1000;
const CPUS = 0x22000;
const FD_TABLE = 0x23000;
const PAGE_TABLE = 0xa3000;

let kernel: EmbeddedKernel;
let words: Uint32Array;
let map: HashMap<number, bigint>;
/** Addresses of the map's head and of its first elem. */
let head: number;
let elem: number;

beforeEach(async () => {
  kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24, possibleCpus: 2 });
  words = new Uint32Array(kernel.share().memory.buffer);
  map = HashMap.create(kernel, { name: "m", key: u32, value: u64, maxEntries: 64 });
  for (let i = 0; i < 40; i++) map.set(i, BigInt(i));
  for (let i = 0; i < 10; i++) map.delete(i);
  map.pin("/sys/fs/bpf/m");
  head = words[FD_TABLE / 4 + 2 * map.fd]!;
  elem = wordAt(bucketOf(firstUsedBucket()));
});
afterEach(() => kernel[Symbol.dispose]());

const wordAt = (address: number): number => words[address / 4]!;

/** Where the superblock or the map's head has a value that only one of its words has. */
function fieldOf(start: number, size: number, value: number): number {
  const at: number[] = [];
  for (let off = 0; off < size; off += 4) if (wordAt(start + off) === value) at.push(start + off);
  expect(at.length).toBe(1);
  return at[0]!;
}

/** The buckets are the words of the map's first run, up to its end, that point at elems. */
function firstUsedBucket(): number {
  const run = Array.from(words.subarray(head / 4, head / 4 + 1024));
  return run.findLastIndex((word) => word > head + 4096 && word % 4 === 0);
}
const bucketOf = (index: number): number => head + 4 * index;

/** Writes a word, checks, and puts back what was there. */
function plant(address: number, value: number): string[] {
  const was = wordAt(address);
  words[address / 4] = value;
  const found = kernel.check();
  words[address / 4] = was;
  expect(kernel.check()).toEqual([]);
  return found;
}

describe("check", () => {
  test("finds nothing in a kernel that is whole", () => {
    using other = HashMap.create(kernel, {
      name: "o",
      key: bytes(20),
      value: bytes(100),
      maxEntries: 1000,
      mapFlags: 1,
    });
    for (let i = 0; i < 300; i++) other.set(new Uint8Array(20).fill(i), new Uint8Array(100));
    expect(kernel.check()).toEqual([]);
    using twin = HashMap.fromId(kernel, map.id, { key: u32, value: u64 });
    twin.clear();
    expect(kernel.check()).toEqual([]);
  });

  test("finds a bucket that lost its elems", () => {
    const found = plant(bucketOf(firstUsedBucket()), 0).join();
    expect(found).toMatch(/29 are in buckets|elems are counted/);
    expect(found).toMatch(/in buckets or free, of 40 that were taken/);
  });

  test("finds an elem that lies nowhere", () => {
    expect(plant(bucketOf(firstUsedBucket()), elem + 2).join()).toMatch(/is no elem/);
  });

  test("finds an elem in the wrong bucket", () => {
    const key = elem + 4;
    expect(plant(key, wordAt(key) ^ 0xffff).join()).toMatch(/has an elem that belongs into/);
  });

  test("finds a wrong count of elems", () => {
    expect(plant(fieldOf(head, 192, 30), 31).join()).toMatch(/31 elems are counted, and 30 are in buckets/);
  });

  test("finds a bucket that loops", () => {
    expect(plant(elem, elem).join()).toMatch(/is there twice|is no elem/);
  });

  test("finds an fd of no map, and a wrong count of fds", () => {
    const fd = FD_TABLE + 8 * 100;
    const found = plant(fd, head + 64).join();
    expect(found).toMatch(/fd 100 is of a map at .* that is not listed/);
    expect(found).toMatch(/fds count as open/);
  });

  test("finds references that fds and names do not account for", () => {
    // Three more fds than references were taken for: the short way holds the map as well.
    const extra = [100, 101, 102].map((fd) => (FD_TABLE + 8 * fd) / 4);
    for (const at of extra) words[at] = head;
    expect(kernel.check().join()).toMatch(/references, where fds and names are/);
    for (const at of extra) words[at] = 0;
    expect(kernel.check()).toEqual([]);
  });

  test("finds a CPU that a task does not know of", () => {
    expect(plant(CPUS + 4, 9).join()).toMatch(/CPU 1 belongs to task 9/);
  });

  test("finds a stripe that is left being written", () => {
    const stripes = Array.from(words.subarray(head / 4, head / 4 + 48)).find(
      (word) => word > head && word < head + 512,
    );
    expect(plant(stripes! + 4, wordAt(stripes! + 4) + 1).join()).toMatch(/a value is being written/);
  });

  test("finds damage in the page table", () => {
    const record = PAGE_TABLE + 16 * (head / 4096);
    expect(plant(record + 4, wordAt(record + 4) + 1).join()).toMatch(/page run at page/);
    expect(plant(record, 2).join()).toMatch(/which is the other zone's|ends as/);
    expect(plant(record, 0).join()).toMatch(/pages count as used|are in free lists/);
  });

  test("finds a wrong sum of pages", () => {
    const used = kernel.usage().bytes / 4096;
    const at = fieldOf(SUPER, 256, used);
    expect(plant(at, used + 1).join()).toMatch(/pages count as used, and/);
  });
});

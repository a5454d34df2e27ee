/**
 * kernel.check(): silent on a kernel that is whole, and finds each damage that is planted in its memory.
 */
import {
  Arena,
  ArrayMap,
  ArrayOfMaps,
  EmbeddedKernel,
  GenericMap,
  HashMap,
  PerfEventArray,
  bytes,
  u32,
  u64,
} from "tsbpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

/** Addresses of kernel/super.ts. */
const SUPER = 0x1000;
const MAPS_BY_ID = SUPER + 2048;
const CPUS = 0x42000;
const FD_TABLE = 0x43000;
const PAGE_TABLE = 0xc7000;

/** Offsets in a hash map's head and in its lines: kernel/maps/_htab.ts. */
const BTF_OFF = 92;
const LINES_OFF = 168;
const LINE_SIZE_OFF = 172;
const LINE_COUNT_OFF = 176;
/** In an array's: kernel/maps/_array.ts. */
const VALUES_OFF = 168;
const SEQ_OFF = 4;
const NEXT_OFF = 12;
const TAGS_OFF = 16;
const KEYS_OFF = 24;
/** Of an arena: kernel/maps/arena.ts. */
const ARENA_PAGES_OFF = 168;

/** Offsets in a name's node, of its first name: kernel/bpffs.ts. */
const DIR_OFF = 16;
const TEXT_OFF = 24;

let kernel: EmbeddedKernel;
let words: Uint32Array;
let map: HashMap<number, bigint>;
/** Addresses of the map's head, and of the first of its lines that has an elem in its first cell. */
let head: number;
let line: number;

beforeEach(async () => {
  kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24, possibleCpus: 2 });
  words = new Uint32Array(kernel.share().memory.buffer);
  map = HashMap.create(kernel, { name: "m", key: u32, value: u64, maxEntries: 64, btf: false });
  for (let i = 0; i < 40; i++) map.set(i, BigInt(i));
  for (let i = 0; i < 10; i++) map.delete(i);
  map.pin("/sys/fs/bpf/m");
  head = words[FD_TABLE / 4 + 2 * map.fd]!;
  line = firstUsedLine();
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

/** All lines of the map at `head`, without overflow lines. */
function lines(): number[] {
  const size = wordAt(head + LINE_SIZE_OFF);
  return Array.from({ length: wordAt(head + LINE_COUNT_OFF) }, (_, i) => wordAt(head + LINES_OFF) + i * size);
}

/** The node of a name of one letter. */
function findNode(letter: string): number {
  for (let at = 0; at < words.byteLength; at += 4096) {
    const isName = wordAt(at + DIR_OFF + 4) === 1 && wordAt(at + TEXT_OFF) === letter.charCodeAt(0);
    if (isName) return at;
  }
  throw new Error(`No name ${letter}`);
}

/** This node and those that follow. */
function nodes(first: number): number[] {
  const found: number[] = [];
  for (let at = first; at !== 0; at = wordAt(at)) found.push(at);
  return found;
}

const firstUsedLine = (): number => lines().find((at) => (wordAt(at + TAGS_OFF) & 0xff) !== 0)!;

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
    const tags = wordAt(line + TAGS_OFF);
    expect(plant(line + TAGS_OFF, tags & ~0xff).join()).toMatch(/30 elems are counted, and 29 are in buckets/);
  });

  test("finds a bucket that leads nowhere", () => {
    expect(plant(line + NEXT_OFF, head).join()).toMatch(/is none of its parts/);
  });

  test("finds an elem in the wrong bucket", () => {
    const key = line + KEYS_OFF;
    expect(plant(key, wordAt(key) ^ 0xffff).join()).toMatch(/has an elem that belongs into .*, or its tag is wrong/);
  });

  test("finds a wrong tag", () => {
    expect(plant(line + TAGS_OFF, wordAt(line + TAGS_OFF) ^ 1).join()).toMatch(/or its tag is wrong/);
  });

  test("finds a wrong count of elems", () => {
    expect(plant(fieldOf(head, 320, 30), 31).join()).toMatch(/31 elems are counted, and 30 are in buckets/);
  });

  test("finds a bucket that loops, has another's overflow line, or lost its own", () => {
    using wide = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 1000, btf: false });
    for (let i = 0; i < 1000; i++) wide.set(i, i);
    head = words[FD_TABLE / 4 + 2 * wide.fd]!;
    const all = lines();
    // One whose overflow line is empty without its first four tags.
    const chained = all.find(
      (at) => wordAt(at + NEXT_OFF) !== 0 && wordAt(wordAt(at + NEXT_OFF) + TAGS_OFF + 4) === 0,
    )!;
    const single = all.find((at) => wordAt(at + NEXT_OFF) === 0)!;
    const overflow = wordAt(chained + NEXT_OFF);
    expect(kernel.check()).toEqual([]);
    expect(plant(single + NEXT_OFF, overflow).join()).toMatch(/says it is another's/);
    expect(plant(chained + NEXT_OFF, 0).join()).toMatch(/overflow lines are taken, and \d+ are in buckets/);
    expect(plant(overflow + NEXT_OFF, overflow).join()).toMatch(/goes in circles/);
    expect(plant(overflow + TAGS_OFF, 0).join()).toMatch(/leads to an empty overflow line/);
  });

  test("finds a key that is there twice", () => {
    const two = lines().find((at) => (wordAt(at + TAGS_OFF) & 0xff) !== 0 && (wordAt(at + TAGS_OFF) & 0xff00) !== 0)!;
    expect(plant(two + KEYS_OFF, wordAt(two + KEYS_OFF + 4)).join()).toMatch(/is there twice/);
  });

  test("finds an fd of no map, and a wrong count of fds", () => {
    const fd = FD_TABLE + 8 * 100;
    const found = plant(fd, head + 64).join();
    expect(found).toMatch(/fd 100 is of a map at .* that is not listed/);
    expect(found).toMatch(/fds count as open/);
  });

  test("finds references that fds, names and elems do not account for", () => {
    expect(plant((FD_TABLE / 4 + 200) * 4, head).join()).toMatch(/2 references, where fds, names and elems are 3/);
  });

  test("finds names that lead nowhere, are there twice, or lie in themselves", () => {
    for (const path of ["/sys/fs/bpf/d", "/sys/fs/bpf/d/e"]) expect(kernel.mkdir(path)).toBe(0);
    map.pin("/sys/fs/bpf/d/n");
    // The newest first: d/n, d/e, d, m. See kernel/bpffs.ts.
    const [inD, e, d, m] = nodes(findNode("n")) as [number, number, number, number];
    expect(kernel.check()).toEqual([]);
    expect(plant(inD + 4, head + 64).join()).toMatch(/the pinned name at .* is of a map at .* that is not listed/);
    expect(plant(inD + DIR_OFF, m).join()).toMatch(/is in a directory at .* that there is not/);
    expect(plant(inD + DIR_OFF, m + 64).join()).toMatch(/is in a directory at .* that there is not/);
    expect(plant(e + TEXT_OFF, wordAt(inD + TEXT_OFF)).join()).toMatch(/is also that of/);
    expect(plant(d + DIR_OFF, e).join()).toMatch(/the directory at .* is in .*, which is in it/);
    expect(plant(inD + 8, m).join()).toMatch(/is half way to replacing/);
  });

  test("finds elems of maps of maps that hold no map, and places of ids that lead to none", () => {
    const inner = { key: u32, value: u64, maxEntries: 4 };
    using outer = ArrayOfMaps.create(kernel, { maxEntries: 4, inner: () => HashMap.create(kernel, inner) });
    using one = HashMap.create(kernel, inner);
    outer.set(1, one);
    const elem = wordAt(words[FD_TABLE / 4 + 2 * outer.fd]! + VALUES_OFF) + 8;
    expect(wordAt(elem)).toBe(one.id);
    const found = plant(elem, 999).join();
    expect(found).toMatch(/an elem holds the map of id 999, which there is not/);
    expect(found).toMatch(/2 references, where fds, names and elems are 1/);
    expect(plant(elem, outer.id).join()).toMatch(/1 references, where fds, names and elems are 2/);
    expect(plant(MAPS_BY_ID + 4 * 500, head).join()).toMatch(/for ids that end in 500 stands a map/);
    expect(plant(MAPS_BY_ID + 4 * 500, head + 64).join()).toMatch(/for ids that end in 500 stands a map/);
  });

  test("an elem of a perf_event_array that is no ring buffer's id", () => {
    using events = PerfEventArray.create(kernel, { maxEntries: 1 });
    events.events({ pages: 1 });
    const elem = wordAt(wordAt(FD_TABLE + 8 * events.fd) + VALUES_OFF);
    const was = wordAt(elem);
    for (const id of [999, map.id]) {
      words[elem / 4] = id;
      expect(kernel.check().join("\n")).toMatch(`an elem holds the map of id ${id}, which there is not`);
    }
    words[elem / 4] = was;
    expect(kernel.check()).toEqual([]);
  });

  test("an elem of a devmap that is no program's id", () => {
    using devices = GenericMap.create(kernel, { type: "devmap", keySize: 4, valueSize: 8, maxEntries: 1 });
    devices.set(new Uint8Array(4), Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    const elem = wordAt(wordAt(FD_TABLE + 8 * devices.fd) + VALUES_OFF);
    words[elem / 4 + 1] = 999;
    expect(kernel.check()).toEqual([
      expect.stringContaining("an elem holds the program of id 999, which there is not"),
    ]);
    words[elem / 4 + 1] = 0;
    expect(kernel.check()).toEqual([]);
  });

  test("finds holders that are not there", () => {
    const holds = Array.from(words.subarray(head / 4, head / 4 + 64)).find((word) => word > head && word < head + 512)!;
    const found = plant(holds + 4 * 99, 2).join();
    expect(found).toMatch(/task 100, which is not there, holds it 2 times/);
    expect(found).toMatch(/held 1 times, where its holders say 3/);
  });

  test("finds a CPU that a task does not know of", () => {
    expect(plant(CPUS + 4, 9).join()).toMatch(/CPU 1 belongs to task 9/);
  });

  test("finds a line and a stripe that are left being written", () => {
    expect(plant(line + SEQ_OFF, wordAt(line + SEQ_OFF) + 1).join()).toMatch(/a value is being written/);
    using array = ArrayMap.create(kernel, { value: bytes(16), maxEntries: 4, btf: false });
    const at = words[FD_TABLE / 4 + 2 * array.fd]!;
    const stripes = wordAt(at + 72);
    expect(plant(stripes + SEQ_OFF, 1).join()).toMatch(/a value is being written/);
  });

  test("finds an arena that is mapped beyond its end, or has other pages than its own", () => {
    using arena = Arena.create(kernel, { pages: 2 });
    const at = words[FD_TABLE / 4 + 2 * arena.fd]!;
    expect(wordAt(at + ARENA_PAGES_OFF)).toBe(Number(arena.address));
    expect(plant(at + ARENA_PAGES_OFF + 4, 12288)).toEqual([
      `map at 0x${at.toString(16)}: 12288 bytes of the arena are mapped, and it has 8192`,
    ]);
    using other = Arena.create(kernel, { pages: 3 });
    expect(plant(at + ARENA_PAGES_OFF, Number(other.address)).join()).toMatch(
      /pages have 12288 bytes, where 8192 are its/,
    );
  });

  test("finds BTF that is held wrongly", () => {
    using typed = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 4 });
    const holder = words[FD_TABLE / 4 + 2 * typed.fd]! + BTF_OFF;
    // Of a BTF object: id, refs, next, prev.
    const btf = wordAt(holder);
    expect(plant(btf + 4, 7).join()).toMatch(/7 references, where fds and maps are 1/);
    expect(plant(btf + 12, btf).join()).toMatch(/BTF at .*: linked to/);
    expect(plant(holder, head).join()).toMatch(/its BTF at .* is not listed/);
    const fd = (FD_TABLE / 4 + 2 * 300) * 4 + 4;
    expect(plant(fd, head).join()).toMatch(/fd 300 is of BTF at .* that is not listed/);
  });

  test("finds damage in the page table", () => {
    const record = PAGE_TABLE + 16 * (head / 4096);
    expect(plant(record + 4, wordAt(record + 4) + 1).join()).toMatch(/page run at page/);
    expect(plant(record, 2).join()).toMatch(/which is the other zone's|ends as/);
    expect(plant(record, 0).join()).toMatch(/pages count as used|are in free lists/);
  });

  test("finds a wrong sum of pages", () => {
    const used = kernel.usage().bytes / 4096;
    // Behind magic and version.
    const at = fieldOf(SUPER + 8, 248, used);
    expect(plant(at, used + 1).join()).toMatch(/pages count as used, and/);
  });
});

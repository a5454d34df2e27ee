/**
 * Images: what was saved is there when it is loaded; what is damaged, cut or foreign is refused.
 */
import { createHash } from "node:crypto";
import {
  Arena,
  ArrayMap,
  BloomFilter,
  EmbeddedKernel,
  HashMap,
  ImageError,
  LpmTrie,
  PerCpuArray,
  PerCpuHashMap,
  QueueMap,
  RingBuffer,
  StackMap,
  UserRingBuffer,
  bytes,
  prefix4,
  struct,
  u32,
  u64,
} from "tsbpf";
import {
  BPF_BTF_GET_FD_BY_ID,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  EPERM,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { RawMap } from "../raw_map.js";
import { call, open, watched } from "./_kernel.js";

const flow = struct({ src: u32, dst: u32, port: u32 });
const u32ToU64 = { key: u32, value: u64 };
const flowToBytes = { key: flow, value: bytes(30) };
const flowOf = (i: number) => ({ src: i, dst: i * 7, port: i & 0xffff });
/** So many that a trie has a table of first nodes. */
const prefixToU32 = { key: prefix4, value: u32 };
const routeOf = (i: number): string => `10.${i >> 12}.${(i >> 4) & 255}.${(i & 15) << 4}/28`;
const valueOf = (i: number): Uint8Array => new Uint8Array(30).fill(i);

function btfGetFdById(kernel: EmbeddedKernel, btf_id: number): number {
  return call(kernel, BPF_BTF_GET_FD_BY_ID, "getId", { btf_id });
}

/** A kernel with some of everything: maps of all types, open, pinned, both; holes where others were. */
async function someKernel(maxMemory: number): Promise<{ kernel: EmbeddedKernel; hashFd: number; close: () => void }> {
  const kernel = await open({ maxMemory, possibleCpus: 3 });
  const gone = HashMap.create(kernel, { ...flowToBytes, maxEntries: 100 });
  const hash = HashMap.create(kernel, { name: "hash", ...u32ToU64, maxEntries: 1000 });
  const loose = HashMap.create(kernel, {
    name: "loose",
    ...flowToBytes,
    maxEntries: 1000,
    mapFlags: BPF_F_NO_PREALLOC,
  });
  const array = ArrayMap.create(kernel, { name: "array", value: u64, maxEntries: 1000, mapFlags: BPF_F_MMAPABLE });
  const perCpuHash = PerCpuHashMap.create(kernel, { name: "percpu_hash", ...u32ToU64, maxEntries: 100 });
  const perCpuArray = PerCpuArray.create(kernel, { name: "percpu_array", value: u64, maxEntries: 100 });
  for (let i = 0; i < 1000; i++) {
    hash.set(i, BigInt(i));
    loose.set(flowOf(i), valueOf(i));
    array.set(i, BigInt(i * i));
  }
  for (let i = 0; i < 1000; i += 3) hash.delete(i);
  for (let i = 0; i < 100; i++) {
    perCpuHash.set(i, Object.assign(perCpuArray.get(0)!, [1n, 2n, BigInt(i)]));
    perCpuArray.add(i, BigInt(i));
  }
  const routes = LpmTrie.create(kernel, { name: "routes", ...prefixToU32, maxEntries: 20_000 });
  routes.setMany(Array.from({ length: 20_000 }, (_, i) => [routeOf(i), i] as const));
  for (let i = 0; i < 1000; i++) routes.delete(routeOf(i));
  for (const path of ["/sys/fs/bpf/empty", "/sys/fs/bpf/d", "/sys/fs/bpf/d/e"]) expect(kernel.mkdir(path)).toBe(0);
  loose.pin("/sys/fs/bpf/loose");
  perCpuArray.pin("/sys/fs/bpf/percpu_array");
  expect(kernel.rename("/sys/fs/bpf/percpu_array", "/sys/fs/bpf/d/e/percpu_array")).toBe(0);
  // Only its name holds it.
  perCpuArray.close();
  gone.close();
  return {
    kernel,
    hashFd: hash.fd,
    close: () => {
      for (const map of [hash, loose, array, perCpuHash, routes]) map.close();
      removeNames(kernel);
    },
  };
}

function removeNames(kernel: EmbeddedKernel): void {
  for (const name of ["loose", "d/e/percpu_array"]) expect(kernel.unlink(`/sys/fs/bpf/${name}`)).toBe(0);
  for (const name of ["empty", "d/e", "d"]) expect(kernel.rmdir(`/sys/fs/bpf/${name}`)).toBe(0);
}

describe("an image", () => {
  it.each([2 ** 22, 2 ** 30, 2 ** 32])("of a kernel with %i bytes brings everything back", async (maxMemory) => {
    const { kernel, hashFd, close } = await someKernel(maxMemory);
    const loaded = await EmbeddedKernel.load(kernel.save());
    close();
    expect(loaded.check()).toEqual([]);
    expect(loaded.possibleCpus).toBe(3);
    expect(loaded.maxMemory).toBe(maxMemory);
    expect(loaded.usage()).toMatchObject({ fds: 5, maps: 6 });

    // Ids and names; fds are those of the saved kernel.
    const hash = HashMap.fromId(loaded, 2, u32ToU64);
    expect(hash.name).toBe("hash");
    const { btfId } = hash.info();
    expect(loaded.fdinfo(btfGetFdById(loaded, btfId))).toBe(`btf_id:\t${btfId}\n`);
    expect(hash.count()).toBe(666);
    for (let i = 0; i < 1000; i++) expect(hash.get(i)).toBe(i % 3 === 0 ? undefined : BigInt(i));
    const loose = HashMap.open(loaded, "/sys/fs/bpf/loose", flowToBytes);
    for (let i = 0; i < 1000; i++) expect(loose.get(flowOf(i))).toEqual(valueOf(i));
    const array = ArrayMap.fromId(loaded, 4, { value: u64 });
    for (let i = 0; i < 1000; i++) expect(array.get(i)).toBe(BigInt(i * i));
    {
      using memory = loaded.mmap(array.fd, 8000, { writable: true });
      expect(memory.bytes[999 * 8]).toBe((999 * 999) & 0xff);
    }
    const perCpuHash = PerCpuHashMap.fromId(loaded, 5, u32ToU64);
    for (let i = 0; i < 100; i++) expect([...perCpuHash.get(i)!]).toEqual([1n, 2n, BigInt(i)]);
    const perCpuArray = PerCpuArray.open(loaded, "/sys/fs/bpf/d/e/percpu_array", { value: u64 });
    expect(loaded.pins().map(({ path }) => path)).toContain("/sys/fs/bpf/d/e/percpu_array");
    for (let i = 0; i < 100; i++) expect(perCpuArray.get(i)!.sum()).toBe(BigInt(i));
    const routes = LpmTrie.fromId(loaded, 7, prefixToU32);
    expect(routes.count()).toBe(19_000);
    for (let i = 0; i < 20_000; i++) expect(routes.get(routeOf(i))).toBe(i < 1000 ? undefined : i);
    for (let i = 0; i < 1000; i++) routes.set(routeOf(i), i);
    expect(() => routes.set("9.9.9.9", 1)).toThrow("ENOSPC");
    expect(loaded.check()).toEqual([]);
    using raw = new RawMap(loaded, hashFd, 4, 8);
    raw.key.setUint32(0, 7, true);
    expect(raw.lookup()).toBe(0);
    expect(raw.value.getBigUint64(0, true)).toBe(7n);

    // All works on: the capacity is whole, ids go on, CPUs and slots are free.
    for (let i = 0; i < 1000; i += 3) hash.set(i, 5n);
    expect(() => hash.set(1000, 5n)).toThrow("E2BIG");
    perCpuArray.add(0, 1n);
    using next = HashMap.create(loaded, { ...u32ToU64, maxEntries: 1 });
    expect(next.id).toBe(8);
    next.close();
    for (const map of [hash, loose, array, perCpuHash, perCpuArray, routes]) map.close();
    raw[Symbol.dispose]();
    for (let fd = 3; fd < 20; fd++) loaded.close(fd);
    removeNames(loaded);
    expect(loaded.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
    loaded[Symbol.dispose]();
  });

  it("brings back what has no keys, and tries", async () => {
    const kernel = await open({ maxMemory: 2 ** 24 });
    const size = 4096;
    const ring = RingBuffer.create(kernel, { name: "ring", size, record: u64 });
    const userRing = UserRingBuffer.create(kernel, { name: "user_ring", size, record: u64 });
    const queue = QueueMap.create(kernel, { name: "queue", value: u64, maxEntries: 8 });
    const stack = StackMap.create(kernel, { name: "stack", value: u64, maxEntries: 8 });
    const filter = BloomFilter.create(kernel, { name: "filter", value: u64, maxEntries: 100 });
    const arena = Arena.create(kernel, { name: "arena", pages: 3 });
    const trie = LpmTrie.create(kernel, { name: "trie", key: prefix4, value: u64, maxEntries: 8 });
    // Both go around, so that what is left begins in the middle.
    for (let i = 0n; i < 300n; i++) {
      ring.push(i);
      userRing.push(i);
      if (i < 297n) expect([ring.poll(), userRing.drain()]).toEqual([[i], [i]]);
    }
    for (let i = 0n; i < 13n; i++) {
      queue.push(i, { overwrite: true });
      stack.push(i, { overwrite: true });
      filter.add(i);
    }
    ring.poll(0);
    queue.pop();
    stack.pop();
    arena.bytes.fill(6);
    trie.set("10.0.0.0/8", 8n);
    trie.set("10.1.0.0/16", 16n);
    // Its record is discarded: the thread that reserved it is not there.
    const reserved = ring.reserve(8)!;
    ring.push(300n);
    const maps = [ring, userRing, queue, stack, filter, arena, trie];
    const loaded = await EmbeddedKernel.load(kernel.save());
    reserved.discard();
    for (const map of maps) map.close();
    expect(loaded.check()).toEqual([]);

    const [ringId, userRingId, queueId, stackId, filterId, arenaId, trieId] = maps.map(({ id }) => id);
    using ring2 = RingBuffer.fromId(loaded, ringId!, { record: u64 });
    expect(ring2.poll()).toEqual([297n, 298n, 299n, 300n]);
    expect(ring2.push(1n)).toBe(true);
    expect(ring2.poll()).toEqual([1n]);
    using userRing2 = UserRingBuffer.fromId(loaded, userRingId!, { record: u64 });
    expect(userRing2.push(300n)).toBe(true);
    expect(userRing2.drain()).toEqual([297n, 298n, 299n, 300n]);
    using queue2 = QueueMap.fromId(loaded, queueId!, { value: u64 });
    queue2.push(13n);
    for (let i = 6n; i <= 13n; i++) expect(queue2.pop()).toBe(i);
    expect(queue2.pop()).toBeUndefined();
    using stack2 = StackMap.fromId(loaded, stackId!, { value: u64 });
    for (let i = 11n; i >= 5n; i--) expect(stack2.pop()).toBe(i);
    expect(stack2.pop()).toBeUndefined();
    using filter2 = BloomFilter.fromId(loaded, filterId!, { value: u64 });
    for (let i = 0n; i < 13n; i++) expect(filter2.has(i)).toBe(true);
    using arena2 = Arena.fromId(loaded, arenaId!);
    expect(arena2.bytes).toEqual(new Uint8Array(3 * 4096).fill(6));
    using trie2 = LpmTrie.fromId(loaded, trieId!, { key: prefix4, value: u64 });
    expect(["10.1.2.3/32", "10.9.9.9/32", "11.0.0.0/8"].map((key) => trie2.get(key))).toEqual([16n, 8n, undefined]);
    expect(loaded.check()).toEqual([]);
  });

  it("keeps what an fd may do", async () => {
    const kernel = await open();
    const attr = { map_type: 1, key_size: 4, value_size: 8, max_entries: 4, map_flags: 8 };
    const fd = call(kernel, 0, "mapCreate", attr);
    const loaded = await EmbeddedKernel.load(kernel.save());
    expect(call(loaded, BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd })).toBe(-EPERM);
    expect(call(loaded, BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd })).not.toBe(-EPERM);
    expect([kernel.close(fd), loaded.close(fd)]).toEqual([0, 0]);
    watched(loaded);
  });

  it("has no fds, buffers, holders and CPUs of threads that are not there", async () => {
    const kernel = await open({ possibleCpus: 1 });
    const map = PerCpuArray.create(kernel, { value: u64, maxEntries: 1 });
    map.add(0, 1n);
    const held = HashMap.create(kernel, { ...u32ToU64, maxEntries: 1 });
    const direct = kernel.direct(held.fd)!;
    held.close();
    using buffer = kernel.alloc(100_000);
    buffer.bytes.fill(1);
    const loaded = await EmbeddedKernel.load(kernel.save());
    direct[Symbol.dispose]();
    buffer[Symbol.dispose]();
    const { fd } = map;
    map.close();

    // The map that only the short way held is gone, and the CPU is free for whoever adds first.
    expect(loaded.usage()).toMatchObject({ fds: 1, maps: 1 });
    const attached = await EmbeddedKernel.attach(loaded.share());
    const first = PerCpuArray.fromId(attached, 1, { value: u64 });
    first.add(0, 1n);
    const second = PerCpuArray.fromId(loaded, 1, { value: u64 });
    expect(() => second.add(0, 1n)).toThrow("ENXIO");
    expect([...first.get(0)!]).toEqual([2n]);
    first.close();
    second.close();
    attached[Symbol.dispose]();
    loaded.close(fd);
    watched(loaded);
    expect(loaded.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
  });

  it("has no buffers, whatever lay beside them", async () => {
    // Small holes between buffers and maps, on both sides, each other time with another hole beside.
    for (let holes = 0; holes < 16; holes++) {
      const kernel = await open({ maxMemory: 2 ** 22 });
      const array = () => ArrayMap.create(kernel, { value: bytes(4096), maxEntries: 3, mapFlags: BPF_F_MMAPABLE });
      const upper = array();
      const buffers = [1, 1, 1, 2, 1].map((pages) => kernel.alloc(pages * 4096));
      const lower = array();
      buffers.push(kernel.alloc(1));
      for (let i = 0; i < 4; i++) if (holes & (1 << i)) buffers[i]![Symbol.dispose]();
      for (const map of [upper, lower]) map.set(2, new Uint8Array(4096).fill(7));
      const loaded = await EmbeddedKernel.load(kernel.save());
      for (const id of [1, 2]) {
        using map = ArrayMap.fromId(loaded, id, { value: bytes(4096) });
        expect(map.get(2)).toEqual(new Uint8Array(4096).fill(7));
      }
      for (const { fd } of [upper, lower]) loaded.close(fd);
      expect(loaded.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
      loaded[Symbol.dispose]();
      for (const buffer of buffers) buffer[Symbol.dispose]();
      for (const map of [upper, lower]) map.close();
    }
  });

  it("saved by a thread that came later gives the one who loads a slot of its own", async () => {
    const first = await EmbeddedKernel.create({ possibleCpus: 1 });
    const second = await EmbeddedKernel.attach(first.share());
    first[Symbol.dispose]();
    const loaded = watched(await EmbeddedKernel.load(second.save()));
    second[Symbol.dispose]();
    const others = [];
    for (let i = 1; i < 256; i++) others.push(await EmbeddedKernel.attach(loaded.share()));
    await expect(EmbeddedKernel.attach(loaded.share())).rejects.toThrow(/256 threads/);
    for (const one of others) one[Symbol.dispose]();
  });

  it("is the same again when it was loaded and nothing was done", async () => {
    const { kernel, close } = await someKernel(2 ** 24);
    const image = kernel.save();
    const loaded = await EmbeddedKernel.load(image);
    const again = await EmbeddedKernel.load(loaded.save());
    const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
    expect(hash(again.save())).toBe(hash(loaded.save()));
    close();
    for (const one of [loaded, again]) one[Symbol.dispose]();
  });

  it("of an empty kernel is small", async () => {
    const kernel = await open();
    expect(kernel.save().length).toBeLessThan(64 * 1024);
    const loaded = await EmbeddedKernel.load(kernel.save());
    using map = HashMap.create(loaded, { ...u32ToU64, maxEntries: 10 });
    expect(map.id).toBe(1);
    map.close();
    watched(loaded);
  });

  it("may lie anywhere in a buffer", async () => {
    const kernel = await open();
    using map = HashMap.create(kernel, { ...u32ToU64, maxEntries: 10 });
    map.set(1, 2n);
    const image = kernel.save();
    const shifted = new Uint8Array(image.length + 100).subarray(13, 13 + image.length);
    shifted.set(image);
    const loaded = await EmbeddedKernel.load(shifted);
    const same = HashMap.fromId(loaded, 1, u32ToU64);
    expect(same.get(1)).toBe(2n);
    loaded[Symbol.dispose]();
  });
});

describe("what is no whole image is refused", () => {
  /** The kernel's tables and a map: as small as an image gets that has something in it. */
  async function smallImage(): Promise<Uint8Array> {
    const kernel = await open({ maxMemory: 2 ** 21, possibleCpus: 1 });
    using map = HashMap.create(kernel, { name: "m", ...u32ToU64, maxEntries: 4 });
    map.set(1, 2n);
    return kernel.save();
  }

  /** The error of loading. No kernel comes of it. */
  async function refusal(image: Uint8Array): Promise<Error> {
    try {
      (await EmbeddedKernel.load(image))[Symbol.dispose]();
    } catch (error) {
      return error as Error;
    }
    throw new Error("The image was loaded");
  }

  it("with any byte changed", async () => {
    const image = await smallImage();
    expect(image.length).toBeGreaterThan(10_000);
    for (let at = 0; at < image.length; at++) {
      const byte = image[at]!;
      // One bit, or several.
      image[at] = byte ^ (at % 3 === 0 ? 0xff : 1 << (at & 7));
      const error = await refusal(image);
      expect(error, `byte ${at}`).toBeInstanceOf(ImageError);
      expect(error.message).toMatch(at < 8 ? /^Not an image/ : at < 12 ? /has version/ : /is damaged/);
      image[at] = byte;
    }
    // It was the bytes that made the difference.
    (await EmbeddedKernel.load(image))[Symbol.dispose]();
  });

  it("cut at any length", async () => {
    const image = await smallImage();
    for (let length = 0; length < image.length; length++) {
      const error = await refusal(image.subarray(0, length));
      expect(error, `${length} bytes`).toBeInstanceOf(ImageError);
      expect(error.message).toMatch(length < 32 ? /^Not an image/ : /is damaged/);
    }
  });

  it("with something behind it", async () => {
    const image = await smallImage();
    for (const more of [1, 3, 4, 8, 4096, 5000]) {
      const longer = new Uint8Array(image.length + more);
      longer.set(image);
      expect((await refusal(longer)).message).toMatch(/is damaged/);
    }
  });

  it("with words exchanged", async () => {
    const image = await smallImage();
    const words = new Uint32Array(image.buffer, image.byteOffset, image.length / 4);
    const used = [...words.keys()].filter((i) => i >= 8 && words[i] !== 0);
    for (let i = 0; i + 1 < used.length; i += 3) {
      const [a, b] = [used[i]!, used[i + 1]!];
      const [one, other] = [words[a]!, words[b]!];
      if (one === other) continue;
      words.set([other], a);
      words.set([one], b);
      expect((await refusal(image)).message).toMatch(/is damaged/);
      words.set([one], a);
      words.set([other], b);
    }
  });

  it.each([
    ["nothing", new Uint8Array(0)],
    ["text", new TextEncoder().encode("not an image of anything, but long enough for a header")],
    ["zeroes", new Uint8Array(10_000)],
    ["WebAssembly", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...Array(100).fill(0))],
    ["an ELF file", Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, ...Array(100).fill(0))],
    ["the magic alone", new TextEncoder().encode("tsbpfimg")],
  ])("foreign: %s", async (_, image) => {
    const error = await refusal(image);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.name).toBe("ImageError");
    expect(error.message).toMatch(/^Not an image of a tsbpf kernel: wanted "tsbpfimg"/);
  });

  it("of another version, naming both", async () => {
    const image = await smallImage();
    image[8]! += 1;
    expect((await refusal(image)).message).toMatch(
      /^The image has version 0x10008, and this tsbpf loads version 0x10007$/,
    );
  });
});

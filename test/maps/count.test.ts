/**
 * count and pressure: of each type that can tell, on both kernels.
 */
import { BloomFilter, type Kernel, LpmTrie, QueueMap, RingBuffer, StackMap, HashMap, prefix4, u32, u64 } from "tsbpf";
import { BPF_F_RDONLY, BPF_F_WRONLY, EBADF, EOPNOTSUPP, EPERM } from "tsbpf/uapi";
import { beforeAll, expect, it } from "vitest";
import { forEachKernel } from "../kernels.js";
import { forEachWay, kinds, replaced, thrownBy, valueFor } from "./_ways.js";

forEachWay((kernel) => {
  it.each(kinds)("$name: what it holds, of maxEntries", (kind) => {
    // LRU kinds of Linux let go of elems long before a small map is full.
    const maxEntries = kind.typeName.startsWith("lru") ? 64 : 8;
    using map = kind.create(kernel(), { value: u64, maxEntries });
    const held = (n: number): void => {
      expect(map.count()).toBe(kind.isHash ? n : maxEntries);
      expect(map.pressure()).toBe(kind.isHash ? n / maxEntries : 1);
    };
    held(0);
    for (let key = 0; key < 8; key++) {
      map.set(key, valueFor(kind, kernel(), 1n));
      held(key + 1);
    }
    map.set(3, valueFor(kind, kernel(), 2n));
    held(8);
    if (!kind.isHash) return;
    (map as HashMap<number, unknown>).delete(3);
    held(7);
    (map as HashMap<number, unknown>).clear();
    held(0);
  });

  it("LpmTrie: prefixes, not the nodes between them", () => {
    using map = LpmTrie.create(kernel(), { key: prefix4, value: u32, maxEntries: 10 });
    for (const key of ["10.0.0.0/24", "10.0.1.0/24", "192.168.0.0/16"]) map.set(key, 1);
    expect(map.count()).toBe(3);
    expect(map.pressure()).toBe(0.3);
    map.delete("10.0.1.0/24");
    expect(map.count()).toBe(2);
  });

  it.each(kinds)("$name: by an fd that only reads", (kind) => {
    using map = kind.create(kernel(), { value: u64, maxEntries: 8, mapFlags: BPF_F_RDONLY });
    using both = kind.fromId(kernel(), map.id, { value: u64 });
    both.set(5, valueFor(kind, kernel(), 1n));
    expect(map.count()).toBe(kind.isHash ? 1 : 8);
  });
});

forEachKernel((name, open) => {
  let kernel: Kernel;
  beforeAll(async () => {
    kernel = await open();
  });

  it("a walk is what counts on Linux, and on the embedded kernel nothing but a number is asked for", () => {
    using map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 100 });
    for (let key = 0; key < 100; key++) map.set(key, key);
    let calls = 0;
    using watched = HashMap.fromId(
      replaced(kernel, { direct: undefined, bpf: (...args) => (calls++, kernel.bpf(...args)) }),
      map.id,
      { key: u32, value: u32 },
    );
    calls = 0;
    expect(watched.count()).toBe(100);
    expect(calls > 0).toBe(kernel.name === "linux");
  });

  it.each([
    ["queue", QueueMap],
    ["stack", StackMap],
  ] as const)("a %s tells on the embedded kernel, and says on Linux why not", (what, Class) => {
    using map = Class.create(kernel, { name: "jobs", value: u32, maxEntries: 4 });
    if (kernel.name === "linux") {
      for (const ask of [() => map.count(), () => map.pressure()]) {
        expect(thrownBy(ask).message).toBe(
          `Cannot count the values of ${what} map "jobs": BPF_MAP_LOOKUP_ELEM failed with EOPNOTSUPP (Linux tells nobody how many values a queue or a stack holds: count what you push and pop)`,
        );
      }
    } else {
      expect([map.count(), map.pressure()]).toEqual([0, 0]);
      for (let i = 1; i <= 4; i++) {
        map.push(i);
        expect([map.count(), map.pressure()]).toEqual([i, i / 4]);
      }
      map.push(5, { overwrite: true });
      expect(map.count()).toBe(4);
      map.pop();
      expect(map.pressure()).toBe(0.75);
      using reader = Class.create(kernel, { value: u32, maxEntries: 4, mapFlags: BPF_F_RDONLY });
      expect(reader.count()).toBe(0);
      using writer = Class.create(kernel, { value: u32, maxEntries: 4, mapFlags: BPF_F_WRONLY });
      expect(thrownBy(() => writer.count())).toMatchObject({
        code: "EPERM",
        hint: "the fd is write-only (BPF_F_WRONLY)",
      });
    }
    map.close();
    expect(thrownBy(() => map.count())).toMatchObject({ code: "EBADF", hint: "the map is closed" });
  });

  it("bloom filters and ring buffers cannot tell, nor an fd that is no map's or may not read", () => {
    using bloom = BloomFilter.create(kernel, { value: u32, maxEntries: 4 });
    using ring = RingBuffer.create(kernel, { size: 4096 });
    using map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 4, mapFlags: BPF_F_WRONLY });
    const asked = [bloom.fd, ring.fd, map.fd, 99_999, -1].map((fd) => kernel.count?.(fd));
    expect(asked).toEqual(
      kernel.name === "linux" ? Array(5).fill(undefined) : [-EOPNOTSUPP, -EOPNOTSUPP, -EPERM, -EBADF, -EBADF],
    );
    expect("count" in bloom || "count" in ring).toBe(false);
    expect(name).toContain(kernel.name === "linux" ? "Linux" : "embedded");
  });
});

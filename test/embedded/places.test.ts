/**
 * The same story wherever memory lies: in the least memory there is, in 4 GiB (where user memory is at the top, and addresses
 * are negative numbers to WebAssembly), and with maps above 2 GiB too.
 */
import { ArrayMap, EmbeddedKernel, HashMap, PerCpuArray, PerCpuHashMap, bytes, u32, u64 } from "tsbpf";
import { BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST, E2BIG, EEXIST, ENOENT } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { RawMap } from "../raw_map.js";
import { open } from "./_kernel.js";

async function story(kernel: EmbeddedKernel, isAbove2GiB: (address: number) => boolean): Promise<void> {
  using buffer = kernel.alloc(10);
  expect(isAbove2GiB(buffer.address)).toBe(true);

  using hash = HashMap.create(kernel, { name: "hash", key: u32, value: u64, maxEntries: 3 });
  for (const key of [1, 2, 3]) expect(hash.set(key, BigInt(key))).toBe(true);
  expect(hash.set(1, 5n, { mode: "create" })).toBe(false);
  expect(() => hash.set(4, 4n)).toThrow("E2BIG");
  hash.add(1, 9n);
  expect([...hash].toSorted(([a], [b]) => a - b)).toEqual([
    [1, 10n],
    [2, 2n],
    [3, 3n],
  ]);
  using raw = new RawMap(kernel, hash.fd, 4, 8);
  raw.key.setUint32(0, 1, true);
  expect([raw.lookup(), raw.value.getBigUint64(0, true)]).toEqual([0, 10n]);
  expect(raw.update(BPF_NOEXIST)).toBe(-EEXIST);
  expect([raw.remove(), raw.remove(), raw.lookup()]).toEqual([0, -ENOENT, -ENOENT]);
  const seen: number[] = [];
  for (raw.key.setUint32(0, 99, true); raw.nextKey() === 0; raw.key.setUint32(0, seen.at(-1)!, true)) {
    seen.push(raw.next.getUint32(0, true));
  }
  expect(seen.toSorted((a, b) => a - b)).toEqual([2, 3]);
  raw.key.setUint32(0, 7, true);
  expect(raw.update()).toBe(0);
  raw.key.setUint32(0, 8, true);
  expect(raw.update()).toBe(-E2BIG);

  const mapFlags = BPF_F_NO_PREALLOC;
  using long = HashMap.create(kernel, { key: bytes(300), value: bytes(200), maxEntries: 100, mapFlags });
  const filled = (size: number, i: number): Uint8Array => new Uint8Array(size).fill(i);
  for (let i = 0; i < 100; i++) long.set(filled(300, i), filled(200, i));
  for (let i = 0; i < 100; i++) expect(long.get(filled(300, i))).toEqual(filled(200, i));
  for (let i = 0; i < 100; i += 2) expect(long.delete(filled(300, i))).toBe(true);
  expect([...long.keys()].map(([first]) => first).toSorted((a, b) => a! - b!)).toEqual(
    Array.from({ length: 50 }, (_, i) => 2 * i + 1),
  );

  using array = ArrayMap.create(kernel, { value: bytes(20), maxEntries: 100, mapFlags: BPF_F_MMAPABLE });
  for (let i = 0; i < 100; i++) array.set(i, filled(20, i));
  {
    using memory = kernel.mmap(array.fd, 2400);
    expect(isAbove2GiB(memory.address)).toBe(true);
    expect([memory.bytes[0], memory.bytes[24 * 99], memory.bytes[24 * 99 + 20]]).toEqual([0, 99, 0]);
  }
  using perCpuHash = PerCpuHashMap.create(kernel, { key: u64, value: u64, maxEntries: 10 });
  using perCpuArray = PerCpuArray.create(kernel, { value: u32, maxEntries: 10 });
  for (let i = 0; i < 10; i++) {
    perCpuHash.add(BigInt(i), 2n);
    perCpuArray.add(i, 3);
  }
  expect([...perCpuHash.values()].every((values) => values.sum() === 2n)).toBe(true);
  expect([...perCpuArray.values()].map((values) => values.sum())).toEqual(Array(10).fill(3));
  expect(() => perCpuArray.set(10, perCpuArray.get(0)!)).toThrow("E2BIG");

  hash.pin("/sys/fs/bpf/hash");
  using same = HashMap.open(kernel, "/sys/fs/bpf/hash", { key: u32, value: u64 });
  expect(same.info()).toEqual(hash.info());
  expect(kernel.fdinfo(same.fd)).toMatch(/^map_type:\t1\n/);
  expect(kernel.unlink("/sys/fs/bpf/hash")).toBe(0);

  const attached = await EmbeddedKernel.attach(kernel.share());
  {
    using there = HashMap.fromId(attached, hash.id, { key: u32, value: u64 });
    expect(there.get(2)).toBe(2n);
  }
  attached[Symbol.dispose]();
}

it("in 2 MiB", async () => {
  await story(await open({ maxMemory: 2 ** 21, possibleCpus: 2 }), (address) => address < 2 ** 21);
});

it("in 4 GiB", async () => {
  await story(await open({ maxMemory: 2 ** 32, possibleCpus: 2 }), (address) => address > 2 ** 31);
});

it("in 4 GiB, where maps lie above 2 GiB too", async () => {
  const kernel = await open({ maxMemory: 2 ** 32, possibleCpus: 2 });
  using _below = ArrayMap.create(kernel, { value: u64, maxEntries: 2 ** 28 + 2 ** 20 });
  await story(kernel, (address) => address > 2 ** 31);
});

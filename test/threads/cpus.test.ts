/**
 * CPUs and task slots: a thread that adds to per-CPU values takes a CPU, one that attaches takes a slot; both come back.
 */
import { BpfError, EmbeddedKernel, PerCpuArray, PerCpuHashMap, u32, u64 } from "tsbpf";
import { expect, it } from "vitest";
import { keys, kinds } from "./adding.js";
import { crewSize, each, run } from "./crew.js";

const nothing = { fds: 0, maps: 0, bytes: 0 };

it("more threads that add than CPUs: a clear error, until a CPU is given back", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
  const attached = [];
  for (let i = 0; i < 3; i++) attached.push(await EmbeddedKernel.attach(kernel.share()));
  const [first, second, third] = attached as [EmbeddedKernel, EmbeddedKernel, EmbeddedKernel];
  using hash = PerCpuHashMap.create(kernel, { name: "hits", key: u32, value: u64, maxEntries: 1 });
  using array = PerCpuArray.create(kernel, { name: "sums", value: u64, maxEntries: 1 });
  const inHash = attached.map((k) => PerCpuHashMap.fromId(k, hash.id, { key: u32, value: u64 }));
  const inArray = attached.map((k) => PerCpuArray.fromId(k, array.id, { value: u64 }));

  // A thread that makes system calls only needs no CPU.
  expect(kernel.usage().maps).toBe(2);
  inHash[0]!.add(5, 1n);
  inArray[1]!.add(0, 20n);
  inArray[0]!.add(0, 1n);
  for (const add of [() => inHash[2]!.add(5, 100n), () => inArray[2]!.add(0, 100n)]) {
    expect(add).toThrow(BpfError);
    expect(add).toThrow(expect.objectContaining({ code: "ENXIO" }));
    expect(add).toThrow(/possibleCpus/);
  }
  expect(new Set(hash.get(5))).toEqual(new Set([0n, 1n]));
  expect(new Set(array.get(0))).toEqual(new Set([1n, 20n]));

  inHash[0]!.close();
  inArray[0]!.close();
  first[Symbol.dispose]();
  inHash[2]!.add(5, 100n);
  inArray[2]!.add(0, 100n);
  // The CPU of the first is now the third's.
  expect(hash.get(5)!.sum()).toBe(101n);
  expect(new Set(array.get(0))).toEqual(new Set([101n, 20n]));

  for (const map of [...inHash, ...inArray, hash, array]) map.close();
  for (const k of [second, third]) k[Symbol.dispose]();
  expect(kernel.usage()).toEqual(nothing);
});

it("CPUs of workers that have left are free for the next crew", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: crewSize });
  const kind = "per-CPU array of u64";
  const map = kinds[kind].create(kernel);
  let sum = 0n;
  for (let crew = 0; crew < 2; crew++) {
    const added = await run(
      kernel,
      "add",
      each((index) => ({ maps: [{ kind, id: map.id }] as const, ms: 100, seed: index + 1 })),
    );
    for (const [of] of added) for (const { total } of of!) sum += BigInt(total);
  }
  let found = 0n;
  for (let i = 0; i < keys; i++) found += map.get(i) as bigint;
  expect(found).toBe(sum);
  map.close();
  expect(kernel.usage()).toEqual(nothing);
});

it("attaches and leaves 1,000 times", async () => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 1 });
  using map = PerCpuArray.create(kernel, { value: u64, maxEntries: 1 });
  for (let i = 0; i < 1000; i++) {
    using attached = await EmbeddedKernel.attach(kernel.share());
    using same = PerCpuArray.fromId(attached, map.id, { value: u64 });
    same.add(0, 1n);
  }
  expect(map.get(0)![0]).toBe(1000n);
  map.close();
  expect(kernel.usage()).toEqual(nothing);
});

it("refuses the 257th thread, and takes it when another has left", async () => {
  using kernel = await EmbeddedKernel.create();
  const attached = [];
  for (let i = 1; i < 256; i++) attached.push(await EmbeddedKernel.attach(kernel.share()));
  await expect(EmbeddedKernel.attach(kernel.share())).rejects.toThrow(/256 threads are attached/);
  attached.pop()![Symbol.dispose]();
  attached.push(await EmbeddedKernel.attach(kernel.share()));
  await expect(EmbeddedKernel.attach(kernel.share())).rejects.toThrow(RangeError);
  for (const one of attached) one[Symbol.dispose]();
});

it("a thread that could not attach leaves its slot", async () => {
  using kernel = await EmbeddedKernel.create();
  // Not the engine: a module that imports a global which nobody has.
  const module = await WebAssembly.compile(
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 2, 8, 1, 1, 0x78, 1, 0x79, 3, 0x7f, 0),
  );
  for (let i = 0; i < 300; i++) {
    await expect(EmbeddedKernel.attach({ ...kernel.share(), module })).rejects.toThrow(TypeError);
  }
  (await EmbeddedKernel.attach(kernel.share()))[Symbol.dispose]();
});

/**
 * PerCpuArray: what each method promises.
 */
import { EmbeddedKernel, PerCpu, PerCpuArray, bytes, struct, u32, u64 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { describe, expect, it } from "vitest";
import { describeLinux } from "../kernels.js";
import { forEachWay, thrownBy } from "./_ways.js";

forEachWay((kernel) => {
  const perCpu = <V>(of: (cpu: number) => V): PerCpu<V> =>
    PerCpu.from(Array.from({ length: kernel().possibleCpus }, (_, cpu) => of(cpu)));

  it("has all elems from the start, zero at first", () => {
    using map = PerCpuArray.create(kernel(), { value: u64, maxEntries: 2 });
    const zeros = perCpu(() => 0n);
    expect([...map]).toStrictEqual([
      [0, zeros],
      [1, zeros],
    ]);
    expect(map.length).toBe(2);
    expect(map.count()).toBe(2);
    expect(map.get(2)).toBeUndefined();
    expect(map.has(1)).toBe(true);
    expect(map.has(2)).toBe(false);
  });

  it("sets and gets a value for each CPU", () => {
    using map = PerCpuArray.create(kernel(), { value: struct({ n: u64, m: u32 }), maxEntries: 3 });
    const value = perCpu((cpu) => ({ n: BigInt(cpu), m: cpu * 2 }));
    expect(map.set(1, value)).toBe(true);
    expect(map.set(1, value, { mode: "create" })).toBe(false);
    expect(map.set(1, value, { mode: "replace" })).toBe(true);
    expect(map.get(1)).toStrictEqual(value);
    expect([...map.values()][1]).toStrictEqual(value);
    expect([...map.keys()]).toEqual([0, 1, 2]);
    const cpus = kernel().possibleCpus;
    expect(map.get(1)!.sum()).toEqual({ n: BigInt((cpus * (cpus - 1)) / 2), m: cpus * (cpus - 1) });
    expect(map.get(0)!.sum()).toEqual({ n: 0n, m: 0 });
  });

  it("refuses to set beyond its end, and lists of another length", () => {
    using map = PerCpuArray.create(kernel(), { name: "packets", value: u64, maxEntries: 4 });
    expect(
      thrownBy(() =>
        map.set(
          4,
          perCpu(() => 1n),
        ),
      ).message,
    ).toBe(
      'Cannot insert key 0x00000004 into percpu_array map "packets": BPF_MAP_UPDATE_ELEM failed with E2BIG (the array has 4 elems: the last index is 3)',
    );
    expect(thrownBy(() => map.set(0, PerCpu.of(1n))).message).toMatch(
      /^value: wanted \d+ values, one for each CPU, found 1$/,
    );
    expect([...map.values()].map((value) => value.sum())).toEqual([0n, 0n, 0n, 0n]);
  });

  it("says the size of one CPU's value, as the kernel does", () => {
    using map = PerCpuArray.create(kernel(), { value: bytes(5), maxEntries: 2 });
    expect(map.info()).toMatchObject({ type: 6, typeName: "percpu_array", keySize: 4, valueSize: 5, maxEntries: 2 });
  });

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 16, 100, 5000])("gives back values of %i bytes", (size) => {
    using map = PerCpuArray.create(kernel(), { value: bytes(size), maxEntries: 3 });
    const value = (index: number): PerCpu<Uint8Array> =>
      perCpu((cpu) => Uint8Array.from({ length: size }, (_, i) => i * 7 + index * 3 + cpu));
    for (const index of [0, 1, 2]) map.set(index, value(index));
    for (const index of [0, 1, 2]) expect(map.get(index)).toEqual(value(index));
    expect([...map.values()]).toEqual([0, 1, 2].map(value));
  });
});

describeLinux("add on Linux", () => {
  it("is for programs only", () => {
    using kernel = LinuxKernel.open();
    using map = PerCpuArray.create(kernel, { value: u64, maxEntries: 2 });
    expect(thrownBy(() => map.add(1, 1n)).message).toMatch(
      /EOPNOTSUPP \(on Linux only programs add to one CPU's value/,
    );
    expect(map.get(1)!.sum()).toBe(0n);
  });
});

describe("add on the embedded kernel", () => {
  it("adds to the value of this thread's CPU", async () => {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 3, maxMemory: 2 ** 24 });
    using map = PerCpuArray.create(kernel, { value: u64, maxEntries: 2 });
    for (let i = 0; i < 10; i++) map.add(1, 2n);
    expect(map.get(1)!.toSorted()).toEqual([0n, 0n, 20n]);
    expect(map.get(1)!.sum()).toBe(20n);
    expect(map.get(0)!.sum()).toBe(0n);
    expect(() => map.add(2, 1n)).toThrow("the last index is 1");
  });
});

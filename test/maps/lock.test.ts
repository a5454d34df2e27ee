/**
 * Values with a lock: BPF_F_LOCK through typed maps, on every kernel.
 */
import { ArrayMap, BpfError, HashMap, type Kernel, PerCpuArray, spinLock, struct, u32, u64 } from "tsbpf";
import { BPF_F_MMAPABLE } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { forEachKernel } from "../kernels.js";

const account = struct({ credit: u64, lock: spinLock, count: u32 });
const value = { credit: 5n, lock: 0, count: 1 } as const;

forEachKernel((_, open) => {
  it("are read and written under it, and it reads as 0", async () => {
    const kernel = await open();
    using hash = HashMap.create(kernel, { key: u32, value: account, maxEntries: 2 });
    using array = ArrayMap.create(kernel, { value: account, maxEntries: 2 });
    for (const map of [hash, array]) {
      expect(map.set(1, value, { lock: true })).toBe(true);
      expect(map.get(1, { lock: true })).toEqual(value);
      expect(map.set(1, { ...value, count: 2 })).toBe(true);
      expect(map.get(1)).toEqual({ ...value, count: 2 });
      expect(map.set(1, value, { mode: "create", lock: true })).toBe(false);
      expect(map.set(1, value, { mode: "replace", lock: true })).toBe(true);
      expect([...map.values()].find(({ count }) => count === 1)).toEqual(value);
    }
    expect(hash.get(0, { lock: true })).toBeUndefined();
    expect(hash.set(0, value, { mode: "replace", lock: true })).toBe(false);
    expect(hash.setMany([[0, value]], { mode: "create", lock: true })).toBe(1);
    expect(hash.setMany([[0, value]], { mode: "create", lock: true })).toBe(0);
    expect(hash.take(1)).toEqual(value);
  });

  it("take no other lock than 0", async () => {
    using map = HashMap.create(await open(), { key: u32, value: account, maxEntries: 1 });
    expect(() => map.set(1, { ...value, lock: 1 as 0 })).toThrow(RangeError);
    expect(() => map.set(1, { ...value, lock: true as never })).toThrow(TypeError);
  });

  it("are told to the kernel, whatever the options say", async () => {
    using map = HashMap.create(await open(), { key: u32, value: account, maxEntries: 1, btf: false });
    expect(map.info().btfId).toBeGreaterThan(0);
    expect(map.set(1, value, { lock: true })).toBe(true);
  });

  it("cannot be frozen, nor be one CPU's; and without a lock there is no locking: each refusal has a hint", async () => {
    const kernel: Kernel = await open();
    const refused = (what: () => unknown, code: string): void => {
      const error = (() => {
        try {
          what();
        } catch (error) {
          return error;
        }
        return undefined;
      })();
      expect(error).toBeInstanceOf(BpfError);
      expect(error).toMatchObject({ code, hint: expect.any(String) as string });
    };
    using map = HashMap.create(kernel, { key: u32, value: account, maxEntries: 1 });
    refused(() => map.freeze(), "ENOTSUPP");
    refused(() => PerCpuArray.create(kernel, { value: account, maxEntries: 1 }), "EOPNOTSUPP");
    using plain = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 1 });
    refused(() => plain.set(1, 1n, { lock: true }), "EINVAL");
    refused(() => plain.get(1, { lock: true }), "EINVAL");
  });

  it("are not mapped, even if they could be", async () => {
    const kernel = await open();
    using map = ArrayMap.create(kernel, { value: account, maxEntries: 2, mapFlags: BPF_F_MMAPABLE });
    expect(map.set(1, value, { lock: true })).toBe(true);
    expect(map.get(1, { lock: true })).toEqual(value);
    expect(() => kernel.mmap(map.fd, 4096)).toThrow("ENOTSUPP");
  });
});

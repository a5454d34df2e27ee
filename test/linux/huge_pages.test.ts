/**
 * The embedded kernel's memory in huge pages: what Linux says of it, and what is said where they are not to be had.
 */
import { readFileSync } from "node:fs";
import { EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { adviseHugePages } from "tsbpf/linux";
import { describe, expect, it } from "vitest";
import { type Host, thisHost } from "../../src/kernels/linux/host.js";
import { adviseOn } from "../../src/kernels/linux/huge_pages.js";
import { describeLinux } from "./_linux.js";

const MiB = 2 ** 20;

/** What Linux says of the mapping of a kernel's memory, whose size no other mapping of this process has. */
function mappingOf(bytes: number): { isAdvised: boolean; hugeKb: number } {
  const mappings = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const found = mappings.filter((text) => Number(/^Size: +(\d+) kB/m.exec(text)?.[1]) === bytes / 1024);
  expect(found).toHaveLength(1);
  return {
    isAdvised: / hg\b/.test(/^VmFlags:.*$/m.exec(found[0]!)![0]),
    hugeKb: Number(/^AnonHugePages: +(\d+) kB/m.exec(found[0]!)![1]),
  };
}

const mode = (): string | undefined => {
  const text = thisHost.read("/sys/kernel/mm/transparent_hugepage/enabled");
  return /\[(\w+)\]/.exec(text ?? "")?.[1];
};

describeLinux("adviseHugePages", () => {
  it("has the memory in huge pages, as far as this machine has them", async () => {
    const bytes = 77 * MiB;
    const kernel = await EmbeddedKernel.create({ maxMemory: bytes });
    expect(mappingOf(bytes).isAdvised).toBe(false);

    adviseHugePages(kernel);
    using map = HashMap.create(kernel, { name: "large", key: u32, value: u32, maxEntries: 1_000_000 });
    for (let key = 0; key < 1_000_000; key++) map.set(key, key);

    const { isAdvised, hugeKb } = mappingOf(bytes);
    expect(isAdvised).toBe(true);
    if (mode() !== "never") expect(hugeKb).toBeGreaterThan(2 * 1024);
    expect(map.get(999_999)).toBe(999_999);
    expect(kernel.check()).toEqual([]);
  });
});

describe("adviseHugePages where there are none", () => {
  const notInstalled = Object.assign(new Error("Cannot find module 'koffi'"), { code: "MODULE_NOT_FOUND" });
  const on = (told: object): Host => ({ ...thisHost, platform: "linux", arch: "x64", ...told });

  it.each<[what: string, says: string, host: Host]>([
    ["another system", "ENOSYS (this is darwin, expected Linux)", on({ platform: "darwin" })],
    [
      "no koffi",
      "dlopen failed with ELIBACC (the package koffi does not load: it is not installed: npm install koffi)",
      on({
        openSys: () => {
          throw notInstalled;
        },
      }),
    ],
    [
      "a Linux without them",
      "madvise failed with EINVAL (this Linux has none: it was built without CONFIG_TRANSPARENT_HUGEPAGE)",
      on({ openSys: () => ({ madvise: () => -22 }) }),
    ],
    ["no memory for it", "madvise failed with ENOMEM", on({ openSys: () => ({ madvise: () => -12 }) })],
  ])("%s", async (_, says, host) => {
    const kernel = await EmbeddedKernel.create({ maxMemory: 2 * MiB });
    expect(() => adviseOn(host, kernel)).toThrow(`Cannot have the embedded kernel's memory in huge pages: ${says}`);
    expect(kernel.check()).toEqual([]);
  });
});

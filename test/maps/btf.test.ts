/**
 * Typed maps carry BTF of their codecs.
 */
import {
  ArrayMap,
  BloomFilter,
  HashMap,
  LpmTrie,
  PerCpuArray,
  PerCpuHashMap,
  QueueMap,
  array,
  be,
  cstring,
  f64,
  ipv4,
  prefix4,
  struct,
  u32,
  u64,
  u8,
} from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { describe, expect, it } from "vitest";
import { bpftool, whyNoBpftool } from "../cli/_run.js";
import { describeLinux } from "../kernels.js";

const flow = struct({ src: ipv4, sport: be.u16, proto: u8, "odd-name": f64, "": u8 });
const stats = struct({ packets: u64, label: cstring(8), recent: array(struct({ at: u32, size: u32 }), 2) });

describeLinux("BTF of typed maps on Linux", () => {
  it("is there for the types that take it, and is of keys and values", () => {
    using kernel = LinuxKernel.open();
    const options = { key: flow, value: stats, maxEntries: 4 };
    using hash = HashMap.create(kernel, options);
    using array = ArrayMap.create(kernel, options);
    using percpuHash = PerCpuHashMap.create(kernel, options);
    using percpuArray = PerCpuArray.create(kernel, options);
    using trie = LpmTrie.create(kernel, { ...options, key: prefix4 });
    for (const map of [hash, array, percpuHash, percpuArray, trie]) {
      const { btfId, btfKeyTypeId, btfValueTypeId } = map.info();
      expect([btfId, btfKeyTypeId, btfValueTypeId].every((id) => id > 0)).toBe(true);
    }
    using bloom = BloomFilter.create(kernel, options);
    expect(bloom.info().btfId).toBeGreaterThan(0);
    expect(bloom.info().btfKeyTypeId).toBe(0);
    using queue = QueueMap.create(kernel, options);
    expect(queue.info().btfId).toBe(0);
  });

  it("is left out where it is not wanted", () => {
    using kernel = LinuxKernel.open();
    using map = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 1, btf: false });
    expect(map.info()).toMatchObject({ btfId: 0, btfKeyTypeId: 0, btfValueTypeId: 0 });
  });
});

describe.skipIf(whyNoBpftool() !== undefined)("bpftool shows typed maps", () => {
  const dump = (id: number): unknown => {
    const { stdout } = bpftool(["-j", "map", "dump", "id", String(id)]);
    return (JSON.parse(stdout) as { formatted: unknown }[]).map(({ formatted }) => formatted);
  };

  it("with names and fields", () => {
    using kernel = LinuxKernel.open();
    using map = HashMap.create(kernel, { key: flow, value: stats, maxEntries: 4 });
    const recent = [
      { at: 3, size: 4 },
      { at: 5, size: 6 },
    ];
    map.set(
      { src: "10.0.0.1", sport: 443, proto: 6, "odd-name": 0, "": 9 },
      { packets: 2n ** 33n, label: "ab", recent },
    );
    expect(dump(map.id)).toMatchObject([
      { key: { proto: 6, odd_name: [0, 0, 0, 0, 0, 0, 0, 0], _: 9 }, value: { packets: 2 ** 33, label: "ab", recent } },
    ]);
    const { stdout } = bpftool(["btf", "dump", "id", String(map.info().btfId)]);
    expect(stdout).toContain("'sport' type_id=");
  });

  it("and prefixes", () => {
    using kernel = LinuxKernel.open();
    using trie = LpmTrie.create(kernel, { key: prefix4, value: u32, maxEntries: 4 });
    trie.set("10.1.0.0/16", 7);
    expect(dump(trie.id)).toEqual([{ key: { prefixlen: 16, data: [10, 1, 0, 0] }, value: 7 }]);
  });
});

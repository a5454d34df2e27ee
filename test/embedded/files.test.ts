/**
 * What files are to Linux: fds and their closing, ids, mmap, fdinfo, pinned names.
 */
import { ArrayMap, BpfError, type EmbeddedKernel, HashMap, bytes, u32, u64 } from "tsbpf";
import {
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_CREATE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_TYPE_ARRAY,
  EBADF,
  EINVAL,
  EISDIR,
  EMFILE,
  ENAMETOOLONG,
  ENOENT,
  EPERM,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { RawMap } from "../raw_map.js";
import { call, mapTypes, open } from "./_kernel.js";

const nothing = { fds: 0, maps: 0, bytes: 0 };
const u32ToU64 = { key: u32, value: u64 };

describe("fds", () => {
  it("are the lowest that are free", async () => {
    const kernel = await open();
    const options = { ...u32ToU64, maxEntries: 1, btf: false };
    const maps = [1, 2, 3, 4].map(() => HashMap.create(kernel, options));
    expect(maps.map((map) => map.fd)).toEqual([3, 4, 5, 6]);
    maps[1]!.close();
    maps[0]!.close();
    using again = HashMap.create(kernel, options);
    expect(again.fd).toBe(3);
    for (const map of maps) map.close();
  });

  it.each([-1, 0, 1, 2, 3, 65535, 65536, 2 ** 31, 2 ** 32 - 1])("%i is not open: EBADF to close", async (fd) => {
    const kernel = await open();
    expect(kernel.close(fd)).toBe(-EBADF);
  });

  it("of a map that is closed answer EBADF, by every way", async () => {
    const kernel = await open();
    for (const type of Object.values(mapTypes)) {
      const map = type.create(kernel, { ...u32ToU64, maxEntries: 4 });
      using raw = new RawMap(kernel, map.fd, 4, 8 * kernel.possibleCpus);
      raw.update();
      expect(raw.lookup()).toBe(0);
      map.close();
      map.close();
      expect([raw.lookup(), raw.update(), raw.remove(), raw.nextKey()]).toEqual(Array(4).fill(-EBADF));
      const ebadf = expect.objectContaining({ code: "EBADF" });
      for (const use of [
        () => map.get(0),
        () => map.has(0),
        () => map.add(0, 1n),
        () => [...map],
        () => map.info(),
        () => map.pin("/sys/fs/bpf/x"),
      ]) {
        expect(use).toThrow(BpfError);
        expect(use).toThrow(ebadf);
      }
    }
  });

  it("are 65,533; the next map is EMFILE, and leaves nothing behind", { timeout: 60_000 }, async () => {
    const kernel = await open({ maxMemory: 2 ** 26 });
    using map = ArrayMap.create(kernel, { value: u32, maxEntries: 1, btf: false });
    const { id, fd } = map;
    let last = fd;
    for (let n = 1; n < 65_533; n++) {
      last = call(kernel, BPF_MAP_GET_FD_BY_ID, "getId", { map_id: id });
      if (last < 0) break;
    }
    expect(last).toBe(65_535);
    const before = kernel.usage();
    expect(call(kernel, BPF_MAP_GET_FD_BY_ID, "getId", { map_id: id })).toBe(-EMFILE);
    const attr = { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 4, max_entries: 1 };
    expect(call(kernel, BPF_MAP_CREATE, "mapCreate", attr)).toBe(-EMFILE);
    expect(() => ArrayMap.create(kernel, { value: u32, maxEntries: 1 })).toThrow(/EMFILE/);
    expect(kernel.usage()).toEqual(before);
    for (let n = 4; n <= 65_535; n++) kernel.close(n);
  });
});

describe("ids", () => {
  it("rise, and those of living maps are left out when they begin again at 1", async () => {
    const kernel = await open();
    const create = () => HashMap.create(kernel, { ...u32ToU64, maxEntries: 1 });
    const maps = [create(), create(), create(), create()];
    expect(maps.map((map) => map.id)).toEqual([1, 2, 3, 4]);
    maps.splice(2, 1)[0]!.close();
    maps.splice(0, 1)[0]!.close();
    // Two thousand million maps later: the id given last, as kernel/super.ts has it.
    const lastId = new Uint32Array(kernel.share().memory.buffer, 0x1084, 1);
    expect(lastId[0]).toBe(4);
    lastId[0] = 2 ** 31 - 3;
    const more = Array.from({ length: 6 }, create);
    // 2 and 4 are in use.
    expect(more.map((map) => map.id)).toEqual([2 ** 31 - 2, 2 ** 31 - 1, 1, 3, 5, 6]);
    for (const map of [...maps, ...more]) map.close();
  });
});

describe("mmap", () => {
  const mappable = (kernel: EmbeddedKernel) =>
    ArrayMap.create(kernel, { value: u32, maxEntries: 2000, mapFlags: BPF_F_MMAPABLE });

  it("shows the array's elems, and changes them", async () => {
    const kernel = await open();
    using map = mappable(kernel);
    map.set(0, 5);
    map.set(1999, 6);
    {
      using memory = kernel.mmap(map.fd, 2000 * 8, { writable: true });
      const values = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.byteLength);
      expect([values.getUint32(0, true), values.getUint32(1999 * 8, true)]).toEqual([5, 6]);
      values.setUint32(8, 7, true);
      expect(map.get(1)).toBe(7);
      map.add(1, 1);
      expect(values.getUint32(8, true)).toBe(8);
      // It may be used in calls, too.
      using raw = new RawMap(kernel, map.fd, 4, 4);
      expect(raw.lookup()).toBe(0);
    }
    using part = kernel.mmap(map.fd, 100, { offset: 4096 });
    expect(part.bytes).toHaveLength(100);
    map.set(512, 0x01020304);
    expect([...part.bytes.subarray(0, 4)]).toEqual([4, 3, 2, 1]);
  });

  it("holds the map when its fd is closed", async () => {
    const kernel = await open();
    const map = mappable(kernel);
    map.set(3, 9);
    const memory = kernel.mmap(map.fd, 4096);
    map.close();
    expect(kernel.usage()).toMatchObject({ fds: 0, maps: 1 });
    expect(memory.bytes[24]).toBe(9);
    memory[Symbol.dispose]();
    memory[Symbol.dispose]();
    expect(kernel.usage()).toEqual(nothing);
  });

  it.each([2 ** 24, 2 ** 32])("refuses what is not there, and holds nothing then (%i bytes)", async (maxMemory) => {
    const kernel = await open({ maxMemory });
    const map = mappable(kernel);
    using other = ArrayMap.create(kernel, { value: u32, maxEntries: 2000 });
    using hash = HashMap.create(kernel, { ...u32ToU64, maxEntries: 10 });
    const refused: [number, number, object, string][] = [
      [map.fd, 0, {}, "EINVAL"],
      [map.fd, -1, {}, "EINVAL"],
      [map.fd, 1.5, {}, "EINVAL"],
      [map.fd, 4096, { offset: 1 }, "EINVAL"],
      [map.fd, 4096, { offset: -4096 }, "EINVAL"],
      [map.fd, 4096, { offset: 16384 }, "EINVAL"],
      [map.fd, 16385, {}, "EINVAL"],
      [map.fd, 2 ** 24, {}, "EINVAL"],
      [map.fd, 2 ** 32 - 8192, {}, "EINVAL"],
      [map.fd, 2 ** 32 - 4096, {}, "EINVAL"],
      [map.fd, 2 ** 32 - 1, {}, "EINVAL"],
      [map.fd, 2 ** 32, {}, "EINVAL"],
      [map.fd, 2 ** 32 + 4096, {}, "EINVAL"],
      [map.fd, 4096, { offset: 2 ** 32 }, "EINVAL"],
      [map.fd, 4096, { offset: 2 ** 32 - 4096 }, "EINVAL"],
      [other.fd, 4096, {}, "EINVAL"],
      [hash.fd, 4096, {}, "ENOTSUPP"],
      [99, 4096, {}, "EBADF"],
    ];
    for (const [fd, length, options, code] of refused) {
      const map = () => kernel.mmap(fd, length, options);
      expect(map, `${length} bytes, ${JSON.stringify(options)}`).toThrow(BpfError);
      expect(map).toThrow(expect.objectContaining({ code, syscall: "mmap" }));
    }
    const byId = (open_flags: number) => call(kernel, BPF_MAP_GET_FD_BY_ID, "getId", { map_id: map.id, open_flags });
    const [readOnly, writeOnly] = [byId(BPF_F_RDONLY), byId(BPF_F_WRONLY)];
    expect(() => kernel.mmap(readOnly, 4096, { writable: true })).toThrow(expect.objectContaining({ code: "EACCES" }));
    expect(() => kernel.mmap(writeOnly, 4096)).toThrow(expect.objectContaining({ code: "EACCES" }));
    for (const fd of [readOnly, writeOnly]) kernel.close(fd);
    map.close();
    // Nothing but the two others holds anything.
    expect(kernel.usage()).toMatchObject({ fds: 2, maps: 2 });
  });
});

describe("fdinfo", () => {
  it("says what /proc/self/fdinfo does", async () => {
    const kernel = await open();
    using map = HashMap.create(kernel, {
      key: bytes(5),
      value: bytes(12),
      maxEntries: 77,
      mapFlags: BPF_F_NO_PREALLOC,
    });
    expect(kernel.fdinfo(map.fd)).toMatch(
      new RegExp(
        [
          "^map_type:\t1",
          "key_size:\t5",
          "value_size:\t12",
          "max_entries:\t77",
          "map_flags:\t0x1",
          "map_extra:\t0x0",
          "memlock:\t[1-9][0-9]*",
          "map_id:\t1",
          "frozen:\t0",
          "$",
        ].join("\n"),
      ),
    );
  });

  it("is not there for what is not open", async () => {
    const kernel = await open();
    for (const fd of [-1, 0, 3, 65_536]) expect(kernel.fdinfo(fd)).toBeUndefined();
    const map = HashMap.create(kernel, { ...u32ToU64, maxEntries: 1 });
    const { fd } = map;
    map.close();
    expect(kernel.fdinfo(fd)).toBeUndefined();
  });
});

describe("pinned names", () => {
  it("hold the map until they are unlinked", async () => {
    const kernel = await open();
    const path = "/sys/fs/bpf/counts";
    {
      using map = HashMap.create(kernel, { name: "counts", ...u32ToU64, maxEntries: 4 });
      map.set(1, 2n);
      map.pin(path);
      expect(() => map.pin(path)).toThrow(expect.objectContaining({ code: "EEXIST" }));
    }
    expect(kernel.usage()).toMatchObject({ fds: 0, maps: 1 });
    const again = HashMap.open(kernel, path, u32ToU64);
    expect(again.get(1)).toBe(2n);
    expect(kernel.unlink(path)).toBe(0);
    expect(kernel.unlink(path)).toBe(-ENOENT);
    expect(() => HashMap.open(kernel, path, u32ToU64)).toThrow(expect.objectContaining({ code: "ENOENT" }));
    expect(again.get(1)).toBe(2n);
    again.close();
    expect(kernel.usage()).toEqual(nothing);
  });

  it("are found among many, and each goes alone", async () => {
    const kernel = await open();
    using map = HashMap.create(kernel, { ...u32ToU64, maxEntries: 4 });
    const paths = Array.from({ length: 50 }, (_, i) => `/sys/fs/bpf/${"n".repeat(i + 1)}`);
    for (const path of paths) map.pin(path);
    for (const path of paths.filter((_, i) => i % 3 === 0)) expect(kernel.unlink(path)).toBe(0);
    for (const [i, path] of paths.entries()) {
      if (i % 3 === 0) expect(() => HashMap.open(kernel, path, u32ToU64)).toThrow("ENOENT");
      else HashMap.open(kernel, path, u32ToU64).close();
    }
    for (const path of paths.filter((_, i) => i % 3 !== 0)) expect(kernel.unlink(path)).toBe(0);
  });

  it.each([
    ["", -ENOENT],
    ["/sys/fs/bpf", -EPERM],
    ["/sys/fs/bpf/.", -EISDIR],
    ["nothing", -EPERM],
    ["sys/fs/bpf/nothing", -ENOENT],
    ["/sys/fs/bpf/nothing", -ENOENT],
    [`/sys/fs/bpf/${"n".repeat(256)}`, -ENAMETOOLONG],
    [`/${"n/".repeat(3000)}`, -ENAMETOOLONG],
    ["/sys/fs/bpf/a\0b", -EINVAL],
  ])("%s cannot be unlinked", async (path, errno) => {
    const kernel = await open();
    expect(kernel.unlink(path)).toBe(errno);
  });
});

it("no type of this kernel can be waited for", async () => {
  const kernel = await open();
  using map = HashMap.create(kernel, { ...u32ToU64, maxEntries: 4 });
  await expect(kernel.readable(map.fd)).rejects.toThrow(expect.objectContaining({ code: "EPERM" }));
  await expect(kernel.readable(99)).rejects.toThrow(expect.objectContaining({ code: "EBADF" }));
});

/**
 * The door to the Linux kernel: commands by raw attr, errnos, memory, and no fd left in the end.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LinuxKernel } from "tsbpf/linux";
import {
  BPF_ANY,
  BPF_EXIST,
  BPF_F_MMAPABLE,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
  BPF_NOEXIST,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  E2BIG,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
  EPERM,
  bpfAttr,
  bpfMapInfo,
} from "tsbpf/uapi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countCpus } from "../../src/kernels/linux/possible_cpus.js";
import { attrOf, call, openFds, createMap, describeLinux, words } from "./_linux.js";

const hash = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 4 };

describeLinux("LinuxKernel", () => {
  let kernel: LinuxKernel;
  let fds: number[];

  beforeAll(() => {
    kernel = LinuxKernel.open();
    fds = openFds();
  });

  afterAll(() => {
    expect(openFds()).toEqual(fds);
    kernel[Symbol.dispose]();
  });

  it("creates, updates, looks up, iterates, deletes and closes", () => {
    const map_fd = createMap(kernel, hash);
    using key = kernel.alloc(4);
    using value = kernel.alloc(8);
    using next = kernel.alloc(4);
    using update = attrOf(kernel, "mapElem", { map_fd, key, value, flags: BPF_NOEXIST });
    using elem = attrOf(kernel, "mapElem", { map_fd, key, value, flags: BPF_ANY });
    using step = attrOf(kernel, "mapElem", { map_fd, key, next_key: next });
    using remove = attrOf(kernel, "mapElem", { map_fd, key });

    for (const k of [7, 8, 9]) {
      words(key)[0] = k;
      words(value).set([k * 10, 1]);
      expect(kernel.bpf(BPF_MAP_UPDATE_ELEM, update)).toBe(0);
    }
    expect(kernel.bpf(BPF_MAP_UPDATE_ELEM, update)).toBe(-EEXIST);

    const lookup = kernel.prepare(BPF_MAP_LOOKUP_ELEM, elem);
    words(key)[0] = 7;
    expect(lookup()).toBe(0);
    expect([...words(value)]).toEqual([70, 1]);
    words(key)[0] = 6;
    expect(lookup()).toBe(-ENOENT);

    const seen = new Set<number | undefined>();
    words(key)[0] = 0; // an absent key begins at the first
    while (kernel.bpf(BPF_MAP_GET_NEXT_KEY, step) === 0) {
      seen.add(words(next)[0]);
      key.bytes.set(next.bytes);
    }
    expect(seen).toEqual(new Set([7, 8, 9]));

    words(key)[0] = 8;
    expect(kernel.bpf(BPF_MAP_DELETE_ELEM, remove)).toBe(0);
    expect(kernel.bpf(BPF_MAP_DELETE_ELEM, remove)).toBe(-ENOENT);
    expect(kernel.close(map_fd)).toBe(0);
    expect(lookup()).toBe(-EBADF);
    expect(kernel.close(map_fd)).toBe(-EBADF);
  });

  it("answers with the errnos of bpf(2), whatever it is asked", () => {
    using attr = kernel.alloc(168);
    expect(kernel.bpf(BPF_MAP_CREATE, attr)).toBe(-EINVAL);
    expect(kernel.bpf(-1, attr)).toBe(-EINVAL);
    expect(kernel.bpf(BPF_MAP_LOOKUP_ELEM, attr, 4097)).toBe(-E2BIG);
    expect(kernel.bpf(BPF_MAP_LOOKUP_ELEM, attr, 0xffff_ffff)).toBe(-E2BIG);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: -1 })).toBe(-EBADF);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: 0 })).toBe(-EINVAL);
    const map_fd = createMap(kernel, hash);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd, key: 0 })).toBe(-EFAULT);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd, key: 4096, value: 4096 })).toBe(-EFAULT);
    kernel.close(map_fd);
  });

  it("gives the info and the fdinfo of a map", () => {
    const fd = createMap(kernel, hash);
    using info = kernel.alloc(BPF_MAP_INFO_SIZE);
    expect(call(kernel, BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: fd, info_len: BPF_MAP_INFO_SIZE, info })).toBe(0);
    const view = new DataView(info.bytes.buffer);
    expect(view.getUint32(bpfMapInfo.type.off, true)).toBe(BPF_MAP_TYPE_HASH);
    expect(view.getUint32(bpfMapInfo.value_size.off, true)).toBe(8);
    const id = view.getUint32(bpfMapInfo.id.off, true);
    expect(kernel.fdinfo(fd)).toMatch(
      new RegExp(`^map_type:\t1\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t4\n[^]*map_id:\t${id}$`, "m"),
    );
    kernel.close(fd);
    expect(kernel.fdinfo(fd)).toBeUndefined();
  });

  it("takes a short attr", () => {
    using attr = attrOf(kernel, "mapCreate", hash);
    const fd = kernel.bpf(BPF_MAP_CREATE, attr, 16);
    expect(fd).toBeGreaterThan(2);
    kernel.close(fd);
  });

  it("looks up and updates by batches", () => {
    const map_fd = createMap(kernel, { ...hash, max_entries: 1000 });
    using keys = kernel.alloc(4 * 1000);
    using values = kernel.alloc(8 * 1000);
    using cursor = kernel.alloc(4);
    for (let i = 0; i < 1000; i++) {
      words(keys)[i] = i + 1;
      words(values)[2 * i] = i * 3;
    }
    expect(call(kernel, BPF_MAP_UPDATE_BATCH, "batch", { keys, values, count: 1000, map_fd })).toBe(0);

    keys.bytes.fill(0);
    values.bytes.fill(0);
    using batch = attrOf(kernel, "batch", { out_batch: cursor, keys, values, map_fd });
    const view = new DataView(batch.bytes.buffer);
    const found = new Map<number, number>();
    let batches = 0;
    for (let errno = 0; errno === 0; batches++) {
      view.setUint32(bpfAttr.batch.count.off, 300, true);
      errno = kernel.bpf(BPF_MAP_LOOKUP_BATCH, batch);
      expect([0, -ENOENT]).toContain(errno);
      for (let i = 0; i < view.getUint32(bpfAttr.batch.count.off, true); i++) {
        found.set(words(keys)[i]!, words(values)[2 * i]!);
      }
      view.setBigUint64(bpfAttr.batch.in_batch.off, BigInt(cursor.address), true);
    }
    expect(batches).toBeGreaterThan(3);
    expect(found.size).toBe(1000);
    for (const [key, value] of found) expect(value).toBe((key - 1) * 3);
    kernel.close(map_fd);
  });

  it("answers a batch that has no room for a bucket with ENOSPC", () => {
    // 1000 elems in 1024 buckets: some bucket holds two, and before it none may have been delivered.
    const map_fd = createMap(kernel, { ...hash, max_entries: 1000 });
    using keys = kernel.alloc(4 * 1000);
    using values = kernel.alloc(8 * 1000);
    using cursor = kernel.alloc(4);
    for (let i = 0; i < 1000; i++) words(keys)[i] = i;
    expect(call(kernel, BPF_MAP_UPDATE_BATCH, "batch", { keys, values, count: 1000, map_fd })).toBe(0);
    using batch = attrOf(kernel, "batch", { out_batch: cursor, keys, values, map_fd });
    const view = new DataView(batch.bytes.buffer);
    let errno = 0;
    while (errno === 0) {
      view.setUint32(bpfAttr.batch.count.off, 1, true);
      errno = kernel.bpf(BPF_MAP_LOOKUP_BATCH, batch);
      view.setBigUint64(bpfAttr.batch.in_batch.off, BigInt(cursor.address), true);
    }
    expect(errno).toBe(-ENOSPC);
    expect(view.getUint32(bpfAttr.batch.count.off, true)).toBe(0);
    kernel.close(map_fd);
  });

  it("maps an array that is mmapable, for reading and for writing", () => {
    const map_fd = createMap(kernel, {
      map_type: BPF_MAP_TYPE_ARRAY,
      key_size: 4,
      value_size: 8,
      max_entries: 1024,
      map_flags: BPF_F_MMAPABLE,
    });
    using key = kernel.alloc(4);
    using value = kernel.alloc(8);
    using elem = attrOf(kernel, "mapElem", { map_fd, key, value });
    words(key)[0] = 600;
    words(value).set([5, 6]);
    expect(kernel.bpf(BPF_MAP_UPDATE_ELEM, elem)).toBe(0);

    const written = kernel.mmap(map_fd, 8192, { writable: true });
    expect(written.bytes).toHaveLength(8192);
    expect([...words(written).subarray(1200, 1202)]).toEqual([5, 6]);
    words(written)[1200] = 99;
    expect(kernel.bpf(BPF_MAP_LOOKUP_ELEM, elem)).toBe(0);
    expect([...words(value)]).toEqual([99, 6]);

    using secondPage = kernel.mmap(map_fd, 4096, { offset: 4096 });
    expect(words(secondPage)[1200 - 1024]).toBe(99);

    // A writable mapping holds the map open for writing until it is gone.
    expect(call(kernel, BPF_MAP_FREEZE, "mapElem", { map_fd })).toBeLessThan(0);
    written[Symbol.dispose]();
    expect(call(kernel, BPF_MAP_FREEZE, "mapElem", { map_fd })).toBe(0);
    expect(() => kernel.mmap(map_fd, 4096, { writable: true })).toThrow(
      expect.objectContaining({ name: "BpfError", code: "EPERM", errno: -EPERM, syscall: "mmap" }),
    );
    written.bytes[0] = 1; // late, and harmless
    expect(words(secondPage)[0]).toBe(0);
    kernel.close(map_fd);
  });

  it("says why fds cannot be mapped", () => {
    const fd = createMap(kernel, hash);
    expect(() => kernel.mmap(fd, 4096)).toThrow(`Cannot map 4096 bytes of fd ${fd}: mmap failed with ENOTSUPP`);
    expect(() => kernel.mmap(-1, 4096)).toThrow("mmap failed with EBADF");
    expect(() => kernel.mmap(fd, 0)).toThrow("mmap failed with EINVAL");
    kernel.close(fd);
  });

  it("pins and unlinks names in a bpffs, and removes nothing else", () => {
    const file = join(tmpdir(), `tsbpf-${process.pid}`);
    writeFileSync(file, "");
    expect(kernel.unlink(file)).toBe(-EPERM);
    rmSync(file); // is still there
    expect(kernel.unlink(`${file}/x/y`)).toBe(-ENOENT);
    expect(kernel.unlink(`${file}\0`)).toBe(-EINVAL);

    const folder = mkdtempSync(join(tmpdir(), "tsbpf-"));
    execFileSync("mount", ["-t", "bpf", "bpf", folder]);
    const fd = createMap(kernel, hash);
    using pathname = kernel.alloc(100);
    pathname.bytes.set(new TextEncoder().encode(`${folder}/map`));
    expect(call(kernel, BPF_OBJ_PIN, "obj", { pathname, bpf_fd: fd })).toBe(0);
    kernel.close(fd);
    const again = call(kernel, BPF_OBJ_GET, "obj", { pathname });
    expect(again).toBeGreaterThan(2);
    kernel.close(again);
    expect(kernel.unlink(`${folder}/map`)).toBe(0);
    expect(kernel.unlink(`${folder}/map`)).toBe(-ENOENT);
    execFileSync("umount", [folder]);
    rmdirSync(folder);
  });

  it("gives zeroed pages that stay harmless after dispose", () => {
    const buffer = kernel.alloc(100);
    expect(buffer.bytes).toHaveLength(100);
    expect(buffer.bytes.every((byte) => byte === 0)).toBe(true);
    expect(buffer.address % 8).toBe(0);
    buffer.bytes.fill(7);
    buffer[Symbol.dispose]();
    buffer[Symbol.dispose]();
    expect(buffer.bytes.every((byte) => byte === 0)).toBe(true);
    buffer.bytes.fill(8);
  });

  it("gives memory back at once when it is disposed", () => {
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 200; i++) {
      using buffer = kernel.alloc(2 ** 22);
      buffer.bytes.fill(1);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 27);
  });

  it("gives no memory that it has not", () => {
    for (const size of [0, -1, 1.5, Number.NaN, Infinity]) {
      expect(() => kernel.alloc(size)).toThrow(
        new RangeError(`The size of a buffer is ${size}: expected an integer from 1 on`),
      );
    }
    for (const size of [2 ** 40, 2 ** 52]) {
      expect(() => kernel.alloc(size)).toThrow(
        expect.objectContaining({ name: "BpfError", code: "ENOMEM", syscall: "mmap" }),
      );
    }
  });

  it("has slots for the CPUs that the kernel has", () => {
    const map_fd = createMap(kernel, {
      map_type: BPF_MAP_TYPE_PERCPU_ARRAY,
      key_size: 4,
      value_size: 4,
      max_entries: 1,
    });
    const slots = kernel.possibleCpus;
    using key = kernel.alloc(4);
    using value = kernel.alloc(8 * (slots + 1));
    value.bytes.fill(0xff);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd, key, value })).toBe(0);
    expect(value.bytes.lastIndexOf(0)).toBe(8 * slots - 1);
    kernel.close(map_fd);
  });

  it("refuses by mode", () => {
    const map_fd = createMap(kernel, hash);
    using key = kernel.alloc(4);
    using value = kernel.alloc(8);
    expect(call(kernel, BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd, key, value, flags: BPF_EXIST })).toBe(-ENOENT);
    kernel.close(map_fd);
  });
});

describe("countCpus", () => {
  it.each([
    ["0\n", 1],
    ["0-1\n", 2],
    ["0,2-3", 3],
    ["0-3,8-11,64", 9],
  ])("counts %j", (list, count) => {
    expect(countCpus(list)).toBe(count);
  });

  it.each(["", "x", "3-1", "0-", "0,,1"])("refuses %j", (list) => {
    expect(() => countCpus(list)).toThrow(RangeError);
  });
});

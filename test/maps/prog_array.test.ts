/**
 * ProgramArray: what each method promises; with programs on Linux, and without any on the embedded kernel.
 */
import { HashMap, type Kernel, ProgramArray, u32 } from "tsbpf";
import { BPF_F_RDONLY, BPF_PROG_LOAD } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { forEachWay, thrownBy, useBpffs } from "./_ways.js";

/** A socket filter that returns 0: its fd. */
function loadProgram(kernel: Kernel): number {
  using attr = kernel.alloc(128);
  using code = kernel.alloc(16);
  using license = kernel.alloc(4);
  // r0 = 0; exit
  code.bytes.set([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95]);
  license.bytes.set(new TextEncoder().encode("GPL"));
  const view = new DataView(attr.bytes.buffer, attr.bytes.byteOffset);
  // prog_type, insn_cnt, insns, license
  view.setUint32(0, 1, true);
  view.setUint32(4, 2, true);
  view.setBigUint64(8, BigInt(code.address), true);
  view.setBigUint64(16, BigInt(license.address), true);
  const fd = kernel.bpf(BPF_PROG_LOAD, attr);
  if (fd < 0) throw new Error(`BPF_PROG_LOAD returned ${fd}`);
  return fd;
}

forEachWay((way) => {
  const folder = useBpffs(way);

  it("empty, on every kernel", () => {
    using steps = ProgramArray.create(way(), { name: "steps", maxEntries: 3 });
    expect([steps.length, steps.name, steps.info().typeName]).toEqual([3, "steps", "prog_array"]);
    for (const index of [0, 2, 3, 2 ** 32 - 1]) {
      expect(steps.getId(index)).toBeUndefined();
      expect(steps.has(index)).toBe(false);
    }
    expect(steps.delete(0)).toBe(false);
    expect(thrownBy(() => steps.delete(3))).toMatchObject({ code: "E2BIG" });
    expect([...steps]).toEqual([]);
    expect([...steps.keys()]).toEqual([]);
  });

  it("takes fds of programs only", () => {
    const kernel = way();
    using steps = ProgramArray.create(kernel, { name: "steps", maxEntries: 3 });
    expect(thrownBy(() => steps.set(1, -1))).toMatchObject({
      code: "EBADF",
      hint: "the map, or the program's fd, is closed",
    });
    expect(thrownBy(() => steps.set(3, steps.fd))).toMatchObject({
      code: "E2BIG",
      hint: "the array has 3 elems: the last index is 2",
    });
    expect(thrownBy(() => steps.set(1, steps.fd))).toMatchObject({
      code: "EINVAL",
      hint: "the fd is not a program's, or the program is of another type than those in there",
    });
    expect(() => steps.set(1, 1.5)).toThrow(RangeError);
    using reader = ProgramArray.create(kernel, { maxEntries: 3, mapFlags: BPF_F_RDONLY });
    expect(thrownBy(() => reader.set(1, steps.fd))).toMatchObject({ code: "EPERM" });
  });

  it("programs in it, on Linux", () => {
    const kernel = way();
    if (kernel.name !== "linux") return;
    using steps = ProgramArray.create(kernel, { maxEntries: 3 });
    const fd = loadProgram(kernel);
    steps.set(1, fd);
    const id = steps.getId(1);
    expect(id).toBeGreaterThan(0);
    steps.set(2, fd);
    expect([...steps]).toEqual([
      [1, id],
      [2, id],
    ]);
    expect([...steps.keys()]).toEqual([1, 2]);
    expect(steps.has(1)).toBe(true);
    expect(steps.delete(1)).toBe(true);
    expect([...steps.keys()]).toEqual([2]);
    const walk = steps.keys();
    walk.return();
    expect(walk.next()).toEqual({ done: true, value: undefined });
    kernel.close(fd);
  });

  it("opened by name and by id", () => {
    const kernel = way();
    using steps = ProgramArray.create(kernel, { maxEntries: 3 });
    using again = ProgramArray.fromId(kernel, steps.id);
    expect(again.length).toBe(3);
    const path = `${folder()}/steps`;
    steps.pin(path);
    using named = ProgramArray.open(kernel, path);
    expect(named.id).toBe(steps.id);
    using either = ProgramArray.openOrCreate(kernel, path, { maxEntries: 3 });
    expect(either.id).toBe(steps.id);
    expect(thrownBy(() => ProgramArray.openOrCreate(kernel, path, { maxEntries: 4 }))).toMatchObject({
      code: "EEXIST",
    });
    using reader = ProgramArray.open(kernel, path, { access: "read" });
    expect(thrownBy(() => reader.delete(0))).toMatchObject({ code: "EPERM" });
    kernel.unlink(path);
    using hash = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 1 });
    expect(() => ProgramArray.fromId(kernel, hash.id)).toThrow(/its type is hash, wanted prog_array/);
  });

  it("closed", () => {
    const steps = ProgramArray.create(way(), { maxEntries: 3 });
    const walk = steps.keys();
    steps.close();
    steps.close();
    for (const call of [() => steps.getId(0), () => steps.delete(0), () => steps.set(0, 1), () => walk.next()]) {
      expect(thrownBy(call)).toMatchObject({ code: "EBADF" });
    }
  });
});

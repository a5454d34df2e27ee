/**
 * ArrayMap with mmap: true: the same answers as by system call, without any.
 */
import { ArrayMap, type Codec, type Kernel, bytes, struct, u16, u32, u64, u8 } from "tsbpf";
import { BPF_F_MMAPABLE, BPF_F_RDONLY } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { inUse } from "../leaks.js";
import { forEachWay, replaced, thrownBy } from "./_ways.js";

/** A kernel that counts the calls of bpf(2). */
function counted(kernel: Kernel): { kernel: Kernel; calls: () => number } {
  let n = 0;
  return {
    kernel: replaced(kernel, {
      bpf: (...args) => (n++, kernel.bpf(...args)),
      prepare(cmd, attr) {
        const call = kernel.prepare(cmd, attr);
        return () => (n++, call());
      },
    }),
    calls: () => n,
  };
}

const words: readonly [Codec<unknown>, unknown, unknown][] = [
  [u8, 5, 250],
  [u16, 5, 65_000],
  [u32, 5, 0xfffffff0],
  [u64, 5n, 2n ** 64n - 2n],
  [struct({ a: u32, b: u16, c: u8 }), { a: 1, b: 2, c: 3 }, { a: 0xffffffff, b: 0xffff, c: 0xff }],
  [struct({ a: u64, b: u64 }), { a: 1n, b: 2n }, { a: 2n ** 64n - 1n, b: 7n }],
];

forEachWay((kernel) => {
  it.each(words)("gets, sets and adds as without it: %#", (value, one, large) => {
    const { kernel: watched, calls } = counted(kernel());
    using mapped = ArrayMap.create(watched, { value, maxEntries: 5, mmap: true });
    using other = ArrayMap.fromId(kernel(), mapped.id, { value });
    using unmapped = ArrayMap.create(kernel(), { value, maxEntries: 5 });
    const before = calls();
    const same = (run: (map: ArrayMap<unknown>) => unknown): void => {
      const answers = [mapped, unmapped].map((map) => {
        try {
          return run(map);
        } catch (error) {
          return (error as { code: string }).code;
        }
      });
      expect(answers[0]).toEqual(answers[1]);
    };
    for (const index of [0, 4, 5, 0xffffffff]) {
      same((map) => map.get(index));
      same((map) => map.has(index));
      same((map) => map.set(index, one));
      same((map) => map.set(index, large, { mode: "create" }));
      same((map) => map.get(index));
      same((map) => map.set(index, large, { mode: "replace" }));
      same((map) => map.add(index, one));
      same((map) => map.get(index));
    }
    same((map) => map.getMany([0, 4, 5, 1, 2]));
    same((map) =>
      map.setMany([
        [1, one],
        [2, large],
      ]),
    );
    same((map) =>
      map.setMany([
        [1, one],
        [5, large],
      ]),
    );
    same((map) => map.setMany([[1, large]], { mode: "create" }));
    same((map) => map.getMany([0, 1, 2, 3, 4]));
    same((map) => [map.count(), map.pressure()]);
    expect(calls()).toBe(before);
    same((map) => [...map]);
    // The kernel has it all.
    expect([...other]).toEqual([...mapped]);
    other.set(3, one);
    expect(mapped.get(3)).toEqual(one);
  });

  it("of values that are larger than words", () => {
    using map = ArrayMap.create(kernel(), { value: bytes(1001), maxEntries: 9, mmap: true });
    const value = new Uint8Array(1001).map((_, i) => i);
    map.set(8, value);
    expect(map.get(8)).toEqual(value);
    using other = ArrayMap.fromId(kernel(), map.id, { value: bytes(1001) });
    expect(other.get(8)).toEqual(value);
    expect(other.get(7)).toEqual(new Uint8Array(1001));
    expect(other.info().mapFlags).toBe(BPF_F_MMAPABLE);
  });

  it("freezes: its own mapping is no obstacle, another's is", () => {
    using map = ArrayMap.create(kernel(), { value: u64, maxEntries: 2, mmap: true });
    map.set(1, 5n);
    using mapping = kernel().mmap(map.fd, 16, { writable: true });
    expect(thrownBy(() => map.freeze())).toMatchObject({ code: "EBUSY" });
    map.set(0, 6n);
    mapping[Symbol.dispose]();
    map.freeze();
    expect([...map.values()]).toEqual([6n, 5n]);
    expect([map.get(0), map.get(1)]).toEqual([6n, 5n]);
    expect(thrownBy(() => map.set(0, 1n))).toMatchObject({ code: "EPERM" });
    expect(thrownBy(() => map.add(0, 1n))).toMatchObject({ code: "EPERM" });
    expect(thrownBy(() => map.freeze())).toMatchObject({ code: "EPERM" });
    const open = inUse(kernel());
    const error = thrownBy(() => ArrayMap.fromId(kernel(), map.id, { value: u64, mmap: true }));
    if (error.message.includes("EPERM")) expect(inUse(kernel())).toBe(open);
    expect(error).toMatchObject({ code: "EPERM", hint: "the map is frozen: open it without mmap, to read" });
  });

  it("is refused for a map that cannot be mapped, and an fd that may not", () => {
    using plain = ArrayMap.create(kernel(), { name: "plain", value: u64, maxEntries: 2 });
    const open = inUse(kernel());
    expect(thrownBy(() => ArrayMap.fromId(kernel(), plain.id, { value: u64, mmap: true })).message).toBe(
      'Cannot map array map "plain": mmap failed with EINVAL (it was created without BPF_F_MMAPABLE: create it with mmap: true)',
    );
    expect(
      thrownBy(() => ArrayMap.create(kernel(), { value: u64, maxEntries: 2, mmap: true, mapFlags: BPF_F_RDONLY })),
    ).toMatchObject({
      code: "EACCES",
      syscall: "mmap",
      hint: expect.stringContaining("must read and write") as string,
    });
    expect(
      thrownBy(() => ArrayMap.create(kernel(), { value: u64, maxEntries: 2, mmap: true, programAccess: "read" })),
    ).toMatchObject({ code: "EACCES", hint: expect.stringContaining("BPF_F_RDONLY_PROG") as string });
    expect(inUse(kernel())).toBe(open);
  });

  it("refuses everything once it is closed", () => {
    const map = ArrayMap.create(kernel(), { value: u64, maxEntries: 2, mmap: true });
    map.close();
    for (const call of [() => map.get(0), () => map.set(0, 1n), () => map.add(0, 1n), () => map.freeze()]) {
      expect(thrownBy(call)).toMatchObject({ code: "EBADF" });
    }
  });
});

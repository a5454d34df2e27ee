/**
 * Reading all elems of a map: every elem once, over many batches, on both kernels.
 */
import { describe, expect, it } from "vitest";
import { countOf, elemsOf, type Elem } from "../../src/cli/elems.js";
import type { OpenMap } from "../../src/cli/map_handle.js";
import { Syscalls } from "../../src/cli/syscalls.js";
import { EmbeddedKernel } from "../../src/kernels/embedded/index.js";
import type { Kernel } from "../../src/kernels/kernel.js";
import { LinuxKernel } from "../../src/kernels/linux/index.js";
import { mapTypeFromName } from "../../src/uapi/names.js";
import { whyNoLinux } from "./_run.js";

interface Made extends Disposable {
  readonly bpf: Syscalls;
  readonly map: OpenMap;
}

function make(kernel: Kernel, type: string, keySize: number, maxEntries: number, mapFlags = 0): Made {
  const bpf = new Syscalls(kernel);
  const fd = bpf.mapCreate({
    type: mapTypeFromName(type)!,
    keySize,
    valueSize: type === "ringbuf" ? 0 : 8,
    maxEntries,
    mapFlags,
    name: new Uint8Array(),
    innerMapFd: 0,
    ifindex: 0,
  });
  if (fd < 0) throw new Error(`BPF_MAP_CREATE returned ${fd}`);
  const info = bpf.mapInfo(fd);
  if (typeof info === "number") throw new Error(`BPF_OBJ_GET_INFO_BY_FD returned ${info}`);
  return { bpf, map: { fd, info }, [Symbol.dispose]: () => bpf[Symbol.dispose]() };
}

function readAll({ bpf, map }: Made): { elems: Elem[]; ret: number } {
  const elems: Elem[] = [];
  const walk = elemsOf(bpf, map);
  for (let next = walk.next(); ; next = walk.next()) {
    if (next.done === true) return { elems, ret: next.value };
    elems.push(next.value);
  }
}

describe.each(["embedded", "linux"])("elems of maps on the %s kernel", (name) => {
  const open = async (): Promise<Kernel> => (name === "linux" ? LinuxKernel.open() : EmbeddedKernel.create());

  it.skipIf(name === "linux" && whyNoLinux() !== undefined).each([
    ["hash", 4, 9000, 0],
    ["hash", 4, 9000, 1],
    ["percpu_hash", 4, 5000, 0],
    ["lpm_trie", 8, 9000, 1],
    ["lru_hash", 4, 9000, 0],
  ])("%s of %i bytes, %i elems", async (type, keySize, count, flags) => {
    using kernel = await open();
    using made = make(kernel, type, keySize, 2 * count, flags);
    const { bpf, map } = made;
    expect(readAll(made)).toEqual({ elems: [], ret: 0 });
    using key = kernel.alloc(keySize);
    using value = kernel.alloc(8 * kernel.possibleCpus);
    const [view, values] = [key, value].map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
    if (keySize === 8) view!.setUint32(0, 32, true);
    for (let i = 0; i < count; i++) {
      view!.setUint32(keySize - 4, i, true);
      values!.setUint32(0, 3 * i, true);
      expect(bpf.updateElem(map.fd, key, value, 0)).toBe(0);
    }
    expect(countOf(bpf, map)).toBe(name === "embedded" ? count : undefined);
    const { elems, ret } = readAll(made);
    expect([elems.length, ret]).toEqual([count, 0]);
    const read = (bytes: Uint8Array, off: number): number =>
      new DataView(bytes.buffer, bytes.byteOffset).getUint32(off, true);
    const found = elems.map(({ key, value }) => [read(key, keySize - 4), read(value, 0)] as const);
    expect(found.sort(([a], [b]) => a - b)).toEqual(Array.from({ length: count }, (_, i) => [i, 3 * i]));
  });

  it.skipIf(name === "linux" && whyNoLinux() !== undefined)(
    "types without keys, arrays, and ring buffers",
    async () => {
      using kernel = await open();
      using queue = make(kernel, "queue", 0, 4);
      expect(readAll(queue).elems).toEqual([]);
      expect(countOf(queue.bpf, queue.map)).toBe(name === "embedded" ? 0 : undefined);
      using array = make(kernel, "array", 4, 7);
      expect(readAll(array).elems).toHaveLength(7);
      expect(countOf(array.bpf, array.map)).toBe(7);
      using ring = make(kernel, "ringbuf", 0, 4096);
      expect(countOf(ring.bpf, ring.map)).toBe(0);
    },
  );
});

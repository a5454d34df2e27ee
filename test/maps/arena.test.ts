/**
 * Arena on both kernels: mapped once and for all at one address, and what is there is what all see.
 */
import { Arena, EmbeddedKernel, type Kernel } from "tsbpf";
import { BPF_F_MMAPABLE, BPF_MAP_TYPE_ARENA, E2BIG, EBUSY, EINVAL, EPERM } from "tsbpf/uapi";
import { beforeAll, expect, it } from "vitest";
import { mapCreate, mapFreeze } from "../../src/kernels/syscalls.js";
import { forEachKernel } from "../kernels.js";
import { useBpffs } from "./_ways.js";

const PAGE = 4096;
/** User addresses that nothing else is mapped at, each for one test. */
const ADDRESS = 0x5000_0000_0000n;

const raw = { mapType: BPF_MAP_TYPE_ARENA, keySize: 0, valueSize: 0, mapFlags: BPF_F_MMAPABLE };

interface Asked {
  readonly length: number;
  readonly offset?: number;
  readonly address?: bigint;
  readonly writable?: boolean;
}

/** What mapping answers: 0 or an errno. It is unmapped at once. */
function errno(kernel: Kernel, fd: number, { length, offset = 0, address, writable = true }: Asked): number {
  try {
    const at = address === undefined ? {} : { address: Number(address) };
    kernel.mmap(fd, length, { offset, writable, ...at })[Symbol.dispose]();
    return 0;
  } catch (error) {
    return -(error as { errno: number }).errno;
  }
}

forEachKernel((_, open) => {
  let kernel: Kernel;
  beforeAll(async () => {
    kernel = await open();
  });
  const bpffs = useBpffs(() => kernel);

  it("has zeroed pages, to read and write", () => {
    using arena = Arena.create(kernel, { name: "shared", pages: 3 });
    expect([arena.pages, arena.name, arena.bytes.length]).toEqual([3, "shared", 3 * PAGE]);
    expect(arena.bytes.every((byte) => byte === 0)).toBe(true);
    arena.bytes.fill(7);
    expect(arena.bytes[3 * PAGE - 1]).toBe(7);
    const words = new Uint32Array(arena.bytes.buffer, arena.bytes.byteOffset, 4);
    expect(Atomics.add(words, 1, 1)).toBe(0x07070707);
    expect(arena.info()).toMatchObject({ typeName: "arena", maxEntries: 3, mapExtra: 0n });
  });

  it("has bytes that system calls may point to", () => {
    using arena = Arena.create(kernel, { pages: 1 });
    const path = new TextEncoder().encode("/nowhere/at/all\0");
    arena.bytes.set(path, 100);
    using attr = kernel.alloc(128);
    new DataView(attr.bytes.buffer, attr.bytes.byteOffset).setBigUint64(0, arena.address + 100n, true);
    expect(kernel.bpf(7, attr)).toBe(-2); // BPF_OBJ_GET: ENOENT
  });

  it("closes once, and is not to be had afterwards", () => {
    const arena = Arena.create(kernel, { pages: 1 });
    arena.close();
    arena.close();
    expect(() => arena.bytes).toThrow("EBADF (the map is closed)");
    expect(() => arena.address).toThrow("EBADF");
  });

  it("keeps its bytes while it has a name", () => {
    const path = `${bpffs()}/arena`;
    const first = Arena.create(kernel, { pages: 2, address: ADDRESS });
    first.bytes[PAGE] = 5;
    first.pin(path);
    const { id } = first;
    first.close();
    const again = Arena.open(kernel, path);
    expect(again.bytes[PAGE]).toBe(5);
    again.close();
    using byId = Arena.fromId(kernel, id, { address: 0n });
    expect(byId.bytes[PAGE]).toBe(5);
    kernel.unlink(path);
  });

  it("is mapped whole, where its address is", () => {
    const address = ADDRESS + 2n ** 33n;
    using arena = Arena.create(kernel, { pages: 4, address });
    const { fd } = arena;
    expect(arena.info().mapExtra).toBe(address);
    if (kernel.name === "linux") expect(arena.address).toBe(address);
    const length = 4 * PAGE;
    expect(errno(kernel, fd, { length, address: address + 4096n })).toBe(EINVAL);
    expect(errno(kernel, fd, { length: 2 * PAGE, address })).toBe(EINVAL);
    expect(errno(kernel, fd, { length: 8 * PAGE, address })).toBe(E2BIG);
    expect(errno(kernel, fd, { length, offset: PAGE, address })).toBe(EINVAL);
  });

  it("is mapped as the first one has mapped it", () => {
    using arena = Arena.create(kernel, { pages: 4 });
    const { fd } = arena;
    expect(errno(kernel, fd, { length: 2 * PAGE })).toBe(EINVAL);
    expect(errno(kernel, fd, { length: 8 * PAGE })).toBe(E2BIG);
    expect(errno(kernel, fd, { length: 4 * PAGE, address: 0x6000_0000_0000n })).toBe(EINVAL);
    // Linux maps it once for each process; there is but one mapping on the embedded kernel, whoever asks.
    const again = kernel.name === "linux" ? EBUSY : 0;
    expect(errno(kernel, fd, { length: 4 * PAGE, address: arena.address })).toBe(again);
  });

  it("is not frozen while it is mapped, nor mapped to write once it is", () => {
    using arena = Arena.create(kernel, { pages: 1 });
    expect(() => arena.freeze()).toThrow("EBUSY");
    const fd = mapCreate(kernel, { ...raw, maxEntries: 1 });
    expect(mapFreeze(kernel, fd)).toBe(0);
    expect(errno(kernel, fd, { length: PAGE })).toBe(EPERM);
    expect(errno(kernel, fd, { length: PAGE, writable: false })).toBe(0);
    kernel.close(fd);
  });

  it("refuses what it cannot be", () => {
    expect(() => Arena.create(kernel, { pages: 0 })).toThrow("EINVAL (maxEntries is 0");
    expect(() => Arena.create(kernel, { pages: -1 })).toThrow(
      "pages: wanted an integer from 0 to 4294967295, found -1",
    );
    expect(() => Arena.create(kernel, { pages: 1, address: -1n })).toThrow("address: wanted an integer from 0 to 1844");
    expect(() => Arena.create(kernel, { pages: 1, address: 1 as unknown as bigint })).toThrow("wanted a bigint");
    expect(() => Arena.create(kernel, { pages: 2 ** 20 + 1 })).toThrow("E2BIG (an arena has at most 1048576 pages");
    expect(() => Arena.fromId(kernel, 0)).toThrow("ENOENT");
  });
});

it("is one memory for all threads, and stays in an image", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  using other = await EmbeddedKernel.attach(kernel.share());
  using arena = Arena.create(kernel, { name: "shared", pages: 8 });
  {
    using theirs = Arena.fromId(other, arena.id);
    expect(theirs.address).toBe(arena.address);
    theirs.bytes[8 * PAGE - 1] = 3;
    expect(arena.bytes[8 * PAGE - 1]).toBe(3);
  }
  arena.pin("/sys/fs/bpf/arena");
  using loaded = await EmbeddedKernel.load(kernel.save());
  using copy = Arena.open(loaded, "/sys/fs/bpf/arena");
  expect(copy.bytes[8 * PAGE - 1]).toBe(3);
  expect([...kernel.check(), ...loaded.check()]).toEqual([]);
  expect(() => Arena.create(kernel, { pages: 2 ** 14 })).toThrow("ENOMEM (the kernel's memory is too small");
});

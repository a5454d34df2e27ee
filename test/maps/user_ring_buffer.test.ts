/**
 * UserRingBuffer on both kernels: one writer's code, and what it leaves in the ring's memory. On Linux a program drains, and there is
 * none here: the bytes and positions are looked at instead.
 */
import { EmbeddedKernel, type Kernel, RingBuffer, UserRingBuffer, u32, u64 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { EINVAL, EPERM } from "tsbpf/uapi";
import { beforeAll, expect, it } from "vitest";
import { forEachKernel } from "../kernels.js";
import { useBpffs } from "./_ways.js";

const BUSY = 0x80000000;
const DISCARD = 0x40000000;

/** A kernel of the test's own to wait on: LinuxKernel keeps epoll fds once it has waited. */
function toWaitOn(kernel: Kernel): { kernel: Kernel; [Symbol.dispose](): void } {
  const own = kernel.name === "linux" ? LinuxKernel.open() : undefined;
  return { kernel: own ?? kernel, [Symbol.dispose]: () => own?.[Symbol.dispose]() };
}

/** producer_pos, and the words of the data once around. */
function memoryOf(kernel: Kernel, ring: UserRingBuffer<unknown>): { position: bigint; words: Uint32Array } {
  using producer = kernel.mmap(ring.fd, 4096 + ring.size, { offset: 4096 });
  const bytes = producer.bytes.slice();
  return { position: new DataView(bytes.buffer).getBigUint64(0, true), words: new Uint32Array(bytes.buffer, 4096) };
}

forEachKernel((_, open) => {
  let first: Kernel;
  beforeAll(async () => {
    first = await open();
  });
  const bpffs = useBpffs(() => first);

  it("writes records as the kernel reads them", async () => {
    const kernel = await open();
    using ring = UserRingBuffer.create(kernel, { name: "commands", size: 4096 });
    expect([ring.size, ring.pending]).toEqual([4096, 0]);
    expect(ring.push(new Uint8Array([1, 2, 3]))).toBe(true);
    const reserved = ring.reserve(9)!;
    const dropped = ring.reserve(8)!;
    expect(reserved.bytes).toHaveLength(9);
    let { position, words } = memoryOf(kernel, ring);
    expect(position).toBe(16n + 24n + 16n);
    expect([...words.subarray(0, 3)]).toEqual([3, 0, 0x030201]);
    expect(words[4]).toBe((BUSY | 9) >>> 0);
    reserved.bytes.fill(7);
    reserved.submit();
    dropped.discard();
    reserved.discard();
    ({ position, words } = memoryOf(kernel, ring));
    expect([words[4], words[6], words[10]]).toEqual([9, 0x07070707, DISCARD | 8]);
    expect(ring.pending).toBe(56);
  });

  it("says false when it is full, and refuses what never fits", async () => {
    using waiting = toWaitOn(await open());
    const { kernel } = waiting;
    using ring = UserRingBuffer.create(kernel, { name: "commands", size: 4096, record: u64 });
    for (let i = 0; i < 256; i++) expect(ring.push(BigInt(i))).toBe(true);
    expect(ring.push(256n)).toBe(false);
    expect(ring.reserve(0)).toBeUndefined();
    expect(ring.pending).toBe(4096);
    expect(() => ring.reserve(4089)).toThrow('A record of 4089 bytes is too large for "commands": it holds 4088');
    expect(await kernel.writable(ring.fd, { timeoutMs: 5 })).toBe(false);
    await expect(ring.writable(undefined, { signal: AbortSignal.timeout(20) })).rejects.toThrow(/timeout/);
  });

  it("is writable while there is room, and is nothing to read", async () => {
    using waiting = toWaitOn(await open());
    const { kernel } = waiting;
    using ring = UserRingBuffer.create(kernel, { size: 4096, record: u32 });
    await ring.writable();
    expect(await kernel.writable(ring.fd)).toBe(true);
    expect(await kernel.readable(ring.fd, { timeoutMs: 5 })).toBe(false);
  });

  it("is found by its id, as what it is", async () => {
    using waiting = toWaitOn(await open());
    const { kernel } = waiting;
    using ring = UserRingBuffer.create(kernel, { size: 4096, record: u32 });
    ring.push(5);
    using same = UserRingBuffer.fromId(kernel, ring.id, { record: u32 });
    expect(same.pending).toBe(16);
    same.push(6);
    expect(ring.pending).toBe(32);
    for (let i = 0; same.push(i); i++);
    const wait = same.writable();
    same.close();
    await expect(wait).rejects.toThrow("EBADF (the map is closed)");
    expect(() => same.push(7)).toThrow("EBADF (the map is closed)");
    await expect(same.writable()).rejects.toThrow("EBADF");
  });

  it("is found by its name, as what it is", async () => {
    const kernel = await open();
    using ring = UserRingBuffer.create(kernel, { size: 4096, record: u32 });
    using other = RingBuffer.create(kernel, { size: 4096, record: u32 });
    ring.push(5);
    const path = `${bpffs()}/ring`;
    ring.pin(path);
    using same = UserRingBuffer.open(kernel, path, { record: u32 });
    expect(same.pending).toBe(16);
    expect(() => RingBuffer.open(kernel, path)).toThrow("its type is user_ringbuf, wanted ringbuf");
    expect(() => UserRingBuffer.fromId(kernel, other.id)).toThrow("its type is ringbuf, wanted user_ringbuf");
    kernel.unlink(path);
    other.pin(path);
    using again = RingBuffer.open(kernel, path, { record: u32 });
    expect(again.id).toBe(other.id);
    kernel.unlink(path);
  });

  it("is mapped by Linux's rules", async () => {
    const kernel = await open();
    using ring = UserRingBuffer.create(kernel, { size: 8192 });
    const errno = (length: number, offset: number, writable: boolean): number => {
      try {
        kernel.mmap(ring.fd, length, { offset, writable })[Symbol.dispose]();
        return 0;
      } catch (error) {
        return -(error as { errno: number }).errno;
      }
    };
    expect(errno(4096, 0, false)).toBe(0);
    expect(errno(4096, 0, true)).toBe(EPERM);
    expect(errno(8192, 0, true)).toBe(EPERM);
    expect(errno(4096, 4096, true)).toBe(0);
    expect(errno(8192, 8192, true)).toBe(0);
    expect(errno(4096 + 2 * 8192 + 4096, 4096, true)).toBe(EINVAL);
  });

  it("refuses other sizes", async () => {
    const kernel = await open();
    expect(() => UserRingBuffer.create(kernel, { size: 5000 })).toThrow(/EINVAL \(the size of a ring/);
  });
});

it("gives the kernel all records in order, many times around", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using ring = UserRingBuffer.create(kernel, { size: 4096 });
  const size = (i: number): number => (i * 37) % 200;
  let given = 0;
  let taken = 0;
  for (; given < 1000; given++) {
    const record = new Uint8Array(size(given)).fill(given);
    while (!ring.push(record)) {
      for (const found of ring.drain(3)) expect(found).toEqual(new Uint8Array(size(taken)).fill(taken++));
    }
  }
  for (const found of ring.drain()) expect(found).toEqual(new Uint8Array(size(taken)).fill(taken++));
  expect([taken, ring.pending]).toEqual([given, 0]);
  expect(ring.drain()).toEqual([]);
  // As large as the ring: once what is left at its end is discarded and drained.
  const largest = new Uint8Array(4088).fill(1);
  if (!ring.push(largest)) {
    expect(ring.drain()).toEqual([]);
    expect(ring.push(largest)).toBe(true);
  }
  expect(ring.drain()).toEqual([largest]);
  expect(kernel.check()).toEqual([]);
});

it("stops at a record that is not submitted, and passes discarded ones", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using ring = UserRingBuffer.create(kernel, { size: 4096, record: u32 });
  ring.push(1);
  const first = ring.reserve(4)!;
  const second = ring.reserve(4)!;
  ring.push(2);
  expect(ring.drain()).toEqual([1]);
  second.bytes[0] = 9;
  second.submit();
  expect(ring.drain()).toEqual([]);
  first.discard();
  expect(ring.drain()).toEqual([9, 2]);
  ring.reserve(2)!.submit();
  expect(() => ring.drain()).toThrow("has 2 bytes: u32 wants 4");
  expect(ring.drain()).toEqual([]);
});

it("wakes a writer that waits for room", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using other = await EmbeddedKernel.attach(kernel.share());
  using ring = UserRingBuffer.create(kernel, { size: 4096, record: u64 });
  using theirs = UserRingBuffer.fromId(other, ring.id, { record: u64 });
  for (let round = 0; round < 3; round++) {
    for (let i = 0n; ring.push(i); i++);
    let isWritable = false;
    const wait = ring.writable().then(() => (isWritable = true));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(isWritable).toBe(false);
    expect(theirs.drain(1)).toEqual([0n]);
    await wait;
    theirs.drain();
  }
});

it("crosses the 32 bits of a position's lower half", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using ring = UserRingBuffer.create(kernel, { size: 4096, record: u32 });
  // Both positions, as if that much had gone through.
  using whole = kernel.mmap(ring.fd, 8192);
  const view = new DataView(whole.bytes.buffer, whole.bytes.byteOffset);
  for (const at of [0, 4096]) view.setBigUint64(at, 0xfffffff0n, true);
  for (let i = 0; i < 4; i++) ring.push(i);
  expect(view.getBigUint64(4096, true)).toBe(0xfffffff0n + 64n);
  expect(ring.drain()).toEqual([0, 1, 2, 3]);
  expect(ring.pending).toBe(0);
});

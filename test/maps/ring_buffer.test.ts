/**
 * RingBuffer on both kernels: one reader's code, whoever writes.
 */
import { spawnSync } from "node:child_process";
import { EmbeddedKernel, type Kernel, RingBuffer, u64 } from "tsbpf";
import { EPERM, EINVAL } from "tsbpf/uapi";
import { LinuxKernel } from "tsbpf/linux";
import { expect, it } from "vitest";
import { forEachKernel } from "../kernels.js";
import { outputOnLinux } from "../linux/_ringbuf_prog.js";

/** Writes an 8-byte record, as programs do on Linux. */
function write(kernel: Kernel, ring: RingBuffer<unknown>, word: number): void {
  if (kernel.name === "linux") return outputOnLinux(kernel, ring.fd, word);
  const record = new Uint8Array(8);
  new DataView(record.buffer).setUint32(0, word, true);
  ring.output(record);
}

forEachKernel((_, open) => {
  it("gives records in order, and frees them for writers", async () => {
    const kernel = await open();
    using ring = RingBuffer.create(kernel, { name: "events", size: 4096, record: u64 });
    expect(ring.poll()).toEqual([]);
    // More than twice around.
    for (let i = 0; i < 600; i++) {
      write(kernel, ring, i);
      expect(ring.pending).toBe(16);
      expect(ring.poll()).toEqual([BigInt(i)]);
      ring.poll();
      expect(ring.pending).toBe(0);
    }
    for (let i = 0; i < 10; i++) write(kernel, ring, i);
    expect(ring.poll(3)).toEqual([0n, 1n, 2n]);
    expect(ring.poll()).toEqual([3n, 4n, 5n, 6n, 7n, 8n, 9n]);
  });

  it("one that has not read leaves the reader where it is, and may go on from there", async () => {
    const kernel = await open();
    using ring = RingBuffer.create(kernel, { size: 4096, record: u64 });
    const other = RingBuffer.fromId(kernel, ring.id, { record: u64 });
    using next = RingBuffer.fromId(kernel, ring.id, { record: u64 });
    for (let i = 0; i < 10; i++) write(kernel, ring, i);
    expect(ring.poll(4)).toEqual([0n, 1n, 2n, 3n]);
    expect(ring.poll(0)).toEqual([]);
    other.close();
    expect(ring.pending).toBe(6 * 16);
    expect(next.poll(2)).toEqual([4n, 5n]);
    expect(next.poll(0)).toEqual([]);
    expect(ring.poll()).toEqual([6n, 7n, 8n, 9n]);
    for await (const record of (write(kernel, ring, 10), ring)) {
      expect(record).toBe(10n);
      break;
    }
    expect(ring.pending).toBe(0);
    for await (const record of (write(kernel, ring, 11), next)) {
      expect(record).toBe(11n);
      break;
    }
  });

  it("visits records without making objects of them", async () => {
    const kernel = await open();
    using ring = RingBuffer.create(kernel, { size: 4096, record: u64 });
    const seen: number[] = [];
    const visit = (memory: DataView, offset: number, length: number): void => {
      expect(length).toBe(8);
      seen.push(memory.getUint32(offset, true));
    };
    // More than once around.
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 9; i++) write(kernel, ring, 10 * round + i);
      expect(ring.forEach(visit, 4)).toBe(4);
      expect(ring.pending).toBe(5 * 16);
      expect(ring.forEach(visit)).toBe(5);
      expect(ring.pending).toBeLessThan(16);
    }
    expect(ring.forEach(visit)).toBe(0);
    expect(seen).toEqual(Array.from({ length: 450 }, (_, i) => 10 * Math.floor(i / 9) + (i % 9)));
    write(kernel, ring, 1);
    expect(() => ring.forEach(() => expect.fail("seen"))).toThrow("seen");
    expect(ring.pending).toBe(0);
  });

  it("is mapped by Linux's rules", async () => {
    const kernel = await open();
    using ring = RingBuffer.create(kernel, { size: 8192 });
    const errno = (length: number, offset: number, writable: boolean): number => {
      try {
        kernel.mmap(ring.fd, length, { offset, writable })[Symbol.dispose]();
        return 0;
      } catch (error) {
        return -(error as { errno: number }).errno;
      }
    };
    expect(errno(4096, 0, true)).toBe(0);
    expect(errno(8192, 0, true)).toBe(EPERM);
    expect(errno(4096, 4096, true)).toBe(EPERM);
    expect(errno(4096, 8192, true)).toBe(EPERM);
    expect(errno(4096 + 8192, 4096, false)).toBe(0);
    expect(errno(8192 + 8192, 0, false)).toBe(0);
    expect(errno(8192 + 2 * 8192 + 4096, 0, false)).toBe(EINVAL);
  });

  it("wakes who waits, and lets go by signal", async () => {
    const given = await open();
    // LinuxKernel keeps an epoll fd once it has waited: this one is gone afterwards.
    using own = given.name === "linux" ? LinuxKernel.open() : undefined;
    const kernel = own ?? given;
    using ring = RingBuffer.create(kernel, { size: 4096, record: u64 });
    const found: bigint[] = [];
    setTimeout(() => write(kernel, ring, 7), 20);
    setTimeout(() => write(kernel, ring, 8), 40);
    for await (const record of ring) {
      found.push(record);
      if (found.length === 2) break;
    }
    expect(found).toEqual([7n, 8n]);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 20);
    await expect(ring.batches({ signal: controller.signal }).next()).rejects.toThrow("enough");
    expect(await kernel.readable(ring.fd, { timeoutMs: 10 })).toBe(false);
  });

  it("ends the loop of who waits when it is closed", async () => {
    const given = await open();
    using own = given.name === "linux" ? LinuxKernel.open() : undefined;
    const kernel = own ?? given;
    const ring = RingBuffer.create(kernel, { size: 4096, record: u64 });
    setTimeout(() => ring.close(), 10);
    const signal = new AbortController().signal;
    for await (const record of ring.records({ signal })) expect.fail(`There is a record: ${record}`);
    const another = RingBuffer.create(kernel, { size: 4096, record: u64 });
    setTimeout(() => another.close(), 10);
    for await (const record of another) expect.fail(`There is a record: ${record}`);
  });

  it("refuses other sizes", async () => {
    const kernel = await open();
    expect(() => RingBuffer.create(kernel, { size: 5000 })).toThrow(/EINVAL/);
  });
});

it("reserves, submits, discards, and counts what was lost", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using ring = RingBuffer.create(kernel, { size: 4096 });
  const first = ring.reserve(3)!;
  ring.output(new Uint8Array([9]));
  expect(ring.poll()).toEqual([]);
  first.bytes.set([1, 2, 3]);
  first.submit();
  expect(() => first.submit()).toThrow(/EINVAL/);
  expect(ring.poll().map((record) => [...record])).toEqual([[1, 2, 3], [9]]);
  ring.reserve(100)!.discard();
  expect(ring.poll()).toEqual([]);
  expect(ring.pending).toBe(0);
  expect(ring.lost).toBe(0);
  // The rest at the end is discarded first, and then a record as large as the ring fits.
  expect(ring.output(new Uint8Array(4088).fill(5))).toBe(false);
  expect(ring.lost).toBe(1);
  expect(ring.poll()).toEqual([]);
  expect(ring.output(new Uint8Array(4088).fill(5))).toBe(true);
  expect(ring.output(new Uint8Array(1))).toBe(false);
  expect(ring.poll()[0]).toEqual(new Uint8Array(4088).fill(5));
  expect(kernel.check()).toEqual([]);
});

it("writes records by their codec, and large ones as well as small ones", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using ring = RingBuffer.create(kernel, { size: 16384, record: u64 });
  expect(ring.push(5n)).toBe(true);
  expect(() => ring.push(-1n)).toThrow("record: wanted");
  expect(ring.poll()).toEqual([5n]);
  ring.poll();
  using plain = RingBuffer.fromId(kernel, ring.id);
  for (const size of [0, 1, 1023, 1024, 1025, 5000]) {
    expect(plain.push(new Uint8Array(size).fill(size))).toBe(true);
    expect(plain.poll()).toEqual([new Uint8Array(size).fill(size)]);
  }
  plain.poll();
  for (let i = 0n; ring.push(i); i++);
  expect(ring.lost).toBe(1);
  expect(() => ring.output(new Uint8Array(16377))).not.toThrow();
});

it("lets go of who waits when its kernel is disposed", async () => {
  const kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using other = await EmbeddedKernel.attach(kernel.share());
  using ring = RingBuffer.create(other, { size: 4096 });
  const theirs = RingBuffer.fromId(kernel, ring.id);
  const next = theirs.records().next();
  await new Promise((resolve) => setTimeout(resolve, 5));
  kernel[Symbol.dispose]();
  await expect(next).rejects.toThrow("epoll_wait failed with ECANCELED (the kernel was disposed)");
  other.close(theirs.fd);
  expect(other.check()).toEqual([]);
});

it("discards what a thread had reserved when it leaves", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
  using ring = RingBuffer.create(kernel, { size: 4096 });
  const other = await EmbeddedKernel.attach(kernel.share());
  const theirs = RingBuffer.fromId(other, ring.id);
  theirs.reserve(8);
  ring.output(new Uint8Array([1]));
  const next = ring.records().next();
  kernel.reap(other.slot);
  const { value } = await next;
  expect(value).toEqual(new Uint8Array([1]));
});

it.each([
  ["keeps the event loop alive while it waits", "", true],
  ["does not when it was unref'ed", "ring.unref();", false],
])("%s", (_, unref, isAlive) => {
  const script = `
    import { EmbeddedKernel, RingBuffer } from "tsbpf";
    const kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 22 });
    const ring = RingBuffer.create(kernel, { size: 4096 });
    ${unref}
    ring.records().next();
    process.on("exit", () => console.log("left"));
    setTimeout(() => process.exit(console.log("alive")), 300).unref();
  `;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(stdout).toBe(isAlive ? "alive\nleft\n" : "left\n");
});

/**
 * LinuxKernel.readable: a ring buffer that a program fills, time-outs, signals, what cannot be waited for, and how it ends.
 */
import { execFile, execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { LinuxKernel } from "tsbpf/linux";
import {
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_RINGBUF,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_SOCKET_FILTER,
} from "tsbpf/uapi";
import { afterAll, beforeAll, expect, it } from "vitest";
import { call, openFds, createMap, describeLinux } from "./_linux.js";

const root = new URL("../..", import.meta.url);
const ringbuf = { map_type: BPF_MAP_TYPE_RINGBUF, max_entries: 4096 };

/** A program that puts 8 bytes into the ring buffer: bpf_ringbuf_output(map, &42, 8, 0); return 0. */
function loadWriter(kernel: LinuxKernel, mapFd: number): number {
  const program: [code: number, regs: number, off: number, imm: number][] = [
    [0x7a, 0x0a, -8, 42], // *(u64 *)(r10 - 8) = 42
    [0x18, 0x11, 0, mapFd], // r1 = map
    [0, 0, 0, 0],
    [0xbf, 0xa2, 0, 0], // r2 = r10
    [0x07, 0x02, 0, -8], // r2 += -8
    [0xb7, 0x03, 0, 8], // r3 = 8
    [0xb7, 0x04, 0, 0], // r4 = 0
    [0x85, 0x00, 0, 130], // bpf_ringbuf_output
    [0xb7, 0x00, 0, 0], // r0 = 0
    [0x95, 0x00, 0, 0], // exit
  ];
  using insns = kernel.alloc(8 * program.length);
  const view = new DataView(insns.bytes.buffer);
  program.forEach(([code, regs, off, imm], i) => {
    view.setUint8(8 * i, code);
    view.setUint8(8 * i + 1, regs);
    view.setInt16(8 * i + 2, off, true);
    view.setInt32(8 * i + 4, imm, true);
  });
  using license = kernel.alloc(4);
  license.bytes.set(new TextEncoder().encode("MIT"));
  const fd = call(kernel, BPF_PROG_LOAD, "progLoad", {
    prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
    insn_cnt: program.length,
    insns,
    license,
  });
  expect(fd).toBeGreaterThan(2);
  return fd;
}

function runOnce(kernel: LinuxKernel, progFd: number): void {
  using packet = kernel.alloc(64);
  expect(call(kernel, BPF_PROG_TEST_RUN, "test", { prog_fd: progFd, data_size_in: 64, data_in: packet })).toBe(0);
}

/** Both ends of a fifo as one fd. */
function openFifo(): number {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-"));
  const path = join(folder, "fifo");
  execFileSync("mkfifo", [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  rmSync(folder, { recursive: true });
  return fd;
}

const after = (ms: number, act: () => void): NodeJS.Timeout => setTimeout(act, ms);

describeLinux("readable", () => {
  let kernel: LinuxKernel;
  let fds: number[];

  beforeAll(async () => {
    kernel = LinuxKernel.open();
    // What Node itself opens for its first worker stays open.
    await new Worker("", { eval: true }).terminate();
    fds = openFds();
  });

  afterAll(() => {
    kernel[Symbol.dispose]();
    expect(openFds()).toEqual(fds);
  });

  it("resolves when a program writes to a ring buffer", async () => {
    const map = createMap(kernel, ringbuf);
    const prog = loadWriter(kernel, map);
    await expect(kernel.readable(map, { timeoutMs: 0 })).resolves.toBe(false);
    const waits = [kernel.readable(map), kernel.readable(map, { timeoutMs: 5000 })];
    const timer = after(20, () => runOnce(kernel, prog));
    await expect(Promise.all(waits)).resolves.toEqual([true, true]);
    clearTimeout(timer);
    // Nobody has read: it still is.
    await expect(kernel.readable(map, { timeoutMs: 0 })).resolves.toBe(true);
    await expect(kernel.readable(map)).resolves.toBe(true);
    kernel.close(prog);
    kernel.close(map);
  });

  it("wakes for each of many fds on its own", async () => {
    const fifos = Array.from({ length: 8 }, openFifo);
    const order: number[] = [];
    const waits = fifos.map(async (fd, i) => {
      await kernel.readable(fd);
      order.push(i);
    });
    for (const i of [5, 0, 7, 3, 1, 2, 6, 4]) {
      const before = order.length;
      writeSync(fifos[i]!, "x");
      await expect.poll(() => order.length, { interval: 1 }).toBe(before + 1);
    }
    await Promise.all(waits);
    expect(order).toEqual([5, 0, 7, 3, 1, 2, 6, 4]);
    fifos.forEach((fd) => closeSync(fd));
  });

  it("loses no wake-up over many rounds", async () => {
    const fifo = openFifo();
    const byte = new Uint8Array(1);
    for (let i = 0; i < 500; i++) {
      const readable = kernel.readable(fifo, { timeoutMs: 5000 });
      setImmediate(() => writeSync(fifo, "x"));
      expect(await readable).toBe(true);
      readSync(fifo, byte);
    }
    closeSync(fifo);
  });

  it("resolves false when the time is over", async () => {
    const map = createMap(kernel, ringbuf);
    const start = performance.now();
    await expect(kernel.readable(map, { timeoutMs: 60 })).resolves.toBe(false);
    expect(performance.now() - start).toBeGreaterThan(55);
    for (const timeoutMs of [-1, Number.NaN]) {
      await expect(kernel.readable(map, { timeoutMs })).rejects.toThrow(
        new RangeError(`timeoutMs is ${timeoutMs}: expected milliseconds, from 0 on`),
      );
    }
    kernel.close(map);
  });

  it("rejects with the reason of the signal", async () => {
    const map = createMap(kernel, ringbuf);
    const controller = new AbortController();
    const reason = new Error("enough");
    const wait = kernel.readable(map, { signal: controller.signal, timeoutMs: 1e12 });
    after(10, () => controller.abort(reason));
    await expect(wait).rejects.toBe(reason);
    await expect(kernel.readable(map, { signal: controller.signal })).rejects.toBe(reason);
    kernel.close(map);
  });

  it("rejects what cannot be waited for", async () => {
    const map = createMap(kernel, { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 1 });
    await expect(kernel.readable(map)).rejects.toThrow(
      `Cannot wait for fd ${map}: poll failed with EPERM (it answers POLLERR, as a map does that is no ring buffer)`,
    );
    kernel.close(map);
    await expect(kernel.readable(map)).rejects.toThrow(`Cannot wait for fd ${map}: fcntl failed with EBADF`);
    const file = openSync(new URL("package.json", root), "r");
    await expect(kernel.readable(file)).rejects.toMatchObject({ code: "EPERM", syscall: "epoll_ctl" });
    closeSync(file);
  });

  it("rejects what waits when the kernel is disposed, and begins anew after", async () => {
    const map = createMap(kernel, ringbuf);
    const wait = kernel.readable(map);
    kernel[Symbol.dispose]();
    await expect(wait).rejects.toThrow("epoll_wait failed with ECANCELED (the kernel was disposed)");
    await expect(kernel.readable(map, { timeoutMs: 20 })).resolves.toBe(false);
    kernel.close(map);
  });

  it.each([
    [
      "keeps the process alive while it waits, and not after",
      "await kernel.readable(map, { timeoutMs: 100 }); console.log('over');",
      0,
      "over",
    ],
    ["does not keep a process that exits", "kernel.readable(map); setTimeout(() => process.exit(3), 50);", 3, ""],
    ["does not keep a process that fails", "kernel.readable(map); setTimeout(() => { throw 1; }, 50);", 1, ""],
  ])("%s", async (_what, act, code, stdout) => {
    const script = `
      import { LinuxKernel } from "tsbpf/linux";
      const kernel = LinuxKernel.open();
      const attr = kernel.alloc(168);
      new DataView(attr.bytes.buffer).setUint32(0, ${BPF_MAP_TYPE_RINGBUF}, true);
      new DataView(attr.bytes.buffer).setUint32(12, 4096, true);
      const map = kernel.bpf(0, attr);
      ${act}`;
    const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      cwd: root,
      timeout: 10_000,
    });
    const done = await run.then(
      (out) => ({ code: 0, stdout: out.stdout }),
      (error: { code: number; stdout: string }) => error,
    );
    expect(done).toMatchObject({ code, stdout: stdout === "" ? "" : `${stdout}\n` });
  });

  it("does not keep a worker that is terminated", async () => {
    const map = createMap(kernel, ringbuf);
    const before = openFds();
    const script = `
      import("tsbpf/linux").then(({ LinuxKernel }) => {
        const kernel = LinuxKernel.open();
        void kernel.readable(${map});
        setTimeout(() => require("node:worker_threads").parentPort.postMessage("waits"), 100);
      });`;
    const worker = new Worker(script, { eval: true });
    await new Promise((resolve) => worker.once("message", resolve));
    const start = performance.now();
    await worker.terminate();
    expect(performance.now() - start).toBeLessThan(1000);
    // Nothing of that thread ran any more: its epoll instance and what it waited with are still there.
    const left = openFds().filter((fd) => !before.includes(fd));
    expect(left).toHaveLength(2);
    for (const fd of [...left, map]) kernel.close(fd);
  });
});

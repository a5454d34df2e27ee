/**
 * LinuxKernel in worker threads: each opens its own, and all use the fd that one of them got.
 */
import { Worker } from "node:worker_threads";
import { LinuxKernel } from "tsbpf/linux";
import { BPF_MAP_LOOKUP_ELEM, BPF_MAP_TYPE_HASH, BPF_MAP_UPDATE_ELEM } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { call, openFds, createMap, describeLinux, words } from "./_linux.js";

const workers = 4;
const keysEach = 5000;

/** Writes the keys from workerData.first on, with itself as value; says with a number what went wrong. */
const script = `
  const { parentPort, workerData } = require("node:worker_threads");
  import("tsbpf/linux").then(({ LinuxKernel }) => {
    const kernel = LinuxKernel.open();
    const [attr, key, value] = [168, 4, 4].map((size) => kernel.alloc(size));
    const view = new DataView(attr.bytes.buffer);
    view.setInt32(0, workerData.fd, true);
    view.setBigUint64(8, BigInt(key.address), true);
    view.setBigUint64(16, BigInt(value.address), true);
    const update = kernel.prepare(${BPF_MAP_UPDATE_ELEM}, attr);
    let wrong = 0;
    for (let k = workerData.first; k < workerData.first + ${keysEach}; k++) {
      new DataView(key.bytes.buffer).setUint32(0, k, true);
      new DataView(value.bytes.buffer).setUint32(0, k, true);
      if (update() !== 0) wrong++;
    }
    for (const buffer of [attr, key, value]) buffer[Symbol.dispose]();
    kernel[Symbol.dispose]();
    parentPort.postMessage(wrong);
  });`;

function fill(fd: number, first: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let wrong: unknown;
    const worker = new Worker(script, { eval: true, workerData: { fd, first } });
    worker.once("message", (message) => (wrong = message));
    worker.once("error", reject);
    worker.once("exit", () => resolve(wrong));
  });
}

describeLinux("LinuxKernel in threads", () => {
  it("shares fds", async () => {
    using kernel = LinuxKernel.open();
    await new Worker("", { eval: true }).terminate(); // what Node opens for its first worker stays open
    const fds = openFds();
    const map_fd = createMap(kernel, {
      map_type: BPF_MAP_TYPE_HASH,
      key_size: 4,
      value_size: 4,
      max_entries: workers * keysEach,
    });
    const wrong = await Promise.all(Array.from({ length: workers }, (_, i) => fill(map_fd, i * keysEach)));
    expect(wrong).toEqual(Array(workers).fill(0));

    using key = kernel.alloc(4);
    using value = kernel.alloc(4);
    for (let k = 0; k < workers * keysEach; k += 7) {
      words(key)[0] = k;
      expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd, key, value })).toBe(0);
      expect(words(value)[0]).toBe(k);
    }
    kernel.close(map_fd);
    expect(openFds()).toEqual(fds);
  });
});

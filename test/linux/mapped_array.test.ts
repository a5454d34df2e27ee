/**
 * Adding through the mapping of an array, on Linux: threads and processes that do so at once lose nothing. JavaScript does not
 * know the memory as shared; the additions are atomic all the same.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { ArrayMap, struct, u16, u32, u64, u8 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { expect, it } from "vitest";
import { describeLinux } from "./_linux.js";

const ADDS = 300_000;
const value = struct({ packets: u64, bytes: u64, a: u32, b: u16, c: u8, pad: u8 });

/** Adds to the values of two maps, the ids of which are in the environment. */
const script = `
  Promise.all([import("tsbpf"), import("tsbpf/linux")]).then(([{ ArrayMap, struct, u16, u32, u64, u8 }, { LinuxKernel }]) => {
    const kernel = LinuxKernel.open();
    const [id, wideId] = process.env.MAP_IDS.split(",").map(Number);
    const value = struct({ packets: u64, bytes: u64, a: u32, b: u16, c: u8, pad: u8 });
    const map = ArrayMap.fromId(kernel, id, { value: u64, mmap: true });
    const wide = ArrayMap.fromId(kernel, wideId, { value, mmap: true });
    for (let i = 0; i < ${ADDS}; i++) {
      map.add(1, 3n);
      if (i % 3 === 0) wide.add(2, { packets: 1n, bytes: 100n, a: 1, b: 1, c: 1, pad: 0 });
    }
    map.close();
    wide.close();
    kernel[Symbol.dispose]();
  });`;

const exited = (emitter: {
  once(event: "error", on: (error: Error) => void): unknown;
  once(event: "exit", on: (code: number) => void): unknown;
}): Promise<number> =>
  new Promise((resolve, reject) => {
    emitter.once("error", reject);
    emitter.once("exit", resolve);
  });

describeLinux("arrays that are mapped on Linux", () => {
  it("two threads and a process add, and nothing is lost", async () => {
    using kernel = LinuxKernel.open();
    using map = ArrayMap.create(kernel, { value: u64, maxEntries: 4, mmap: true });
    using wide = ArrayMap.create(kernel, { value, maxEntries: 4, mmap: true });
    const env = { ...process.env, MAP_IDS: `${map.id},${wide.id}` };
    const cwd = fileURLToPath(new URL("../..", import.meta.url));
    const codes = await Promise.all([
      exited(new Worker(script, { eval: true, env })),
      exited(new Worker(script, { eval: true, env })),
      exited(spawn(process.execPath, ["-e", script], { env, cwd, stdio: "inherit" })),
    ]);
    expect(codes).toEqual([0, 0, 0]);
    const times = 3 * (ADDS / 3);
    expect(map.get(1)).toBe(BigInt(3 * ADDS) * 3n);
    expect(wide.get(2)).toEqual({
      packets: BigInt(times),
      bytes: BigInt(times) * 100n,
      a: times,
      b: times & 0xffff,
      c: times & 0xff,
      pad: 0,
    });
    // The kernel sees the same.
    using bySyscall = ArrayMap.fromId(kernel, map.id, { value: u64 });
    expect(bySyscall.get(1)).toBe(map.get(1));
  }, 120_000);
});

/**
 * Creates a hash of 10 million elems, then fills some of it; prints by how many bytes the process grew. Run as a process of its
 * own by memory.test.ts.
 */
import { EmbeddedKernel, HashMap, u64 } from "tsbpf";

const kernel = await EmbeddedKernel.create();
// What the first map brings with it (code, buffers) is not the elems'.
HashMap.create(kernel, { key: u64, value: u64, maxEntries: 10 }).close();

const resident = (): number => {
  globalThis.gc?.();
  return process.memoryUsage.rss();
};

const before = resident();
const map = HashMap.create(kernel, { key: u64, value: u64, maxEntries: 10_000_000 });
const created = resident() - before;
for (let i = 0n; i < 100_000n; i++) map.set(i, i);
const filled = resident() - before;
process.stdout.write(JSON.stringify({ created, filled }));

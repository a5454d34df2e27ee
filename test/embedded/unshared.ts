/**
 * A kernel where memory cannot be shared: what unshared.test.ts runs as a process of its own. The argument says in which way.
 */
import type { HashMap as Hash } from "tsbpf";

if (process.argv[2] === "deleted") Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
else Object.assign(globalThis, { crossOriginIsolated: false });

const { Arena, ArrayMap, EmbeddedKernel, HashMap, PerCpuArray, RingBuffer, UserRingBuffer, u32, u64 } =
  await import("tsbpf");
const say = (text: string): boolean => process.stdout.write(`${text}\n`);

const kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24, possibleCpus: 2 });
say(`shared: ${kernel.shared}`);
const hash = HashMap.create(kernel, { key: u32, value: u64, maxEntries: 100 });
for (let i = 0; i < 100; i++) hash.set(i, BigInt(i));
for (let i = 0; i < 50; i++) hash.delete(i);
for (let i = 0; i < 50; i++) hash.add(i, 1n);
say(`elems: ${[...hash].length}`);
const sums = PerCpuArray.create(kernel, { value: u64, maxEntries: 1 });
for (const n of [1n, 2n, 3n]) sums.add(0, n);
say(`sum: ${sums.get(0)?.sum()}`);
const array = ArrayMap.create(kernel, { value: u64, maxEntries: 2 });
array.set(1, 2n);
say(`array: ${[...array.values()].join()}`);
// Nobody else can write: what is read in a later turn was written in one before.
const ring = RingBuffer.create(kernel, { size: 4096, record: u64 });
setTimeout(() => ring.push(5n), 10);
setTimeout(() => ring.push(6n), 20);
let sum = 0n;
for await (const record of ring) {
  sum += record;
  if (record === 6n) break;
}
say(`records: ${sum}`);
const commands = UserRingBuffer.create(kernel, { size: 4096, record: u64 });
for (let i = 0n; commands.push(i); i++);
setTimeout(() => commands.drain(), 10);
await commands.writable();
const arena = Arena.create(kernel, { pages: 1 });
arena.bytes[5] = 1;
say(`commands: ${commands.pending}, arena: ${arena.bytes[5]}`);
for (const map of [ring, commands, arena]) map.close();
hash.set(7, 7n);
const image = kernel.save();
const { id } = hash;
for (const map of [hash, sums, array]) map.close();
const { fds, maps, bytes } = kernel.usage();
say(`usage: ${fds} fds, ${maps} maps, ${bytes} bytes`);

const loaded = await EmbeddedKernel.load(image);
const again: Hash<number, bigint> = HashMap.fromId(loaded, id, { key: u32, value: u64 });
say(`loaded: ${again.get(7)}`);
try {
  loaded.share();
} catch (error) {
  say(String(error));
}

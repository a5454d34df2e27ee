/**
 * `node build/bench/hit_rates.js`: how many of a trace's keys LRU hashes have, of the embedded kernel, exact ones, of Linux, and npm's
 * lru-cache, of the same size, side by side.
 */
import { EmbeddedKernel, type Kernel, LruHashMap, u32 } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { install, load } from "./npm_package.js";
import { type Cache, hitRate, traces } from "./traces.js";

interface LruCacheModule {
  LRUCache: new (options: { max: number }) => Cache;
}

/** A column of the table: its caches, and whether a get is a use. */
interface Column {
  readonly name: string;
  readonly isGetUse: boolean;
  create(maxEntries: number): Cache & Partial<Disposable>;
}

const lruHash = (kernel: Kernel, exact: boolean) => (maxEntries: number) =>
  LruHashMap.create(kernel, { key: u32, value: u32, maxEntries, exact });

async function columns(): Promise<Column[]> {
  const embedded = await EmbeddedKernel.create({ maxMemory: 2 ** 26 });
  const all: Column[] = [
    { name: "embedded", isGetUse: true, create: lruHash(embedded, false) },
    { name: "exact", isGetUse: true, create: lruHash(embedded, true) },
  ];
  try {
    all.push({ name: "Linux", isGetUse: false, create: lruHash(LinuxKernel.open(), false) });
  } catch (error) {
    process.stderr.write(`No Linux: ${(error as Error).message}\n`);
  }
  const why = install("lru-cache");
  if (why !== undefined) process.stderr.write(`No lru-cache: ${why}\n`);
  else {
    const { LRUCache } = load("lru-cache") as LruCacheModule;
    all.push({ name: "lru-cache", isGetUse: true, create: (max) => new LRUCache({ max }) });
  }
  return all;
}

const all = await columns();
const row = (name: string, size: string, cells: readonly string[]): string =>
  `${name.padEnd(30)}${size.padStart(8)}${cells.map((cell) => cell.padStart(12)).join("")}\n`;
process.stdout.write(
  row(
    "hit rate, %",
    "elems",
    all.map(({ name }) => name),
  ),
);
for (const [name, size, make] of traces) {
  const trace = make();
  const rates = all.map(({ isGetUse, create }) => {
    const cache = create(size);
    const rate = hitRate(trace, cache, isGetUse);
    cache[Symbol.dispose]?.();
    return (100 * rate).toFixed(2);
  });
  process.stdout.write(row(name, String(size), rates));
}

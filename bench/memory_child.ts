/**
 * A process of memory.ts: `memory_child.js create|embedded|js|embedded4|js4|routes`. Prints its figures as JSON.
 */
import { fileURLToPath } from "node:url";
import { type Codec, EmbeddedKernel, HashMap, u32, u64 } from "tsbpf";
import { type RoutesMemory, routesMemory } from "./lpm_trie.js";
import { figuresOf } from "./measure.js";
import type { Filled, MemoryFigures } from "./memory.js";

const ELEMS = 10_000_000;
const CREATIONS = 9;

/** What each mode prints. */
export interface MemoryAnswer {
  create: NonNullable<MemoryFigures["createMs"]>;
  embedded: Filled;
  js: Filled;
  embedded4: Filled;
  js4: Filled;
  routes: RoutesMemory[];
}

async function createTimes(): Promise<MemoryAnswer["create"]> {
  const ms: number[] = [];
  for (let i = 0; i < CREATIONS; i++) {
    using kernel = await EmbeddedKernel.create();
    const start = performance.now();
    HashMap.create(kernel, { name: "big", key: u64, value: u64, maxEntries: ELEMS });
    ms.push(performance.now() - start);
  }
  const { median, min } = figuresOf(ms);
  return { median, min, first: ms[0]! };
}

/**
 * Fills a map with the integers from 0 on, each its own value. Bigints among them nobody keeps but the map: they are
 * collected before memory is looked at.
 */
function fill<T>(of: (i: number) => T, make: () => (key: T, value: T) => unknown): Filled {
  const rss = (): number => {
    globalThis.gc?.();
    return process.memoryUsage.rss() / 1e6;
  };
  const before = rss();
  const start = performance.now();
  const set = make();
  const emptyMb = rss() - before;
  for (let i = 0; i < ELEMS / 2; i++) set(of(i), of(i));
  const halfMb = rss() - before;
  for (let i = ELEMS / 2; i < ELEMS; i++) set(of(i), of(i));
  const seconds = (performance.now() - start) / 1000;
  return { emptyMb, halfMb, fullMb: rss() - before, seconds };
}

async function fillEmbedded<T>(codec: Codec<T>, of: (i: number) => T): Promise<Filled> {
  const kernel = await EmbeddedKernel.create();
  const open = (maxEntries: number): HashMap<T, T> =>
    HashMap.create(kernel, { name: "big", key: codec, value: codec, maxEntries });
  // The code is compiled, and young garbage has its room, before the first look at memory.
  using small = open(100_000);
  for (let i = 0; i < 100_000; i++) small.set(of(i), of(i));
  const maps: HashMap<T, T>[] = [];
  return fill(of, () => {
    const map = open(ELEMS);
    maps.push(map);
    return (key, value) => map.set(key, value);
  });
}

function fillJs(of: (i: number) => unknown): Filled {
  const map = new Map<unknown, unknown>();
  return fill(of, () => (key, value) => map.set(key, value));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const modes: { [M in keyof MemoryAnswer]: () => MemoryAnswer[M] | Promise<MemoryAnswer[M]> } = {
    create: createTimes,
    embedded: () => fillEmbedded(u64, BigInt),
    js: () => fillJs(BigInt),
    embedded4: () => fillEmbedded(u32, (i) => i),
    js4: () => fillJs((i) => i),
    routes: routesMemory,
  };
  const answer = await modes[process.argv[2] as keyof MemoryAnswer]();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

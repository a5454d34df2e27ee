/**
 * A process of memory.ts: `memory_child.js create|embedded|js`. Prints its figures as JSON.
 */
import { fileURLToPath } from "node:url";
import { EmbeddedKernel, HashMap, u64 } from "tsbpf";
import { figuresOf } from "./measure.js";
import type { Filled, MemoryFigures } from "./memory.js";

const ELEMS = 10_000_000;
const CREATIONS = 9;

/** What each mode prints. */
export interface MemoryAnswer {
  create: NonNullable<MemoryFigures["createMs"]>;
  embedded: Filled;
  js: Filled;
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

/** Keys and values are bigints that nobody keeps but the map: they are collected before memory is looked at. */
function fill(make: () => (key: bigint, value: bigint) => unknown): Filled {
  const rss = (): number => {
    globalThis.gc?.();
    return process.memoryUsage.rss() / 1e6;
  };
  const before = rss();
  const start = performance.now();
  const set = make();
  const emptyMb = rss() - before;
  for (let i = 0; i < ELEMS / 2; i++) set(BigInt(i), BigInt(i));
  const halfMb = rss() - before;
  for (let i = ELEMS / 2; i < ELEMS; i++) set(BigInt(i), BigInt(i));
  const seconds = (performance.now() - start) / 1000;
  return { emptyMb, halfMb, fullMb: rss() - before, seconds };
}

async function fillEmbedded(): Promise<Filled> {
  const kernel = await EmbeddedKernel.create();
  const open = (maxEntries: number): HashMap<bigint, bigint> =>
    HashMap.create(kernel, { name: "big", key: u64, value: u64, maxEntries });
  // The code is compiled, and young garbage has its room, before the first look at memory.
  using small = open(100_000);
  for (let i = 0; i < 100_000; i++) small.set(BigInt(i), BigInt(i));
  const maps: HashMap<bigint, bigint>[] = [];
  return fill(() => {
    const map = open(ELEMS);
    maps.push(map);
    return (key, value) => map.set(key, value);
  });
}

function fillJs(): Filled {
  const map = new Map<bigint, bigint>();
  return fill(() => (key, value) => map.set(key, value));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const modes: { [M in keyof MemoryAnswer]: () => MemoryAnswer[M] | Promise<MemoryAnswer[M]> } = {
    create: createTimes,
    embedded: fillEmbedded,
    js: fillJs,
  };
  const answer = await modes[process.argv[2] as keyof MemoryAnswer]();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

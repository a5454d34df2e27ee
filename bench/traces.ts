/**
 * Traces of keys that a cache is asked for, and how many of them it has: each key is got, and set if it is not there. Where a get is
 * no use (Linux's system calls), it is set when it is there, too.
 */
import { readCapture } from "../examples/packets/capture_file.js";
import { PacketInfo, parsePacket } from "../examples/packets/packet.js";
import { fileURLToPath } from "node:url";

export type Trace = Uint32Array;

const REQUESTS = 300_000;
/** From here, or from where this is compiled to. */
const ROOT = new URL(import.meta.url.includes("/build/bench/") ? "../../" : "../", import.meta.url);
const CAPTURE = fileURLToPath(new URL("examples/packets/capture.pcap", ROOT));

/** What a cache is for a trace. */
export interface Cache {
  get(key: number): unknown;
  set(key: number, value: number): unknown;
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Ten times as many keys as the cache holds, the nth asked for 1/n as often as the first: Zipf's law with exponent 1. */
function zipf(size: number): Trace {
  const keys = 10 * size;
  const sums = new Float64Array(keys);
  for (let i = 0, sum = 0; i < keys; i++) sums[i] = sum += 1 / (i + 1);
  const random = randomFrom(3);
  return Uint32Array.from({ length: REQUESTS }, () => {
    const at = random() * sums[keys - 1]!;
    let low = 0;
    for (let high = keys - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < at) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/** Half of all are from a hot set of half of what the cache holds; the others are never asked for again. */
function scanAndHotSet(size: number): Trace {
  const random = randomFrom(5);
  const hot = size >> 1;
  let next = 1_000_000;
  return Uint32Array.from({ length: REQUESTS }, () => (random() < 0.5 ? Math.floor(random() * hot) : next++));
}

/** A hot set of four fifths of what the cache holds; now and then a scan of twice as much as it holds. */
function scansBetween(size: number): Trace {
  const random = randomFrom(9);
  const hot = Math.floor(0.8 * size);
  let next = 1_000_000;
  return Uint32Array.from({ length: REQUESTS }, (_, i) =>
    i % (6 * size) < 4 * size ? Math.floor(random() * hot) : next++,
  );
}

/** Flows of the capture of the example, packet by packet: each flow a number. */
function flows(): Trace {
  const { bytes, index } = readCapture(CAPTURE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const info = new PacketInfo();
  const numbers = new Map<string, number>();
  return Uint32Array.from({ length: index.count }, (_, i) => {
    parsePacket(view, index.offsets[i]!, index.captured[i]!, index.linkTypes[i]!, info);
    const { src, dst, srcPort, dstPort, protocol, vlan } = info.flow;
    const flow = [src, dst, srcPort, dstPort, protocol, vlan].join();
    const number = numbers.get(flow) ?? numbers.size;
    numbers.set(flow, number);
    return number;
  });
}

/** The traces, by what they are, and how many elems the cache holds: the same trace each time. */
export const traces: readonly (readonly [name: string, size: number, make: () => Trace])[] = [
  ...[256, 1000, 10_000].flatMap((size) => [
    ["Zipf(1.0)", size, () => zipf(size)] as const,
    ["half a hot set, half a scan", size, () => scanAndHotSet(size)] as const,
    ["a hot set, scans between", size, () => scansBetween(size)] as const,
  ]),
  ...[16, 64, 256].map((size) => ["flows of the capture", size, flows] as const),
];

/** The share of a trace's keys that a cache had. */
export function hitRate(trace: Trace, cache: Cache, isGetUse: boolean): number {
  let hits = 0;
  for (const key of trace) {
    const isHit = cache.get(key) !== undefined;
    if (isHit) hits++;
    if (!isHit || !isGetUse) cache.set(key, key);
  }
  return hits / trace.length;
}

/**
 * What is done with each object of test/program/objects, and what is seen of it: what its programs return, the packets that come
 * out, and all bytes of its maps at the end.
 */
import {
  ArrayOfMaps,
  BloomFilter,
  type DevMap,
  type DevMapHash,
  GenericMap,
  HashOfMaps,
  type Kernel,
  type LpmTrie,
  LruPerCpuHashMap,
  PerCpuArray,
  PerCpuHashMap,
  PerfEventArray,
  ProgramArray,
  QueueMap,
  RingBuffer,
  StackMap,
  type TypedMap,
  UserRingBuffer,
} from "tsbpf";
import { BpfObject, type RunOptions } from "tsbpf/program";
import { packets } from "./_packets.js";

/** An object, loaded: what a story does with it. */
export interface Scene {
  readonly object: BpfObject;
  /** Runs a program, and writes down what came of it. */
  run(program: string, options: RunOptions): void;
  /** Writes down what else came of it. */
  saw(what: string, lines: readonly string[]): void;
}

export interface Story {
  /** The name of its source. */
  readonly object: string;
  /** Put in before the programs run. */
  readonly prepare?: (object: BpfObject) => void;
  /** What runs; unless told, every program on every packet. */
  readonly play?: (scene: Scene) => void;
}

/** Every program on every packet. */
function onPackets({ object, run }: Scene): void {
  for (const name of Object.keys(object.programs).toSorted()) for (const data of packets) run(name, { data });
}

function words(...values: readonly (bigint | number)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values.map((value) => BigInt.asUintN(64, BigInt(value)))).buffer);
}

/** Arguments of the program in syscall.c. */
function args(a: bigint, b: bigint, op: number, times: number): Uint8Array {
  return new Uint8Array([
    ...words(a, b, (BigInt(times) << 32n) | BigInt(op), 0),
    ...Array.from({ length: 16 }, (_, i) => i),
  ]);
}

const NUMBERS = [0n, 1n, 7n, -1n, 1n << 63n, (1n << 63n) - 1n, 0xffffffffn, 1n << 32n, 0x123456789abcdefn];

export const stories: readonly Story[] = [
  { object: "counts" },
  { object: "xdp_parse" },
  { object: "xdp_rewrite" },
  { object: "xdp_adjust" },
  { object: "xdp_bytes" },
  { object: "xdp_csum" },
  { object: "tc_bytes" },
  { object: "tc_nat" },
  { object: "tc_direct" },
  { object: "socket" },
  {
    object: "raw_tp",
    play: ({ run }) => {
      for (let i = 0; i < 60; i++) run("trace", { context: words(i, i % 3, i >> 1, -i) });
    },
  },
  {
    object: "syscall",
    play: ({ run }) => {
      for (let op = 0; op < 9; op++) {
        for (const a of NUMBERS) for (const b of NUMBERS) run("compute", { context: args(a, b, op, Number(b & 63n)) });
      }
    },
  },
  { object: "hash" },
  { object: "percpu" },
  { object: "lru" },
  {
    object: "lpm",
    prepare: (object) => {
      const routes = object.maps["routes"] as LpmTrie<unknown, number>;
      const put = (bits: number, address: number[], hop: number): unknown =>
        routes.set({ bits, address: Uint8Array.from(address) }, hop);
      put(0, [0, 0, 0, 0], 1);
      put(8, [192, 0, 0, 0], 2);
      put(16, [192, 168, 0, 0], 3);
      put(24, [192, 168, 4, 0], 4);
      put(32, [192, 168, 200, 7], 5);
      put(25, [192, 0, 2, 0], 6);
    },
  },
  { object: "queues" },
  { object: "bloom" },
  {
    object: "ring",
    play: (scene) => {
      onPackets(scene);
      (scene.object.maps["ring"] as RingBuffer).poll(5);
      onPackets(scene);
    },
  },
  {
    object: "perf",
    play: (scene) => {
      using events = (scene.object.maps["events"] as PerfEventArray).events({ pages: 256 });
      onPackets(scene);
      // Linux may have run them on any CPU, and the order is each CPU's.
      const sent = events.poll().map(({ data }) => hex(data));
      scene.saw("events", [`${events.lost} lost`, ...sent.toSorted()]);
    },
  },
  { object: "dynptr" },
  { object: "nested" },
  {
    object: "tail",
    prepare: (object) => {
      const next = object.maps["next"] as ProgramArray;
      next.set(1, object.programs["again"]!.fd);
      next.set(2, object.programs["deep"]!.fd);
      next.set(3, object.programs["last"]!.fd);
    },
  },
  { object: "loops" },
  { object: "each" },
  { object: "globals" },
  { object: "functions" },
  { object: "spin" },
  { object: "atomics" },
  { object: "strings" },
  { object: "prints" },
  { object: "timers" },
  { object: "probes", play: ({ run }) => run("probe", { context: words(0, 0) }) },
  {
    object: "drained",
    play: ({ object, run }) => {
      const commands = object.maps["commands"] as UserRingBuffer;
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 5; i++) commands.push(words(round * 5 + i, 7, i));
        run("drain", { data: packets[0]! });
        run("drain", { data: packets[1]! });
      }
    },
  },
  { object: "redirect" },
  {
    object: "devmap",
    prepare: (object) => {
      // Any kernel has lo, whose number is 1.
      (object.maps["ports"] as DevMap).set(2, 1);
      (object.maps["vlans"] as DevMapHash).set(2, 1);
    },
  },
  { object: "bits" },
  { object: "sorts" },
  { object: "clocks", play: ({ run }) => run("ask", { data: packets[0]! }) },
];

/** What was seen of an object. */
export interface Seen {
  /** A line for each run: the program, what it returned, the packet and the context after it. */
  readonly runs: readonly string[];
  /** By name: a line for each elem. */
  readonly maps: Readonly<Record<string, readonly string[]>>;
}

/** Loads an object into a kernel, lets a story play, and tells what was to be seen. */
export function see(kernel: Kernel, bytes: Uint8Array, story: Story): Seen {
  using object = BpfObject.open(bytes).load(kernel);
  story.prepare?.(object);
  const runs: string[] = [];
  const run = (name: string, options: RunOptions): void => {
    const { retval, data, context } = object.programs[name]!.run(options);
    runs.push(`${name}: ${retval} ${hex(data)} ${hex(context)}`);
  };
  const saw = (what: string, lines: readonly string[]): void => {
    runs.push(...lines.map((line) => `${what}: ${line}`));
  };
  (story.play ?? onPackets)({ object, run, saw });
  const maps: Record<string, readonly string[]> = {};
  for (const [name, map] of Object.entries(object.maps)) {
    // Strings of constants: what is read of them shows in what programs do.
    if (name.startsWith(".rodata")) continue;
    maps[name] = linesOf(kernel, map);
  }
  return { runs, maps };
}

/** Where two differ: the first few lines of each part, cut where they are long. */
export function differences(wanted: Seen, found: Seen): string[] {
  const lines = differing("runs", wanted.runs, found.runs);
  for (const [name, elems] of Object.entries(wanted.maps))
    lines.push(...differing(name, elems, found.maps[name] ?? []));
  return lines;
}

function differing(where: string, wanted: readonly string[], found: readonly string[]): string[] {
  const lines: string[] = [];
  for (let i = 0; i < Math.max(wanted.length, found.length) && lines.length < MOST_LINES; i++) {
    if (wanted[i] === found[i]) continue;
    const at = firstDifference(wanted[i] ?? "", found[i] ?? "");
    lines.push(`${where} ${i} at ${at}: wanted ${cut(wanted[i])}, found ${cut(found[i])}`);
  }
  return lines;
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

const MOST_LINES = 3;
const MOST_LETTERS = 200;

function cut(line: string | undefined): string {
  return line === undefined || line.length <= MOST_LETTERS ? String(line) : `${line.slice(0, MOST_LETTERS)}...`;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function linesOf(kernel: Kernel, map: BpfObject["maps"][string]): string[] {
  if (map instanceof RingBuffer) return map.poll().map((record) => hex(record as Uint8Array));
  if (map instanceof UserRingBuffer) return [String(map.pending)];
  // What it says of a value shows in what programs do.
  if (map instanceof BloomFilter) return [];
  if (map instanceof QueueMap || map instanceof StackMap)
    return Array.from({ length: map.maxEntries }, () => String(map.pop()));
  if (map instanceof PerfEventArray) return [];
  if (map instanceof ProgramArray) return [...map.keys()].map(String);
  if (map instanceof ArrayOfMaps || map instanceof HashOfMaps) return innerLines(kernel, map);
  using elems = GenericMap.fromId(kernel, map.id);
  const isPerCpu = [PerCpuArray, PerCpuHashMap, LruPerCpuHashMap].some((type) => map instanceof type);
  const lines: string[] = [];
  for (const [key, value] of elems.entries()) lines.push(`${hex(key)} ${isPerCpu ? sumOf(value) : hex(value)}`);
  return lines.toSorted();
}

/** Over CPUs: a program may have run on any of them. */
function sumOf(value: Uint8Array): string {
  const { buffer, byteOffset, length } = value.slice();
  return String(new BigUint64Array(buffer, byteOffset, length / 8).reduce((sum, word) => sum + word, 0n));
}

function innerLines(
  kernel: Kernel,
  map: Pick<ArrayOfMaps<TypedMap>, "get"> | Pick<HashOfMaps<unknown, TypedMap>, "get">,
): string[] {
  const lines: string[] = [];
  for (let index = 0; index < 8; index++) {
    using inner = map.get(index);
    if (inner !== undefined) lines.push(...linesOf(kernel, inner).map((line) => `${index}: ${line}`));
  }
  return lines;
}

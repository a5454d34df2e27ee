/**
 * What is to be reached, and whether it was.
 */
import { type Figures, type SuiteFigures, ratio } from "./measure.js";
import type { Machine } from "./machine.js";
import type { MemoryFigures } from "./memory.js";
import { MANY_SUITES } from "./many.js";
import { INSERT, LOOKUP, ROUTES4, ROUTES6 } from "./lpm_trie.js";
import { GET, SET, SET_DIRECT, SET_MANY } from "./outcomes.js";
import { ALU, ARRAY, HASH, PACKET } from "./programs.js";
import { LARGEST } from "./sizes.js";
import type { SweepFigures } from "./sweep.js";

/** All that was measured. */
export interface Results {
  readonly machine: Machine;
  readonly suites: readonly SuiteFigures[];
  readonly sweeps: readonly SweepFigures[];
  readonly memory: MemoryFigures | undefined;
  /** How long that took. */
  readonly seconds: number;
}

export interface Target {
  readonly what: string;
  /** The figure, or undefined when it was not measured: of ratios the median of the rounds'. */
  readonly value: number | undefined;
  /** The same of the best rounds only: what is left when other work on the machine is left out. */
  readonly best: number | undefined;
  readonly unit: string;
  readonly limit: number;
  /** "information" is for figures that belong beside a target, and have none. */
  readonly is: "at most" | "at least" | "over" | "under" | "information";
}

/** Undefined when it was not measured, or is no target. */
export function isReached({ value, limit, is }: Target): boolean | undefined {
  if (value === undefined || is === "information") return undefined;
  if (is === "over") return value > limit;
  if (is === "under") return value < limit;
  return is === "at least" ? value >= limit : value <= limit;
}

type Measured = Pick<Target, "value" | "best" | "unit">;

/** Ways to look into results. */
interface Looks {
  /** How many times as long `a` takes as `b`: of several `b`, the fastest. */
  times(suite: string, row: string, a: string, ...b: string[]): Measured;
  /** How long `a` takes. */
  ns(suite: string, row: string, a: string): Measured;
}

function looksInto({ suites, sweeps }: Results): Looks {
  const all = [...suites, ...sweeps.flatMap(({ points }) => points.map(({ figures }) => figures))];
  const figures = (suite: string, row: string, contender: string): Figures | undefined =>
    all.find((result) => result.suite.name === suite)?.rows[row]?.[contender];
  return {
    ns(suite, row, contender) {
      const found = figures(suite, row, contender);
      return { value: found?.median, best: found?.min, unit: " ns" };
    },
    times(suite, row, a, ...b) {
      const ofA = figures(suite, row, a);
      const [ofB] = b
        .map((contender) => figures(suite, row, contender))
        .filter((figures) => figures !== undefined)
        .toSorted((x, y) => x.median - y.median);
      const best = ofA === undefined || ofB === undefined ? undefined : ofA.min / ofB.min;
      return { value: ratio(ofA, ofB), best, unit: "x" };
    },
  };
}

const atMost = (limit: number): Pick<Target, "is" | "limit"> => ({ is: "at most", limit });
const atLeast = (limit: number): Pick<Target, "is" | "limit"> => ({ is: "at least", limit });
const information: Pick<Target, "is" | "limit"> = { is: "information", limit: 0 };

/** At the limit of speed. */
export function limitTargetsOf(results: Results): Target[] {
  const { times, ns } = looksInto(results);
  const { memory } = results;
  const [full, fullJs] = [memory?.embedded4?.fullMb, memory?.js4?.fullMb];
  const memoryRatio = full === undefined || fullJs === undefined ? undefined : full / fullJs;
  const [ints, bigs, words] = ["hash u32 -> u32", "hash u32 -> u64", "hash struct of four u32 -> u32"];
  const threads = "threads on one map, hash u32 -> u64";
  const rings = "ring buffer, thread to thread";
  const shared = "shared by threads, u32 -> u32";
  const fails = "what fails, hash u32 -> u32, full";
  return [
    { what: "get, u32 -> u32, against Map", ...times(ints, "lookup", "embedded", "js"), ...atMost(0.6) },
    { what: "set, u32 -> u32, against Map", ...times(ints, "update", "embedded", "js"), ...atMost(0.7) },
    { what: "get, u32 -> u64, against Map of bigints", ...times(bigs, "lookup", "embedded", "js"), ...atMost(1.2) },
    { what: "set, u32 -> u64, against Map of bigints", ...times(bigs, "update", "embedded", "js"), ...atMost(1.2) },
    {
      what: "get, struct of 16 bytes, against Map keyed by strings",
      ...times(words, "lookup", "embedded", "js", "text"),
      ...atMost(0.5),
    },
    {
      what: "set, struct of 16 bytes, against Map keyed by strings",
      ...times(words, "update", "embedded", "js", "text"),
      ...atMost(0.5),
    },
    {
      what: "get, u32 -> u32, 10 Mi keys in huge pages, against Map",
      ...times(LARGEST, "get", "huge", "js"),
      ...atMost(0.7),
    },
    {
      what: "set, u32 -> u32, 10 Mi keys in huge pages, against Map",
      ...times(LARGEST, "set", "huge", "js"),
      ...atMost(0.7),
    },
    { what: "the same get in small pages", ...times(LARGEST, "get", "embedded", "js"), ...information },
    { what: "the same set in small pages", ...times(LARGEST, "set", "embedded", "js"), ...information },
    {
      what: "memory of 10 million u32 -> u32, against Map",
      value: memoryRatio,
      best: undefined,
      unit: "x",
      is: "under",
      limit: 0.5,
    },
    ...tableTargets(ns, memory),
    ...MANY_SUITES.flatMap(({ suite: { name }, keys }) =>
      ["get", "set"].map((row) => ({
        what: `${row}Many of 1,000 against ${row}, a key; ${keys}`,
        ...times(name, row, "many", "single"),
        ...atMost(0.5),
      })),
    ),
    { what: "2 threads reading, against 1", ...times(threads, "lookup", "1", "2"), ...atLeast(1.9) },
    {
      what: "2 threads reading a map each (the machine's own limit)",
      ...times("threads on a map each", "lookup", "1", "2"),
      ...information,
    },
    {
      what: "2 threads writing other keys, against 1",
      ...times(threads, "update, each its own keys", "1", "2"),
      ...atLeast(1.7),
    },
    {
      what: "2 threads writing to a map each (the machine's own limit)",
      ...times("threads on a map each", "update, each its own keys", "1", "2"),
      ...information,
    },
    { what: "2 threads adding on one key, against 1", ...times(threads, "add on one key", "1", "2"), ...atLeast(0.5) },
    { what: "a postMessage round trip against get", ...times(shared, "get", "message", "embedded"), ...atLeast(1000) },
    { what: "a postMessage round trip against set", ...times(shared, "set", "message", "embedded"), ...atLeast(1000) },
    { what: "ringbuf.js against records of 8 bytes", ...times(rings, "8 bytes", "ringbuf", "embedded"), ...atLeast(1) },
    {
      what: "ringbuf.js against records of 1,024 bytes",
      ...times(rings, "1,024 bytes", "ringbuf", "embedded"),
      ...atLeast(1),
    },
    {
      what: "a program's ALU loop, against Linux's JIT",
      ...times("programs", ALU, "embedded", "linux"),
      ...atMost(1.05),
    },
    { what: "the same: array lookup + add", ...times("programs", ARRAY, "embedded", "linux"), ...atMost(1) },
    { what: "the same: hash lookup + add", ...times("programs", HASH, "embedded", "linux"), ...atMost(0.7) },
    { what: "the same: a packet", ...times("programs", PACKET, "embedded", "linux"), ...atMost(1) },
    { what: "lmdb's get against get", ...times(shared, "get", "lmdb", "embedded"), ...atLeast(10) },
    { what: "lmdb's set against set", ...times(shared, "set", "lmdb", "embedded"), ...atLeast(10) },
    {
      what: "a full walk, u32 -> u32: npm bpf's iterator on Linux against embedded",
      ...times(ints, "iterate", "npm", "embedded"),
      ...atLeast(50),
    },
    {
      what: "the same: npm bpf's batches",
      ...times(ints, "iterate in batches", "npm", "embedded"),
      ...information,
    },
    {
      what: "a full walk, u32 -> u32, against Map",
      ...times(ints, "iterate in batches", "embedded", "js"),
      ...atMost(2),
    },
    {
      what: "the same, u32 -> u64, against Map of bigints",
      ...times(bigs, "iterate in batches", "embedded", "js"),
      ...information,
    },
    {
      what: "the same by forEach, against Map's forEach",
      ...times(ints, "forEach", "embedded", "js"),
      ...information,
    },
    {
      what: "get of a missing key, against one that is there",
      ...times(fails, GET, "fails", "succeeds"),
      ...atMost(1.2),
    },
    {
      what: "set when full, by kernel.direct, against one that succeeds",
      ...times(fails, SET_DIRECT, "fails", "succeeds"),
      ...atMost(1.2),
    },
    {
      what: "setMany of 1,000, the last when full, against one that succeeds",
      ...times(fails, SET_MANY, "fails", "succeeds"),
      ...atMost(1.2),
    },
    {
      what: "set when full, which throws, against one that succeeds",
      ...times(fails, SET, "fails", "succeeds"),
      ...information,
    },
  ];
}

/** Of LPM tries. */
function tableTargets(ns: Looks["ns"], memory: Results["memory"]): Target[] {
  return [
    { what: "get in 564,580 IPv4 routes", ...ns(ROUTES4, LOOKUP, "embedded"), is: "under", limit: 100 },
    { what: "the same on Linux", ...ns(ROUTES4, LOOKUP, "linux"), ...information },
    {
      what: "set of IPv4 routes, until there are 564,580",
      ...ns(ROUTES4, INSERT, "embedded"),
      is: "under",
      limit: 1000,
    },
    { what: "get in 167,903 IPv6 routes", ...ns(ROUTES6, LOOKUP, "embedded"), is: "under", limit: 100 },
    {
      what: "set of IPv6 routes, until there are 167,903",
      ...ns(ROUTES6, INSERT, "embedded"),
      is: "under",
      limit: 1000,
    },
    ...(memory?.routes ?? []).map(({ family, prefixes, embeddedMb, anyOrderMb, linuxMb }) => ({
      what: `memory of ${prefixes.toLocaleString("en")} ${family} routes in any order, against Linux`,
      value: linuxMb === undefined ? undefined : Math.max(embeddedMb, anyOrderMb) / linuxMb,
      best: undefined,
      unit: "x" as const,
      ...atMost(1),
    })),
  ];
}

/** What earlier versions reached, and later ones must. */
export function earlierTargetsOf(results: Results): Target[] {
  const { times } = looksInto(results);
  const { memory } = results;
  return [
    {
      what: "embedded get, u32 -> u32, against Map",
      ...times("hash u32 -> u32", "lookup", "embedded", "js"),
      ...atMost(1),
    },
    {
      what: "embedded set, u32 -> u32, against Map",
      ...times("hash u32 -> u32", "update", "embedded", "js"),
      ...atMost(1),
    },
    {
      what: "raw bpf() lookup: the system call in C against embedded",
      ...times("raw bpf() on a hash u32 -> u64", "lookup", "c", "embedded"),
      limit: 25,
      is: "over",
    },
    {
      what: "get on Linux, u32 -> u64, against C",
      ...times("hash u32 -> u64", "lookup", "linux", "c"),
      ...atMost(1.3),
    },
    {
      what: "iteration on Linux, u32 -> u64, against C in batches",
      ...times("hash u32 -> u64", "iterate in batches", "linux", "c"),
      ...atMost(1.3),
    },
    {
      what: "iteration on Linux: npm bpf's iterator against ours",
      ...times("hash u32 -> u64", "iterate", "npm", "linux"),
      ...atLeast(10),
    },
    {
      what: "creating a hash of 10 million elems",
      value: memory?.createMs?.median,
      best: memory?.createMs?.min,
      unit: " ms",
      limit: 5,
      is: "under",
    },
    {
      what: "10 million elems of 8 + 8 bytes",
      value: memory?.embedded?.fullMb,
      best: undefined,
      unit: " MB",
      ...atMost(400),
    },
  ];
}

/**
 * map event_pipe MAP [cpu N index M]: what programs write to a perf_event_array, as it comes. Linux only: it takes perf events.
 */
import { readFileSync } from "node:fs";
import { BPF_ANY, BPF_MAP_TYPE_PERF_EVENT_ARRAY } from "../uapi/bpf.js";
import { PerfRing, type PerfRecord, hasPerfEvents } from "../maps/_perf_ring.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { formatHex } from "./elem_format.js";
import { ArgsError } from "./failures.js";
import { takeMap, type OpenMap } from "./map_handle.js";
import type { Output } from "./output.js";
import type { Syscalls } from "./syscalls.js";

/** How often rings are looked at. */
const INTERVAL_MS = 50;

/** map event_pipe */
export async function mapEventPipe(context: Context, args: Args): Promise<void> {
  const bpf = await context.open("read");
  const map = takeMap(context, bpf, args);
  if (map.info.type !== BPF_MAP_TYPE_PERF_EVENT_ARRAY) context.fail("map is not a perf event array");
  const given: { cpu?: number; index?: number } = {};
  while (args.left > 0) {
    if (args.left < 2) throw new ArgsError(`what is '${args.next}'?`);
    const keyword = (["cpu", "index"] as const).find((word) => args.takeIf(word));
    if (keyword === undefined) throw new ArgsError(`what is '${args.next}'?`);
    given[keyword] = args.takeU32(keyword === "cpu" ? "CPU ID" : "index");
  }
  const { cpu, index } = given;
  if ((cpu === undefined) !== (index === undefined)) context.fail("cpu and index must be specified together");
  const places = cpu === undefined || index === undefined ? everyCpu(map) : [[cpu, index] as const];

  const rings: PerfRing[] = [];
  try {
    for (const [cpu, index] of places) rings.push(openRing(context, bpf, map, cpu, index));
    await show(context, rings);
  } finally {
    for (const ring of rings) ring[Symbol.dispose]();
  }
}

/** Each CPU that is online, at its own index, as far as the map has room. */
function everyCpu({ info }: OpenMap): (readonly [cpu: number, index: number])[] {
  // "0-3,5"
  const ranges = readFileSync("/sys/devices/system/cpu/online", "utf8").trim().split(",");
  const cpus = ranges.flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return cpus.filter((cpu) => cpu < info.maxEntries).map((cpu) => [cpu, cpu] as const);
}

function openRing(context: Context, bpf: Syscalls, map: OpenMap, cpu: number, index: number): PerfRing {
  if (!hasPerfEvents(bpf.kernel)) return context.fail("only the Linux kernel has perf events");
  const refuse = (errno: number): never =>
    context.fail(`failed to create perf buffer: ${errnoMessage(-errno)} (${-errno})`);
  const ring = PerfRing.open(bpf.kernel, cpu, index);
  if (typeof ring === "number") return refuse(ring);
  using key = bpf.kernel.alloc(4);
  using value = bpf.kernel.alloc(4);
  new DataView(key.bytes.buffer, key.bytes.byteOffset).setUint32(0, index, true);
  new DataView(value.bytes.buffer, value.bytes.byteOffset).setInt32(0, ring.fd, true);
  const result = bpf.updateElem(map.fd, key, value, BPF_ANY);
  if (result >= 0) return ring;
  ring[Symbol.dispose]();
  return refuse(result);
}

/** Prints records until the user ends it. */
async function show(context: Context, rings: readonly PerfRing[]): Promise<void> {
  const { out, io } = context;
  const live = io.live?.();
  out.json?.startArray();
  try {
    let isOver = false;
    while (!isOver) {
      isOver = live === undefined || (await live.pause(INTERVAL_MS));
      for (const ring of rings) for (const record of ring.take()) print(out, ring, record);
    }
    if (!context.strict) io.err("Stopping...\n");
  } finally {
    live?.close();
    out.json?.endArray();
  }
}

function print(out: Output, { cpu, index }: PerfRing, record: PerfRecord): void {
  const { json } = out;
  if (json === undefined) {
    out.text(textOf(cpu, index, record));
    return;
  }
  const member = (name: string, value: number | bigint): void => {
    json.name(name);
    json.number(value);
  };
  json.startObject();
  member("type", record.type);
  member("cpu", cpu);
  member("index", index);
  if (record.what === "sample") {
    member("timestamp", record.time);
    json.name("data");
    json.startArray();
    for (const byte of record.data) json.number(byte);
    json.endArray();
  } else if (record.what === "lost") {
    json.name("lost");
    json.startObject();
    member("id", record.id);
    member("lost", record.lost);
    json.endObject();
  }
  json.endObject();
}

function textOf(cpu: number, index: number, record: PerfRecord): string {
  switch (record.what) {
    case "sample": {
      const seconds = `${record.time / 1_000_000_000n}.${String(record.time % 1_000_000_000n).padStart(9, "0")}`;
      return `== @${seconds} CPU: ${cpu} index: ${index} =====\n${formatHex(record.data)}\n`;
    }
    case "lost":
      return `lost ${record.lost} events\n`;
    default:
      return `unknown event type=${record.type} size=${record.size}\n`;
  }
}

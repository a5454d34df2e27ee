/**
 * run OBJ --pcap FILE [--program NAME] [--repeat N]: an object's program over the packets of a capture, by BPF_PROG_TEST_RUN; what it
 * returned, and what is in its maps then. The object is loaded for this alone: nothing of it stays.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { EmbeddedKernel } from "../kernels/embedded/index.js";
import { BpfError } from "../kernels/error.js";
import type { LinuxKernel } from "../kernels/linux/index.js";
import { type CaptureIndex, breakText, indexCapture, packets } from "../pcap/index.js";
import { BpfObject } from "../program/bpf_object.js";
import type { ProgramDefinition } from "../program/object.js";
import type { Program } from "../program/program.js";
import { ProgramFaultError } from "../program/program_fault.js";
import * as bpf from "../uapi/bpf.js";
import { errnoMessage } from "../uapi/errno_name.js";
import { progTypeName } from "../uapi/names.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError, errnoOf, isForUser } from "./failures.js";
import { dumpWithHeader } from "./map_dump.js";
import type { OpenMap } from "./map_handle.js";
import { objectName, targetBtfOf } from "./prog_load.js";
import { Syscalls } from "./syscalls.js";

/** Types of programs that are run on packets, and names of what they return. */
const PACKET_TYPES: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  [bpf.BPF_PROG_TYPE_XDP]: { 0: "XDP_ABORTED", 1: "XDP_DROP", 2: "XDP_PASS", 3: "XDP_TX", 4: "XDP_REDIRECT" },
  [bpf.BPF_PROG_TYPE_SCHED_CLS]: tcActions(),
  [bpf.BPF_PROG_TYPE_SCHED_ACT]: tcActions(),
  [bpf.BPF_PROG_TYPE_SOCKET_FILTER]: {},
  [bpf.BPF_PROG_TYPE_CGROUP_SKB]: { 0: "drop", 1: "pass" },
};

/** Maps whose elems cannot be looked through. */
const HIDDEN: ReadonlySet<number> = new Set([
  bpf.BPF_MAP_TYPE_RINGBUF,
  bpf.BPF_MAP_TYPE_USER_RINGBUF,
  bpf.BPF_MAP_TYPE_QUEUE,
  bpf.BPF_MAP_TYPE_STACK,
  bpf.BPF_MAP_TYPE_BLOOM_FILTER,
  bpf.BPF_MAP_TYPE_ARENA,
]);

const ETHERNET = 1;

/** What came of all packets. */
interface Outcome {
  readonly packets: number;
  /** How often the program returned what, of all its runs, as numbers of 32 bits. */
  readonly returned: ReadonlyMap<number, number>;
  /** Packets that the kernel did not take, by its errno's message. */
  readonly refused: ReadonlyMap<string, number>;
  /** Of other link layers than Ethernet. */
  readonly otherLinks: number;
  /** On average, of one run. */
  readonly durationNs: number;
}

/** run OBJ --pcap FILE [--program NAME] [--repeat N] */
export async function run(context: Context, args: Args): Promise<void> {
  const { pcap, program: wanted, repeat } = context.options;
  if (args.left === 0) throw new ArgsError("'run' needs an object file");
  const file = args.take();
  if (args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  if (pcap === undefined) throw new ArgsError("'run' needs --pcap FILE, a capture");

  const capture = read(context, pcap);
  const index = indexCapture(capture);
  if (index.count === 0 && index.broken !== undefined) {
    context.fail(`${pcap} is no capture: ${breakText(index.broken)}`);
  }
  using object = open(context, file);
  const definition = choose(context, object, wanted);
  using kernel = await openKernel(context);
  try {
    object.load(kernel, { programs: [definition.name], pinPath: "/sys/fs/bpf", ...targetBtfOf(object, kernel) });
  } catch (error) {
    if (!isForUser(error)) throw error;
    context.fail(`failed to load object file: ${error.message}`);
  }
  const outcome = runAll(context, object.programs[definition.name]!, capture, index, repeat);
  using syscalls = new Syscalls(kernel);
  show(context, syscalls, object, definition, outcome, pcap);
  if (index.broken !== undefined) context.out.note(`${pcap} is damaged: ${breakText(index.broken)}`);
}

function tcActions(): Record<number, string> {
  const names = ["OK", "RECLASSIFY", "SHOT", "PIPE", "STOLEN", "QUEUED", "REPEAT", "REDIRECT", "TRAP"];
  const actions = Object.fromEntries(names.map((name, value) => [value, `TC_ACT_${name}`]));
  return { ...actions, [0xffff_ffff]: "TC_ACT_UNSPEC" };
}

function read(context: Context, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    return context.fail(`can't open file ${path}: ${errnoMessage(errnoOf(error))}`);
  }
}

function open(context: Context, path: string): BpfObject {
  try {
    return BpfObject.open(read(context, path), { name: objectName(path) });
  } catch (error) {
    if (!isForUser(error)) throw error;
    return context.fail(`failed to open object file: ${error.message}`);
  }
}

async function openKernel(context: Context): Promise<EmbeddedKernel | LinuxKernel> {
  if (context.options.kernel === "embedded") return EmbeddedKernel.create();
  const linux = await import("../kernels/linux/index.js");
  return linux.LinuxKernel.open();
}

/** The program of the name that was asked for, or the only one that takes packets. */
function choose(context: Context, object: BpfObject, wanted: string | undefined): ProgramDefinition {
  const { programs } = object.definitions;
  const fit = programs.filter(({ type }) => PACKET_TYPES[type] !== undefined);
  const names = fit.map(({ name }) => name).join(", ");
  if (wanted === undefined) {
    const [only, ...others] = fit;
    if (only === undefined)
      return context.fail("the object has no program that takes packets: xdp, tc, socket, cgroup_skb");
    return others.length === 0
      ? only
      : context.fail(`the object has several programs that take packets, say --program: ${names}`);
  }
  const found = programs.find(({ name }) => name === wanted);
  if (found === undefined) return context.fail(`the object has no program '${wanted}' (it has ${names || "none"})`);
  if (fit.includes(found)) return found;
  return context.fail(`'${wanted}' takes no packets: it is of type ${progTypeName(found.type) ?? found.type}`);
}

function runAll(context: Context, program: Program, bytes: Uint8Array, index: CaptureIndex, repeat: number): Outcome {
  const returned = new Map<number, number>();
  const refused = new Map<string, number>();
  const add = <K>(counts: Map<K, number>, key: K): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
  let [otherLinks, ran, duration, number] = [0, 0, 0, 0];
  for (const { data, linkType } of packets(bytes, index)) {
    number++;
    if (linkType !== ETHERNET) {
      otherLinks++;
      continue;
    }
    try {
      // One by one: for `repeat` Linux attaches an XDP program by way of a trampoline, which takes 20 ms a packet.
      for (let i = 0; i < repeat; i++, ran++) {
        const result = program.run({ data, dataOutSize: 0 });
        add(returned, result.retval);
        duration += result.durationNs;
      }
    } catch (error) {
      if (error instanceof ProgramFaultError) context.fail(`packet ${number}: ${error.message}`);
      if (!(error instanceof BpfError)) throw error;
      add(refused, errnoMessage(-error.errno));
    }
  }
  return { packets: number, returned, refused, otherLinks, durationNs: ran === 0 ? 0 : Math.round(duration / ran) };
}

/** What a program returned: by its name, or as the number that its type takes it for. */
function verdictOf(type: number, value: number): string {
  const isSigned = type === bpf.BPF_PROG_TYPE_SCHED_CLS || type === bpf.BPF_PROG_TYPE_SCHED_ACT;
  return PACKET_TYPES[type]![value] ?? String(isSigned ? value | 0 : value);
}

function show(
  context: Context,
  syscalls: Syscalls,
  object: BpfObject,
  { name, type }: ProgramDefinition,
  outcome: Outcome,
  pcap: string,
): void {
  const { out, options } = context;
  const typeName = progTypeName(type) ?? String(type);
  const verdicts = [...outcome.returned]
    .sort(([, a], [, b]) => b - a)
    .map(([value, count]) => [verdictOf(type, value), count] as const);
  const maps = shownMaps(context, syscalls, object);
  const { json } = out;
  if (json === undefined) {
    const rows = [
      ...verdicts,
      ...[...outcome.refused].map(([message, count]) => [`refused: ${message}`, count] as const),
      ...(outcome.otherLinks === 0 ? [] : [["left out: not Ethernet", outcome.otherLinks] as const]),
    ];
    const width = Math.max(...rows.map(([what]) => what.length), 0);
    const digits = Math.max(...rows.map(([, count]) => String(count).length), 0);
    const each = outcome.returned.size === 0 ? "" : `, ${outcome.durationNs} ns each`;
    out.text(`${typeName} ${name}, ${outcome.packets} packets of ${basename(pcap)}, kernel ${options.kernel}${each}\n`);
    for (const [what, count] of rows) out.text(`  ${what.padEnd(width)}  ${String(count).padStart(digits)}\n`);
    for (const map of maps) {
      out.text("\n");
      const pretty = map.info.btfId === 0 ? undefined : out.pretty();
      dumpWithHeader(context, syscalls, map, pretty, "text");
      if (pretty !== undefined) out.text("\n");
    }
    return;
  }
  const member = (key: string, value: number): void => {
    json.name(key);
    json.number(value);
  };
  const counts = (key: string, rows: Iterable<readonly [string, number]>): void => {
    json.name(key);
    json.startObject();
    for (const [what, count] of rows) member(what, count);
    json.endObject();
  };
  json.startObject();
  json.name("program");
  json.string(name);
  json.name("type");
  json.string(typeName);
  json.name("kernel");
  json.string(options.kernel);
  member("packets", outcome.packets);
  counts("returned", verdicts);
  counts("refused", outcome.refused);
  member("not_ethernet", outcome.otherLinks);
  member("duration", outcome.durationNs);
  json.name("maps");
  json.startArray();
  for (const map of maps) dumpWithHeader(context, syscalls, map, json);
  json.endArray();
  json.endObject();
}

/** The object's maps that can be looked through, but for constants. */
function shownMaps(context: Context, syscalls: Syscalls, object: BpfObject): OpenMap[] {
  return object.definitions.maps
    .filter(({ type, isFrozen }) => !HIDDEN.has(type) && !isFrozen)
    .map(({ name }) => {
      const { fd } = object.maps[name]!;
      const info = syscalls.mapInfo(fd);
      return typeof info === "number" ? context.fail(`can't get map info: ${errnoMessage(-info)}`) : { fd, info };
    });
}

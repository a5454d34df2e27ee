/**
 * prog show [PROG]: what the kernel knows of programs.
 */
import { readFileSync } from "node:fs";
import { EPOCH } from "../kernels/embedded/index.js";
import { progTypeName } from "../uapi/names.js";
import type { Args } from "./args.js";
import { pinnedObjects } from "./bpffs.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import type { JsonWriter } from "./json_writer.js";
import type { Output } from "./output.js";
import { allProgs, progOf, takeProgs, type OpenProg } from "./prog_handle.js";
import type { ProgInfo, Syscalls } from "./syscalls.js";

type PinnedNames = ReadonlyMap<number, readonly string[]>;

/** prog show [PROG] */
export async function progShow(context: Context, args: Args): Promise<void> {
  const bpf = await context.open("read");
  const names: PinnedNames = context.options.bpffs ? pinnedObjects(bpf, "prog") : new Map();
  const { out } = context;
  if (args.left === 2) {
    const fds = takeProgs(context, bpf, args);
    // A name may stand for several programs; one alone is not put into an array.
    if (fds.length > 1) out.json?.startArray();
    try {
      for (const fd of fds) showProg(out, bpf, progOf(context, bpf, fd), names);
    } finally {
      if (fds.length > 1) out.json?.endArray();
    }
    return;
  }
  if (args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  out.json?.startArray();
  try {
    for (const prog of allProgs(context, bpf)) showProg(out, bpf, prog, names);
  } finally {
    out.json?.endArray();
  }
}

/** A program's id, type, name and tag: a line. */
export function progHeaderText(info: ProgInfo): string {
  const type = progTypeName(info.type) ?? `type ${info.type}`;
  const name = info.name === "" ? "" : `name ${info.name}  `;
  const gpl = info.gplCompatible ? "  gpl" : "";
  const runs = info.runTimeNs === 0n ? "" : ` run_time_ns ${info.runTimeNs} run_cnt ${info.runCount}`;
  const misses = info.recursionMisses === 0n ? "" : ` recursion_misses ${info.recursionMisses}`;
  return `${info.id}: ${type}  ${name}tag ${info.tag}${gpl}${runs}${misses}\n`;
}

/** The same as members of the JSON object at hand. */
export function writeProgHeader(json: JsonWriter, info: ProgInfo): void {
  const member = (name: string, value: number | bigint): void => {
    json.name(name);
    json.number(value);
  };
  member("id", info.id);
  json.name("type");
  const type = progTypeName(info.type);
  if (type === undefined) json.number(info.type);
  else json.string(type);
  if (info.name !== "") {
    json.name("name");
    json.string(info.name);
  }
  json.name("tag");
  json.string(info.tag);
  json.name("gpl_compatible");
  json.bool(info.gplCompatible);
  if (info.runTimeNs !== 0n) {
    member("run_time_ns", info.runTimeNs);
    member("run_cnt", info.runCount);
  }
  if (info.recursionMisses !== 0n) member("recursion_misses", info.recursionMisses);
}

function showProg(out: Output, bpf: Syscalls, { fd, info }: OpenProg, pinned: PinnedNames): void {
  const memlock = bpf.fdinfo(fd).get("memlock");
  const ids = mapIdsOf(bpf, fd, info);
  const paths = pinned.get(info.id) ?? [];
  const loadedAt = info.loadTime === 0n ? undefined : secondsOf(bpf, info.loadTime);

  if (out.json === undefined) {
    const lines: string[] = [];
    if (loadedAt !== undefined) lines.push(`loaded_at ${localTime(loadedAt)}  uid ${info.createdByUid}`);
    const jited = info.jitedBytes === 0 ? "not jited" : `jited ${info.jitedBytes}B`;
    const size = memlock === undefined ? "" : `  memlock ${memlock}B`;
    const maps = ids.length === 0 ? "" : `  map_ids ${ids.join(",")}`;
    lines.push(`xlated ${info.xlatedBytes}B  ${jited}${size}${maps}`);
    for (const path of paths) lines.push(`pinned ${path}`);
    if (info.btfId !== 0) lines.push(`btf_id ${info.btfId}`);
    out.text(progHeaderText(info) + lines.map((line) => `\t${line}\n`).join(""));
    return;
  }
  const { json } = out;
  const member = (name: string, value: number): void => {
    json.name(name);
    json.number(value);
  };
  json.startObject();
  writeProgHeader(json, info);
  if (loadedAt !== undefined) {
    member("loaded_at", loadedAt);
    member("uid", info.createdByUid);
  }
  member("bytes_xlated", info.xlatedBytes);
  json.name("jited");
  json.bool(info.jitedBytes !== 0);
  if (info.jitedBytes !== 0) member("bytes_jited", info.jitedBytes);
  if (memlock !== undefined) member("bytes_memlock", Number(memlock));
  if (ids.length > 0) {
    json.name("map_ids");
    json.startArray();
    for (const id of ids) json.number(id);
    json.endArray();
  }
  if (info.btfId !== 0) member("btf_id", info.btfId);
  if (pinned.size > 0) {
    json.name("pinned");
    json.startArray();
    for (const path of paths) json.string(path);
    json.endArray();
  }
  json.endObject();
}

/** The ids of the maps that a program uses. */
export function mapIdsOf(bpf: Syscalls, fd: number, info: ProgInfo): number[] {
  const lists = info.mapCount === 0 ? -1 : bpf.progLists(fd, ["mapIds"]);
  if (typeof lists === "number") return [];
  return [...new Uint32Array(lists.mapIds.bytes.buffer, 0, lists.mapIds.bytes.length / 4)];
}

/** A time since boot, as seconds since 1970. */
function secondsOf(bpf: Syscalls, sinceBoot: bigint): number {
  if (bpf.kernel.name === "embedded") return Math.floor(EPOCH / 1000 + Number(sinceBoot) / 1e9);
  const up = Number(readFileSync("/proc/uptime", "utf8").split(" ", 1)[0]);
  return Math.floor(Date.now() / 1000 - up + Number(sinceBoot) / 1e9);
}

/** As strftime(3) writes %FT%T%z. */
function localTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const east = -date.getTimezoneOffset();
  const zone = `${east < 0 ? "-" : "+"}${two(Math.floor(Math.abs(east) / 60))}${two(Math.abs(east) % 60)}`;
  return `${day}T${time}${zone}`;
}

/**
 * map show [MAP]: what the kernel knows of maps.
 */
import { mapTypeName, progTypeName } from "../uapi/names.js";
import { BPF_MAP_INFO_SIZE } from "../uapi/offsets.js";
import type { Args } from "./args.js";
import { pinnedObjects } from "./bpffs.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { allMaps, asShown, takeMaps, type OpenMap } from "./map_handle.js";
import type { JsonWriter } from "./json_writer.js";
import type { Output } from "./output.js";
import type { MapInfo } from "../kernels/syscalls.js";
import type { Syscalls } from "./syscalls.js";

type PinnedNames = ReadonlyMap<number, readonly string[]>;

/** map show [MAP] */
export async function mapShow(context: Context, args: Args): Promise<void> {
  const bpf = await context.open("read");
  const names: PinnedNames | undefined = context.options.bpffs ? pinnedObjects(bpf, "map") : undefined;
  // bpftool has "pinned" in JSON only while there is a name at all.
  const pinned = context.strict || (names?.size ?? 0) > 0 ? names : undefined;
  const { out } = context;
  if (args.left === 2) {
    const maps = asShown(context, bpf, takeMaps(context, bpf, args));
    // A name may stand for several maps; one alone is not put into an array.
    if (maps.length > 1) out.json?.startArray();
    for (const map of maps) showMap(out, bpf, map, pinned);
    if (maps.length > 1) out.json?.endArray();
    return;
  }
  if (args.left > 0) throw new ArgsError(`what is '${args.next}'?`);

  using memory = context.strict ? undefined : bpf.kernel.alloc(BPF_MAP_INFO_SIZE);
  out.json?.startArray();
  try {
    for (const map of allMaps(context, bpf, memory)) showMap(out, bpf, map, pinned);
  } finally {
    out.json?.endArray();
  }
}

/** A map's id, type, name and flags: a line. */
export function headerText(info: MapInfo): string {
  const name = info.name === "" ? "" : `name ${info.name}  `;
  return `${info.id}: ${info.typeName}  ${name}flags 0x${info.mapFlags.toString(16)}\n`;
}

/** The same as members of the JSON object at hand. */
export function writeHeader(json: JsonWriter, info: MapInfo): void {
  const type = mapTypeName(info.type);
  json.name("id");
  json.number(info.id);
  json.name("type");
  if (type === undefined) json.number(info.type);
  else json.string(type);
  if (info.name !== "") {
    json.name("name");
    json.string(info.name);
  }
  json.name("flags");
  json.number(info.mapFlags);
}

function showMap(out: Output, bpf: Syscalls, { fd, info }: OpenMap, pinned: PinnedNames | undefined): void {
  const fdinfo = bpf.fdinfo(fd);
  const memlock = fdinfo.get("memlock");
  const frozen = Number(fdinfo.get("frozen") ?? 0);
  // Of a prog_array: what programs it takes, once there is one.
  const ownerType = fdinfo.get("owner_prog_type");
  const ownerJited = fdinfo.get("owner_jited");
  const paths = pinned?.get(info.id) ?? [];

  if (out.json === undefined) {
    const lines: string[] = [];
    const size = memlock === undefined ? "" : `  memlock ${memlock}B`;
    lines.push(`key ${info.keySize}B  value ${info.valueSize}B  max_entries ${info.maxEntries}${size}`);
    if (ownerType !== undefined) {
      const jited = ownerJited === undefined ? "" : `owner${ownerJited === "0" ? " not" : ""} jited`;
      lines.push(`owner_prog_type ${progTypeName(Number(ownerType)) ?? ownerType}  ${jited}`);
    }
    for (const path of paths) lines.push(`pinned ${path}`);
    const marks = [info.btfId === 0 ? "" : `btf_id ${info.btfId}`, frozen === 0 ? "" : "frozen"].filter(Boolean);
    if (marks.length > 0) lines.push(marks.join("  "));
    out.text(headerText(info) + lines.map((line) => `\t${line}\n`).join(""));
    return;
  }
  const { json } = out;
  const member = (name: string, value: number): void => {
    json.name(name);
    json.number(value);
  };
  json.startObject();
  writeHeader(json, info);
  member("bytes_key", info.keySize);
  member("bytes_value", info.valueSize);
  member("max_entries", info.maxEntries);
  if (memlock !== undefined) member("bytes_memlock", Number(memlock));
  if (ownerType !== undefined) {
    json.name("owner_prog_type");
    json.string(progTypeName(Number(ownerType)) ?? ownerType);
    if (ownerJited !== undefined) {
      json.name("owner_jited");
      json.bool(ownerJited !== "0");
    }
  }
  member("frozen", frozen);
  if (info.btfId !== 0) member("btf_id", info.btfId);
  if (pinned !== undefined) {
    json.name("pinned");
    json.startArray();
    for (const path of paths) json.string(path);
    json.endArray();
  }
  json.endObject();
}

/**
 * Naming a map: MAP := { id N | pinned FILE | name NAME }.
 */
import { dirname } from "node:path";
import { BPF_OBJ_NAME_LEN } from "../uapi/bpf.js";
import { EACCES, EINVAL, ENOENT } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import { BPF_MAP_INFO_SIZE } from "../uapi/offsets.js";
import type { Args } from "./args.js";
import { isBpffs } from "./bpffs.js";
import type { Context } from "./context.js";
import type { UserBuffer } from "../kernels/kernel.js";
import type { MapInfo } from "../kernels/syscalls.js";
import type { Syscalls } from "./syscalls.js";

/** A map that is open. */
export interface OpenMap {
  readonly fd: number;
  readonly info: MapInfo;
}

/** Reads MAP, which must name one map. */
export function takeMap(context: Context, bpf: Syscalls, args: Args): OpenMap {
  const [map, ...others] = takeMaps(context, bpf, args);
  if (map === undefined || others.length > 0) return context.fail("several maps match this handle");
  return map;
}

/** Reads MAP, which may name several maps: names need not be unique. */
export function takeMaps(context: Context, bpf: Syscalls, args: Args): OpenMap[] {
  if (args.takeIf("id")) return [openId(context, bpf, args.takeU32("ID"))];
  if (args.takeIf("name")) return openNamed(context, bpf, args.take());
  if (args.takeIf("pinned")) return [withInfo(context, bpf, openPinned(context, bpf, args.take(), "map"))];
  return context.fail(`expected 'id', 'name' or 'pinned', got: '${args.next ?? (context.strict ? "" : "(null)")}'?`);
}

/**
 * Returns maps with what bpftool takes them for. It reads of each into the same memory, and where a map has no BTF Linux
 * 6.18 leaves there what it finds: the ids of the BTF of a map before. Strict: the maps as they are.
 */
export function asShown(context: Context, bpf: Syscalls, maps: readonly OpenMap[]): readonly OpenMap[] {
  if (context.strict) return maps;
  using memory = bpf.kernel.alloc(BPF_MAP_INFO_SIZE);
  return maps.map(({ fd }) => withInfo(context, bpf, fd, memory));
}

/**
 * Yields every map of the kernel, open until the next is asked for.
 *
 * @param memory Where to read what is known of each; new memory for each unless given (see asShown).
 */
export function* allMaps(context: Context, bpf: Syscalls, memory?: UserBuffer): Generator<OpenMap> {
  for (let id = 0; ;) {
    const next = bpf.getNextId("map", id);
    if (next === -ENOENT) return;
    if (next < 0) {
      const old = next === -EINVAL ? " -- kernel too old?" : "";
      context.fail(`can't get next map: ${errnoMessage(-next)}${old}`);
    }
    id = next;
    const fd = bpf.getFdById("map", id);
    // It went away in between.
    if (fd === -ENOENT) continue;
    if (fd < 0) context.fail(`can't get map by id (${id}): ${errnoMessage(-fd)}`);
    yield withInfo(context, bpf, fd, memory);
    bpf.close(fd);
  }
}

/** Opens a map that was there before; undefined when it is gone. */
export function openMapId(context: Context, bpf: Syscalls, id: number): OpenMap | undefined {
  const fd = bpf.getFdById("map", id);
  return fd === -ENOENT ? undefined : fd < 0 ? openId(context, bpf, id) : withInfo(context, bpf, fd);
}

function openId(context: Context, bpf: Syscalls, id: number): OpenMap {
  const fd = bpf.getFdById("map", id);
  if (fd < 0) return context.fail(`get map by id (${id}): ${errnoMessage(-fd)}`);
  return withInfo(context, bpf, fd);
}

function openNamed(context: Context, bpf: Syscalls, name: string): OpenMap[] {
  if (new TextEncoder().encode(name).length >= BPF_OBJ_NAME_LEN) {
    if (context.strict) context.fail(`map name '${name}' is too long: names have at most 15 bytes`);
    context.fail("can't parse name");
  }
  const ids = [...allMaps(context, bpf)].filter(({ info }) => info.name === name).map(({ info }) => info.id);
  if (ids.length === 0) return context.strict ? context.fail(`no map has the name '${name}'`) : context.failSilently();
  return ids.map((id) => openId(context, bpf, id));
}

/** Opens what is pinned at a path, which must be a map or a program. Returns its fd. */
export function openPinned(context: Context, bpf: Syscalls, path: string, wanted: "map" | "prog"): number {
  const fd = bpf.objGet(path);
  if (fd < 0) return context.fail(describeRefusal(context, bpf, path, -fd));
  const type = bpf.objectType(fd);
  return type === wanted ? fd : context.fail(`incorrect object type: ${type}`);
}

function describeRefusal(context: Context, bpf: Syscalls, path: string, errno: number): string {
  const folder = dirname(path);
  if (errno === EACCES && bpf.kernel.name === "linux") {
    if (!isBpffs(folder)) return `bpf obj get (${folder}): directory not in bpf file system (bpffs)`;
    // bpftool names the folder, not the file.
    if (!context.strict) return `bpf obj get (${folder}): ${errnoMessage(errno)}`;
  }
  return `bpf obj get (${path}): ${errnoMessage(errno)}`;
}

function withInfo(context: Context, bpf: Syscalls, fd: number, memory?: UserBuffer): OpenMap {
  const info = memory === undefined ? bpf.mapInfo(fd) : bpf.mapInfoInto(fd, memory);
  if (typeof info === "number") return context.fail(`can't get map info: ${errnoMessage(-info)}`);
  return { fd, info };
}

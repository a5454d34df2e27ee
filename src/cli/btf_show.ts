/**
 * btf show [id N]: the BTF objects of the kernel, and what programs and maps use each.
 */
import { EINVAL, ENOENT } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { allMaps } from "./map_handle.js";
import type { Output } from "./output.js";
import { allProgs } from "./prog_handle.js";
import type { BtfInfo, Syscalls } from "./syscalls.js";

/** Ids of objects, by the id of the BTF that they use. */
type Users = ReadonlyMap<number, readonly number[]>;

/** btf show [id N] */
export async function btfShow(context: Context, args: Args): Promise<void> {
  const bpf = await context.open("read");
  let only: BtfInfo | undefined;
  if (args.left === 2) {
    if (!args.takeIf("id")) return context.fail(`expected 'id', got: '${args.next}'?`);
    only = openInfo(context, bpf, args.takeU32("ID"));
  }
  if (args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  const { out } = context;
  const progs = usersOf([...allProgs(context, bpf)].map(({ info }) => info));
  const maps = usersOf([...allMaps(context, bpf)].map(({ info }) => info));
  if (only !== undefined) {
    showBtf(out, only, progs, maps);
    return;
  }
  out.json?.startArray();
  try {
    for (const info of allBtf(context, bpf)) showBtf(out, info, progs, maps);
  } finally {
    out.json?.endArray();
  }
}

function* allBtf(context: Context, bpf: Syscalls): Generator<BtfInfo> {
  for (let id = 0; ;) {
    const next = bpf.getNextId("btf", id);
    if (next === -ENOENT) return;
    if (next < 0) {
      const old = next === -EINVAL ? " -- kernel too old?" : "";
      context.fail(`can't get next BTF object: ${errnoMessage(-next)}${old}`);
    }
    id = next;
    const fd = bpf.getFdById("btf", id);
    // It went away in between.
    if (fd === -ENOENT) continue;
    yield infoOf(context, bpf, id, fd);
  }
}

function openInfo(context: Context, bpf: Syscalls, id: number): BtfInfo {
  return infoOf(context, bpf, id, bpf.getFdById("btf", id));
}

/** Closes the fd. */
function infoOf(context: Context, bpf: Syscalls, id: number, fd: number): BtfInfo {
  if (fd < 0) context.fail(`can't get BTF object by id (${id}): ${errnoMessage(-fd)}`);
  const info = bpf.btfInfo(fd);
  bpf.close(fd);
  return typeof info === "number" ? context.fail(`can't get BTF object info: ${errnoMessage(-info)}`) : info;
}

function usersOf(objects: Iterable<{ readonly id: number; readonly btfId: number }>): Users {
  const users = new Map<number, number[]>();
  for (const { id, btfId } of objects) if (btfId !== 0) users.set(btfId, [...(users.get(btfId) ?? []), id]);
  return users;
}

function showBtf(out: Output, info: BtfInfo, progs: Users, maps: Users): void {
  const { json } = out;
  const progIds = progs.get(info.id) ?? [];
  const mapIds = maps.get(info.id) ?? [];
  if (json === undefined) {
    const name = info.kernelBtf ? `[${info.name}]` : info.name === "" ? "<anon>" : info.name;
    const list = (what: string, ids: readonly number[]): string =>
      ids.length === 0 ? "" : `  ${what} ${ids.join(",")}`;
    out.text(`${info.id}: name ${name}  size ${info.size}B${list("prog_ids", progIds)}${list("map_ids", mapIds)}\n`);
    return;
  }
  json.startObject();
  json.name("id");
  json.number(info.id);
  json.name("size");
  json.number(info.size);
  for (const [name, ids] of [
    ["prog_ids", progIds],
    ["map_ids", mapIds],
  ] as const) {
    json.name(name);
    json.startArray();
    for (const id of ids) json.number(id);
    json.endArray();
  }
  json.name("kernel");
  json.bool(info.kernelBtf);
  if (info.name !== "") {
    json.name("name");
    json.string(info.name);
  }
  json.endObject();
}

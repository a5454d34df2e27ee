/**
 * Naming a program: PROG := { id N | pinned FILE | tag TAG | name NAME }. The kernel keeps 15 bytes of a name; BTF has it whole.
 */
import { BPF_OBJ_NAME_LEN } from "../uapi/bpf.js";
import { EINVAL, ENOENT } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import { openBtf } from "./btf_value.js";
import type { Context } from "./context.js";
import { openPinned } from "./map_handle.js";
import type { ProgInfo, Syscalls } from "./syscalls.js";

/** bpftool takes no longer name. */
const MAX_NAME_BYTES = 127;

/** Reads PROG, which must name one program; returns its fd. */
export function takeProg(context: Context, bpf: Syscalls, args: Args): number {
  if (args.takeIf("id")) return openId(context, bpf, args.takeU32("ID"));
  if (args.takeIf("tag")) {
    const tag = args.take();
    if (!/^([0-9a-f]{1,2}){8}$/i.test(tag)) return context.fail("can't parse tag");
    return openOnly(context, bpf, `the tag ${tag}`, (prog) => prog.tag === tag.toLowerCase());
  }
  if (args.takeIf("name")) {
    const name = args.take();
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) return context.fail("can't parse name");
    return openOnly(context, bpf, `the name '${name}'`, (prog) => prog.name === name);
  }
  if (args.takeIf("pinned")) return openPinned(context, bpf, args.take(), "prog");
  return context.fail(`expected 'id', 'tag', 'name' or 'pinned', got: '${args.next ?? ""}'?`);
}

/** Yields every program of the kernel, open until the next is asked for. */
export function* allProgs(context: Context, bpf: Syscalls): Generator<ProgInfo> {
  for (let id = 0; ;) {
    const next = bpf.getNextId("prog", id);
    // The embedded kernel has no programs, and knows no such command.
    if (next === -ENOENT || (next === -EINVAL && bpf.kernel.name === "embedded")) return;
    if (next < 0) context.fail(`can't get next prog: ${errnoMessage(-next)}`);
    id = next;
    const fd = bpf.getFdById("prog", id);
    // It went away in between.
    if (fd === -ENOENT) continue;
    if (fd < 0) context.fail(`can't get prog by id (${id}): ${errnoMessage(-fd)}`);
    const info = bpf.progInfo(fd);
    if (typeof info === "number") context.fail(`can't get prog info (${id}): ${errnoMessage(-info)}`);
    else yield { ...info, name: wholeName(bpf, fd, info) };
    bpf.close(fd);
  }
}

/** A program's name; from its BTF where the kernel may have cut it. */
function wholeName(bpf: Syscalls, fd: number, { name, btfId }: ProgInfo): string {
  if (name.length < BPF_OBJ_NAME_LEN - 1 || btfId === 0) return name;
  const typeId = bpf.progTypeId(fd);
  const btf = typeId === undefined ? -1 : openBtf(bpf, btfId);
  return typeof btf === "number" || typeId === undefined ? name : btf.type(typeId).name;
}

function openId(context: Context, bpf: Syscalls, id: number): number {
  const fd = bpf.getFdById("prog", id);
  return fd < 0 ? context.fail(`get by id (${id}): ${errnoMessage(-fd)}`) : fd;
}

function openOnly(context: Context, bpf: Syscalls, what: string, matches: (prog: ProgInfo) => boolean): number {
  const [only, ...others] = [...allProgs(context, bpf)].filter(matches);
  if (only === undefined) return context.strict ? context.fail(`no program has ${what}`) : context.failSilently();
  if (others.length > 0) return context.fail("several programs match this handle");
  return openId(context, bpf, only.id);
}

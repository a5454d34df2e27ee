/**
 * Naming a program: PROG := { id N | pinned FILE | tag TAG | name NAME }. The kernel keeps 15 bytes of a name; BTF has it whole.
 */
import { BPF_OBJ_NAME_LEN } from "../uapi/bpf.js";
import { ENOENT } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import { openBtf } from "./btf_value.js";
import type { Context } from "./context.js";
import { openPinned } from "./map_handle.js";
import type { ProgInfo, Syscalls } from "./syscalls.js";

/** bpftool takes no longer name. */
const MAX_NAME_BYTES = 127;

/** A program that is open. */
export interface OpenProg {
  readonly fd: number;
  readonly info: ProgInfo;
}

/** Reads PROG, which must name one program; returns its fd. */
export function takeProg(context: Context, bpf: Syscalls, args: Args): number {
  const [only, ...others] = takeProgs(context, bpf, args);
  return only === undefined || others.length > 0 ? context.fail("several programs match this handle") : only;
}

/** Reads PROG, which may name several programs: tags and names need not be unique. Returns their fds. */
export function takeProgs(context: Context, bpf: Syscalls, args: Args): number[] {
  if (args.takeIf("id")) return [openId(context, bpf, args.takeU32("ID"))];
  if (args.takeIf("tag")) {
    const tag = parseTag(args.take(), context.strict);
    if (tag === undefined) return context.fail("can't parse tag");
    return openAll(context, bpf, `the tag ${tag}`, (prog) => prog.tag === tag);
  }
  if (args.takeIf("name")) {
    const name = args.take();
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) return context.fail("can't parse name");
    return openAll(context, bpf, `the name '${name}'`, (prog) => prog.name === name);
  }
  if (args.takeIf("pinned")) return [openPinned(context, bpf, args.take(), "prog")];
  return context.fail(`expected 'id', 'tag', 'name' or 'pinned', got: '${args.next ?? ""}'?`);
}

/** A program by its fd. */
export function progOf(context: Context, bpf: Syscalls, fd: number): OpenProg {
  const info = bpf.progInfo(fd);
  if (typeof info === "number") return context.fail(`can't get prog info: ${errnoMessage(-info)}`);
  return { fd, info: { ...info, name: wholeName(bpf, fd, info) } };
}

/** Yields every program of the kernel, open until the next is asked for. */
export function* allProgs(context: Context, bpf: Syscalls): Generator<OpenProg> {
  for (let id = 0; ;) {
    const next = bpf.getNextId("prog", id);
    if (next === -ENOENT) return;
    if (next < 0) context.fail(`can't get next prog: ${errnoMessage(-next)}`);
    id = next;
    const fd = bpf.getFdById("prog", id);
    // It went away in between.
    if (fd === -ENOENT) continue;
    if (fd < 0) context.fail(`can't get prog by id (${id}): ${errnoMessage(-fd)}`);
    const info = bpf.progInfo(fd);
    if (typeof info === "number") context.fail(`can't get prog info (${id}): ${errnoMessage(-info)}`);
    else yield { fd, info: { ...info, name: wholeName(bpf, fd, info) } };
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

/** As the kernel writes tags. bpftool reads eight bytes as scanf(3) does: the last may have one digit, what follows is passed over. */
function parseTag(word: string, strict: boolean): string | undefined {
  const digits = (strict ? /^[\da-f]{16}$/i : /^[\da-f]{15,16}/i).exec(word)?.[0].toLowerCase();
  return digits === undefined || digits.length === 16 ? digits : `${digits.slice(0, 14)}0${digits[14]}`;
}

function openId(context: Context, bpf: Syscalls, id: number): number {
  const fd = bpf.getFdById("prog", id);
  return fd < 0 ? context.fail(`get by id (${id}): ${errnoMessage(-fd)}`) : fd;
}

function openAll(context: Context, bpf: Syscalls, what: string, matches: (prog: ProgInfo) => boolean): number[] {
  const ids = [...allProgs(context, bpf)].filter(({ info }) => matches(info)).map(({ info }) => info.id);
  if (ids.length === 0) return context.strict ? context.fail(`no program has ${what}`) : context.failSilently();
  return ids.map((id) => openId(context, bpf, id));
}

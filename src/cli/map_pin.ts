/**
 * Names that keep maps: map pin MAP FILE, map unpin FILE.
 */
import { dirname } from "node:path";
import { EINVAL, EPERM } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import { isBpffs } from "./bpffs.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";
import { takeMap } from "./map_handle.js";
import type { Syscalls } from "./syscalls.js";

/** map pin MAP FILE */
export async function mapPin(context: Context, args: Args): Promise<void> {
  if (args.left < 3) {
    // bpftool's status here, where others have -1.
    const found = `'${args.previous}' needs at least 3 arguments, ${args.left} found`;
    context.fail(found, context.strict ? -1 : -EINVAL);
  }
  const bpf = await context.open("change");
  const map = takeMap(context, bpf, args);
  const file = args.take();
  if (context.strict && args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  pin(context, bpf, map.fd, file);
  context.out.done();
}

/** map unpin FILE: ours, for a kernel whose names no rm(1) reaches. */
export async function mapUnpin(context: Context, args: Args): Promise<void> {
  args.need(1);
  const file = args.take();
  if (args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  const bpf = await context.open("change");
  const outside = whyNotInBpffs(bpf, file);
  if (outside !== undefined) context.fail(`can't unpin (${file}): ${outside}`);
  const result = bpf.unlink(file);
  if (result < 0) context.fail(`can't unpin (${file}): ${errnoMessage(-result)}`, result);
  context.out.done();
}

/**
 * Pins an object, in a BPF file system only: where the folder is in none, bpftool mounts one over it, and hides what is
 * there. This is never done here, with or without --nomount.
 */
export function pin(context: Context, bpf: Syscalls, fd: number, file: string): void {
  const outside = whyNotInBpffs(bpf, file);
  if (outside !== undefined) {
    if (!context.strict) context.fail("no BPF file system found, not mounting it due to --nomount option");
    context.fail(`can't pin the object (${file}): ${outside}`);
  }
  const result = bpf.objPin(fd, file);
  if (result >= 0) return;
  const hint = context.strict && result === -EPERM ? " (names in a BPF file system have no dot)" : "";
  context.fail(`can't pin the object (${file}): ${errnoMessage(-result)}${hint}`, result);
}

/** Says what is wrong with a path that leads to no BPF file system. */
export function whyNotInBpffs({ kernel }: Syscalls, file: string): string | undefined {
  if (kernel.name === "embedded") {
    return file.startsWith("/sys/fs/bpf/") ? undefined : "names of the embedded kernel begin with /sys/fs/bpf/";
  }
  const folder = dirname(file);
  return isBpffs(folder) ? undefined : `${folder} is not in a BPF file system (mount -t bpf bpf DIR makes one)`;
}

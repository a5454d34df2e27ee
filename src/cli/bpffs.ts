/**
 * BPF file systems, a Linux machine's and the embedded kernel's own, and what is pinned in them.
 */
import { readdirSync, readFileSync, statfsSync, type Dirent } from "node:fs";
import { join } from "node:path";
import { EmbeddedKernel } from "../kernels/embedded/index.js";
import type { Syscalls } from "./syscalls.js";

/** BPF_FS_MAGIC of <linux/magic.h>. */
const BPF_FS_MAGIC = 0xcafe4a11;

/** Says whether a folder lies in a BPF file system. */
export function isBpffs(folder: string): boolean {
  try {
    return statfsSync(folder).type >>> 0 === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

/** Returns the pinned names of maps or programs, by id, sorted (bpftool's order is an accident of its hash table). */
export function pinnedObjects(bpf: Syscalls, what: "map" | "prog"): Map<number, string[]> {
  const names = new Map<number, string[]>();
  for (const path of pinnedPaths(bpf)) {
    const fd = bpf.objGet(path);
    if (fd < 0) continue;
    if (bpf.objectType(fd) === what) {
      const info = what === "map" ? bpf.mapInfo(fd) : bpf.progInfo(fd);
      if (typeof info !== "number") names.set(info.id, [...(names.get(info.id) ?? []), path].sort());
    }
    bpf.close(fd);
  }
  return names;
}

function pinnedPaths({ kernel }: Syscalls): string[] {
  if (kernel instanceof EmbeddedKernel) return kernel.pins().map(({ path }) => path);
  return bpffsMounts().flatMap((mount) => [...walk(mount)]);
}

function bpffsMounts(): string[] {
  // "none /sys/fs/bpf bpf rw 0 0": blanks in a path are written as octal escapes.
  return readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , type]) => type === "bpf")
    .map(([, path = ""]) =>
      path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    );
}

/** Yields the files of a folder and below. */
function* walk(folder: string): Generator<string> {
  for (const entry of readEntries(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

/** The entries of a folder; none when it may not be read. */
function readEntries(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

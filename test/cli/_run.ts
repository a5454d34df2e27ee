/**
 * Running the command and bpftool, and what it takes to compare them.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LinuxKernel } from "../../src/kernels/linux/index.js";
import { fillAttr, objPin } from "../../src/kernels/syscalls.js";
import { BPF_PROG_LOAD, BPF_PROG_TYPE_SOCKET_FILTER } from "../../src/uapi/bpf.js";
import { bpfAttr } from "../../src/uapi/layouts.js";
import { BPF_ATTR_SIZE } from "../../src/uapi/offsets.js";
import type { Io } from "../../src/cli/output.js";
import { main } from "../../src/cli/tsbpf.js";

/** The built command, for tests that need processes. */
export const TSBPF = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** How a command ended. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/** Splits a command at blanks; "" stands for an empty word, ␣ within a word for a blank. */
export function words(command: string): string[] {
  return command
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => (word === '""' ? "" : word.replaceAll("␣", " ")));
}

/** Runs the command in this process. */
export async function tsbpf(
  argv: readonly string[],
  env: Record<string, string> = {},
  input = "",
  io: Partial<Io> = {},
): Promise<Ran> {
  let stdout = "";
  let stderr = "";
  const status = await main(argv, {
    out: (text) => void (stdout += text),
    err: (text) => void (stderr += text),
    readInput: () => Promise.resolve(new TextEncoder().encode(input)),
    env,
    ...io,
  });
  return { stdout, stderr, status };
}

export function bpftool(argv: readonly string[], input = ""): Ran {
  const { stdout, stderr, status } = spawnSync("bpftool", argv, { encoding: "utf8", input, maxBuffer: 1 << 28 });
  return { stdout, stderr, status };
}

/** Why bpftool and the Linux kernel cannot be asked here; undefined when they can. */
export function whyNoBpftool(): string | undefined {
  if (process.platform !== "linux") return `this is ${process.platform}, not Linux`;
  const found = spawnSync("bpftool", ["version"], { encoding: "utf8" });
  if (found.status !== 0) return "bpftool is not installed";
  if (!found.stdout.includes("v7.1")) return `bpftool is not 7.1: ${found.stdout.split("\n")[0]}`;
  const show = spawnSync("bpftool", ["map", "show"], { encoding: "utf8" });
  return show.status === 0 ? undefined : `bpf(2) is refused: ${show.stderr.trim()}`;
}

/** Why the Linux kernel's bpf(2) cannot be used here; undefined when it can. */
export function whyNoLinux(): string | undefined {
  try {
    LinuxKernel.open()[Symbol.dispose]();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A BPF file system in a new folder; `unmount` takes both away. */
export function mountBpffs(): { folder: string; unmount: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-cli-"));
  const mounted = spawnSync("mount", ["-t", "bpf", "bpf", folder], { encoding: "utf8" });
  if (mounted.status !== 0) throw new Error(`Cannot mount a bpffs: ${mounted.stderr}`);
  return {
    folder,
    unmount() {
      const unmounted = spawnSync("umount", [folder], { encoding: "utf8" });
      if (unmounted.status !== 0) throw new Error(`Cannot unmount ${folder}: ${unmounted.stderr}`);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Pins a program that does nothing. */
export function pinProg(path: string): void {
  using kernel = LinuxKernel.open();
  using insns = kernel.alloc(16);
  insns.bytes.set([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]); // r0 = 0; exit
  using license = kernel.alloc(4);
  license.bytes.set(new TextEncoder().encode("GPL"));
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, bpfAttr.progLoad, {
    prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
    insn_cnt: 2,
    insns: insns.address,
    license: license.address,
    prog_name: new TextEncoder().encode("nothing"),
  });
  const fd = kernel.bpf(BPF_PROG_LOAD, attr);
  const pinned = fd < 0 ? fd : objPin(kernel, fd, path);
  if (fd >= 0) kernel.close(fd);
  if (pinned < 0) throw new Error(`Cannot pin a program: ${pinned}`);
}

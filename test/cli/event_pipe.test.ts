/**
 * map event_pipe beside bpftool's: each reads its own map while a program writes to both.
 */
import { spawn } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { LinuxKernel } from "../../src/kernels/linux/index.js";
import { objGet } from "../../src/kernels/syscalls.js";
import { runOnLinux } from "../linux/_ringbuf_prog.js";
import { whyNotBeside } from "./_beside.js";
import { TSBPF, bpftool, mountBpffs, words } from "./_run.js";

const why = whyNotBeside();

/** Runs a program `times` times that writes 8 bytes to a pinned perf_event_array: `word`, sign extended. */
function writeTo(path: string, word: number, times: number): void {
  using kernel = LinuxKernel.open();
  const map = objGet(kernel, path);
  expect(map).toBeGreaterThan(0);
  const text = `
    *(u64 *)(r10 - 8) = ${word | 0}
    r2 = map[fd:${map}]
    r3 = 0xffffffff ll // BPF_F_CURRENT_CPU
    r4 = r10
    r4 += -8
    r5 = 8
    call 25 // bpf_perf_event_output
    r0 = 0
    exit`;
  runOnLinux(kernel, text, times);
  kernel.close(map);
}

/** Waits until a process has opened an event for each CPU, and a little, for it puts them into the map then. */
async function untilItListens(pid: number): Promise<void> {
  const wanted = cpus().length;
  for (let i = 0; i < 1500; i++) {
    const links = readdirSync(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
    if (links.filter((link) => link === "anon_inode:[perf_event]").length >= wanted) break;
    await setTimeout(20);
  }
  await setTimeout(300);
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // It was closed in between.
  }
}

/** When, and on which CPU, is not the same twice. */
const normal = (text: string): string =>
  text
    .replace(/@\d+\.\d{9} CPU: (\d) index: \1/g, "@TIME CPU: N index: N")
    .replace(
      /"cpu":( ?)(\d),(\s*)"index": ?\2,(\s*)"timestamp": ?\d+/g,
      '"cpu":$1N,$3"index":$1N,$4"timestamp":$1TIME',
    );

describe.skipIf(why !== undefined)("map event_pipe", () => {
  it.each([[], ["-j"], ["-p"]])("%s", async (...mode) => {
    const bpffs = mountBpffs();
    try {
      const run = async (name: string, command: string, argv: string[]): Promise<unknown> => {
        const path = join(bpffs.folder, name);
        const create = `map create ${path} type perf_event_array key 4 value 4 entries 8 name ${name}`;
        expect(bpftool(words(create))).toMatchObject({ status: 0 });
        const child = spawn(command, [...argv, ...mode, "map", "event_pipe", "pinned", path]);
        let [stdout, stderr] = ["", ""];
        child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
        child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
        const ended = new Promise((resolve) => child.on("close", resolve));
        await untilItListens(child.pid!);
        writeTo(path, 0x0a0b0c0d, 3);
        writeTo(path, -1, 1);
        await setTimeout(1000);
        child.kill("SIGINT");
        return { status: await ended, stdout: normal(stdout), stderr };
      };
      const [ours, theirs] = await Promise.all([
        run("ours", process.execPath, [TSBPF, "--bpftool", "--kernel", "linux"]),
        run("theirs", "bpftool", []),
      ]);
      expect(ours).toEqual(theirs);
      expect(ours).toMatchObject({ status: 0 });
      expect(JSON.stringify(ours).match(/0d 0c 0b 0a|13,12,11,10/g)).toHaveLength(3);
    } finally {
      bpffs.unmount();
    }
  });
});

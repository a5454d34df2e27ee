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
import { fillAttr, objGet } from "../../src/kernels/syscalls.js";
import { BPF_PROG_LOAD, BPF_PROG_TEST_RUN, BPF_PROG_TYPE_SOCKET_FILTER } from "../../src/uapi/bpf.js";
import { bpfAttr } from "../../src/uapi/layouts.js";
import { BPF_ATTR_SIZE } from "../../src/uapi/offsets.js";
import { whyNotBeside } from "./_beside.js";
import { TSBPF, bpftool, mountBpffs, words } from "./_run.js";

const why = whyNotBeside();
const PERF_EVENT_OUTPUT = 25;

/** Runs a program `times` times that writes 8 bytes to a pinned perf_event_array: `word`, sign extended. */
function writeTo(path: string, word: number, times: number): void {
  using kernel = LinuxKernel.open();
  const map = objGet(kernel, path);
  expect(map).toBeGreaterThan(0);
  const insns: [code: number, registers: number, off: number, imm: number][] = [
    [0x7a, 0x0a, -8, word], // *(u64 *)(r10 - 8) = word
    [0x18, 0x12, 0, map], // r2 = the map; r1 is the context
    [0x00, 0x00, 0, 0],
    [0x18, 0x03, 0, -1], // r3 = BPF_F_CURRENT_CPU
    [0x00, 0x00, 0, 0],
    [0xbf, 0xa4, 0, 0], // r4 = r10 - 8
    [0x07, 0x04, 0, -8],
    [0xb7, 0x05, 0, 8], // r5 = 8
    [0x85, 0x00, 0, PERF_EVENT_OUTPUT],
    [0xb7, 0x00, 0, 0], // return 0
    [0x95, 0x00, 0, 0],
  ];
  using code = kernel.alloc(8 * insns.length);
  const view = new DataView(code.bytes.buffer, code.bytes.byteOffset);
  for (const [i, [op, registers, off, imm]] of insns.entries()) {
    view.setUint8(8 * i, op);
    view.setUint8(8 * i + 1, registers);
    view.setInt16(8 * i + 2, off, true);
    view.setInt32(8 * i + 4, imm, true);
  }
  using license = kernel.alloc(4);
  license.bytes.set(new TextEncoder().encode("GPL"));
  using packet = kernel.alloc(64);
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, bpfAttr.progLoad, {
    prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
    insn_cnt: insns.length,
    insns: code.address,
    license: license.address,
  });
  const prog = kernel.bpf(BPF_PROG_LOAD, attr);
  fillAttr(attr, bpfAttr.test, { prog_fd: prog, data_size_in: 64, data_in: packet.address, repeat: times });
  expect([prog > 0, kernel.bpf(BPF_PROG_TEST_RUN, attr)]).toEqual([true, 0]);
  for (const fd of [prog, map]) kernel.close(fd);
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

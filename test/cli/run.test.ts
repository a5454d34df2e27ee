/**
 * `tsbpf run`: the same object over the same capture on both kernels, and what it says of what cannot be.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compiled as compiledObject } from "../program/_clang.js";
import { tsbpf, whyNoLinux, type Ran } from "./_run.js";

const whyNot = spawnSync("clang", ["--version"]).status === 0 ? undefined : "clang is missing";
const kernels = whyNoLinux() === undefined ? ["embedded", "linux"] : ["embedded"];
const capture = fileURLToPath(new URL("../../examples/packets/capture.pcap", import.meta.url));

interface Shown {
  readonly maps: readonly { readonly name: string; readonly elements: readonly unknown[] }[];
  readonly returned: Readonly<Record<string, number>>;
  readonly [name: string]: unknown;
}

describe.skipIf(whyNot !== undefined)(`tsbpf run${whyNot === undefined ? "" : ` (skipped: ${whyNot})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-run-"));
  const object = join(folder, "progs.bpf.o");
  const run = (kernel: string, ...words: string[]): Promise<Ran> =>
    tsbpf(["--kernel", kernel, "run", ...words], { TSBPF_IMAGE: join(folder, "image") });
  const shown = async (kernel: string, ...words: string[]): Promise<Shown> => {
    const ran = await run(kernel, "-j", ...words);
    expect(ran).toMatchObject({ stderr: "", status: 0 });
    return JSON.parse(ran.stdout.replaceAll(/"id":\d+|"duration":\d+/g, '"id":0')) as Shown;
  };

  beforeAll(() => {
    const source = fileURLToPath(new URL("progs.bpf.c", import.meta.url));
    const flags = ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", source, "-o", object];
    expect(spawnSync("clang", flags).status).toBe(0);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(["count", "jumps_and_loops"])("%s: what it returned, and its maps, on both kernels", async (program) => {
    const [embedded, linux] = await Promise.all(
      kernels.map(async (kernel) => await shown(kernel, object, "--pcap", capture, "--program", program)),
    );
    expect(embedded).toMatchObject({ program, packets: 11427, refused: {}, not_ethernet: 0 });
    if (linux !== undefined) expect({ ...linux, kernel: "embedded" }).toEqual(embedded);
    expect(embedded!.maps.map(({ name }) => name)).not.toContain("progs.rodata");
  });

  it.each(kernels)("%s: as text, and each packet several times", async (kernel) => {
    const { stdout } = await run(kernel, object, "--pcap", capture, "--program=count", "--repeat", "2");
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(new RegExp(`^xdp count, 11427 packets of capture.pcap, kernel ${kernel}, \\d+ ns each$`));
    expect(lines.slice(1, 4)).toEqual(["  XDP_PASS  22654", "  XDP_DROP    200", ""]);
    expect(stdout).toContain('"seen": 22854\n');
    expect(stdout).toMatch(/^\d+: hash {2}name counts {2}flags 0x0\n\[\{\n {8}"key": \{\n/m);
  });

  it("takes the only program that takes packets", async () => {
    const counts = join(folder, "core.o");
    writeFileSync(counts, compiledObject("links"));
    expect((await run("embedded", counts, "--pcap", capture)).stderr).toBe(
      "Error: the object has several programs that take packets, say --program: on_xdp, on_ingress, on_egress, on_cgroup\n",
    );
    expect((await shown("embedded", counts, "--pcap", capture, "--program", "on_xdp")).returned).toEqual({
      XDP_PASS: 11427,
    });
    expect((await shown("embedded", counts, "--pcap", capture, "--program", "on_ingress")).returned).toEqual({
      TC_ACT_UNSPEC: 11427,
    });
  });

  it.each(kernels)("%s: packets that a kernel does not take, and that are no Ethernet, are told", async (kernel) => {
    const bytes = Buffer.from(readFileSync(capture));
    const short = join(folder, "short.pcap");
    // A packet of 5 bytes.
    const record = Buffer.alloc(16 + 5);
    record.writeUInt32LE(5, 8);
    record.writeUInt32LE(5, 12);
    writeFileSync(short, Buffer.concat([bytes.subarray(0, 24), record]));
    const { refused, returned, packets } = await shown(kernel, object, "--pcap", short, "--program", "count");
    expect([packets, returned, refused]).toEqual([1, {}, { "Invalid argument": 1 }]);
    const other = join(folder, "other.pcap");
    bytes.writeUInt32LE(101, 20);
    writeFileSync(other, bytes);
    expect(await shown(kernel, object, "--pcap", other, "--program", "count")).toMatchObject({ not_ethernet: 11427 });
    const { stdout } = await run(kernel, object, "--pcap", other, "--program", "count");
    expect(stdout).toContain("\n  left out: not Ethernet  11427\n");
  });

  it("a damaged capture is run as far as it goes", async () => {
    const cut = join(folder, "cut.pcap");
    writeFileSync(cut, readFileSync(capture).subarray(0, 5000));
    const ran = await run("embedded", object, "--pcap", cut, "--program", "count");
    expect(ran.status).toBe(0);
    expect(ran.stderr).toMatch(/cut\.pcap is damaged: packet \d+ at byte/);
  });

  it.each([
    [[], "'run' needs an object file"],
    [["{o}"], "'run' needs --pcap FILE, a capture"],
    [["{o}", "more", "--pcap", "{c}"], "what is 'more'?"],
    [["{o}", "--pcap", "/nosuch"], "can't open file /nosuch: No such file or directory"],
    [["/nosuch", "--pcap", "{c}"], "can't open file /nosuch: No such file or directory"],
    [["{c}", "--pcap", "{c}"], "failed to open object file: Cannot read ELF object"],
    [["{o}", "--pcap", "{o}"], "is no capture: at byte 0"],
    [["{o}", "--pcap", "{c}", "--program", "nosuch"], "the object has no program 'nosuch' (it has count, atomics,"],
    [["{o}", "--pcap", "{c}", "--program", "a_program_with_a_long_name"], "takes no packets: it is of type tracepoint"],
    [["{o}", "--pcap", "{c}", "--repeat", "0"], "option '--repeat' expected a number from 1 on, got: '0'"],
    [["{o}", "--pcap", ""], "option '--pcap' expected a name, got nothing"],
    [["{o}", "--pcap"], "option '--pcap' needs a value"],
  ])("%j: %s", async (words, wanted) => {
    const filled = words.map((word) => word.replace("{o}", object).replace("{c}", capture));
    const { stderr, status } = await run("embedded", ...filled);
    expect(stderr).toContain(wanted);
    expect(status).toBe(255);
  });

  it("is no command of bpftool's", async () => {
    expect((await run("embedded", "--bpftool", object, "--pcap", capture)).status).toBe(255);
  });
});

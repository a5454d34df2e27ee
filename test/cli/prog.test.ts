/**
 * `tsbpf prog` where it is not bpftool's: its own words for what fails, instructions that bpftool 7.1 does not know, the embedded kernel.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assemble, encodeInsns } from "tsbpf/program";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rawInsn, xlatedText } from "../../src/cli/xlated_text.js";
import { mountBpffs, tsbpf, whyNoLinux, type Ran } from "./_run.js";

const names = { call: () => "f", imm64: () => "0x0", isOld: false };

describe("instructions as text", () => {
  it.each([
    ["r1 = bswap32 r1", "(d7) r1 = bswap32 r1", "BUG_alu64_d7"],
    ["r1 = be16 r1", "(dc) r1 = be16 r1", "(dc) r1 = be16 r1"],
    ["r1 = le64 r1", "(d4) r1 = le64 r1", "(d4) r1 = le64 r1"],
    ["r1 = (s8)r2", "(bf) r1 = (s8)r2", "(bf) r1 = r2"],
    ["w1 = (s16)w2", "(bc) w1 = (s16)w2", "(bc) w1 = w2"],
    ["r1 s/= r2", "(3f) r1 s/= r2", "(3f) r1 /= r2"],
    ["w1 s%= 7", "(94) w1 s%= 7", "(94) w1 %= 7"],
    ["r1 = *(s32 *)(r2 - 8)", "(81) r1 = *(s32 *)(r2 -8)", "BUG_ldx_81"],
    ["gotol +5", "(06) gotol pc+5", "(06) if w0 jmp 0x5 goto pc+0"],
    ["may_goto +2", "(e5) may_goto pc+2", "(e5) if r0 (null) 0x0 goto pc+2"],
    ["r1 = load_acquire((u64 *)(r2 + 8))", "(db) r1 = load_acquire((u64 *)(r2 +8))", "BUG_db"],
    ["store_release((u8 *)(r2 + 8), w1)", "(d3) store_release((u8 *)(r2 +8), r1)", "BUG_d3"],
    ["r1 = addr_space_cast(r2, 0, 1)", "(bf) r1 = addr_space_cast(r2, 0, 1)", "(bf) r1 = r2"],
    ["r1 = -r1", "(87) r1 = -r1", "(87) r1 = -r1"],
    ["if w1 s< -5 goto -3", "(c6) if w1 s< 0xfffffffb goto pc-3", "(c6) if w1 s< 0xfffffffb goto pc-3"],
    ["call 1", "(85) call f#1", "(85) call f#1"],
    ["callx r3", "(8d) callx r3", "(8d) call f#0"],
    ["r0 = 0 ll", "(18) r0 = 0x0", "(18) r0 = 0x0"],
    [
      "r2 = xchg_64(r1 + 0, r2)",
      "(db) r2 = atomic64_xchg((u64 *)(r1 +0), r2)",
      "(db) r2 = atomic64_xchg((u64 *)(r1 +0), r2)",
    ],
  ])("%s", (text, wanted, old) => {
    const insn = rawInsn(encodeInsns(assemble(text)), 0);
    expect(xlatedText(insn, names)).toBe(wanted);
    expect(xlatedText(insn, { ...names, isOld: true })).toBe(old);
  });

  it("of what no program can ask for", () => {
    const textOf = (...bytes: number[]): string => xlatedText(rawInsn(Uint8Array.from(bytes), 0), names);
    expect(textOf(0xc2, 0, 0, 0, 0, 0, 0, 0)).toBe("(c2) nospec");
    expect(textOf(0xbf, 0x21, 0xff, 0xff, 0, 0, 0, 0)).toBe("(bf) r1 = &(void __percpu *)(r2)");
    expect(textOf(0x30, 0, 0, 0, 14, 0, 0, 0)).toBe("(30) r0 = *(u8 *)skb[14]");
    expect(textOf(0x48, 0x20, 0, 0, 2, 0, 0, 0)).toBe("(48) r0 = *(u16 *)skb[r2 + 2]");
  });
});

const why = whyNoLinux() ?? (spawnSync("clang", ["--version"]).status === 0 ? undefined : "clang is missing");
describe.skipIf(why !== undefined)(`tsbpf prog on Linux${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-prog-"));
  const object = join(folder, "progs.bpf.o");
  let bpffs: { folder: string; unmount: () => void };
  const run = (...words: string[]): Promise<Ran> => tsbpf(["--kernel", "linux", "prog", ...words]);

  beforeAll(() => {
    bpffs = mountBpffs();
    const source = fileURLToPath(new URL("progs.bpf.c", import.meta.url));
    const compiled = spawnSync("clang", ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", source, "-o", object]);
    expect(compiled.status).toBe(0);
  });
  afterAll(() => {
    bpffs?.unmount();
    rmSync(folder, { recursive: true });
  });

  it("says why an object cannot be loaded", async () => {
    const path = `${bpffs.folder}/x`;
    expect((await run("load", object, path, "type", "tracepoint")).stderr).toMatch(
      /^Error: failed to load object file: Cannot load program "count": BPF_PROG_LOAD failed with \w+ \(.*progs\.bpf\.c:\d+/,
    );
    expect((await run("load", object, path, "type", "nosuch")).stderr).toBe("Error: unknown program type 'nosuch'\n");
    expect((await run("load", join(folder, "nosuch"), path)).stderr).toContain("failed to open object file: ENOENT");
    writeFileSync(join(folder, "text"), "no object");
    expect((await run("load", join(folder, "text"), path)).stderr).toContain("Cannot read ELF object");
    expect((await run("load", object, "/tmp/x")).stderr).toContain("/tmp is not in a BPF file system");
    expect(await run("load", object, path)).toMatchObject({ status: 0 });
    expect((await run("load", object, path)).stderr).toBe(`Error: failed to pin program xdp: ${path}: File exists\n`);
  });

  it("names and tags that no program has are told", async () => {
    expect((await run("show", "name", "no_such_program")).stderr).toBe(
      "Error: no program has the name 'no_such_program'\n",
    );
    expect((await run("show", "tag", "000000000000000")).stderr).toBe("Error: can't parse tag\n");
  });
});

const whyNotClang = spawnSync("clang", ["--version"]).status === 0 ? undefined : "clang is missing";
describe.skipIf(whyNotClang !== undefined)("tsbpf prog on the embedded kernel", () => {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-prog-"));
  const object = join(folder, "progs.bpf.o");
  const run = (...words: string[]): Promise<Ran> => tsbpf(words, { TSBPF_IMAGE: join(folder, "image") });
  beforeAll(() => {
    const source = fileURLToPath(new URL("progs.bpf.c", import.meta.url));
    const compiled = spawnSync("clang", ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", source, "-o", object]);
    expect(compiled.status).toBe(0);
    writeFileSync(join(folder, "packet"), new Uint8Array(64));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("shows that there are no programs", async () => {
    expect(await run("prog", "show")).toEqual({ stdout: "", stderr: "", status: 0 });
    expect(await run("-j", "prog", "show")).toEqual({ stdout: "[]\n", stderr: "", status: 0 });
  });

  it("loads, shows, dumps and runs programs, command by command", async () => {
    const [progs, maps] = ["/sys/fs/bpf/progs", "/sys/fs/bpf/maps"];
    expect(await run("prog", "loadall", object, progs, "pinmaps", maps)).toEqual({ stdout: "", stderr: "", status: 0 });
    const shown = JSON.parse((await run("-j", "-f", "prog", "show", "name", "count")).stdout) as Record<
      string,
      unknown
    >;
    expect(shown).toMatchObject({ type: "xdp", name: "count", gpl_compatible: true, pinned: [`${progs}/count`] });
    expect(Math.abs(Number(shown["loaded_at"]) - Date.now() / 1000)).toBeLessThan(100);
    expect((await run("prog", "show")).stdout.match(/^\d+: \w+ {2}name \w+/gm)).toEqual([
      "1: xdp  name count",
      "2: socket_filter  name atomics",
      "3: sched_cls  name jumps_and_loops",
      "4: tracepoint  name a_program_with_a_long_name",
    ]);
    const dumped = (await run("prog", "dump", "xlated", "pinned", `${progs}/count`)).stdout;
    expect(dumped).toContain("int count(struct xdp_md * ctx):\n");
    expect(dumped).toMatch(/ map\[id:\d+\]\n/);
    expect(dumped).toContain("(85) call bpf_map_update_elem#2\n");
    for (let i = 0; i < 3; i++) {
      const ran = await run("prog", "run", "name", "count", "data_in", join(folder, "packet"));
      expect(ran.stdout).toMatch(/^Return value: 2, duration: \d+ns\n$/);
    }
    expect(JSON.parse((await run("-j", "map", "dump", "name", "counts")).stdout)).toMatchObject([
      { formatted: { key: { src: 1, port: 2, pad: 0 }, value: 3 } },
    ]);
    expect(await run("prog", "pin", "name", "atomics", "/sys/fs/bpf/again")).toMatchObject({ status: 0 });
    expect((await run("prog", "load", object, "/tmp/x")).stderr).toBe(
      "Error: can't pin the object (/tmp/x): names of the embedded kernel begin with /sys/fs/bpf/\n",
    );
  });
});

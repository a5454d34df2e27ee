/**
 * Forms of `prog`, right and wrong, given to bpftool and to `tsbpf --bpftool` (see _beside.ts), on programs that clang compiled.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { besideBpftool, fill, whyNotBeside, type Beside } from "./_beside.js";
import { bpftool, tsbpf } from "./_run.js";

const why = whyNotBeside() ?? (spawnSync("clang", ["--version"]).status === 0 ? undefined : "clang is missing");

const PROGRAMS = ["count", "atomics", "jumps_and_loops", "a_program_with_a_long_name"];

describe.skipIf(why !== undefined)("tsbpf --bpftool beside bpftool 7.1, prog", () => {
  let sides: Beside;
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-prog-"));
  const object = join(folder, "progs.bpf.o");
  const packet = join(folder, "packet");
  const short = join(folder, "short");
  /** {o} the object, {p} a packet of 64 bytes, {s} one that is too short, {f} a folder that is in no bpffs. */
  const form = (text: string): string =>
    text.replaceAll("{o}", object).replaceAll("{p}", packet).replaceAll("{s}", short).replaceAll("{f}", folder);

  beforeAll(() => {
    sides = besideBpftool();
    const source = fileURLToPath(new URL("progs.bpf.c", import.meta.url));
    const compiled = spawnSync("clang", ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", source, "-o", object], {
      encoding: "utf8",
    });
    if (compiled.status !== 0) throw new Error(compiled.stderr);
    writeFileSync(
      packet,
      new Uint8Array(64).map((_, i) => i + 20),
    );
    writeFileSync(short, "too short");
    mkdirSync(join(sides.theirs.d, "maps"));
    mkdirSync(join(sides.theirs.d, "more"));
    sides.setUp(form("prog loadall {o} {d}/all pinmaps {d}/maps"));
    sides.setUp(form("prog load {o} {d}/more/count"));
  });
  afterAll(() => {
    sides?.unmount();
    rmSync(folder, { recursive: true });
  });

  it.each(PROGRAMS)("the program %s", async (name) => {
    for (const rest of ["", "opcodes", "linum", "op", "l"]) {
      await sides.bothOnTheSame(`prog dump xlated pinned {d}/all/${name} ${rest}`);
    }
    for (const text of ["prog show pinned {d}/all/NAME", "prog list name NAME", "-f prog show pinned {d}/all/NAME"]) {
      await sides.bothOnTheSame(text.replace("NAME", name));
    }
  });

  it.each(["prog show", "prog list", "prog", "-f prog show"])("%s", async (text) => {
    await sides.bothList(text);
  });

  it.each([
    "prog show foo",
    "prog show foo bar",
    "prog show id",
    "prog show id x",
    "prog show id 4294967295",
    "prog show id 4294967298",
    "prog show tag 1fe54fb5367830",
    "prog show tag zzzz",
    "prog show tag 0000000000000000",
    "prog show tag 000000000000000",
    "prog show name count",
    "prog show n count",
    "prog show name a_program_with_a",
    "prog show name nosuch",
    "prog show pinned {d}/maps/counts",
    "prog show pinned {d}/nothere",
    "prog show pinned {o}",
    "prog show id 1 extra",
    "prog show pinned {d}/all/count extra",
    "prog nosuch",
    "prog help",
    "prog h",
    "prog pin",
    "prog pin id",
    "prog pin id 1",
    "prog pin id 4294967295 {d}/p",
    "prog pin pinned {d}/all/count {d}/all/atomics",
    "prog pin pinned {d}/all/count {d}/a.b",
    "-n prog pin pinned {d}/all/count {d}/nodir/b",
    "-n prog pin pinned {d}/all/count {f}/b",
    "prog pin name count {d}/q",
    "prog dump",
    "prog dump foo",
    "prog dump xlated",
    "prog dump x",
    "prog dump xlated foo",
    "prog dump xlated foo bar",
    "prog dump xlated pinned {d}/all/count foo",
    "prog dump xlated pinned {d}/all/count opcodes foo",
    "prog dump xlated pinned {d}/all/count opcodes linum",
    "prog dump xlated pinned {d}/all/count file",
    "prog dump xlated pinned {d}/all/count file {f}/no/such",
    "prog dump xlated pinned {d}/all/count file {f}/out",
    "prog dump xlated pinned {d}/all/count file {f}/out extra",
    "prog dump xlated pinned {d}/maps/counts",
    "prog dump xlated id 4294967295",
    "prog dump xlated name count",
    "prog dump xlated name count linum",
    "prog dump xlated name count file {f}/out",
    "prog dump jited",
    "prog dump jited pinned {d}/all/count",
    "prog run",
    "prog run pinned {d}/all/count",
    "prog run pinned {d}/all/count data_in",
    "prog run pinned {d}/all/count data_in {f}/nosuch",
    "prog run pinned {d}/all/count data_in {p}",
    "prog run pinned {d}/all/count data_in {p} data_out -",
    "prog run pinned {d}/all/count data_in {p} data_out {f}/out",
    "prog run pinned {d}/all/count data_in {p} data_out {f}/no/such",
    "prog run pinned {d}/all/count data_in {p} data_out - data_size_out 10",
    "prog run pinned {d}/all/count data_in {p} data_size_out 0x40",
    "prog run pinned {d}/all/count data_in {p} data_size_out 10",
    "prog run pinned {d}/all/count data_in {p} data_size_out x",
    "prog run pinned {d}/all/count data_in {p} ctx_size_out x",
    "prog run pinned {d}/all/count data_in {p} ctx_in {s}",
    "prog run pinned {d}/all/count data_in {p} ctx_out -",
    "prog run pinned {d}/all/count data_in {p} repeat 5",
    "prog run pinned {d}/all/count data_in {p} repeat x",
    "prog run pinned {d}/all/count data_in {p} repeat",
    "prog run pinned {d}/all/count data_in {p} foo",
    "prog run pinned {d}/all/count data_in {s}",
    "prog run pinned {d}/all/count ctx_in {s}",
    "prog run pinned {d}/all/count data_out -",
    "prog run pinned {d}/all/count repeat 1",
    "prog run pinned {d}/all/count data_ foo",
    "prog run pinned {d}/all/count d foo",
    "prog run pinned {d}/all/count ctx_ foo",
    "prog run pinned {d}/all/count data_in - ctx_in -",
    "prog run pinned {d}/all/count foo bar",
    "prog run pinned {d}/all/jumps_and_loops data_in {p} data_out -",
    "prog run pinned {d}/all/a_program_with_a_long_name data_in {p}",
    "prog run id 4294967295 data_in {p}",
  ])("%s", async (text) => {
    await sides.bothOnTheSame(form(text));
  });

  it("run takes its packet from standard input", async () => {
    await sides.bothOnTheSame("prog run pinned {d}/all/count data_in - data_out -", "a packet, and 13 more");
    await sides.bothOnTheSame("prog run pinned {d}/all/count data_in -", "");
  });

  it("show by tag", async () => {
    const shown = JSON.parse(bpftool(["-j", "prog", "show", "pinned", `${sides.theirs.d}/all/count`]).stdout) as {
      tag: string;
    };
    await sides.bothOnTheSame(`prog show tag ${shown.tag}`);
    await sides.bothOnTheSame(`prog show tag ${shown.tag.toUpperCase()}and␣more`);
  });

  it("dump to a file is the same bytes", async () => {
    const bytes = async (run: (argv: string[]) => unknown, path: string): Promise<Buffer> => {
      await run(["prog", "dump", "xlated", "pinned", `${sides.theirs.d}/all/atomics`, "file", path]);
      return readFileSync(path);
    };
    const ours = await bytes((argv) => tsbpf(argv, { TSBPF_KERNEL: "linux" }), join(folder, "ours"));
    expect(ours).toEqual(await bytes(bpftool, join(folder, "theirs")));
    expect(ours.length).toBeGreaterThan(100);
  });

  const LOADS = [
    "prog load {o} {d}/l",
    "prog load {o} {d}/l type socket",
    "prog load {o} {d}/l pinmaps {d}/m",
    "prog loadall {o} {d}/l",
    "prog loadall {o} {d}/l pinmaps {d}/m",
  ];
  it.each(LOADS)("%s", async (text) => {
    try {
      await sides.bothOnTheirOwn(form(text));
      for (const { d } of [sides.ours, sides.theirs]) rmSync(join(d, "l"), { recursive: true, force: true });
      for (const { d } of [sides.ours, sides.theirs]) rmSync(join(d, "m"), { recursive: true, force: true });
      // Alone, so that it is there.
      for (const side of [sides.ours, sides.theirs]) {
        expect(await side.run(fill(form(text), side).split(" "), "")).toMatchObject({ status: 0, stderr: "" });
      }
      const prog = text.includes("loadall") ? "{d}/l/count" : "{d}/l";
      for (const look of [`prog show pinned ${prog}`, `prog dump xlated pinned ${prog}`])
        await sides.bothOnTheirOwn(look);
      if (!text.includes("pinmaps")) return;
      for (const map of ["counts", "slots", "jumps", "progs_data", "progs_bss", "progs_rodata"]) {
        await sides.bothOnTheirOwn(`map show pinned {d}/m/${map}`);
        await sides.bothOnTheirOwn(`map dump pinned {d}/m/${map}`);
        await sides.bothOnTheirOwn(`btf dump map pinned {d}/m/${map} kv`);
      }
      await sides.bothOnTheirOwn(form(`prog run pinned ${prog} data_in {p}`));
    } finally {
      for (const { d } of [sides.ours, sides.theirs]) {
        rmSync(join(d, "l"), { recursive: true, force: true });
        rmSync(join(d, "m"), { recursive: true, force: true });
      }
    }
  });

  it.each([
    "prog load",
    "prog load {o}",
    "prog load {f}/nosuch {d}/x",
    "prog load {s} {d}/x",
    "prog load {o} {d}/x foo",
    "prog load {o} {d}/x type",
    "prog load {o} {d}/x type nosuch",
    "prog load {o} {d}/x type xdp type xdp",
    "prog load {o} {d}/x type tracepoint",
    "prog load {o} {d}/x map",
    "prog load {o} {d}/x map idx",
    "prog load {o} {d}/x map idx 0",
    "prog load {o} {d}/x map idx x pinned {d}/maps/counts",
    "prog load {o} {d}/x map idx 9 pinned {d}/maps/counts",
    "prog load {o} {d}/x map idx 0 pinned {d}/maps/nosuch",
    "prog load {o} {d}/x map idx 0 id 4294967295",
    "prog load {o} {d}/x map name nosuch pinned {d}/maps/counts",
    "prog load {o} {d}/x map name .rodata pinned {d}/maps/counts",
    "prog load {o} {d}/x map name progs.rodata pinned {d}/maps/counts",
    "prog load {o} {d}/x map name counts pinned {d}/maps/counts map name counts pinned {d}/maps/counts",
    "prog load {o} {d}/x map name counts pinned {d}/maps/counts map idx 0 pinned {d}/maps/counts",
    "prog load {o} {d}/x map foo bar baz bax",
    "prog load {o} {d}/x map name counts foo",
    "prog load {o} {d}/x map name counts foo bar",
    "prog load {o} {d}/x pinmaps",
    "prog load {o} {d}/x pinmaps {d}/maps",
    "prog load {o} {d}/x pinmaps {d}/nodir/x",
    "prog load {o} {d}/x pinmaps {f}/x",
    "prog load {o} {d}/x dev",
    "prog load {o} {d}/x dev nosuch",
    "prog load {o} {d}/x dev lo",
    "prog load {o} {d}/x dev lo dev lo",
    "prog load {o} {d}/x autoattach",
    "prog load {o} {d}/all/count",
    "prog load {o} {d}/x.y",
    "-n prog load {o} {d}/nodir/x",
    "-n prog load {o} {f}/x",
    "-n prog loadall {o} {d}/nodir/x",
    "prog loadall {o} {d}/all",
    "prog loadall {o} {d}/x type xdp",
    "prog loadall",
  ])("%s", async (text) => {
    await sides.bothOnTheSame(form(text));
  });

  it.each(["map idx 0", "map name counts"])("an object's map is one that is there: %s", async (which) => {
    const text = form(`prog load {o} {d}/r ${which} pinned {d}/maps/counts`);
    const ids: unknown[] = [];
    for (const side of [sides.theirs, { ...sides.ours, d: sides.theirs.d }]) {
      expect(await side.run(fill(text, side).split(" "), "")).toMatchObject({ status: 0 });
      const shown = bpftool(["-j", "prog", "show", "pinned", `${sides.theirs.d}/r`]).stdout;
      const map = bpftool(["-j", "map", "show", "pinned", `${sides.theirs.d}/maps/counts`]).stdout;
      ids.push((JSON.parse(shown) as { map_ids: number[] }).map_ids.includes((JSON.parse(map) as { id: number }).id));
      rmSync(`${sides.theirs.d}/r`);
    }
    expect(ids).toEqual([true, true]);
  });
});

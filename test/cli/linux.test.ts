/**
 * The command on the Linux kernel, in our own manner: without bpftool's traps.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mountBpffs, tsbpf, whyNoLinux, words, type Ran } from "./_run.js";

const why = whyNoLinux();
if (why !== undefined && process.env.CI) throw new Error(`The Linux kernel must be tested in CI: ${why}`);
if (why !== undefined) console.warn(`The Linux kernel is skipped: ${why}`);

describe.skipIf(why !== undefined)("tsbpf --kernel linux", () => {
  let bpffs: ReturnType<typeof mountBpffs>;
  const name = `s${process.pid}`;

  beforeAll(() => {
    bpffs = mountBpffs();
  });
  afterAll(() => bpffs?.unmount());

  function run(form: string): Promise<Ran> {
    return tsbpf(["--kernel", "linux", ...words(form.replaceAll("{d}", bpffs.folder).replaceAll("{n}", name))]);
  }

  it("creates, updates, looks up, deletes and unpins", async () => {
    expect(await run("map create {d}/h type hash key 4 value 2 entries 4 name {n}")).toEqual({
      stdout: "",
      stderr: "",
      status: 0,
    });
    expect((await run("map update name {n} key 1 0 0 0 value 5 6")).status).toBe(0);
    expect((await run("map lookup name {n} key 1 0 0 0")).stdout).toBe("key: 01 00 00 00  value: 05 06\n");
    expect((await run("map delete name {n} key 1 0 0 0")).status).toBe(0);
    expect(await run("map lookup name {n} key 1 0 0 0")).toEqual({
      stdout: "",
      stderr: "Error: lookup failed: the map has no key 01 00 00 00\n",
      status: 254,
    });
    expect((await run("-f map show name {n}")).stdout).toContain(`\tpinned ${bpffs.folder}/h\n`);
    expect(await run("map unpin {d}/h")).toEqual({ stdout: "", stderr: "", status: 0 });
    expect((await run("map show name {n}")).stderr).toBe(`Error: no map has the name '${name}'\n`);
  });

  it("mounts nothing, and pins nowhere but in a BPF file system", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tsbpf-nofs-"));
    const file = join(folder, "x");
    const mounts = readFileSync("/proc/self/mountinfo", "utf8");
    try {
      for (const mode of ["", "--bpftool "]) {
        const { stderr, status } = await run(`${mode}map create ${file} type hash key 4 value 2 entries 4 name {n}`);
        expect(stderr).toMatch(/BPF file system/);
        expect(status).toBe(255);
      }
      writeFileSync(file, "");
      expect((await run(`map unpin ${file}`)).stderr).toBe(
        `Error: can't unpin (${file}): ${folder} is not in a BPF file system (mount -t bpf bpf DIR makes one)\n`,
      );
      expect(existsSync(file)).toBe(true);
      expect(readFileSync("/proc/self/mountinfo", "utf8").includes(folder)).toBe(false);
      expect(mounts.includes(folder)).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("says what a pinned file is that is no map, or none at all", async () => {
    expect((await run("map show pinned {d}")).status).toBe(255);
    expect((await run("map show pinned /etc/hostname")).stderr).toBe(
      "Error: bpf obj get (/etc): directory not in bpf file system (bpffs)\n",
    );
    expect((await run("map show pinned {d}/none")).stderr).toBe(
      `Error: bpf obj get (${bpffs.folder}/none): No such file or directory\n`,
    );
  });

  it("says the kernel's release", async () => {
    expect((await run("version")).stdout).toMatch(/^tsbpf v[\d.]+\nkernel linux, .*, \d+ possible CPUs\n$/);
    expect(JSON.parse((await run("-j version")).stdout)).toMatchObject({
      kernel: { name: "linux", release: release() },
    });
  });
});

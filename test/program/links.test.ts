/**
 * Programs attached to a real kernel: packets between two network namespaces, tracepoints, a function of a library, a cgroup.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmbeddedKernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { BpfObject, type Variable } from "tsbpf/program";
import { describe, expect, it } from "vitest";
import { whyNoLinux } from "../kernels.js";
import { compiled, whyNoClang } from "./_clang.js";

const why = whyNoLinux ?? whyNoClang;
const whyNoNetns = why ?? (spawnSync("ip", ["netns", "list"]).status === 0 ? undefined : "there is no ip(8)");
const hasTracing = ["/sys/kernel/tracing/events/syscalls"].every((path) => {
  try {
    return readdirSync(path).length > 0;
  } catch {
    return false;
  }
});

const countOf = (variables: Readonly<Record<string, Variable>>, name: string): number => Number(variables[name]!.get());

describe.skipIf(whyNoNetns !== undefined)(
  `packets${whyNoNetns === undefined ? "" : ` (skipped: ${whyNoNetns})`}`,
  () => {
    it("XDP drops and passes them, tcx counts them both ways, until the links go", () => {
      const folder = mkdtempSync(join(tmpdir(), "tsbpf-links-"));
      const [near, far] = [`tsbpf-${process.pid}-a`, `tsbpf-${process.pid}-b`];
      const ip = (...words: string[]): void => void execFileSync("ip", words);
      try {
        for (const ns of [near, far]) ip("netns", "add", ns);
        ip("-n", near, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far);
        for (const [ns, name, address] of [
          [near, "near", "10.9.0.1/24"],
          [far, "far", "10.9.0.2/24"],
        ] as const) {
          ip("-n", ns, "address", "add", address, "dev", name);
          ip("-n", ns, "link", "set", name, "up");
        }
        const object = join(folder, "links.o");
        writeFileSync(object, compiled("links"));
        const script = fileURLToPath(new URL("_traffic.mjs", import.meta.url));
        const { stdout, stderr } = spawnSync("ip", ["netns", "exec", near, process.execPath, script, object, far], {
          encoding: "utf8",
        });
        expect(stderr).toBe("");
        expect(JSON.parse(stdout)).toEqual({
          alone: { xdp: 0, tcxIn: false, tcxOut: false, received: 10 },
          ids: true,
          passed: { xdp: 10, tcxIn: true, tcxOut: expect.any(Boolean) as boolean, received: 10 },
          dropped: { xdp: 10, tcxIn: false, tcxOut: expect.any(Boolean) as boolean, received: 0 },
          busy: 'Cannot attach program "on_xdp" to xdp near: BPF_LINK_CREATE failed with EBUSY (another program is there)',
          detached: -1,
          again: { xdp: 0, tcxIn: true, tcxOut: expect.any(Boolean) as boolean, received: 10 },
          closed: { xdp: 0, tcxIn: false, tcxOut: false, received: 10 },
          generic: { xdp: 10, tcxIn: false, tcxOut: false, received: 0 },
        });
      } finally {
        for (const ns of [near, far]) spawnSync("ip", ["netns", "del", ns]);
        rmSync(folder, { recursive: true });
      }
    });
  },
);

describe.skipIf(why !== undefined)(`events${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  const load = (kernel: LinuxKernel, ...programs: string[]): BpfObject => {
    const object = BpfObject.open(compiled("links"), { name: "links" });
    object.variables.pid!.set(process.pid);
    return object.load(kernel, { programs });
  };

  it.skipIf(!hasTracing)("a tracepoint, until its link is closed", () => {
    using kernel = LinuxKernel.open();
    using object = load(kernel, "on_tracepoint");
    const { programs, variables } = object;
    using link = programs.on_tracepoint!.attach({ tracepoint: "syscalls/sys_enter_close" });
    const begin = countOf(variables, "events");
    readFileSync("/proc/self/stat");
    const seen = countOf(variables, "events") - begin;
    expect(seen).toBeGreaterThan(0);
    link.detach();
    const end = countOf(variables, "events");
    readFileSync("/proc/self/stat");
    expect(countOf(variables, "events")).toBe(end);
    link.close();
  });

  it("a raw tracepoint", () => {
    using kernel = LinuxKernel.open();
    using object = load(kernel, "on_raw_tracepoint");
    const { programs, variables } = object;
    const link = programs.on_raw_tracepoint!.attach({ rawTracepoint: "sys_enter" });
    readFileSync("/proc/self/stat");
    link.close();
    const seen = countOf(variables, "raw_events");
    expect(seen).toBeGreaterThan(2);
    readFileSync("/proc/self/stat");
    expect(countOf(variables, "raw_events")).toBe(seen);
    expect(() => programs.on_raw_tracepoint!.attach({ rawTracepoint: "no_such" })).toThrow(
      'Cannot attach program "on_raw_tracepoint" to raw tracepoint no_such: BPF_RAW_TRACEPOINT_OPEN failed with ENOENT (there is no such place)',
    );
  });

  it("a function of an executable, where it begins and where it returns", () => {
    const folder = mkdtempSync(join(tmpdir(), "tsbpf-links-"));
    try {
      const [source, program] = [join(folder, "called.c"), join(folder, "called")];
      writeFileSync(
        source,
        "__attribute__((noinline)) int called(volatile int *x) { return *x += 1; }\n" +
          "int main(void) { volatile int x = 0; for (int i = 0; i < 7; i++) called(&x); return x == 7 ? 0 : 1; }\n",
      );
      execFileSync("cc", ["-O1", "-o", program, source]);
      using kernel = LinuxKernel.open();
      using object = load(kernel, "on_call", "on_return");
      const { programs, variables } = object;
      using begins = programs.on_call!.attach({ uprobe: program, symbol: "called" });
      using ends = programs.on_return!.attach({ uprobe: program, symbol: "called", atReturn: true });
      execFileSync(program);
      expect([countOf(variables, "calls"), countOf(variables, "returns")]).toEqual([7, 7]);
      begins.close();
      ends.close();
      execFileSync(program);
      expect([countOf(variables, "calls"), countOf(variables, "returns")]).toEqual([7, 7]);
      expect(() => programs.on_call!.attach({ uprobe: program, symbol: "nosuch" })).toThrow(
        /uprobe \/.*\/called:nosuch: BPF_LINK_CREATE failed with ENOENT \(there is no such place\)/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("packets of a cgroup", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tsbpf-cgroup-"));
    const mounted = spawnSync("mount", ["-t", "cgroup2", "none", folder]);
    try {
      if (mounted.status !== 0) return;
      using kernel = LinuxKernel.open();
      using object = load(kernel, "on_cgroup");
      using link = object.programs.on_cgroup!.attach({ cgroup: folder });
      const socket = createSocket("udp4");
      await new Promise<void>((resolve) => socket.send("x", 9, "127.0.0.1", () => resolve()));
      socket.close();
      expect(countOf(object.variables, "cgroup_out")).toBeGreaterThan(0);
      link.detach();
      expect(link.fd).toBe(-1);
    } finally {
      if (mounted.status === 0) spawnSync("umount", [folder]);
      rmSync(folder, { recursive: true });
    }
  });

  it("what cannot be: no such interface, the wrong type of program, a closed one", () => {
    using kernel = LinuxKernel.open();
    using object = load(kernel, "on_xdp", "on_ingress");
    const { programs } = object;
    expect(() => programs.on_xdp!.attach({ xdp: "no_such_one" })).toThrow(
      /xdp no_such_one: BPF_LINK_CREATE failed with E/,
    );
    expect(() => programs.on_ingress!.attach({ xdp: "lo" })).toThrow(/EINVAL \(a program of this type/);
    expect(() => programs.on_xdp!.attach({ cgroup: "/nowhere" })).toThrow(/cgroup \/nowhere: .* ENOENT/);
    expect(() => programs.on_xdp!.attach({ tracepoint: "no/such" })).toThrow(/tracepoint no\/such: .* ENOENT/);
    programs.on_xdp!.close();
    expect(() => programs.on_xdp!.attach({ xdp: "lo" })).toThrow(/EBADF/);
  });

  it("a link that is pinned stays", () => {
    const folder = mkdtempSync(join(tmpdir(), "tsbpf-bpffs-"));
    execFileSync("mount", ["-t", "bpf", "bpf", folder]);
    try {
      using kernel = LinuxKernel.open();
      using object = load(kernel, "on_raw_tracepoint");
      const link = object.programs.on_raw_tracepoint!.attach({ rawTracepoint: "sys_enter" });
      link.pin(join(folder, "link"));
      link.close();
      const begin = countOf(object.variables, "raw_events");
      readFileSync("/proc/self/stat");
      expect(countOf(object.variables, "raw_events")).toBeGreaterThan(begin);
      expect(kernel.unlink(join(folder, "link"))).toBe(0);
    } finally {
      execFileSync("umount", [folder]);
      rmSync(folder, { recursive: true });
    }
  });
});

it("the embedded kernel says that it has no places", async () => {
  using kernel = await EmbeddedKernel.create();
  const { attachProgram } = await import("../../src/program/attach.js");
  expect(() => attachProgram({ kernel, name: "p", fd: 3, expectedAttachType: 0 }, { xdp: "lo" })).toThrow(
    /Cannot attach program "p" to xdp lo: .* EOPNOTSUPP \(the embedded kernel has no packets and events/,
  );
});

/**
 * What LinuxKernel.open() says where bpf(2) is not to be had: every row by facts that are told, and the ones that this machine
 * can play for real.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EACCES, EBADFD, EMFILE, ENOSYS, EPERM } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { type Host, openHost } from "../../src/kernels/linux/host.js";
import type { Sys } from "../../src/kernels/linux/sys.js";
import { describeLinux } from "./_linux.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sys = {} as Sys;

const status = (CapEff: string, Seccomp = 0): string => `Name:\tnode\nCapEff:\t${CapEff}\nSeccomp:\t${Seccomp}\n`;
const noCaps = status("0000000000000000");
const capBpf = status("0000008000000000");
const capSysAdmin = status("0000000000200000");

/** A Linux machine where all is well, but for what is told. */
function machine(told: Partial<Host>, files: Record<string, string> = {}): Host {
  const host: Host = {
    platform: "linux",
    arch: "x64",
    openSys: () => sys,
    createMap: () => 0,
    askAboutNoFd: () => -EBADFD,
    read: (path) => files[path],
  };
  return { ...host, ...told };
}

const refused = { createMap: () => -EPERM };
const unprivileged = (text: string, disabled?: string): Record<string, string> => ({
  "/proc/self/status": text,
  ...(disabled !== undefined && { "/proc/sys/kernel/unprivileged_bpf_disabled": disabled }),
});
const notInstalled = Object.assign(new Error("Cannot find module 'koffi'"), { code: "MODULE_NOT_FOUND" });
const throwing = (error: Error) => (): never => {
  throw error;
};

describe("openHost", () => {
  it("opens where all is well", () => {
    expect(openHost(machine({}))).toBe(sys);
  });

  it.each<[what: string, code: string, says: string, host: Host]>([
    ["another system", "ENOSYS", "this is darwin, expected Linux", machine({ platform: "darwin" })],
    [
      "another architecture",
      "ENOSYS",
      "this is Node for ia32, expected one for x64, arm64,",
      machine({ arch: "ia32" }),
    ],
    [
      "no koffi",
      "ELIBACC",
      "the package koffi does not load: it is not installed: npm install koffi",
      machine({ openSys: throwing(notInstalled) }),
    ],
    [
      "a koffi that does not load",
      "ELIBACC",
      "the package koffi does not load: wrong ELF class",
      machine({ openSys: throwing(new Error("wrong ELF class")) }),
    ],
    [
      "a kernel without bpf(2)",
      "ENOSYS",
      "this kernel has no bpf(2): it was built without CONFIG_BPF_SYSCALL",
      machine({ createMap: () => -ENOSYS }),
    ],
    [
      "a seccomp filter",
      "EPERM",
      "a seccomp filter, as containers have one, refuses bpf(2) altogether: start the container with --cap-add BPF",
      machine({ ...refused, askAboutNoFd: () => -EPERM }, unprivileged(status("0", 2))),
    ],
    [
      "a security module",
      "EACCES",
      "a security module refuses bpf(2) altogether",
      machine({ createMap: () => -EACCES, askAboutNoFd: () => -EACCES }, unprivileged(capBpf)),
    ],
    [
      "no capability",
      "EPERM",
      "this process has neither CAP_BPF nor CAP_SYS_ADMIN, and kernel.unprivileged_bpf_disabled is 2: run it as root or with CAP_BPF",
      machine(refused, unprivileged(noCaps, "2\n")),
    ],
    [
      "no capability and no /proc/sys",
      "EPERM",
      "kernel.unprivileged_bpf_disabled is not readable",
      machine(refused, unprivileged(noCaps)),
    ],
    ["no /proc at all", "EPERM", "this process has neither CAP_BPF nor CAP_SYS_ADMIN", machine(refused)],
    [
      "CAP_BPF that does not count",
      "EPERM",
      "this process has the right, but it does not count: inside a user namespace",
      machine(refused, unprivileged(capBpf, "2\n")),
    ],
    [
      "CAP_SYS_ADMIN that does not count",
      "EPERM",
      "this process has the right, but it does not count",
      machine(refused, unprivileged(capSysAdmin, "2\n")),
    ],
    [
      "an unprivileged right that does not count",
      "EPERM",
      "before Linux 5.11, beyond RLIMIT_MEMLOCK",
      machine(refused, unprivileged(noCaps, "0\n")),
    ],
    ["no fd left", "EMFILE", "not even the smallest array can be created", machine({ createMap: () => -EMFILE })],
  ])("says what is missing with %s", (_what, code, says, host) => {
    const refusal = expect.objectContaining({
      name: "BpfError",
      code,
      message: expect.stringMatching(
        /^Cannot open the Linux kernel: .*; or use EmbeddedKernel from "tsbpf", which needs no right and no Linux\)$/,
      ),
      hint: expect.stringContaining(says),
    });
    expect(() => openHost(host)).toThrow(refusal);
  });

  it("keeps why koffi did not load", () => {
    expect(() => openHost(machine({ openSys: throwing(notInstalled) }))).toThrow(
      expect.objectContaining({ cause: notInstalled, syscall: "dlopen" }),
    );
  });
});

describeLinux("LinuxKernel.open", () => {
  const script = `
    const { LinuxKernel } = await import(process.env.ENTRY ?? "tsbpf/linux");
    try { LinuxKernel.open(); console.log("opened"); } catch (error) { console.log(error.name, error.code, error.hint); }`;

  /** What a process prints that opens a LinuxKernel, run by a command like setpriv. */
  function opening(command: string[], options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {}): string {
    const [file, ...args] = [...command, process.execPath, "--input-type=module", "-e", script];
    return execFileSync(file, args, { cwd: root, encoding: "utf8", ...options });
  }

  it("opens for root", () => {
    expect(opening([])).toBe("opened\n");
  });

  it("tells an unprivileged user what is missing", () => {
    expect(opening([], { uid: 65534, gid: 65534 })).toMatch(
      /^BpfError EPERM this process has neither CAP_BPF nor CAP_SYS_ADMIN, and kernel.unprivileged_bpf_disabled is [12]/,
    );
  });

  it("opens for a user with CAP_BPF", () => {
    const asUser = [
      "setpriv",
      "--reuid",
      "65534",
      "--regid",
      "65534",
      "--clear-groups",
      "--inh-caps",
      "+bpf",
      "--ambient-caps",
      "+bpf",
    ];
    expect(opening(asUser)).toBe("opened\n");
  });

  it("tells the root of a user namespace what is missing", () => {
    expect(opening(["unshare", "-Ur"])).toMatch(/^BpfError EPERM this process has the right, but it does not count/);
  });

  it("tells that koffi is not installed", () => {
    const folder = mkdtempSync(join(tmpdir(), "tsbpf-"));
    cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
    cpSync(join(root, "package.json"), join(folder, "package.json"));
    const env = { ...process.env, ENTRY: join(folder, "dist/kernels/linux/index.js") };
    expect(opening([], { env })).toMatch(/^BpfError ELIBACC the package koffi does not load: it is not installed/);
    rmSync(folder, { recursive: true });
  });
});

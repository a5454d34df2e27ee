/**
 * Externs: values of the kernel's configuration, on both kernels; symbols and functions of the Linux kernel.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { EmbeddedKernel } from "tsbpf";
import { Btf } from "tsbpf/btf";
import { LinuxKernel } from "tsbpf/linux";
import { BpfObject } from "tsbpf/program";
import { describe, expect, it } from "vitest";
import { whyNoLinux } from "../kernels.js";
import { compiled, whyNoClang } from "./_clang.js";

const NAMES = ["version", "hz", "bpf_syscall", "net", "none", "letter"] as const;
const seen = ({ variables }: BpfObject): unknown[] => NAMES.map((name) => Number(variables[name]!.get()));
const KCONFIG = {
  LINUX_KERNEL_VERSION: 7,
  CONFIG_HZ: 0x1_0000_0001n,
  CONFIG_BPF_SYSCALL: true,
  CONFIG_NET: "m",
  CONFIG_LOCALVERSION: '"x\\"y"',
};

describe.skipIf(whyNoClang !== undefined)(
  `.kconfig${whyNoClang === undefined ? "" : ` (skipped: ${whyNoClang})`}`,
  () => {
    const object = whyNoClang === undefined ? compiled("externs") : new Uint8Array();

    it("is given by the caller", async () => {
      using kernel = await EmbeddedKernel.create();
      using opened = BpfObject.open(object, { name: "externs" });
      expect(opened.definitions.maps.find(({ name }) => name === ".kconfig")).toMatchObject({
        kernelName: "externs.kconfig",
        isFrozen: true,
      });
      opened.load(kernel, { kconfig: KCONFIG });
      opened.programs.look!.run();
      expect(seen(opened)).toEqual([7, 0x1_0000_0001, 1, 2, 0, "x".charCodeAt(0)]);
      expect(opened.variables.CONFIG_LOCALVERSION!.get()).toBe('x"y');
    });

    it("as a text, like /proc/config.gz", async () => {
      using kernel = await EmbeddedKernel.create();
      const kconfig =
        'LINUX_KERNEL_VERSION=396800\nCONFIG_HZ=250\nCONFIG_BPF_SYSCALL=y\n# CONFIG_X is not set\nCONFIG_NET=y\nCONFIG_LOCALVERSION="-a"\nCONFIG_NO_SUCH_THING=-3\n';
      using opened = BpfObject.open(object).load(kernel, { kconfig });
      opened.programs.look!.run();
      expect(seen(opened)).toEqual([396800, 250, 1, 1, Number(BigInt.asUintN(64, -3n)), "-".charCodeAt(0)]);
    });

    it("what is missing, or no such value, is told", async () => {
      using kernel = await EmbeddedKernel.create();
      const load = (kconfig?: Record<string, string | number | bigint | boolean>): unknown =>
        BpfObject.open(object).load(kernel, kconfig === undefined ? {} : { kconfig });
      expect(() => load()).toThrow("the kernel's configuration has no CONFIG_HZ: tell it by kconfig");
      expect(() => load({ ...KCONFIG, CONFIG_HZ: "many" })).toThrow("CONFIG_HZ is many, wanted a number, y, n or m");
      expect(() => load({ ...KCONFIG, CONFIG_BPF_SYSCALL: "m" })).toThrow("CONFIG_BPF_SYSCALL is m, wanted y or n");
      expect(() => load({ ...KCONFIG, LINUX_KERNEL_VERSION: 2 ** 40 })).toThrow("wanted a number of 4 bytes");
      expect(kernel.usage().maps).toBe(0);
    });

    it.skipIf(whyNoLinux !== undefined)("is the running kernel's", () => {
      using kernel = LinuxKernel.open();
      using opened = BpfObject.open(object).load(kernel);
      opened.programs.look!.run();
      const config = spawnSync("zcat", ["/proc/config.gz"], { encoding: "utf8" }).stdout;
      const [major = 0, minor = 0, patch = 0] = release().split(/[.-]/).map(Number);
      const hz = Number(/^CONFIG_HZ=(\d+)$/m.exec(config)![1]);
      expect(seen(opened).slice(0, 5)).toEqual([(major << 16) | (minor << 8) | Math.min(patch, 255), hz, 1, 1, 0]);
    });
  },
);

const why = whyNoLinux ?? whyNoClang;
describe.skipIf(why !== undefined)(`symbols${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  const object = why === undefined ? compiled("externs", ["-mcpu=v3", "-DSYMBOLS"]) : new Uint8Array();

  it("are addresses and functions of the running kernel; weak ones that are not there are 0", () => {
    using kernel = LinuxKernel.open();
    using opened = BpfObject.open(object).load(kernel, { targetBtf: Btf.fromKernel() });
    opened.programs.look!.run();
    const { variables } = opened;
    const address = /^([\da-f]+) \w __bpf_call_base$/m.exec(readFileSync("/proc/kallsyms", "utf8"))![1]!;
    expect(variables.address!.get()).toBe(BigInt(`0x${address}`));
    expect([variables.missing!.get(), variables.typed!.get(), variables.task!.get()]).toEqual([0n, 0n, 1n]);
  });

  it("what a kernel has not is told", async () => {
    using kernel = LinuxKernel.open();
    expect(() => BpfObject.open(object).load(kernel)).toThrow(
      'Cannot load program "look": it wants bpf_task_from_pid of the kernel: there is none in targetBtf, for instance Btf.fromKernel()',
    );
    using embedded = await EmbeddedKernel.create();
    expect(() => BpfObject.open(object).load(embedded, { kconfig: KCONFIG })).toThrow(
      "it wants __bpf_call_base of the kernel: the embedded kernel has no symbols",
    );
  });
});

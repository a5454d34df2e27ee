/**
 * What only the embedded kernel has of programs: faults, budgets, images.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ArrayMap, EmbeddedKernel, u32, u64 } from "tsbpf";
import { Program, ProgramFaultError, assemble } from "tsbpf/program";
import { BPF_PROG_TYPE_XDP } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { jit } from "../../src/kernels/embedded/compiled_programs.js";

const PACKET = new Uint8Array(64);

function load(kernel: EmbeddedKernel, text: string): Program {
  return Program.load(kernel, { name: "test", type: BPF_PROG_TYPE_XDP, license: "GPL", insns: assemble(text) });
}

function faultOf(run: () => unknown): ProgramFaultError {
  try {
    run();
  } catch (error) {
    if (error instanceof ProgramFaultError) return error;
    throw error;
  }
  throw new Error("It was not ended");
}

describe.each([false, true])("interpreted: %s", (isInterpreted) => {
  const inThisWay = async (test: (kernel: EmbeddedKernel) => unknown): Promise<void> => {
    using kernel = await EmbeddedKernel.create();
    jit.isOff = isInterpreted;
    try {
      await test(kernel);
    } finally {
      jit.isOff = false;
    }
    expect(kernel.check()).toEqual([]);
  };

  it.each([
    [
      "reads the kernel's tables",
      "r1 = 4096\nr0 = *(u64 *)(r1 + 0)\nexit",
      /insn 1, it touches memory .*: 0x1000\)$/,
      "EFAULT",
    ],
    ["reads below the frame", "r1 = r10\nr1 += -520\nr0 = *(u64 *)(r1 + 0)\nr0 = 0\nexit", undefined, undefined],
    ["reads far below the frame", "r1 = r10\nr1 += -8192\nr0 = *(u64 *)(r1 + 0)\nexit", /insn 2, it touches/, "EFAULT"],
    ["reads behind the packet", "r1 = *(u32 *)(r1 + 4)\nr0 = *(u8 *)(r1 + 0)\nexit", /insn 1, it touches/, "EFAULT"],
    [
      "reads across the packet's end",
      "r1 = *(u32 *)(r1 + 4)\nr0 = *(u32 *)(r1 - 3)\nexit",
      /insn 1, it touches/,
      "EFAULT",
    ],
    ["writes to its context", "r0 = 0\n*(u32 *)(r1 + 0) = r0\nexit", /may only read/, "EFAULT"],
    ["never ends", "r0 = 0\nr0 += 1\nif r0 != 0 goto -2\nexit", /spent its budget/, "ETIME"],
    ["gives no map to a helper", "r2 = r10\nr2 += -4\nr1 = 5\ncall 1\nexit", /gives a helper .*: 0x5\)$/, "EFAULT"],
    [
      "adds atomically across a word",
      "r1 = 1\nr2 = r10\nr2 += -12\nlock *(u64 *)(r2 + 1) += r1\nr0 = 0\nexit",
      /not aligned/,
      "EFAULT",
    ],
  ])("one that %s", (_, text, message, code) =>
    inThisWay((kernel) => {
      kernel.setProgramBudget(10_000);
      const program = load(kernel, text);
      // Of a thread's eight frames the ones below are nobody's: they read as what they are.
      if (message === undefined) {
        expect(program.run({ data: PACKET }).retval).toBe(0);
      } else {
        const error = faultOf(() => program.run({ data: PACKET }));
        expect(error.message).toMatch(message);
        expect(error.code).toBe(code);
        expect(error.fault.program).toBe(program.id);
        expect(kernel.fault()).toEqual(error.fault);
      }
      program.close();
      const good = load(kernel, "r0 = 3\nexit");
      expect(good.run({ data: PACKET }).retval).toBe(3);
      expect(kernel.fault()).toBeUndefined();
      good.close();
    }),
  );

  it("is in an image, and runs in what is made from it", () =>
    inThisWay(async (kernel) => {
      const map = ArrayMap.create(kernel, { name: "counts", value: u64, maxEntries: 1 });
      const text = `*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:${map.fd}]\ncall 1\nif r0 == 0 goto +2\nr1 = 1\nlock *(u64 *)(r0 + 0) += r1\nr0 = 2\nexit`;
      const program = load(kernel, text);
      program.run({ data: PACKET, repeat: 3 });
      program.pin("/sys/fs/bpf/program");
      using other = await EmbeddedKernel.load(kernel.save());
      using again = Program.open(other, "/sys/fs/bpf/program");
      expect(again).toMatchObject({ id: program.id, name: "test", type: BPF_PROG_TYPE_XDP });
      expect(again.run({ data: PACKET, repeat: 4 }).retval).toBe(2);
      expect(ArrayMap.fromId(other, map.id, { value: u64 }).get(0)).toBe(7n);
      expect(map.get(0)).toBe(3n);
      expect(other.check()).toEqual([]);
    }));
});

it("what is no program is not opened as one", async () => {
  using kernel = await EmbeddedKernel.create();
  const map = ArrayMap.create(kernel, { value: u64, maxEntries: 1 });
  map.pin("/sys/fs/bpf/map");
  const { fds } = kernel.usage();
  expect(() => Program.open(kernel, "/sys/fs/bpf/map")).toThrow(/EINVAL/);
  expect(() => Program.open(kernel, "/sys/fs/bpf/nothing")).toThrow(/ENOENT/);
  expect(() => Program.fromId(kernel, 77)).toThrow(/ENOENT/);
  expect(kernel.usage().fds).toBe(fds);
});

it("a helper that is not built in is refused by name", async () => {
  using kernel = await EmbeddedKernel.create();
  const load = (id: number): Program =>
    Program.load(kernel, {
      name: "calls",
      type: BPF_PROG_TYPE_XDP,
      license: "GPL",
      insns: assemble(`call ${id}\nr0 = 0\nexit`),
    });
  expect(() => load(27)).toThrow(/unknown func bpf_get_stackid#27: this kernel has no such helper/);
  expect(() => load(9999)).toThrow(/unknown func #9999: this kernel has no such helper/);
});

it.skipIf(process.platform !== "linux")("what was compiled goes with its program", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const mappings = (): number => readFileSync("/proc/self/maps", "latin1").split("\n").length;
  using kernel = await EmbeddedKernel.create();
  const after: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 500; n++) {
      const program = load(kernel, `r0 = ${n}\nexit`);
      expect(program.run({ data: PACKET }).retval).toBe(n);
      program.close();
    }
    // V8 gives memory of code back a moment after it has found that nobody needs it.
    for (let i = 0; i < 2; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    after.push(mappings());
  }
  expect(after[2]! - after[0]!).toBeLessThan(300);
});

it("its name is listed as a program's, beside a map with the same id", async () => {
  using kernel = await EmbeddedKernel.create();
  using program = load(kernel, "r0 = 0\nexit");
  using map = ArrayMap.create(kernel, { value: u32, maxEntries: 1 });
  expect(map.id).toBe(program.id);
  expect(kernel.mkdir("/sys/fs/bpf/d")).toBe(0);
  program.pin("/sys/fs/bpf/d/program");
  map.pin("/sys/fs/bpf/map");
  const pins = kernel.pins().toSorted((a, b) => a.path.localeCompare(b.path));
  expect(pins).toEqual([
    { path: "/sys/fs/bpf/d/program", what: "program", id: program.id },
    { path: "/sys/fs/bpf/map", what: "map", id: map.id },
  ]);
});

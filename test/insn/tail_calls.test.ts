/**
 * Tail calls: compiled, where one program calls the other itself, as interpreted.
 */
import { EmbeddedKernel, ProgramArray } from "tsbpf";
import { Program, ProgramFaultError } from "tsbpf/program";
import { BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP } from "tsbpf/uapi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jit } from "../../dist/kernels/embedded/compiled_programs.js";
import { assemble } from "../../src/insn/asm.js";

/** More than a thread notes at a time. */
const PROGRAMS = 150;

let kernel: EmbeddedKernel;
let steps: ProgramArray;
beforeAll(async () => {
  kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 26 });
  steps = ProgramArray.create(kernel, { maxEntries: PROGRAMS + 1 });
});
afterAll(() => {
  steps.close();
  kernel[Symbol.dispose]();
});

function load(text: string, type: number = BPF_PROG_TYPE_XDP): Program {
  const insns = assemble(text.replaceAll("steps", `map[fd:${steps.fd}]`));
  return Program.load(kernel, { name: "step", type, license: "GPL", insns });
}

/** What comes of a program: the same both ways. */
function run(program: Program): string {
  const [compiled, interpreted] = [false, true].map((isInterpreted) => {
    jit.isOff = isInterpreted;
    try {
      // Twice: what the first run has noted the second finds.
      program.run({ data: new Uint8Array(64) });
      return `${program.run({ data: new Uint8Array(64) }).retval}`;
    } catch (error) {
      if (!(error instanceof ProgramFaultError)) throw error;
      const { reason, insn, program: id } = error.fault;
      return `${reason}, instruction ${insn} of ${id === program.id ? "the first" : "another"}`;
    } finally {
      jit.isOff = false;
    }
  });
  expect(compiled).toBe(interpreted);
  return compiled!;
}

const go = (index: number | string): string => `r2 = steps\nr3 = ${index}\ncall 12`;

describe("tail calls", () => {
  it("go through more programs than are noted, 33 at a time", () => {
    // What each has seen is handed on in the packet.
    const programs = Array.from({ length: PROGRAMS }, (_, i) => {
      const count = `r6 = r1\nr2 = *(u32 *)(r6 + 0)\nr3 = *(u32 *)(r6 + 4)\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\nr5 = *(u64 *)(r2 + 0)\nr5 += ${i}\n*(u64 *)(r2 + 0) = r5\nr7 = r5`;
      return load(`r7 = 0\n${count}\nr1 = r6\n${go(i + 1)}\nout:\nr0 = r7\nexit`);
    });
    for (const [i, { fd }] of programs.entries()) steps.set(i, fd);
    for (let first = 0; first < PROGRAMS; first += 7) {
      const last = Math.min(first + 33, PROGRAMS - 1);
      const seen = Array.from({ length: last - first + 1 }, (_, n) => first + n);
      expect(run(programs[first]!)).toBe(`${seen.reduce((sum, n) => sum + n, 0)}`);
    }
    for (const [i, program] of programs.entries()) {
      steps.delete(i);
      program.close();
    }
  });

  it("go to what is there now, wherever that lies", () => {
    using first = load(`${go(0)}\nr0 = 9999\nexit`);
    for (let n = 0; n < 200; n++) {
      // Its memory is that of the one before.
      using next = load(`r0 = ${n}\nexit`);
      steps.set(0, next.fd);
      expect(run(first)).toBe(`${n}`);
      steps.delete(0);
      if (n % 10 === 0) expect(run(first)).toBe("9999");
    }
  });

  it("go on where there is none, or one of another type", () => {
    using other = load("r0 = 1\nexit", BPF_PROG_TYPE_SCHED_CLS);
    using lonely = ProgramArray.create(kernel, { maxEntries: 1 });
    lonely.set(0, other.fd);
    using program = load(`r6 = r1\n${go(PROGRAMS + 1)}\nr7 = r0\nr1 = r6\n${go(5)}\nr0 += r7\nexit`);
    expect(run(program)).toBe(`${2 ** 32 - 4}`);
    using mixed = load(`r2 = map[fd:${lonely.fd}]\nr3 = 0\ncall 12\nexit`);
    expect(run(mixed)).toBe(`${2 ** 32 - 22}`);
  });

  it("return to the caller of a function that goes over", () => {
    using next = load("*(u64 *)(r10 - 8) = 77\nr0 = 40\nexit");
    steps.set(0, next.fd);
    const call = `r6 = r1\n*(u64 *)(r10 - 8) = 2\ncall pcover\nr1 = *(u64 *)(r10 - 8)\nr0 += r1`;
    using program = load(`${call}\nexit\nover:\n${go(0)}\nr0 = 1000\nexit`);
    expect(run(program)).toBe("42");
    // From then on it is the first that runs.
    using wild = load(`${call}\nr1 = 4096\nr1 = *(u64 *)(r1 + 0)\nexit\nover:\n${go(0)}\nr0 = 1000\nexit`);
    expect(run(wild)).toBe("touches memory that is not its own, instruction 6 of the first");
    steps.delete(0);
  });

  it("know which program does what it must not", () => {
    using wild = load("r0 = 0\nr1 = 4096\nr1 = *(u64 *)(r1 + 0)\nexit");
    steps.set(0, wild.fd);
    using program = load(`${go(0)}\nr0 = 0\nexit`);
    expect(run(program)).toBe("touches memory that is not its own, instruction 2 of another");
    steps.delete(0);
  });

  it("want the context, and an array of programs", () => {
    using program = load(`r1 = 0\n${go(0)}\nr0 = 0\nexit`);
    expect(run(program)).toBe("gives a helper what it does not take, instruction 4 of the first");
  });

  it("count jumps back all along", () => {
    kernel.setProgramBudget(1000);
    using next = load("r6 = 0\nagain: r6 += 1\nif r6 < 500 goto again\nr0 = r6\nexit");
    steps.set(0, next.fd);
    const loop = (rounds: number): string =>
      `r6 = r1\nr7 = 0\nagain: r7 += 1\nif r7 < ${rounds} goto again\nr1 = r6\n${go(0)}\nr0 = 0\nexit`;
    using few = load(loop(502));
    expect(run(few)).toBe("500");
    using many = load(loop(503));
    expect(run(many)).toBe("has spent its budget of jumps back, instruction 2 of another");
    kernel.setProgramBudget(2 ** 28);
    steps.delete(0);
  });
});

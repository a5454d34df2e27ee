/**
 * Object files: what is read of them on any machine, and what becomes of them in kernels.
 */
import { type ArrayMap, type ArrayOfMaps, EmbeddedKernel, type HashMap, type Kernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { BpfObject, ObjectError, VerifierError, disassemble } from "tsbpf/program";
import { describe, expect, it } from "vitest";
import { whyNoLinux } from "../kernels.js";
import { compiled, whyNoClang } from "./_clang.js";

const PACKET = new Uint8Array(64);

/** By what they begin with. */
const sorted = <T extends readonly unknown[]>(rows: readonly T[]): T[] =>
  rows.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));

describe.skipIf(whyNoClang !== undefined)(
  `reading${whyNoClang === undefined ? "" : ` (skipped: ${whyNoClang})`}`,
  () => {
    const counts = whyNoClang === undefined ? compiled("counts") : new Uint8Array();

    it("finds maps as they are defined", () => {
      const { maps, license } = BpfObject.open(counts, { name: "counts" }).definitions;
      expect(license).toBe("GPL");
      const facts = maps.map(({ name, kernelName, type, keySize, valueSize, maxEntries, mapFlags }) => {
        return [name, kernelName, type, keySize, valueSize, maxEntries, mapFlags];
      });
      expect(sorted(facts)).toEqual([
        [".bss", "counts.bss", 2, 4, 8, 1, 1024],
        [".data", "counts.data", 2, 4, 4, 1, 1024],
        [".rodata", "counts.rodata", 2, 4, 4, 1, 1152],
        ["counts", "counts", 1, 8, 8, 1024, 0],
        ["first", "first", 2, 4, 4, 2, 0],
        ["outer", "outer", 12, 4, 4, 3, 0],
        ["second", "second", 2, 4, 4, 2, 0],
        ["totals", "totals", 2, 4, 8, 4, 0],
      ]);
      expect(maps.find(({ name }) => name === "outer")).toMatchObject({
        initial: [{ index: 1, map: "second" }],
        inner: { type: 2, keySize: 4, valueSize: 4, maxEntries: 2 },
      });
    });

    it("does not change the bytes that it reads, a Buffer's neither", () => {
      const bytes = Buffer.from(counts);
      BpfObject.open(bytes);
      expect(bytes.equals(counts)).toBe(true);
    });

    it("links programs with the functions that they call", () => {
      const { programs } = BpfObject.open(counts).definitions;
      expect(sorted(programs.map(({ name, section, type }) => [name, section, type]))).toEqual([
        ["count", "xdp", 6],
        ["filter", "socket", 1],
      ]);
      const filter = programs.find(({ name }) => name === "filter")!;
      expect(filter.insns.map(disassemble)).toEqual([
        "w2 = *(u32 *)(r1 + 0)",
        "w1 = 3",
        "call pc+2",
        "w0 = 0",
        "exit",
        "r6 = r2",
        "*(u32 *)(r10 - 4) = w1",
        "r2 = r10",
        "r2 += -4",
        "r1 = map[fd:0]",
        "call 1",
        "if r0 == 0 goto +1",
        "lock *(u64 *)(r0 + 0) += r6",
        "exit",
      ]);
      expect(filter.references.map(({ slot, map }) => [slot, map.name])).toEqual([[9, "totals"]]);
      expect(filter.funcInfo.map(({ insnOff }) => insnOff)).toEqual([0, 5]);
    });

    it("variables begin as the source says", () => {
      const { variables } = BpfObject.open(counts);
      const found = Object.values(variables).map(({ name, section, isConst }) => [name, section, isConst]);
      expect(sorted(found)).toEqual([
        ["limit", ".rodata", true],
        ["seen", ".bss", false],
        ["start", ".data", false],
      ]);
      expect([variables.limit!.get(), variables.seen!.get(), variables.start!.get()]).toEqual([7, 0n, 5]);
    });

    it("objects of -mcpu v1 and v2, and of -O1", () => {
      for (const flags of [["-mcpu=v1"], ["-mcpu=v2"], ["-O1"]]) {
        expect(BpfObject.open(compiled("counts", flags)).definitions.programs).toHaveLength(2);
      }
    });

    it("maps and programs are not there before load", () => {
      const object = BpfObject.open(counts);
      expect(() => object.maps).toThrow("The object is not loaded: call load(kernel) first");
      expect(() => object.programs).toThrow(ObjectError);
    });

    it("a damaged object is refused by an error of ours, wherever the damage is", () => {
      const wanted = new Set(["ElfError", "BtfError", "InsnError", "ObjectError"]);
      let refused = 0;
      for (let at = 0; at < counts.length; at++) {
        const damaged = counts.slice();
        damaged[at]! ^= 0xff;
        try {
          BpfObject.open(damaged);
        } catch (error) {
          expect(wanted, `${String(error)} at ${at}`).toContain((error as Error).name);
          refused++;
        }
      }
      expect(refused).toBeGreaterThan(50);
      for (let length = 0; length < counts.length; length += 101) {
        expect(() => BpfObject.open(counts.subarray(0, length))).toThrow(/Cannot|BTF/);
      }
    });

    it("the embedded kernel takes its maps", async () => {
      using kernel = await EmbeddedKernel.create();
      using object = BpfObject.open(counts).load(kernel, { programs: [] });
      (object.maps.counts as HashMap<unknown, unknown>).set({ src: 1, port: 2, pad: 0 }, 3n);
      object.variables.start!.set(9);
      const data = object.maps[".data"] as ArrayMap<Uint8Array>;
      expect(data.get(0)).toEqual(new Uint8Array([9, 0, 0, 0]));
      expect(() => object.variables.limit!.set(1)).toThrow('Cannot set variable "limit": it is const, and loaded');
      object.close();
      expect(kernel.check()).toEqual([]);
      expect(kernel.usage()).toMatchObject({ maps: 0 });
    });

    it("a program that is not there is refused, and nothing is left behind", async () => {
      using kernel = await EmbeddedKernel.create();
      const object = BpfObject.open(counts);
      expect(() => object.load(kernel, { programs: ["nosuch"] })).toThrow('it has no program "nosuch" (it has');
      expect(kernel.usage()).toMatchObject({ maps: 0 });
    });
  },
);

const why = whyNoLinux ?? whyNoClang;
describe.skipIf(why !== undefined)(`on Linux${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  const kernel = (): Kernel => LinuxKernel.open();

  it("programs run, and share maps and variables with us", () => {
    using linux = kernel();
    using object = BpfObject.open(compiled("counts"), { name: "counts" });
    object.variables.limit!.set(3);
    object.variables.start!.set(77);
    object.load(linux);
    const { retval, data, durationNs } = object.programs.count!.run({ data: PACKET, repeat: 5 });
    expect(retval).toBe(1);
    expect(data).toEqual(PACKET);
    expect(durationNs).toBeGreaterThan(0);
    const { counts, totals, outer } = object.maps as {
      counts: HashMap<object, bigint>;
      totals: ArrayMap<bigint>;
      outer: ArrayOfMaps<ArrayMap<number>>;
    };
    expect([...counts]).toEqual([[{ src: 77, port: 80, pad: 0 }, 1n]]);
    expect([...totals.values()]).toEqual([0n, 15n, 320n, 0n]);
    expect(object.variables.seen!.get()).toBe(5n);

    object.variables.start!.set(78);
    object.programs.count!.run({ data: PACKET });
    expect(counts.get({ src: 78, port: 80, pad: 0 })).toBe(1n);

    object.programs.filter!.run({ data: PACKET });
    expect(totals.get(3)).toBe(64n - 14n);

    using second = outer.get(1)!;
    expect(second.id).toBe(object.maps.second!.id);
    expect(outer.get(0)).toBeUndefined();
  });

  it("a program that is refused says why, and where in the source", () => {
    using linux = kernel();
    const object = BpfObject.open(compiled("refused"));
    const error = ((): unknown => {
      try {
        return object.load(linux);
      } catch (error) {
        return error;
      }
    })();
    expect(error).toBeInstanceOf(VerifierError);
    const { message, code, reason, source, insn } = error as VerifierError;
    expect(code).toBe("EACCES");
    expect(reason).toContain("R0 invalid mem access 'map_value_or_null'");
    expect(insn).toMatch(/^\d+: \(\w\w\) r0 = \*\(u64 \*\)\(r0 \+0\)/);
    expect(source).toMatch(/return \*total; @ refused\.c:\d+/);
    expect(message).toContain(
      'Cannot load program "unchecked": BPF_PROG_LOAD failed with EACCES (R0 invalid mem access',
    );
  });

  it("a run that cannot be is refused", () => {
    using linux = kernel();
    using object = BpfObject.open(compiled("counts")).load(linux, { programs: ["count"] });
    expect(() => object.programs.count!.run({ data: new Uint8Array(3) })).toThrow(
      'Cannot run program "count": BPF_PROG_TEST_RUN failed with EINVAL',
    );
    const { count } = object.programs;
    object.close();
    expect(() => count!.run({ data: PACKET })).toThrow(/EBADF/);
  });
});

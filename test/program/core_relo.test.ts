/**
 * CO-RE: the same object loaded by libbpf (through bpftool) and by us gets the same answers from the kernel's types.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GenericMap } from "tsbpf";
import { Btf as KernelBtf } from "tsbpf/btf";
import { LinuxKernel } from "tsbpf/linux";
import { BpfObject } from "tsbpf/program";
import { describe, expect, it } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { BtfBuilder } from "../../src/btf/builder.js";
import { assemble, disassemble } from "../../src/insn/asm.js";
import { relocated } from "../../src/program/core_relo.js";
import { mountBpffs, whyNoBpftool } from "../cli/_run.js";
import { whyNoLinux } from "../kernels.js";
import { compiled, whyNoClang } from "./_clang.js";

const why = whyNoLinux ?? whyNoClang ?? whyNoBpftool();
const object = why === undefined ? compiled("core") : new Uint8Array();

describe.skipIf(why !== undefined)(`on Linux${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  it("answers are those that libbpf gives", () => {
    using kernel = LinuxKernel.open();
    using ours = BpfObject.open(object).load(kernel, { targetBtf: KernelBtf.fromKernel() });
    ours.programs.ask!.run({ data: new Uint8Array(64) });
    const answers = ours.variables.answers!.get() as Record<string, bigint>;
    expect(answers).toMatchObject({
      nosuchExists: 0n,
      pidExists: 1n,
      structExists: 1n,
      missingExists: 0n,
      commSize: 16n,
    });
    expect(answers).toMatchObject({ trie: 11n, trieExists: 1n, nosuchValue: 0n });
    expect(answers["tgidOff"]).toBeGreaterThan(16n);
    expect(answers["tgidOffOfFlavor"]).toBe(answers["tgidOff"]);

    const bpffs = mountBpffs();
    try {
      const file = join(bpffs.folder, "ask");
      const source = fileURLToPath(new URL(`../../build/objects/core.${process.pid}.o`, import.meta.url));
      expect(Buffer.compare(readFileSync(source), object)).toBe(0);
      execFileSync("bpftool", ["prog", "load", source, file, "pinmaps", bpffs.folder]);
      execFileSync("bpftool", ["prog", "run", "pinned", file, "data_in", "-"], { input: Buffer.alloc(64) });
      // bpffs takes no "." in names.
      using theirs = GenericMap.open(kernel, join(bpffs.folder, "core_bss"));
      using mine = GenericMap.fromId(kernel, ours.maps[".bss"]!.id);
      const key = new Uint8Array(4);
      expect(mine.get(key)).toEqual(theirs.get(key));
    } finally {
      bpffs.unmount();
    }
  });

  it("the kernel's types must be told", () => {
    using kernel = LinuxKernel.open();
    expect(() => BpfObject.open(object).load(kernel)).toThrow(
      'Cannot load program "ask": it asks for types of the kernel, wanted targetBtf',
    );
  });
});

describe("what types answer", () => {
  /** struct s of members a, of a size, and b, of 4 bytes, in an order. */
  function types(order: readonly string[], size: number, isSigned: boolean): Btf {
    const builder = new BtfBuilder();
    const a = { type: builder.int("word", size, isSigned ? "SIGNED" : "none"), size };
    const b = { type: builder.int("other", 4), size: 4 };
    let end = 0;
    const members = order.map((name) => {
      const { type, size } = name === "a" ? a : b;
      const off = Math.ceil(end / size) * size;
      end = off + size;
      return { name, type, bitsOffset: 8 * off };
    });
    builder.struct("s", end, members);
    return Btf.parse(builder.bytes());
  }

  /** What a load of s.a becomes, where the object has it first, and the kernel last. */
  function loadOf(sizes: { readonly local: number; readonly target: number; readonly isSigned?: boolean }): string {
    const local = types(["a", "b"], sizes.local, sizes.isSigned ?? false);
    const target = types(["b", "a"], sizes.target, sizes.isSigned ?? false);
    const insns = assemble(`r1 = *(u${8 * sizes.local} *)(r2 + 0)`);
    const relocations = [{ slot: 0, type: local.find("s", "STRUCT")!, access: "0:0", kind: 0 }];
    return disassemble(relocated(insns, relocations, local, target)[0]!);
  }

  it("a load follows its field to another place, and another size", () => {
    expect(loadOf({ local: 4, target: 4 })).toBe("w1 = *(u32 *)(r2 + 4)");
    expect(loadOf({ local: 4, target: 8 })).toBe("r1 = *(u64 *)(r2 + 8)");
    expect(loadOf({ local: 8, target: 2 })).toBe("w1 = *(u16 *)(r2 + 4)");
  });

  it("a signed field of another size is refused: the load would not extend its sign", () => {
    expect(() => loadOf({ local: 4, target: 8, isSigned: true })).toThrow(
      "the field has 8 bytes here, and had 4 where it was compiled",
    );
  });
});

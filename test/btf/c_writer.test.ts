/**
 * BTF as C: what the kernel's own BTF has not got (that is compared with bpftool's in test/cli), and that a compiler takes it.
 */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { Btf, BtfError } from "../../src/btf/btf.js";
import { BtfBuilder } from "../../src/btf/builder.js";
import { CWriter } from "../../src/btf/c_writer.js";

function toC(build: (btf: BtfBuilder) => void): string {
  const builder = new BtfBuilder();
  build(builder);
  const btf = Btf.parse(builder.bytes());
  let text = "";
  const writer = new CWriter(btf, (part) => void (text += part));
  for (const [id] of btf.types()) writer.type(id);
  return text;
}

const hasClang = spawnSync("clang", ["--version"]).status === 0;

describe("CWriter", () => {
  it("declares what points to each other, and numbers names that come twice", () => {
    const text = toC((btf) => {
      const int = btf.int("int", 4, "SIGNED");
      btf.struct("node", 16, [
        { name: "next", type: 3, bitsOffset: 0 },
        { name: "owner", type: 5, bitsOffset: 64 },
      ]);
      btf.ptr(2);
      btf.struct("owner", 8, [{ name: "first", type: 3, bitsOffset: 0 }]);
      btf.ptr(4);
      btf.struct("node", 4, [{ name: "x", type: int, bitsOffset: 0 }]);
      btf.enum("one", { A: 0 });
      btf.enum("two", { A: 0, B: -1 });
      btf.typedef("poly8_t", btf.int("__Poly8_t", 1));
    });
    expect(text).toBe(
      "struct owner;\n\n" +
        "struct node {\n\tstruct node *next;\n\tstruct owner *owner;\n};\n\n" +
        "struct owner {\n\tstruct node *first;\n};\n\n" +
        "struct node___2 {\n\tint x;\n};\n\n" +
        "enum one {\n\tA = 0,\n};\n\n" +
        "enum two {\n\tA___2 = 0,\n\tB = -1,\n};\n\n" +
        "typedef unsigned char __Poly8_t;\n\ntypedef __Poly8_t poly8_t;\n\n",
    );
  });

  it.skipIf(!hasClang && process.env.CI === undefined)("keeps layouts: clang finds the same sizes and offsets", () => {
    const builder = new BtfBuilder();
    const u8 = builder.int("unsigned char", 1);
    const int = builder.int("int", 4, "SIGNED");
    const long = builder.int("long", 8, "SIGNED");
    const member = (name: string, type: number, off: number): { name: string; type: number; bitsOffset: number } => ({
      name,
      type,
      bitsOffset: off * 8,
    });
    builder.struct("gap", 64, [member("a", u8, 3), member("b", int, 24), member("c", long, 48)]);
    builder.struct("packed", 13, [member("a", u8, 0), member("b", long, 1), member("c", int, 9)]);
    builder.struct("tail", 40, [member("a", u8, 0)]);
    builder.struct("odd", 7, [member("a", u8, 6)]);
    builder.union("either", 8, [member("a", u8, 0), member("b", long, 0)]);
    const btf = Btf.parse(builder.bytes());
    let text = "";
    const writer = new CWriter(btf, (part) => void (text += part));
    const checks: string[] = [];
    for (const [id, type] of btf.types()) {
      if (type.kind !== "STRUCT" && type.kind !== "UNION") continue;
      writer.type(id);
      const name = `${type.kind.toLowerCase()} ${type.name}`;
      checks.push(`_Static_assert(sizeof(${name}) == ${type.size}, "size of ${name}");`);
      for (const { name: part, bitsOffset } of type.members) {
        checks.push(`_Static_assert(__builtin_offsetof(${name}, ${part}) == ${bitsOffset / 8}, "${name}.${part}");`);
      }
    }
    const source = `${text}${checks.join("\n")}\n`;
    const { stderr, status } = spawnSync("clang", ["-fsyntax-only", "-target", "bpf", "-x", "c", "-"], {
      encoding: "utf8",
      input: source,
    });
    expect(`${stderr}${status}`, source).toBe("0");
    expect(checks.length).toBeGreaterThan(12);
  });

  it("refuses a struct within itself", () => {
    expect(() => toC((btf) => btf.struct("self", 8, [{ name: "self", type: 1, bitsOffset: 0 }]))).toThrow(BtfError);
  });
});

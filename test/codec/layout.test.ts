/**
 * Layouts against a C compiler: the same random structs, with the same values, written by C and by the codecs.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { composedShape, leaves, seed, withValue } from "./_shapes.js";
import type { Shape } from "./_shapes.js";

const compilers = ["cc", "clang"].filter((name) => spawnSync(name, ["--version"]).status === 0);

/** A program that prints size, alignment and bytes of each value, a line each. */
function program(samples: readonly [Shape, unknown][]): string {
  const blocks = samples.map(
    ([{ base, dimensions, assign }, value]) =>
      `{ typedef ${base} t${dimensions}; static union { t v; uint8_t bytes[sizeof(t)]; } u;\n` +
      `${assign("u.v", value as never)}\n` +
      `printf("%zu %zu ", sizeof(t), _Alignof(t)); for (size_t i = 0; i < sizeof(t); i++) printf("%02x", u.bytes[i]); puts(""); }`,
  );
  const headers = ["arpa/inet.h", "stdint.h", "stdio.h", "string.h"].map((name) => `#include <${name}>`);
  return `${headers.join("\n")}\nint main(void) {\n${blocks.join("\n")}\n}\n`;
}

function run(compiler: string, source: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-layout-"));
  try {
    writeFileSync(join(folder, "layout.c"), source);
    const built = spawnSync(compiler, ["-std=gnu11", "-w", "-o", "layout", "layout.c"], {
      cwd: folder,
      encoding: "utf8",
    });
    if (built.status !== 0) throw new Error(`${compiler} failed:\n${built.stderr}`);
    return spawnSync(join(folder, "layout"), { encoding: "utf8" }).stdout.trimEnd().split("\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function asCodec({ codec }: Shape, value: unknown): string {
  const bytes = new Uint8Array(codec.size).fill(0xff);
  codec.write(new DataView(bytes.buffer), 0, value);
  return `${codec.size} ${codec.align} ${Buffer.from(bytes).toString("hex")}`;
}

describe(`layouts in C (TEST_SEED=${seed})`, () => {
  if (compilers.length === 0) {
    it("needs a C compiler", (context) => {
      if (process.env["CI"] !== undefined) throw new Error("Cannot be skipped in CI: no C compiler");
      process.stdout.write("Skipped the layouts in C: no C compiler\n");
      context.skip("no C compiler");
    });
  }

  it.each(compilers)("%s gives 60 random structs and every leaf the same bytes", (compiler) => {
    const samples = [
      ...fc.sample(withValue(composedShape), { seed, numRuns: 60 }),
      ...Object.values(leaves).flatMap((shape) => fc.sample(withValue(fc.constant(shape)), { seed, numRuns: 3 })),
    ];
    const lines = run(compiler, program(samples));
    expect(lines.length).toBe(samples.length);
    for (const [i, [shape, value]] of samples.entries()) {
      expect(`${asCodec(shape, value)} ${shape.codec.type}`).toBe(`${lines[i]} ${shape.codec.type}`);
    }
  });
});

/**
 * What BTF does not hold, from the C headers and the C library: values of #define, errnos, strerror's texts.
 * It asks the compiler and parses no C: `cc -E -dD` names the macros in their order, a compiled program prints values.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const INCLUDES = ["linux/bpf.h", "linux/bpf_common.h", "linux/version.h", "asm/errno.h"]
  .map((name) => `#include <${name}>\n`)
  .join("");

function run(command, args, input) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, encoding: "utf8", maxBuffer: 1 << 26 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${stderr}`);
  return stdout;
}

/** The C compiler's command: $CC, cc or clang; undefined when there is none. */
export function findCompiler() {
  const candidates = [process.env["CC"], "cc", "clang"].filter((name) => name !== undefined && name !== "");
  return candidates.find((name) => spawnSync(name, ["--version"]).status === 0);
}

/**
 * Macros without parameters, in the order of the headers.
 *
 * @param {string} compiler
 * @returns {{ header: string, name: string, body: string }[]} `header` is the file's name without its folder.
 */
export function readMacros(compiler) {
  const macros = [];
  let header = "";
  for (const line of run(compiler, ["-E", "-dD", "-xc", "-"], INCLUDES).split("\n")) {
    const marker = /^# \d+ "(?:.*\/)?([^"/]*)"/.exec(line);
    const define = /^#define (\w+) (.+)$/.exec(line);
    if (marker !== null) header = marker[1];
    else if (define !== null) macros.push({ header, name: define[1], body: define[2].trim() });
  }
  return macros;
}

/**
 * @param {string} compiler
 * @param {string[]} names Of constants that the headers have.
 * @returns {{ values: Map<string, bigint>, messages: string[] }} and strerror's texts, by errno, of 0 to 133.
 */
export function evaluate(compiler, names) {
  const lines = names.map((name) => `  printf("${name} %lld\\n", (long long)(${name}));`);
  const source = `${INCLUDES}#include <stdio.h>
#include <string.h>
int main(void) {
${lines.join("\n")}
  for (int errnum = 0; errnum <= EHWPOISON; errnum++) printf("= %s\\n", strerror(errnum));
}
`;
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-uapi-"));
  try {
    const program = join(folder, "program");
    run(compiler, ["-xc", "-", "-o", program], source);
    const output = run(program, []).trimEnd().split("\n");
    const values = output.filter((line) => !line.startsWith("= ")).map((line) => line.split(" "));
    return {
      values: new Map(values.map(([name, value]) => [name, BigInt(value)])),
      messages: output.filter((line) => line.startsWith("= ")).map((line) => line.slice(2)),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

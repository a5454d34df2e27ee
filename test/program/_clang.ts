/**
 * Objects for tests, compiled from test/program/objects by the clang of the machine.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Why there are no objects; undefined where there are. */
export const whyNoClang: string | undefined =
  spawnSync("clang", ["--version"]).status === 0 ? undefined : "clang is missing";
if (whyNoClang !== undefined && process.env.CI === "true") throw new Error(whyNoClang);

/** Compiles objects/NAME.c. */
export function compiled(name: string, flags: readonly string[] = ["-mcpu=v3"]): Uint8Array {
  const folder = join(root, "build", "objects");
  mkdirSync(folder, { recursive: true });
  const [source, object] = [join(root, "test/program/objects", `${name}.c`), join(folder, `${name}.${process.pid}.o`)];
  // <linux/types.h> includes <asm/types.h>, which Debian has beside the machine's libraries.
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  execFileSync("clang", ["-O2", "-g", "-target", "bpf", include, ...flags, "-c", source, "-o", object]);
  return new Uint8Array(readFileSync(object));
}

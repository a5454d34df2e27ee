/**
 * Compiles the BPF objects that are kept beside their sources: node scripts/objects.mjs. Needs clang and llvm-strip, and libbpf's headers.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const objects = ["examples/packets/packets"];
// <linux/types.h> includes <asm/types.h>, which Debian has beside the machine's libraries.
const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;

function run(name, args) {
  const { status, error } = spawnSync(name, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) process.stderr.write(`Cannot run ${name}: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}

for (const object of objects) {
  run("clang", ["-O2", "-g", "-target", "bpf", "-mcpu=v3", include, "-c", `${object}.c`, "-o", `${object}.o`]);
  // What is for debuggers goes; BTF stays.
  run("llvm-strip", ["-g", `${object}.o`]);
}

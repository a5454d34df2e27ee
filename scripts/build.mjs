/**
 * Builds all: the embedded kernel (kernel/ -> kernel.wasm -> bytes in a module), the package (src/ -> dist/), and what
 * runs beside it (bench/, examples/, test workers, scripts -> build/).
 *
 *   node scripts/build.mjs [--quiet] [--examples]
 *
 * --examples leaves out the tests and benches: what `npm start` needs.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const quiet = process.argv.includes("--quiet");
const bin = (name) => join(root, "node_modules", ".bin", name);

/** Runs a tool from node_modules; ends the build with its code when it fails. */
function run(name, args) {
  const { status, stdout, stderr, error } = spawnSync(bin(name), args, { cwd: root, encoding: "utf8" });
  if (error !== undefined) {
    process.stderr.write(`Cannot run ${name}: ${error.message}. Run "npm ci" first.\n`);
    process.exit(1);
  }
  if (status !== 0) {
    process.stderr.write(`${stdout}${stderr}${name} ${args.join(" ")} failed\n`);
    process.exit(status ?? 1);
  }
}

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { recursive: true })) {
    const { mtimeMs } = statSync(join(folder, entry));
    if (mtimeMs > time) time = mtimeMs;
  }
  return time;
}

function buildKernel() {
  const wasm = join(root, "build", "kernel.wasm");
  const module = join(root, "src", "kernels", "embedded", "kernel_wasm.ts");
  const sources = Math.max(
    newest(join(root, "kernel")),
    newest(join(root, "src", "uapi")),
    statSync(join(root, "scripts", "build.mjs")).mtimeMs,
  );
  if (existsSync(module) && statSync(module).mtimeMs > sources) return;
  const options = [
    "--outFile build/kernel.wasm",
    "--textFile build/kernel.wat",
    "--runtime stub --optimizeLevel 3 --shrinkLevel 0",
    "--enable threads --enable simd --enable bulk-memory",
    // Where kernel/super.ts has room for constants: 0xc3000.
    "--memoryBase 798720",
    "--importMemory --sharedMemory --initialMemory 13 --maximumMemory 65536 --noExportMemory --exportTable",
  ];
  run("asc", ["kernel/main.ts", ...options.flatMap((line) => line.split(" "))]);
  const base64 = readFileSync(wasm).toString("base64");
  writeFileSync(
    module,
    `/** kernel/ compiled to WebAssembly, as base64. Made by scripts/build.mjs. */\nexport const kernelWasm: string =\n  "${base64}";\n`,
  );
}

mkdirSync(join(root, "build"), { recursive: true });
/** @type {[string, () => void][]} */
const steps = [
  ["kernel/ -> build/kernel.wasm", buildKernel],
  ["src/ -> dist/", () => run("tsc", ["-p", "tsconfig.src.json"])],
  process.argv.includes("--examples")
    ? ["examples/ -> build/", () => run("tsc", ["-p", "tsconfig.examples.json"])]
    : ["bench/, examples/, test/ -> build/", () => run("tsc", ["-p", "tsconfig.tools.json"])],
];
for (const [what, step] of steps) {
  const start = Date.now();
  step();
  if (!quiet) process.stdout.write(`${what}  ${((Date.now() - start) / 1000).toFixed(1)} s\n`);
}
chmodSync(join(root, "dist", "cli", "main.js"), 0o755);

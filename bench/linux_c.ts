/**
 * The raw system call from C: bench/syscall_loop.c, compiled when there is a compiler.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { KEYS } from "./keys.js";

const SOURCE = fileURLToPath(new URL("../../bench/syscall_loop.c", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../syscall_loop", import.meta.url));
const COMPILERS = ["cc", "gcc", "clang"];

type Compiled = { readonly missing: string } | undefined;
let compiled: { readonly result: Compiled } | undefined;

/** How to run it for a map of a type and sizes, or why that is impossible. */
export function syscallLoop(
  type: number,
  keySize: number,
  valueSize: number,
): readonly string[] | { readonly missing: string } {
  compiled ??= { result: compile() };
  return compiled.result ?? [PROGRAM, ...[type, keySize, valueSize, KEYS].map(String)];
}

function compile(): Compiled {
  if (process.platform !== "linux") return { missing: "this is not Linux" };
  if (existsSync(PROGRAM) && statSync(PROGRAM).mtimeMs > statSync(SOURCE).mtimeMs) return undefined;
  mkdirSync(dirname(PROGRAM), { recursive: true });
  let why = `there is no C compiler (looked for ${COMPILERS.join(", ")})`;
  for (const compiler of COMPILERS) {
    const { status, stderr } = spawnSync(compiler, ["-O2", "-Wall", "-o", PROGRAM, SOURCE], { encoding: "utf8" });
    if (status === 0) return undefined;
    if (stderr) why = `${compiler}: ${stderr.trim().split("\n")[0]}`;
  }
  return { missing: why };
}

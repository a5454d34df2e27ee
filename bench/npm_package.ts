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

/**
 * The folders, and what is installed there. `bpf` brings a binary for Linux, or node-gyp compiles it; `lmdb` has packages for each
 * platform; `asn` is data; the others are JavaScript.
 */
const NAMES = {
  bpf: "bpf",
  lmdb: "lmdb",
  "lru-cache": "lru-cache",
  ringbuf: "ringbuf.js",
  asn: "@ip-location-db/asn",
} as const;
export type Package = keyof typeof NAMES;
export const PACKAGES = Object.keys(NAMES) as readonly Package[];

/** Where a package is, or would be. */
export const packageFolder = (name: Package): string => `${FOLDER}/${name}/node_modules/${NAMES[name]}`;

/** Installs a package if it is missing. Returns why it cannot be had, or undefined. */
export function install(name: Package): string | undefined {
  if (name === "bpf" && process.platform !== "linux") return "it needs Linux";
  const cwd = `${FOLDER}/${name}`;
  if (existsSync(`${packageFolder(name)}/package.json`)) return undefined;
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
    return createRequire(`${FOLDER}/${name}/package.json`)(NAMES[name]);
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split("\n");
    throw new Error(`not installed ("npm run bench -- --setup" does it): ${reason}`, { cause: error });
  }
}

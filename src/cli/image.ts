/**
 * The embedded kernel of the command: it lives in an image file between commands.
 *
 * Readers need no lock: the file is only ever replaced whole, by rename(2). Who may change it holds `FILE.lock` from
 * before reading until after writing, so no command's work is lost; a command killed on its way leaves the old image.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { EmbeddedKernel } from "../kernels/embedded/index.js";
import { ImageError } from "./failures.js";
import { isErrno, LockFile } from "./lock_file.js";
import type { Io } from "./output.js";

/** How long a command waits for another one that uses the image. */
const LOCK_TIMEOUT_MS = 30_000;
/** Files of killed commands are removed when they are this old: a living one keeps its own for milliseconds. */
const LEFTOVER_AGE_MS = 60_000;

/** Returns where the image lies: what the options name, else under XDG_STATE_HOME, in a folder made for changes. */
export function imagePath(named: string | undefined, env: Io["env"], access: "read" | "change"): string {
  if (named !== undefined) return realPath(resolve(named));
  const state = env.XDG_STATE_HOME === undefined || env.XDG_STATE_HOME === "" ? undefined : env.XDG_STATE_HOME;
  const folder = join(state ?? join(env.HOME ?? homedir(), ".local", "state"), "tsbpf");
  if (access === "change") mkdirSync(folder, { recursive: true, mode: 0o700 });
  return realPath(join(folder, "kernel.image"));
}

/** An image, loaded. */
export class Image {
  readonly path: string;
  readonly kernel: EmbeddedKernel;
  readonly #lock: LockFile | undefined;
  readonly #version: string;

  private constructor(path: string, version: string, kernel: EmbeddedKernel, lock: LockFile | undefined) {
    this.path = path;
    this.#version = version;
    this.kernel = kernel;
    this.#lock = lock;
  }

  /**
   * Loads the image; a new kernel when there is no file yet.
   *
   * @param access "change" locks it until closed; after "read" it cannot be saved.
   * @throws {ImageError} when it is damaged or locked for too long
   */
  static async open(path: string, access: "read" | "change", timeoutMs: number = LOCK_TIMEOUT_MS): Promise<Image> {
    const lock = access === "change" ? await takeLock(path, timeoutMs) : undefined;
    try {
      // Before it is read: if it is replaced in between, it is stale.
      const version = versionOf(path);
      return new Image(path, version, await load(path), lock);
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  /** Writes the kernel as it is now in place of the file. */
  save(): void {
    if (this.#lock === undefined) throw new ImageError(`image ${this.path} was opened for reading`);
    removeLeftovers(this.path);
    replaceFile(this.path, this.kernel.save());
  }

  /** Says whether the file is another one than was loaded. */
  isStale(): boolean {
    return versionOf(this.path) !== this.#version;
  }

  /** Lets others have it. */
  close(): void {
    this.kernel[Symbol.dispose]();
    this.#lock?.release();
  }
}

/** What tells a file from the one that takes its place. */
function versionOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "" : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
}

async function takeLock(path: string, timeoutMs: number): Promise<LockFile> {
  try {
    return await LockFile.take(`${path}.lock`, timeoutMs);
  } catch (error) {
    throw new ImageError(`cannot lock image ${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function load(path: string): Promise<EmbeddedKernel> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return EmbeddedKernel.create();
    throw new ImageError(`cannot read image ${path}: ${messageOf(error)}`, { cause: error });
  }
  try {
    return await EmbeddedKernel.load(bytes);
  } catch (error) {
    const wayOut = "move it away to begin with an empty kernel, or name another file with --image";
    throw new ImageError(`cannot load image ${path}: ${messageOf(error)}; ${wayOut}`, { cause: error });
  }
}

/** Puts bytes in place of a file, so that at any moment it is whole: the old one or the new one. */
function replaceFile(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${randomBytes(8).toString("hex")}.tmp`;
  try {
    const fd = openSync(temporary, "wx", 0o600);
    try {
      const mode = statSync(path, { throwIfNoEntry: false })?.mode;
      if (mode !== undefined) fchmodSync(fd, mode & 0o777);
      writeFileSync(fd, bytes);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new ImageError(`cannot write image ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Makes a rename last through a power cut, where folders can be opened. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Removes what killed commands left beside the image: temporary files, and locks on locks that are no more. */
function removeLeftovers(path: string): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(`${basename(path)}.`)) continue;
    const rest = name.slice(basename(path).length);
    if (!/^(\.lock)?(\.([0-9a-f]{16}|unreadable))+(\.tmp)?$/.test(rest)) continue;
    const leftover = join(folder, name);
    const age = Date.now() - (statSync(leftover, { throwIfNoEntry: false })?.mtimeMs ?? Infinity);
    if (age > LEFTOVER_AGE_MS) rmSync(leftover, { force: true });
  }
}

/** The file behind symbolic links, so that all who use it lock the same name; links stay links. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * An exclusive lock between processes that is a file, and that survives the death of its holder.
 *
 * The file is made by link(2) from a candidate written beforehand: it appears at once and whole, for one process only.
 * It names its holder; when that process is gone, the file is stale and is removed by whoever wants the lock.
 *
 * Removing it is where such locks lose: of two processes that found it stale, the slower one may remove what the
 * faster one put in its place. So a lock file is removed by its holder, or by a process that holds a second lock named
 * after the very file to be removed (`image.lock.TOKEN`, a token is never used twice) and that looked again while
 * holding it. The second lock is taken in the same way, and survives the death of its holder in the same way.
 */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout } from "node:timers/promises";

/** Who holds a lock. */
interface Holder {
  readonly pid: number;
  /** When the process began, so that a later process with the same pid is not taken for it; "" where not known. */
  readonly start: string;
  /** Where the pid means something: the host and its pid namespace. */
  readonly where: string;
  readonly token: string;
}

/** What a file says that names no holder: a machine that lost power may leave one. */
const NOBODY: Holder = { pid: 0, start: "", where: "", token: "unreadable" };

/** A lock could not be had in time. */
export class LockTimeout extends Error {
  override readonly name = "LockTimeout";
}

/** A lock file that this process holds. */
export class LockFile {
  readonly path: string;
  readonly #token: string;

  private constructor(path: string, token: string) {
    this.path = path;
    this.#token = token;
  }

  /**
   * Takes the lock, waiting while another process has it.
   *
   * @throws {LockTimeout} naming the holder, after `timeoutMs`
   */
  static async take(path: string, timeoutMs: number): Promise<LockFile> {
    for (const deadline = Date.now() + timeoutMs; ;) {
      const taken = tryTake(path);
      if (typeof taken === "string") return new LockFile(path, taken);
      if (Date.now() >= deadline) throw new LockTimeout(describe(path, taken, timeoutMs));
      await setTimeout(2 + Math.random() * 18);
    }
  }

  release(): void {
    release(this.path, this.#token);
  }
}

/** Returns the token of the lock now held, or who holds it. */
function tryTake(path: string): string | Holder {
  const token = randomBytes(8).toString("hex");
  const candidate = `${path}.${token}.tmp`;
  const holder: Holder = { pid: process.pid, start: startOf(process.pid)?.start ?? "", where: where(), token };
  writeFileSync(candidate, JSON.stringify(holder), { flag: "wx" });
  try {
    for (;;) {
      try {
        linkSync(candidate, path);
        return token;
      } catch (error) {
        // A process that slept for long may find its candidate tidied away.
        if (isErrno(error, "ENOENT")) return tryTake(path);
        if (!isErrno(error, "EEXIST")) throw error;
      }
      const found = readHolder(path);
      if (found === undefined) continue;
      if (isAlive(found) || !removeStale(path, found)) return found;
    }
  } finally {
    rmSync(candidate, { force: true });
  }
}

/** Removes the lock file that a dead holder left. False: another process is about to. */
function removeStale(path: string, dead: Holder): boolean {
  const guard = `${path}.${dead.token}`;
  const token = tryTake(guard);
  if (typeof token !== "string") return false;
  if (readHolder(path)?.token === dead.token) rmSync(path, { force: true });
  release(guard, token);
  return true;
}

function release(path: string, token: string): void {
  if (readHolder(path)?.token === token) rmSync(path, { force: true });
}

/** Returns who holds the lock; undefined when nobody does. */
function readHolder(path: string): Holder | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  try {
    const { pid, start, where, token } = JSON.parse(text) as Holder;
    if (Number.isInteger(pid) && pid > 0 && /^[0-9a-f]{16}$/.test(token)) return { pid, start, where, token };
  } catch {
    // Not JSON: nobody's.
  }
  return NOBODY;
}

function isAlive(holder: Holder): boolean {
  if (holder === NOBODY) return false;
  // Of a process on another host, or in another container, nothing can be known.
  if (holder.where !== where()) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return !isErrno(error, "ESRCH");
  }
  const now = startOf(holder.pid);
  return now === undefined || (!now.zombie && (holder.start === "" || holder.start === now.start));
}

/** When a process began: boot id and clock ticks since. Undefined where there is no /proc. */
function startOf(pid: number): { start: string; zombie: boolean } | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Fields 3 (state) and 22 (starttime) of proc_pid_stat(5), counted from behind the name in parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { start: `${boot} ${fields[19]}`, zombie: fields[0] === "Z" };
  } catch {
    return undefined;
  }
}

function where(): string {
  try {
    return `${hostname()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

function describe(path: string, holder: Holder, timeoutMs: number): string {
  const by = holder.where === where() ? `process ${holder.pid}` : `process ${holder.pid} of ${holder.where}`;
  return `${path} is held by ${by} for more than ${timeoutMs / 1000} s (when that process is gone, remove the file)`;
}

/** Says whether an error of node:fs or node:process has that code. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

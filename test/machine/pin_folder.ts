/**
 * Where pinned names go: the embedded kernel's own bpffs, and for Linux one that is mounted for the time.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where pinned names go. */
export interface PinFolder {
  readonly path: string;
  [Symbol.dispose](): void;
}

export const embeddedFolder: PinFolder = { path: "/sys/fs/bpf", [Symbol.dispose]: () => {} };

/** A bpffs that is mounted when the first name is wanted. */
export class MountedFolder implements PinFolder {
  #path: string | undefined;

  get path(): string {
    if (this.#path === undefined) {
      this.#path = mkdtempSync(join(tmpdir(), "tsbpf-"));
      execFileSync("mount", ["-t", "bpf", "bpf", this.#path]);
    }
    return this.#path;
  }

  [Symbol.dispose](): void {
    if (this.#path === undefined) return;
    execFileSync("umount", [this.#path]);
    rmdirSync(this.#path);
    this.#path = undefined;
  }
}

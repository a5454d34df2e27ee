/**
 * A contender's process, seen from the benchmark.
 *
 * Each contender has a process to itself: V8 keeps what it learns about a function (which codecs, which classes it met)
 * for all callers in a process, so that two maps in one process spoil, or help, each other.
 *
 * It says "ready", or "! " and why not. Then it is asked, one line at a time, "N ROW": do ROW about N times. It answers
 * with the nanoseconds of one operation, or "-" when it has no such row. syscall_loop.c speaks the same.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Suite } from "./measure.js";

const CONTENDER = fileURLToPath(new URL("contender.js", import.meta.url));

/** A JavaScript Map of ten million keys is larger than the heap may be on a small machine. */
const NODE_FLAGS = ["--expose-gc", "--max-old-space-size=4096"];

/** A contender that cannot be had, and why. */
export interface Missing {
  readonly contender: string;
  readonly missing: string;
}

export class Peer {
  readonly contender: string;
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #stopped = false;

  private constructor(contender: string, process: ChildProcess, answers: AsyncIterator<string>) {
    this.contender = contender;
    this.#process = process;
    this.#answers = answers;
  }

  /** Starts a contender, or says why it cannot be had. */
  static async start(suite: Suite, contender: string): Promise<Peer | Missing> {
    const program = suite.program?.(contender) ?? [process.execPath, ...NODE_FLAGS, CONTENDER, suite.name, contender];
    if ("missing" in program) return { contender, missing: program.missing };
    const child = spawn(program[0]!, program.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
    child.on("error", () => child.stdout.destroy());
    child.stdin.on("error", () => {});
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const peer = new Peer(contender, child, answers);
    const first = await answers.next();
    if (first.value === "ready") return peer;
    peer.stop();
    return { contender, missing: String(first.value ?? `${program[0]} did not start`).replace(/^! /, "") };
  }

  /** Nanoseconds an operation; undefined when it does not have the row, or is gone. */
  async run(row: string, n: number): Promise<number | undefined> {
    if (this.#stopped) return undefined;
    this.#process.stdin!.write(`${n} ${row}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) this.#stopped = true;
    const ns = Number(value);
    return Number.isFinite(ns) ? ns : undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.#process.stdin!.end();
    this.#process.kill();
  }
}

/**
 * A view that goes on, on this process's streams: until q or ctrl-c on a terminal, a signal, or a reader of standard output
 * that went away. Then the terminal is as it was.
 */
import type { Live } from "./output.js";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** q, ctrl-c and ctrl-d, as a terminal in raw mode sends them. */
const END_KEYS = ["q", "Q", "\u0003", "\u0004"];

/** See above. */
export class LiveStreams implements Live {
  readonly #process: NodeJS.Process;
  readonly #flush: () => void;
  readonly #hasKeys: boolean;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(process: NodeJS.Process, flush: () => void) {
    const { stdin, stdout } = process;
    this.#process = process;
    this.#flush = flush;
    this.#hasKeys = stdin.isTTY && stdout.isTTY;
    for (const signal of SIGNALS) process.on(signal, this.#end);
    stdout.on("error", this.#end);
    stdout.on("resize", this.#redraw);
    if (!this.#hasKeys) return;
    stdin.setRawMode(true);
    stdin.on("data", this.#onData);
    stdin.resume();
  }

  pause(ms: number): Promise<boolean> {
    this.#flush();
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(this.#ended || this.#process.stdout.destroyed);
      };
      const timer = setTimeout(finish, this.#ended ? 0 : ms);
      this.#wake = finish;
    });
  }

  close(): void {
    const { stdin, stdout } = this.#process;
    for (const signal of SIGNALS) this.#process.off(signal, this.#end);
    stdout.off("error", this.#end);
    stdout.off("resize", this.#redraw);
    if (!this.#hasKeys) return;
    stdin.off("data", this.#onData);
    stdin.setRawMode(false);
    stdin.pause();
  }

  readonly #end = (): void => {
    this.#ended = true;
    this.#wake?.();
  };

  /** Another size wants another drawing. */
  readonly #redraw = (): void => this.#wake?.();

  readonly #onData = (data: Buffer): void => {
    const keys = data.toString("latin1");
    if (END_KEYS.some((key) => keys.includes(key))) this.#end();
  };
}

/**
 * Drawing on a terminal: frames in place of each other, on a screen of their own that goes when the view ends; the last one
 * stays behind. Where standard output is no terminal, frames follow each other.
 */
import type { Context } from "./context.js";

const OPEN = "\u001b[?1049h\u001b[?25l";
const CLOSE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const REST_OF_LINE = "\u001b[K";
const REST_OF_SCREEN = "\u001b[J";

/** What text is set in. */
export type Paint = (text: string, color: keyof typeof CODES) => string;

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36, inverse: 7 };

/** Where frames are drawn. */
export class Screen {
  readonly #context: Context;
  readonly #inPlace: boolean;
  #last: readonly string[] | undefined;

  /** @param inPlace Frames take each other's place, where there is a terminal. */
  constructor(context: Context, inPlace: boolean) {
    this.#context = context;
    this.#inPlace = inPlace && isTerminal(context);
  }

  /** Draws a frame; what has no room below is left out. */
  show(lines: readonly string[]): void {
    const { out, io } = this.#context;
    if (!this.#inPlace) {
      if (this.#last !== undefined) out.text("\n");
      out.text(lines.map((line) => `${line}\n`).join(""));
    } else {
      const shown = lines.slice(0, Math.max(1, (io.terminal?.rows ?? 24) - 1));
      if (this.#last === undefined) out.text(OPEN);
      out.text(`${HOME}${shown.map((line) => `${line}${REST_OF_LINE}\n`).join("")}${REST_OF_SCREEN}`);
    }
    this.#last = lines;
  }

  close(): void {
    if (!this.#inPlace || this.#last === undefined) return;
    this.#context.out.text(CLOSE + this.#last.map((line) => `${line}\n`).join(""));
  }
}

/** Says whether standard output is a terminal that can be drawn on. */
export function isTerminal({ io }: Context): boolean {
  return io.terminal !== undefined && io.env.TERM !== "dumb";
}

/** Colors, where the terminal has them and the user wants them (https://no-color.org). */
export function painter(context: Context): Paint {
  const { NO_COLOR: none = "" } = context.io.env;
  if (!isTerminal(context) || none !== "") return (text) => text;
  return (text, color) => `\u001b[${CODES[color]}m${text}\u001b[0m`;
}

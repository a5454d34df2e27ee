/**
 * Draws on a terminal, again and again in the same place.
 */
import type { WriteStream } from "node:tty";

/** What is wider than the terminal is cut, instead of going on in the next line. */
const WRAP_OFF = "\x1b[?7l";
const WRAP_ON = "\x1b[?7h";
const ERASE_LINE_END = "\x1b[K";
const ERASE_BELOW = "\x1b[J";
const cursorUp = (lines: number): string => (lines === 0 ? "" : `\x1b[${lines}A\r`);

/** Lines on a terminal that are drawn over. They must be fewer than its rows: what is scrolled away cannot be drawn over. */
export class Live {
  readonly #terminal: WriteStream;
  #drawn = 0;

  constructor(terminal: WriteStream) {
    this.#terminal = terminal;
  }

  /** Draws lines where the last ones were, in one write, so that nothing flickers. */
  draw(lines: readonly string[]): void {
    const text = lines.map((line) => `${line}${ERASE_LINE_END}\n`).join("");
    this.#terminal.write(`${WRAP_OFF}${cursorUp(this.#drawn)}${text}${ERASE_BELOW}${WRAP_ON}`);
    this.#drawn = lines.length;
  }

  /** Removes the lines. */
  clear(): void {
    this.draw([]);
  }
}

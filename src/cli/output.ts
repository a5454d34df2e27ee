/**
 * Where commands write: text for people, or JSON for programs, on standard output; errors and usage.
 */
import { JsonWriter } from "./json_writer.js";

/** The outside world of a command: its streams and its environment. */
export interface Io {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Reads standard input to its end. */
  readInput(): Promise<Uint8Array>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What standard output is shown on; undefined when it is no terminal. Its size may change. */
  readonly terminal?: Terminal | undefined;
  /** Begins a view that goes on until the user has seen enough. */
  live?(): Live;
}

/** A view that goes on. */
export interface Live {
  /** Shows what was written so far, and waits. Resolves true when the user wants to end. */
  pause(ms: number): Promise<boolean>;
  close(): void;
}

/** A terminal's size, in letters. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
}

/** How output looks. */
export interface OutputStyle {
  readonly json: boolean;
  readonly pretty: boolean;
  readonly bpftool: boolean;
}

/** Hands down what a command has to say. A function that prints asks for `json` first: it is undefined in text mode. */
export class Output {
  readonly json: JsonWriter | undefined;
  readonly #io: Io;
  readonly #style: OutputStyle;
  #lines = false;

  constructor(io: Io, style: OutputStyle) {
    this.#io = io;
    this.#style = style;
    this.json = style.json
      ? new JsonWriter((text) => io.out(text), { pretty: style.pretty, bpftoolEscapes: style.bpftool })
      : undefined;
  }

  /** Writes text as it is; only in text mode. */
  text(text: string): void {
    this.#io.out(text);
  }

  /** JSON for people, in text mode: what maps with BTF hold is shown so. */
  pretty(): JsonWriter {
    return new JsonWriter((text) => this.#io.out(text), { pretty: true, bpftoolEscapes: this.#style.bpftool });
  }

  /** From now on, JSON is a value a line. */
  beginLines(): void {
    this.#lines = true;
  }

  /** Writes a JSON value on a line of its own. */
  jsonLine(write: (json: JsonWriter) => void): void {
    write(new JsonWriter((text) => this.#io.out(text), { pretty: false, bpftoolEscapes: this.#style.bpftool }));
    this.#io.out("\n");
  }

  /** Says that a command did what it was told and has nothing to show. */
  done(): void {
    this.json?.null();
  }

  /** Says what failed. */
  error(message: string): void {
    if (this.json === undefined) this.#io.err(`Error: ${message}\n`);
    else if (this.#lines) this.jsonLine((json) => json.error(message));
    else this.json.error(message);
  }

  /** Says what a person may want to know; nothing in JSON. */
  note(message: string): void {
    if (this.json === undefined) this.#io.err(`${message}\n`);
  }

  /** Shows how to use a command; in JSON, null. */
  usage(text: string): void {
    if (this.json === undefined) this.#io.err(text);
    else this.json.null();
  }

  /** Ends the output: JSON ends with a newline. */
  end(): void {
    if (this.json !== undefined && !this.#lines) this.#io.out("\n");
  }
}

/**
 * JSON as bpftool writes it, a token at a time.
 *
 * Pretty output has a look of its own: members of objects stand on lines of their own, elements of arrays follow
 * each other after a comma, the closing bracket of what is not empty stands on its own line, four spaces a level.
 */

/** How JsonWriter writes. */
export interface JsonStyle {
  readonly pretty: boolean;
  /** Escapes as bpftool 7.1 does: a backslash becomes `\n`, and the text of an error is not escaped at all. */
  readonly bpftoolEscapes: boolean;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
  "\f": "\\f",
  "\b": "\\b",
  '"': '\\"',
  "\\": "\\n",
};

/** Writes JSON to `write`. */
export class JsonWriter {
  readonly #write: (text: string) => void;
  readonly #style: JsonStyle;
  #depth = 0;
  /** Something stands before in the object or array at hand: the next wants a comma. */
  #follows = false;

  constructor(write: (text: string) => void, style: JsonStyle) {
    this.#write = write;
    this.#style = style;
  }

  startObject(): void {
    this.#open("{");
  }

  endObject(): void {
    this.#close("}");
  }

  startArray(): void {
    this.#open("[");
  }

  endArray(): void {
    this.#close("]");
  }

  /** Begins a member of an object; its value comes next. */
  name(name: string): void {
    this.#comma();
    this.#line();
    this.#write(`${this.#quote(name)}:${this.#style.pretty ? " " : ""}`);
    this.#follows = false;
  }

  string(text: string): void {
    this.#value(this.#quote(text));
  }

  number(value: number | bigint): void {
    this.#value(String(value));
  }

  /** Writes a value as it is. */
  raw(text: string): void {
    this.#value(text);
  }

  bool(value: boolean): void {
    this.#value(String(value));
  }

  null(): void {
    this.#value("null");
  }

  /** Writes an array of bytes, each as a string: ["0x01","0xff"]. */
  bytes(bytes: Uint8Array): void {
    this.startArray();
    for (const byte of bytes) this.#value(`"0x${byte.toString(16).padStart(2, "0")}"`);
    this.endArray();
  }

  /** Writes {"error": message}. */
  error(message: string): void {
    this.startObject();
    this.name("error");
    this.#value(this.#style.bpftoolEscapes ? `"${message}"` : this.#quote(message));
    this.endObject();
  }

  #value(text: string): void {
    this.#comma();
    this.#write(text);
  }

  #comma(): void {
    if (this.#follows) this.#write(",");
    this.#follows = true;
  }

  #open(bracket: string): void {
    this.#comma();
    this.#write(bracket);
    this.#depth++;
    this.#follows = false;
  }

  #close(bracket: string): void {
    this.#depth--;
    if (this.#follows) this.#line();
    this.#write(bracket);
    this.#follows = true;
  }

  #line(): void {
    if (this.#style.pretty) this.#write(`\n${"    ".repeat(this.#depth)}`);
  }

  #quote(text: string): string {
    if (!this.#style.bpftoolEscapes) return JSON.stringify(text);
    return `"${text.replace(/[\t\n\r\f\b"\\]/g, (character) => ESCAPES[character] ?? character)}"`;
  }
}

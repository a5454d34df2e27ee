/**
 * batch file FILE|-: commands from a file, one a line. '#' begins a comment, a '\' at the end of a line joins the next,
 * words may be quoted. The first command that fails ends the batch; what was done before stays done.
 */
import { readFileSync } from "node:fs";
import { E2BIG } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError } from "./failures.js";

/** Limits of a command, in bytes and in words; bpftool's. */
const LINE_BYTES = 65_536;
const MAX_WORDS = 4095;
/** How deep batch files may name each other. */
const MAX_DEPTH = 16;

/** Runs one command of a batch. */
export type RunCommand = (context: Context, words: readonly string[]) => Promise<void>;

/** Reads and runs `batch file FILE|-`; `depth` counts the batches it stands in. */
export async function batch(context: Context, args: Args, run: RunCommand, depth: number): Promise<void> {
  if (args.left < 2) context.fail("too few parameters for batch");
  if (!args.takeIf("file")) context.fail(`expected 'file', got: ${args.next}`);
  if (args.left > 1) context.fail("too many parameters for batch");
  if (depth > MAX_DEPTH) context.fail(`batch files name each other more than ${MAX_DEPTH} deep`);
  const text = await readText(context, args.take());
  // Opened for changes at once: a lock taken halfway would come too late for what was read before.
  await context.open("change");

  const { json } = context.out;
  json?.startArray();
  try {
    let count = 0;
    for (const line of commandLines(text, () => count)) {
      const words = splitWords(line, count);
      if (words.length === 0) continue;
      json?.startObject();
      json?.name("command");
      json?.startArray();
      for (const word of words) json?.string(word);
      json?.endArray();
      json?.name("output");
      try {
        await run(context, words);
      } finally {
        json?.endObject();
      }
      count++;
    }
    if (json === undefined) context.out.text(`processed ${count} commands\n`);
  } catch (error) {
    if (error instanceof ArgsError) context.fail(error.message);
    throw error;
  } finally {
    json?.endArray();
  }
}

async function readText(context: Context, file: string): Promise<string> {
  try {
    return new TextDecoder().decode(file === "-" ? await context.io.readInput() : readFileSync(file));
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    return context.fail(`Can't open file (${file}): ${errnoMessage(Math.abs(errno))}`);
  }
}

/** Yields commands: lines without comments, joined where they go on. `count` tells how many came before, for errors. */
function* commandLines(text: string, count: () => number): Generator<string> {
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  let at = 0;
  const nextLine = (): string | undefined => lines[at++]?.replace(/#.*$/s, "");
  for (let line = nextLine(); line !== undefined; line = nextLine()) {
    if (Buffer.byteLength(line) >= LINE_BYTES - 1) {
      throw new ArgsError(`reading batch file failed: ${errnoMessage(E2BIG)}`);
    }
    while (line.endsWith("\\\n")) {
      const more = nextLine();
      if (more === undefined) throw new ArgsError(`missing continuation line on command ${count()}`);
      line = line.slice(0, -2) + more;
      if (Buffer.byteLength(line) >= LINE_BYTES) throw new ArgsError(`command ${count()} is too long`);
    }
    yield line;
  }
}

/** Splits a command into words, at blanks that are not within quotes. A quote counts only where a word begins. */
function splitWords(line: string, count: number): string[] {
  const words: string[] = [];
  for (const [word] of line.matchAll(/"[^"]*("|$)|'[^']*('|$)|\S+/g)) {
    const quote = word[0];
    if (quote !== '"' && quote !== "'") {
      words.push(word);
    } else if (word.length > 1 && word.endsWith(quote)) {
      words.push(word.slice(1, -1));
    } else {
      throw new ArgsError(`unterminated quoted string in command ${count}`);
    }
    if (words.length > MAX_WORDS) throw new ArgsError(`too many arguments to command ${count}`);
  }
  return words;
}

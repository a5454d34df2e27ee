#!/usr/bin/env node
/**
 * The `tsbpf` command: what tsbpf.ts does, on this process's streams.
 */
import { arrayBuffer } from "node:stream/consumers";
import { LiveStreams } from "./live.js";
import { main } from "./tsbpf.js";

/** Text is written in pieces of this size: a dump has many lines. */
const PIECE_CHARS = 1 << 16;

let pending = "";
function flush(): void {
  if (pending !== "") process.stdout.write(pending);
  pending = "";
}

// A reader that has seen enough (tsbpf map dump ... | head) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const { stdin, stdout, stderr } = process;

process.exitCode = await main(process.argv.slice(2), {
  out(output) {
    pending += output;
    if (pending.length >= PIECE_CHARS) flush();
  },
  err(output) {
    flush();
    stderr.write(output);
  },
  readInput: async () => new Uint8Array(await arrayBuffer(stdin)),
  env: process.env,
  get terminal() {
    return stdout.isTTY ? { columns: stdout.columns, rows: stdout.rows } : undefined;
  },
  live: () => new LiveStreams(process, flush),
});
flush();

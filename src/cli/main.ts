#!/usr/bin/env node
/**
 * The `tsbpf` command: what tsbpf.ts does, on this process's streams.
 */
import { readFileSync } from "node:fs";
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

process.exitCode = await main(process.argv.slice(2), {
  out(text) {
    pending += text;
    if (pending.length >= PIECE_CHARS) flush();
  },
  err(text) {
    flush();
    process.stderr.write(text);
  },
  readInput: () => readFileSync(0, "utf8"),
  env: process.env,
});
flush();

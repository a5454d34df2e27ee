/**
 * Takes a lock, notes it twice, and dies with the lock in hand: node _lock_worker.mjs MODULE LOCK NOTES
 */
import { appendFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

const [module, path, notes] = process.argv.slice(2);
const { LockFile } = await import(module);
await LockFile.take(path, 30_000);
appendFileSync(notes, `in ${process.pid}\n`);
await setTimeout(Math.random() * 20);
appendFileSync(notes, `out ${process.pid}\n`);
process.kill(process.pid, "SIGKILL");

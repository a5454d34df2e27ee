/**
 * The npm package `lmdb`: a B-tree in mapped memory, which threads and processes share. Given all that makes it fast: keys
 * of 4 bytes, values as raw bytes that are not copied, no compression, no cache of objects, no fsync, and files in memory
 * where the system has such.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KEYS, type Load, kept } from "./keys.js";
import type { Ops } from "./measure.js";
import { load } from "./npm_package.js";

const MAP_BYTES = 64 * 1024 * 1024;
const IN_MEMORY = "/dev/shm";

interface Database {
  getBinaryFast(key: number): Buffer | undefined;
  putSync(key: number, value: Buffer): boolean;
  transactionSync(action: () => void): void;
}

interface Lmdb {
  open(options: {
    path: string;
    noSync: boolean;
    keyEncoding: "uint32";
    encoding: "binary";
    compression: false;
    cache: false;
    mapSize: number;
  }): Database;
}

/** Rows of shared.ts. */
export function lmdbOps({ mask, present, hits, values }: Load<number, number>): Ops {
  const { open } = load("lmdb") as Lmdb;
  const path = mkdtempSync(join(existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir(), "tsbpf-bench-"));
  const db = open({
    path,
    noSync: true,
    keyEncoding: "uint32",
    encoding: "binary",
    compression: false,
    cache: false,
    mapSize: MAP_BYTES,
  });
  const buffer = Buffer.alloc(4);
  const put = (key: number, value: number): void => {
    buffer.writeUInt32LE(value, 0);
    db.putSync(key, buffer);
  };
  db.transactionSync(() => {
    for (let i = 0; i < KEYS; i++) put(present[i]!, values[i]!);
  });
  // Names are needed no more, and this process is ended without a word. (Windows keeps files that are open.)
  if (process.platform !== "win32") rmSync(path, { recursive: true });
  return {
    get: (from, n) => {
      for (let i = from; i < from + n; i++) {
        const value = db.getBinaryFast(hits[i & mask]!);
        if (value === undefined) throw new Error("A key that was set is not there");
        kept.value = value.readUInt32LE(0);
      }
      return n;
    },
    set: (from, n) => {
      for (let i = from; i < from + n; i++) put(hits[i & mask]!, values[i & mask]!);
      return n;
    },
    "set, 1,000 a transaction": (from, n) => {
      for (let done = 0; done < n; done += 1000) {
        const end = from + Math.min(n, done + 1000);
        db.transactionSync(() => {
          for (let i = from + done; i < end; i++) put(hits[i & mask]!, values[i & mask]!);
        });
      }
      return n;
    },
  };
}

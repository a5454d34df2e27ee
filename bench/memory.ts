/**
 * What 10 million elems cost: time to create the map, memory as it fills. Each in a process of its own (memory_child.ts).
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { MemoryAnswer } from "./memory_child.js";

const CHILD = fileURLToPath(new URL("memory_child.js", import.meta.url));

/** What came out; what could not be measured is undefined. */
export interface MemoryFigures {
  readonly elems: number;
  /** Of creating the map, each on a fresh kernel. */
  readonly createMs: { readonly median: number; readonly min: number; readonly first: number } | undefined;
  /** With keys and values of 8 bytes. */
  readonly embedded: Filled | undefined;
  readonly js: Filled | undefined;
  /** The same with keys and values of 4 bytes. */
  readonly embedded4: Filled | undefined;
  readonly js4: Filled | undefined;
  /** Of the tries of bench/lpm_trie.ts. */
  readonly routes: MemoryAnswer["routes"] | undefined;
}

/** Growth of the process's resident memory, in MB (10^6 bytes). */
export interface Filled {
  readonly emptyMb: number;
  readonly halfMb: number;
  readonly fullMb: number;
  readonly seconds: number;
}

function ask<M extends keyof MemoryAnswer>(mode: M): MemoryAnswer[M] | undefined {
  const args = ["--expose-gc", "--max-old-space-size=4096", CHILD, mode];
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return status === 0 ? (JSON.parse(stdout) as MemoryAnswer[M]) : undefined;
}

/** @param quick Leaves JavaScript's Map out, which takes a while. */
export function measureMemory(quick: boolean, progress: (text: string) => void): MemoryFigures {
  progress("10 million elems: creating");
  const createMs = ask("create");
  const fill = (title: string, mode: "embedded" | "js" | "embedded4" | "js4"): Filled | undefined => {
    progress(`10 million elems: filling ${title}`);
    return ask(mode);
  };
  return {
    elems: 10_000_000,
    createMs,
    embedded: fill("a map of u64", "embedded"),
    js: quick ? undefined : fill("a JavaScript Map of bigints", "js"),
    embedded4: fill("a map of u32", "embedded4"),
    routes: ask("routes"),
    js4: quick ? undefined : fill("a JavaScript Map of integers", "js4"),
  };
}

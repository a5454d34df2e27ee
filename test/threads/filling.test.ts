/**
 * A full map: workers that race for its elems get exactly max_entries, again and again.
 */
import { EmbeddedKernel, HashMap, PerCpuHashMap, bytes, u32, u64 } from "tsbpf";
import { BPF_F_NO_PREALLOC } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";
import { crewSize, each, run } from "./crew.js";

const maps = 20;
const maxEntries = 500;

it.each(["hash", "not preallocated", "per-CPU"])("exactly max_entries elems can be inserted: %s", async (kind) => {
  using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
  const check = watchLeaks(kernel);
  const create = () =>
    kind === "per-CPU"
      ? PerCpuHashMap.create(kernel, { key: u32, value: u64, maxEntries })
      : HashMap.create(kernel, {
          key: bytes(kind === "hash" ? 4 : 12),
          value: bytes(20),
          maxEntries,
          mapFlags: kind === "hash" ? 0 : BPF_F_NO_PREALLOC,
        });
  const created = Array.from({ length: maps }, create);
  const { key, value } = created[0]!;
  const workers = await run(
    kernel,
    "fill",
    each((index) => ({
      fds: created.map((map) => map.fd),
      keySize: key.size,
      valueSize: value.size,
      maxEntries,
      index,
    })),
  );
  const sum = (what: "inserted" | "full" | "exists"): number => workers.reduce((n, worker) => n + worker[what], 0);
  // Each map is filled twice.
  expect(sum("inserted")).toBe(2 * maps * maxEntries);
  // Of four tries one succeeds: the other three find the key there (every second map) or the map full.
  expect(sum("exists")).toBe(maps * (crewSize - 1) * maxEntries);
  expect(sum("full")).toBe(maps * (crewSize - 1) * maxEntries);
  for (const map of created) map.close();
  check();
});

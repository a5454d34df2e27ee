/**
 * Names of helpers, of programs' calls into the kernel.
 */
import * as bpf from "./bpf.js";

const PREFIX = "BPF_FUNC_";

const names: ReadonlyMap<unknown, string> = new Map(
  Object.entries(bpf)
    .filter(([name]) => name.startsWith(PREFIX))
    .map(([name, id]) => [id, name.slice(PREFIX.length)]),
);

/** What follows "bpf_" in a helper's name: "map_lookup_elem" of 1; undefined of an unknown one. */
export function helperName(id: number): string | undefined {
  return names.get(id);
}

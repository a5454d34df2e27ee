/**
 * Maps of every type, and all that can be done with each, given to bpftool and to `tsbpf --bpftool` (see _beside.ts).
 *
 * A type is a row of TYPES, a form a row of QUESTIONS, MISTAKES or CHANGES: every form is tried on every type. {m} is the map, {k} a
 * key, {v} a value, {t} the type.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { besideBpftool, fill, whyNotBeside, type Beside } from "./_beside.js";
import { bpftool, pinProg, words } from "./_run.js";

const why = whyNotBeside();

interface Row {
  /** What `map create` is told. */
  readonly create: string;
  readonly key: string;
  readonly value: string;
}

const TYPES: Readonly<Record<string, Row>> = {
  hash: { create: "key 4 value 8 entries 3", key: "1 0 0 0", value: "1 2 3 4 5 6 7 8" },
  array: { create: "key 4 value 3 entries 2", key: "1 0 0 0", value: "1 2 3" },
  prog_array: { create: "key 4 value 4 entries 3", key: "1 0 0 0", value: "pinned {d}/prog" },
  perf_event_array: { create: "key 4 value 4 entries 3", key: "1 0 0 0", value: "1 0 0 0" },
  percpu_hash: { create: "key 2 value 8 entries 2", key: "1 2", value: "1 2 3 4 5 6 7 8" },
  percpu_array: {
    create: "key 4 value 20 entries 2",
    key: "1 0 0 0",
    value: "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 1 2 3 4",
  },
  stack_trace: { create: "key 4 value 8 entries 4", key: "1 0 0 0", value: "1 2 3 4 5 6 7 8" },
  cgroup_array: { create: "key 4 value 4 entries 2", key: "1 0 0 0", value: "255 255 255 255" },
  lru_hash: { create: "key 4 value 8 entries 4", key: "1 0 0 0", value: "1 2 3 4 5 6 7 8" },
  lru_percpu_hash: { create: "key 4 value 4 entries 4", key: "1 0 0 0", value: "1 2 3 4" },
  lpm_trie: { create: "key 8 value 2 entries 4 flags 1", key: "24 0 0 0 10 1 2 0", value: "7 8" },
  array_of_maps: {
    create: "key 4 value 4 entries 2 inner_map pinned {d}/inner",
    key: "1 0 0 0",
    value: "pinned {d}/inner",
  },
  hash_of_maps: {
    create: "key 4 value 4 entries 2 inner_map pinned {d}/inner",
    key: "1 0 0 0",
    value: "pinned {d}/inner",
  },
  devmap: { create: "key 4 value 4 entries 2", key: "1 0 0 0", value: "1 0 0 0" },
  devmap_hash: { create: "key 4 value 8 entries 2", key: "9 0 0 0", value: "1 0 0 0 0 0 0 0" },
  cpumap: { create: "key 4 value 4 entries 2", key: "1 0 0 0", value: "0 2 0 0" },
  xskmap: { create: "key 4 value 4 entries 2", key: "1 0 0 0", value: "255 255 255 255" },
  sockmap: { create: "key 4 value 8 entries 2", key: "1 0 0 0", value: "1 2 3 4 5 6 7 8" },
  sockhash: { create: "key 4 value 4 entries 2", key: "1 0 0 0", value: "255 255 255 255" },
  cgroup_storage: {
    create: "key 16 value 8 entries 0",
    key: "1 2 3 4 5 6 7 8 0 0 0 0 0 0 0 0",
    value: "1 2 3 4 5 6 7 8",
  },
  reuseport_sockarray: { create: "key 4 value 8 entries 2", key: "1 0 0 0", value: "255 255 255 255 0 0 0 0" },
  percpu_cgroup_storage: { create: "key 8 value 8 entries 0", key: "1 2 3 4 5 6 7 8", value: "1 2 3 4 5 6 7 8" },
  queue: { create: "key 0 value 4 entries 3", key: "", value: "1 2 3 4" },
  stack: { create: "key 0 value 12 entries 3", key: "", value: "1 2 3 4 5 6 7 8 9 10 11 12" },
  bloom_filter: { create: "key 0 value 4 entries 3", key: "", value: "1 2 3 4" },
  ringbuf: { create: "key 0 value 0 entries 4096", key: "", value: "" },
  user_ringbuf: { create: "key 0 value 0 entries 4096", key: "", value: "" },
};

/** What is put into each tool's map before the second round of questions, if the type takes it. */
const PUT = "map update {m} key {k} value {v}";

/** Each tool does these to its own map, three times (text, -j, -p). */
const CHANGES = [
  "map update {m} key {k} value {v}",
  "map update {m} value {v} key {k} any",
  "map update {m} key {k} value {v} noexist",
  "map update {m} key {k} value {v} exist",
  "map update {m} value {v}",
  "map push {m} value {v}",
  "map enqueue {m} value {v} exist",
  "map push {m} key {k} value {v}",
  "map pop {m}",
  "map dequeue {m}",
  "map pop {m} more",
  "map pop {m}",
  "map delete {m} key {k}",
  "map delete {m}",
  "map pin {m} {d}/{t}_again",
  "map freeze {m}",
  "map update {m} key {k} value {v}",
  "map push {m} value {v}",
  "map pop {m}",
];

/** Both tools ask bpftool's map these, once before anything was put into it and once after. */
const QUESTIONS = [
  "map show {m}",
  "-f map show {m}",
  "map dump {m}",
  "map lookup {m} key {k}",
  "map lookup {m}",
  "map peek {m}",
  "map peek {m} key {k}",
  "map getnext {m}",
  "map getnext {m} key {k}",
];

/** Wrong ones, asked once. */
const MISTAKES = [
  "map lookup {m} key {k} value {v}",
  "map update {m} key {k} value",
  "map update {m} key {k} value {v} 1 2 3",
  "map update {m} key {k} value {v} nosuch",
  "map update {m} key {k}",
  "map push {m}",
  "map push {m} value {v} key",
  "map event_pipe {m} cpu",
  "map event_pipe {m} cpu 0",
  "map event_pipe {m} index 0",
  "map event_pipe {m} cpu x",
  "map event_pipe {m} cpu 0 index",
  "map event_pipe {m} cpu 0 index x",
  "map event_pipe {m} cpu 0 index 9",
  "map event_pipe {m} cpu 900 index 0",
  "map event_pipe {m} more",
  "btf dump {m}",
  "btf dump map {m}",
];

describe.skipIf(why !== undefined)("tsbpf --bpftool beside bpftool 7.1, on maps of every type", () => {
  let sides: Beside;
  beforeAll(() => {
    sides = besideBpftool();
    // What maps of maps and arrays of programs hold.
    for (const side of [sides.ours, sides.theirs]) {
      const inner = "map create {d}/inner type hash key 4 value 4 entries 2 name inner";
      expect(bpftool(words(fill(inner, side)))).toMatchObject({ status: 0 });
      pinProg(fill("{d}/prog", side));
    }
  });
  afterAll(() => sides?.unmount());

  it.each(Object.entries(TYPES))("%s", async (type, { create, key, value }) => {
    const form = (row: string): string =>
      row.replace("{m}", `pinned {d}/${type}`).replace("{k}", key).replace("{v}", value).replace("{t}", type);
    await sides.bothOnTheirOwn(`map create {d}/${type} type ${type} ${create} name {n}`);
    for (const question of QUESTIONS) await sides.bothOnTheSame(form(question));
    for (const side of [sides.ours, sides.theirs]) bpftool(words(fill(form(PUT), side)));
    for (const question of QUESTIONS) await sides.bothOnTheSame(form(question));
    for (const mistake of MISTAKES) await sides.bothOnTheSame(form(mistake));
    for (const change of CHANGES) await sides.bothOnTheirOwn(form(change));
  });

  it("every type that bpftool knows", () => {
    const help = bpftool(["map", "help"]).stderr;
    const known = /TYPE := \{(.*?)\}/s.exec(help)?.[1]?.match(/\w+/g) ?? [];
    // Those take BTF, or a program's struct of operations.
    const withBtf = ["sk_storage", "struct_ops", "inode_storage", "task_storage"];
    expect(known.filter((type) => !(type in TYPES)).sort()).toEqual(withBtf.sort());
  });
});

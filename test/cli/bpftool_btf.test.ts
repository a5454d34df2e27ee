/**
 * Maps with BTF, and BTF itself, given to bpftool and to `tsbpf --bpftool` (see _beside.ts): maps of an object that clang
 * compiled, and one of types that clang does not tell of.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { BtfBuilder } from "../../src/btf/builder.js";
import { btfLoad } from "../../src/btf/load.js";
import type { BtfId } from "../../src/btf/types.js";
import { LinuxKernel } from "../../src/kernels/linux/index.js";
import { fillAttr, objPin } from "../../src/kernels/syscalls.js";
import { BPF_MAP_CREATE, BPF_MAP_TYPE_HASH } from "../../src/uapi/bpf.js";
import { bpfAttr } from "../../src/uapi/layouts.js";
import { BPF_ATTR_SIZE } from "../../src/uapi/offsets.js";
import { besideBpftool, whyNotBeside, type Beside } from "./_beside.js";
import { words } from "./_run.js";

const why = whyNotBeside() ?? whyNoClang();
const bytes = (count: number, byte: (i: number) => number): string =>
  Array.from({ length: count }, (_, i) => byte(i)).join(" ");

function whyNoClang(): string | undefined {
  if (spawnSync("clang", ["--version"]).status === 0) return undefined;
  if (process.env.CI)
    throw new Error("Maps of a compiled object must be compared with bpftool in CI: clang is missing");
  console.warn("Maps of a compiled object are not compared with bpftool: clang is missing");
  return "clang is missing";
}

/** Pins a hash of u32 to a type that `make` adds. */
function pinMap(path: string, valueSize: number, make: (btf: BtfBuilder, int: BtfId) => BtfId): void {
  using kernel = LinuxKernel.open();
  const builder = new BtfBuilder();
  const int = builder.int("unsigned int", 4);
  const value = make(builder, int);
  const btfFd = btfLoad(kernel, builder.bytes());
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, bpfAttr.mapCreate, {
    map_type: BPF_MAP_TYPE_HASH,
    key_size: 4,
    value_size: valueSize,
    max_entries: 4,
    btf_fd: btfFd,
    btf_key_type_id: int,
    btf_value_type_id: value,
    map_name: new TextEncoder().encode("raw"),
  });
  const fd = kernel.bpf(BPF_MAP_CREATE, attr);
  const pinned = fd < 0 ? fd : objPin(kernel, fd, path);
  kernel.close(btfFd);
  if (fd >= 0) kernel.close(fd);
  if (pinned < 0) throw new Error(`Cannot pin a map at ${path}: ${pinned}`);
}

describe.skipIf(why !== undefined)("tsbpf --bpftool beside bpftool 7.1, with BTF", () => {
  let sides: Beside;
  const object = fileURLToPath(new URL("../../build/elems.bpf.o", import.meta.url));

  beforeAll(() => {
    sides = besideBpftool();
    const source = fileURLToPath(new URL("elems.bpf.c", import.meta.url));
    const compiled = spawnSync("clang", ["-g", "-O2", "-target", "bpf", "-c", source, "-o", object], {
      encoding: "utf8",
    });
    if (compiled.status !== 0) throw new Error(compiled.stderr);
    mkdirSync(join(sides.theirs.d, "elems"));
    sides.setUp(`prog load ${object} {d}/program pinmaps {d}/elems`);
    // One of our own maps' names stands for a map with BTF and one without.
    sides.setUp("map create {d}/same type hash key 4 value 4 entries 2 name array");
    sides.setUp("map update pinned {d}/same key 1 0 0 0 value 5 0 0 0");
    pinMap(join(sides.theirs.d, "raw"), 56, (btf, int) => {
      const char = btf.int("letter", 1, "CHAR");
      const color = btf.enum("color", { NONE: 0, LOW: -5, HIGH: 7 });
      const size = btf.enum64("size", { SMALL: 1n, LARGE: 0x1234_5678_9abc_def0n });
      const below = btf.enum64("below", { FAR: -(1n << 40n), NEAR: -1n });
      const old = btf.add({ kind: "INT", name: "old", size: 4, encoding: "none", bitsOffset: 0, nrBits: 5 });
      const bool = btf.int("_Bool", 1, "BOOL");
      const tagged = btf.add({ kind: "TYPE_TAG", name: "tag", type: int, kindFlag: false });
      const member = (name: string, type: BtfId, off: number): { name: string; type: BtfId; bitsOffset: number } => ({
        name,
        type,
        bitsOffset: off * 8,
      });
      return btf.struct("raw", 56, [
        member("c", char, 0),
        member("chars", btf.array(char, 3, int), 1),
        member("color", color, 4),
        member("size", size, 8),
        member("below", below, 16),
        member("old", old, 24),
        { name: "old_off", type: old, bitsOffset: 28 * 8 + 3 },
        member("tagged", btf.ptr(tagged), 32),
        member("bools", btf.array(bool, 4, int), 40),
        member("none", btf.array(int, 0, int), 44),
        member("grid", btf.array(btf.array(btf.int("short", 2, "SIGNED"), 2, int), 3, int), 44),
      ]);
    });
    pinMap(join(sides.theirs.d, "float"), 16, (btf, int) =>
      btf.struct("reading", 16, [
        { name: "count", type: int, bitsOffset: 0 },
        { name: "celsius", type: btf.float("float", 4), bitsOffset: 32 },
        { name: "after", type: int, bitsOffset: 64 },
      ]),
    );
    const btf = Btf.fromObject(readFileSync(object));
    const size = btf.sizeOf(btf.find("value", "STRUCT")!);
    for (const [map, key, value] of [
      ["elems/hash", "1 2 3 4 5 6 7 65", bytes(size, (i) => i)],
      ["elems/hash", "0 0 0 0 0 0 0 34", bytes(size, () => 0)],
      ["elems/hash", "0 0 0 0 0 0 0 10", bytes(size, () => 255)],
      ["elems/hash", "9 9 9 9 9 9 9 127", bytes(size, (i) => [65, 66, 0, 92, 34, 126, 127, 128][i % 8]!)],
      ["elems/array", "1 0 0 0", "253 255 255 255"],
      ["elems/array", "2 0 0 0", "250 255 255 255"],
      ["elems/percpu_hash", "1 0 0 0 255 255 255 255", "1 2 3 4 5 6 7 8"],
      ["elems/percpu_array", "1 0 0 0", "1 2 3 4 255 255 255 255"],
      ["elems/wide", "1 0 0 0 0 0 0 0", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"],
      ["elems/wide", "2 0 0 0 0 0 0 0", "1 2 3 4 5 6 7 8 0 0 0 0 0 0 0 0"],
      ["raw", "1 0 0 0", bytes(56, () => 0)],
      ["raw", "2 0 0 0", bytes(56, () => 255)],
      ["raw", "3 0 0 0", `65 34 92 7 251 255 255 255 240 222 188 154 120 86 52 18 ${bytes(40, (i) => i)}`],
      ["float", "1 0 0 0", "1 0 0 0 0 0 192 63 2 0 0 0 0 0 0 0"],
    ] as const) {
      sides.setUp(`-- map update pinned {d}/${map} key ${key} value ${value}`);
    }
  });
  afterAll(() => sides?.unmount());

  it.each(["hash", "array", "percpu_hash", "percpu_array", "wide", "elems_data", "elems_bss", "elems_rodata"])(
    "the map %s of an object",
    async (name) => {
      const map = `pinned {d}/elems/${name}`;
      for (const form of [
        `map show ${map}`,
        `map dump ${map}`,
        `map getnext ${map}`,
        `map lookup ${map} key 1 0 0 0`,
        `map lookup ${map} key 0 0 0 0`,
        `map lookup ${map} key 1 0 0 0 0 0 0 0`,
        `map lookup ${map} key 1 2 3 4 5 6 7 65`,
        `map lookup ${map} key 1 0 0 0 255 255 255 255`,
        `map peek ${map} key 0 0 0 0`,
        `map pop ${map}`,
        `btf dump map ${map}`,
        `btf dump map ${map} key`,
        `btf dump map ${map} value`,
        `btf dump map ${map} kv`,
        `btf dump map ${map} all`,
        `btf dump map ${map} format raw`,
        `btf dump map ${map} key format raw`,
        `btf dump map ${map} format c`,
        `btf dump map ${map} key format c`,
        `btf dump map ${map} key value`,
        `btf dump map ${map} foo`,
      ]) {
        await sides.bothOnTheSame(form);
      }
    },
  );

  it.each(["raw", "float"])("types that clang does not tell of: %s", async (name) => {
    for (const key of ["1 0 0 0", "2 0 0 0", "3 0 0 0"])
      await sides.bothOnTheSame(`map lookup pinned {d}/${name} key ${key}`);
    await sides.bothOnTheSame(`map dump pinned {d}/${name}`);
    await sides.bothOnTheSame(`btf dump map pinned {d}/${name} all`);
    await sides.bothOnTheSame(`btf dump map pinned {d}/${name} all format c`);
  });

  it.each([
    "map show name hash",
    "map show name array",
    "map dump name hash",
    "map dump name array",
    "map dump name elems.data",
    "map lookup name hash key 1 0 0 0",
    "btf dump map name hash",
    "btf dump map pinned {d}/same",
    "btf dump map pinned {d}/program",
    "btf dump map",
    "btf dump map pinned",
    "btf dump map foo 1",
    "btf dump prog pinned {d}/program",
    "btf dump prog pinned {d}/program format raw",
    "btf dump prog pinned {d}/raw",
    "btf dump prog id 0",
    "btf dump prog id x",
    "btf dump prog name nosuch",
    "btf dump prog name program_with_a_long_name",
    "btf dump prog name program_with_a_",
    "btf dump prog name program_with_a_long_name_that_is_another",
    `btf dump prog name ${"x".repeat(128)}`,
    "btf dump prog tag 00",
    "btf dump prog tag 0000000000000000",
    "btf dump prog foo 1",
    "btf dump prog",
    "btf dump id 4000000000",
    "btf dump id x",
    "btf dump id",
    "btf dump",
    "btf dump foo",
    "btf dump foo bar",
    "btf dump file {o}",
    "btf dump file {o} format raw format raw",
    "btf dump file {o} format c",
    "btf dump file {o} format c format raw",
    "btf dump prog pinned {d}/program format c",
    "btf dump file {o} form",
    "btf dump file {o} format x",
    "btf dump file {o} foo",
    "btf dump file {o} foo bar",
    "btf dump file {s}",
    "btf dump file /nosuch",
    "btf dump file /dev/null",
    "btf dump file /usr",
    "btf dump file /bin/ls",
    "-B /bin/ls version",
    "-B /dev/null version",
    "btf d f /nosuch f raw",
    "btf show id 1",
    "btf list id 1",
    "btf show id 4000000000",
    "btf show id x",
    "btf show id",
    "btf show foo",
    "btf show foo 1",
    "btf show id 1 2",
    "btf help",
    "btf foo",
    "-B /nosuch version",
    "-B/nosuch version",
    "-B {s} version",
    "-B {o} version",
    "-B",
    "-jB",
    "--base-btf",
    "--base-btf=/nosuch version",
    "--base {o} version",
    "-x -B /nosuch",
    "-B /nosuch -x",
    "-V -B /nosuch",
  ])("%s", async (form) => {
    const text = form.replace("{o}", object).replace("{s}", fileURLToPath(import.meta.url));
    await sides.bothOnTheSame(text);
  });

  it.each(["btf", "btf show", "btf list"])("%s, of all BTF there is", async (form) => {
    await sides.bothList(form);
  });

  it.each([
    "btf dump file /sys/kernel/btf/vmlinux",
    "-j btf dump id 1",
    "btf dump file /sys/kernel/btf/vmlinux format c",
  ])("the kernel's own: %s", async (form) => {
    const [ours, theirs] = await Promise.all([sides.ours.run(words(form), ""), sides.theirs.run(words(form), "")]);
    const lines = theirs.stdout.split("\n");
    // Five megabytes are no message.
    expect(ours.stdout.split("\n").find((line, i) => line !== lines[i])).toBeUndefined();
    expect(ours.stdout === theirs.stdout).toBe(true);
    expect([ours.status, ours.stderr]).toEqual([theirs.status, theirs.stderr]);
  });
});

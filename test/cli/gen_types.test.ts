/**
 * `tsbpf gen types`: what it writes compiles as strictly as this repository does, and the types that it tells are those of the values.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tsbpf } from "./_run.js";

const why = spawnSync("clang", ["--version"]).status === 0 ? undefined : "clang is missing";
const root = fileURLToPath(new URL("../..", import.meta.url));

/** Uses what was generated; every line marked so must not compile. */
const USE = `
import { readFileSync } from "node:fs";
import { EmbeddedKernel } from "tsbpf";
import { Color, Elems, type Value } from "./elems.js";
import { Shapes } from "./shapes.js";
import { Progs } from "./progs.js";

const kernel = await EmbeddedKernel.create();
const elems = Elems.open(readFileSync(new URL("../elems.o", import.meta.url)));
elems.variables.limit.set(9);
elems.variables.origin.set({ x: 3, y: -4 });
// @ts-expect-error it is a number
const noNumber = (): void => elems.variables.limit.set("9");
elems.load(kernel, { programs: [] });
elems.maps.array.set(1, Color.GREEN);
elems.maps.percpu_array.set(0, Array.from({ length: kernel.possibleCpus }, () => ({ x: 1, y: 2 })));
// @ts-expect-error it has no z
const noPoint = (): void => elems.maps.percpu_array.set(0, [{ x: 1, z: 2 }]);
const key = { saddr: 1, port: 2, proto: 3, c: 4 };
const value: Value = {
  u: 1, i: -1, ul: 2n, sl: -2n, name: "name", letters: "abc", raw: new Uint8Array(3), b: true, color: Color.RED,
  wide: 1n, below: 3, bits3: 5, bits5: -5, bits33: 6n, bit: true, color_bits: 5, anon_72: new Uint8Array(4),
  in_anonymous: 7, named: new Uint8Array(8), pointer: 8n, function: 9n, points: [{ x: 1, y: 2 }, { x: 3, y: 4 }],
  constant: 10, matrix: [[1, 2], [3, 4]], text: "t", s: -1, us: 1, sc: -1,
};
elems.maps.hash.set(key, value);
const back: Value | undefined = elems.maps.hash.get(key);
const differing = Object.keys(value).filter((name) => {
  const [a, b] = [value[name as keyof Value], back?.[name as keyof Value]];
  return typeof a !== typeof b || String(a) !== String(b);
});

const shapes = Shapes.open(readFileSync(new URL("../shapes.o", import.meta.url))).load(kernel, { programs: [] });
shapes.maps.prefixes.set({ prefixlen: 8, address: [10, 0, 0, 0] }, { value: 1, value2: { x: 2 } });
shapes.maps.pushed.push({ x: 5 });
const inner = shapes.maps.outer.get(1);
const seen: number | undefined = inner?.get(0);
inner?.close();

const progs = Progs.open(readFileSync(new URL("../progs.o", import.meta.url))).load(kernel);
const { retval } = progs.programs.count.run({ data: new Uint8Array(64) });
console.log(JSON.stringify({
  limit: elems.variables.limit.get(),
  origin: elems.variables.origin.get(),
  array: elems.maps.array.get(1),
  point: elems.maps.percpu_array.get(0)?.[0],
  differing,
  popped: shapes.maps.pushed.pop(),
  found: shapes.maps.prefixes.get({ prefixlen: 32, address: [10, 1, 2, 3] }),
  seen,
  retval,
  flow: progs.maps.counts.get({ src: 1, port: 2, pad: 0 }) === 1n,
  unused: [typeof noNumber, typeof noPoint],
}));
for (const object of [elems, shapes, progs]) object.close();
console.log(kernel.usage().maps);
kernel[Symbol.dispose]();
`;

/** Types of other kinds: typedefs of structs without names, names that are taken, maps of maps, maps without keys. */
const SHAPES = `
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
typedef unsigned int u32;
typedef struct { u32 x; } point_t;
struct hash_map { u32 value; point_t value2; };
struct prefix { u32 prefixlen; u32 address[4]; };
struct inner { __uint(type, 2); __uint(max_entries, 1); __type(key, u32); __type(value, u32); } one SEC(".maps");
struct { __uint(type, 12); __uint(max_entries, 2); __type(key, u32); __uint(value_size, 4);
  typeof(struct inner) *values[]; } outer SEC(".maps") = { .values = { [1] = &one } };
struct { __uint(type, 11); __uint(max_entries, 4); __uint(map_flags, 1); __type(key, struct prefix); __type(value, struct hash_map); } prefixes SEC(".maps");
struct { __uint(type, 22); __uint(max_entries, 4); __type(value, point_t); } pushed SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 4096); } ring SEC(".maps");
struct { __uint(type, 3); __uint(max_entries, 2); __uint(key_size, 4); __uint(value_size, 4); } jumps SEC(".maps");
struct { __uint(type, 1); __uint(max_entries, 2); __uint(key_size, 6); __uint(value_size, 7); } raw SEC(".maps");
SEC("socket") int nothing(void *ctx) { return 0; }
char _license[] SEC("license") = "GPL";
`;

describe.skipIf(why !== undefined)(`tsbpf gen types${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  const folder = join(root, "build", `gen_types.${process.pid}`);
  const compile = (name: string, source: string): void => {
    const flags = ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", source, "-o", join(folder, `${name}.o`)];
    execFileSync("clang", flags);
  };
  beforeAll(() => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "shapes.c"), SHAPES);
    compile("shapes", join(folder, "shapes.c"));
    compile("elems", join(root, "test/cli/elems.bpf.c"));
    compile("progs", join(root, "test/cli/progs.bpf.c"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("compiles, and works", async () => {
    for (const name of ["elems", "shapes", "progs"]) {
      const { stdout, stderr, status } = await tsbpf(["gen", "types", join(folder, `${name}.o`)]);
      expect([stderr, status]).toEqual(["", 0]);
      writeFileSync(join(folder, `${name}.ts`), stdout);
    }
    writeFileSync(join(folder, "use.ts"), USE);
    const config = {
      extends: "../../tsconfig.base.json",
      compilerOptions: { rootDir: ".", outDir: "out" },
      include: ["*.ts"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const { stdout } = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", folder], { encoding: "utf8" });
    expect(stdout).toBe("");
    const printed = execFileSync(process.execPath, [join(folder, "out", "use.js")], { encoding: "utf8" }).split("\n");
    expect(JSON.parse(printed[0]!)).toEqual({
      limit: 9,
      origin: { x: 3, y: -4 },
      array: 5,
      point: { x: 1, y: 2 },
      differing: [],
      popped: { x: 5 },
      found: { value: 1, value2: { x: 2 } },
      seen: 0,
      retval: 2,
      flow: true,
      unused: ["function", "function"],
    });
    expect(printed[1]).toBe("0");
  });

  it("names the class as told, and refuses what is no name", async () => {
    const object = join(folder, "progs.o");
    expect((await tsbpf(["gen", "types", object, "name", "my_packets"])).stdout).toContain("export class MyPackets {");
    expect((await tsbpf(["-j", "gen", "types", object])).stdout).toMatch(/^"\/\*\*\\n \* Types and maps/);
    for (const [words, wanted] of [
      [["gen", "types"], "'types' needs at least 1 arguments, 0 found"],
      [["gen", "types", object, "name", "7"], "'7' makes no name of a class: say name NAME"],
      [["gen", "types", object, "more"], "what is 'more'?"],
      [["gen", "types", "/nosuch"], "failed to open object file: ENOENT"],
      [["gen", "nothing"], "Usage: tsbpf gen types OBJ"],
    ] as const) {
      const { stderr, status } = await tsbpf(words);
      expect(stderr).toContain(wanted);
      expect(status).toBe(255);
    }
  });
});

/**
 * Programs that do what they must not: compiled as interpreted they end in the same fault, and what is not theirs stays as it was.
 */
import { ArrayMap, EmbeddedKernel, HashMap, bytes, u32 } from "tsbpf";
import { Program, ProgramFaultError } from "tsbpf/program";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jit } from "../../dist/kernels/embedded/compiled_programs.js";
import { assemble } from "../../src/insn/asm.js";

const BPF_PROG_TYPE_XDP = 6;
const VALUE_BYTES = 16;

let kernel: EmbeddedKernel;
let array: ArrayMap<Uint8Array>;
let single: ArrayMap<Uint8Array>;
let hash: HashMap<number, Uint8Array>;
let other: ArrayMap<Uint8Array>;

beforeAll(async () => {
  kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 26 });
  kernel.setProgramBudget(2 ** 22);
  array = ArrayMap.create(kernel, { value: bytes(VALUE_BYTES), maxEntries: 4 });
  single = ArrayMap.create(kernel, { value: bytes(VALUE_BYTES), maxEntries: 1 });
  hash = HashMap.create(kernel, { key: u32, value: bytes(VALUE_BYTES), maxEntries: 8 });
  other = ArrayMap.create(kernel, { value: bytes(VALUE_BYTES), maxEntries: 4 });
  for (let i = 0; i < 4; i++) other.set(i, new Uint8Array(VALUE_BYTES).fill(0xaa));
});
afterAll(() => {
  for (const map of [array, single, hash, other]) map.close();
  kernel[Symbol.dispose]();
});

const reset = (): void => {
  for (let i = 0; i < 4; i++) array.set(i, new Uint8Array(VALUE_BYTES).fill(i));
  for (const key of hash.keys()) hash.delete(key);
  hash.set(7, new Uint8Array(VALUE_BYTES).fill(7));
};
const contents = (): string =>
  JSON.stringify(
    [array, single, hash, other].map((map) => [...map.entries()].map(([key, value]) => [key, [...value]])),
  );

/** What comes of a program: what it returns, or its fault; and what the maps hold then. */
function outcomeOf(program: Program, isInterpreted: boolean): { end: string; maps: string } {
  reset();
  single.set(0, new Uint8Array(VALUE_BYTES).fill(3));
  jit.isOff = isInterpreted;
  try {
    const { retval, data } = program.run({ data: new Uint8Array(64).map((_, i) => i) });
    return { end: `returns ${retval} ${data.join()}`, maps: contents() };
  } catch (error) {
    if (!(error instanceof ProgramFaultError)) throw error;
    return { end: error.message, maps: contents() };
  } finally {
    jit.isOff = false;
  }
}

/** In texts, "array" and "hash" are the maps. r6 is the context at the beginning. */
function run(text: string): string {
  const whole = `r6 = r1\n${text}`
    .replaceAll("array", `fd:${array.fd}`)
    .replaceAll("single", `fd:${single.fd}`)
    .replaceAll("hash", `fd:${hash.fd}`);
  using program = Program.load(kernel, {
    name: "hostile",
    type: BPF_PROG_TYPE_XDP,
    license: "GPL",
    insns: assemble(whole),
  });
  const compiled = outcomeOf(program, false);
  expect(compiled).toEqual(outcomeOf(program, true));
  for (let i = 0; i < 4; i++) expect([...other.get(i)!]).toEqual(Array.from({ length: VALUE_BYTES }, () => 0xaa));
  return compiled.end;
}

const at = (off: number): string => `${off < 0 ? "-" : "+"} ${Math.abs(off)}`;
const SIZES = [1, 2, 4, 8];
/** Calls `body` back so many times, with r3 as its context in r2; then does something more. */
const loops = (times: string, body: string, ctx = "r3 = 0", then = ""): string =>
  `r5 = subprog[other]\nr1 = ${times}\nr2 = subprog[body]\n${ctx}\nr4 = 0\ncall 181\n${then}\nr0 = 0\nexit\nother: r0 = 0\nexit\nbody: ${body}`;
/** The same for each elem of a map, with key and value in r2 and r3. */
const each = (map: string, body: string): string =>
  `r1 = map[${map}]\nr2 = subprog[body]\nr3 = r10\nr4 = 0\ncall 164\nr0 = 0\nexit\nbody: ${body}`;
/** Pointers of all kinds, in r2, and the bytes that may be accessed from there. */
const POINTERS: readonly (readonly [what: string, text: string, low: number, high: number])[] = [
  ["the frame", "r2 = r10", -4096, 0],
  ["the frame, unknown to be", "r2 = r10\nr2 *= 1", -4096, 0],
  ["an array's value", "r2 = map[single][0]+0", 0, VALUE_BYTES],
  ["an array's value, unknown to be", "r2 = map[single][0]+0\nr2 ^= 0", 0, VALUE_BYTES],
  ["a value looked up", "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[single]\ncall 1\nr2 = r0", 0, VALUE_BYTES],
  [
    "a value looked up in a hash",
    "*(u32 *)(r10 - 4) = 7\nr2 = r10\nr2 += -4\nr1 = map[hash]\ncall 1\nr2 = r0",
    0,
    VALUE_BYTES,
  ],
  ["a value spilled", "r1 = map[single][0]+0\n*(u64 *)(r10 - 64) = r1\nr2 = *(u64 *)(r10 - 64)", 0, VALUE_BYTES],
  ["the packet", "r2 = *(u32 *)(r6 + 0)", 0, 64],
  ["the packet, behind an index", "r2 = *(u32 *)(r6 + 0)\nr3 = *(u8 *)(r2 + 16)\nr2 += r3\nr2 -= 16", 0, 64],
];

describe("accesses at the edges", () => {
  it.each(POINTERS)("%s", (_, text, low, high) => {
    for (const size of SIZES) {
      for (const [off, isAllowed] of [
        [low, true],
        [low - 1, false],
        [high - size, true],
        [high - size + 1, false],
        [high, false],
        [32767, false],
        [-32768, false],
      ] as const) {
        const ends = [
          run(`${text}\n${size === 8 ? "r0" : "w0"} = *(u${8 * size} *)(r2 ${at(off)})\nexit`),
          run(`${text}\nr0 = 3\n*(u${8 * size} *)(r2 ${at(off)}) = 5\nexit`),
          run(`${text}\nr3 = ${off}\nr2 += r3\nr0 = 3\n*(u${8 * size} *)(r2 + 0) = 5\nexit`),
        ];
        // Of a hash, other values lie next to it.
        if (text.includes("hash")) continue;
        for (const end of ends) expect(end.startsWith("returns")).toBe(isAllowed);
      }
    }
  });

  it.each([
    ["the context is not written", "*(u32 *)(r6 + 0) = 1"],
    ["behind the context", "r1 = *(u32 *)(r6 + 24)"],
    ["a map's head", "r1 = map[array]\nr1 = *(u64 *)(r1 + 0)"],
    ["a map's head is not written", "r1 = map[array]\n*(u64 *)(r1 + 0) = 1"],
    ["null", "r1 = 0\nr1 = *(u8 *)(r1 + 0)"],
    ["what was not found", "*(u32 *)(r10 - 4) = 9\nr2 = r10\nr2 += -4\nr1 = map[array]\ncall 1\nr1 = *(u8 *)(r0 + 3)"],
    [
      "what was not found in a hash",
      "*(u32 *)(r10 - 4) = 9\nr2 = r10\nr2 += -4\nr1 = map[hash]\ncall 1\n*(u8 *)(r0 + 3) = 1",
    ],
    ["upper bits", "r1 = map[single][0]+0\nr2 = 1\nr2 <<= 32\nr1 += r2\nr1 = *(u8 *)(r1 + 0)"],
    ["upper bits of a packet's", "r1 = *(u32 *)(r6 + 0)\nr2 = 1\nr2 <<= 32\nr1 += r2\nr1 = *(u8 *)(r1 + 0)"],
    [
      "a spilled pointer that was changed",
      "r1 = map[single][0]+0\n*(u64 *)(r10 - 8) = r1\n*(u8 *)(r10 - 7) = 99\nr1 = *(u64 *)(r10 - 8)\n*(u8 *)(r1 + 0) = 1",
    ],
    [
      "a spilled pointer that was changed through another",
      "r1 = map[single][0]+0\n*(u64 *)(r10 - 8) = r1\nr2 = r10\nr2 *= 1\n*(u64 *)(r2 - 8) = 77\nr1 = *(u64 *)(r10 - 8)\n*(u8 *)(r1 + 0) = 1",
    ],
    [
      "a spilled pointer that a callee has changed",
      "r1 = map[single][0]+0\n*(u64 *)(r10 - 8) = r1\nr1 = r10\ncall pc_bad\nr1 = *(u64 *)(r10 - 8)\n*(u8 *)(r1 + 0) = 1\nr0 = 0\nexit\n_bad:\n*(u64 *)(r1 - 8) = 77\nr0 = 0",
    ],
    [
      "a spilled pointer that a callee has changed, unasked",
      "r1 = map[single][0]+0\n*(u64 *)(r10 - 8) = r1\ncall pc_bad\nr1 = *(u64 *)(r10 - 8)\n*(u8 *)(r1 + 0) = 1\nr0 = 0\nexit\n_bad:\nr1 = r10\nr1 += 512\n*(u64 *)(r1 - 8) = 77\nr0 = 0",
    ],
    [
      "a lookup's result of the round before",
      "r7 = 0\nr8 = 0\n*(u32 *)(r10 - 4) = 9\nagain:\nr2 = r10\nr2 += -4\nr1 = map[array]\ncall 1\nif r8 == 1 goto second\nr7 = r0\n*(u32 *)(r10 - 4) = 1\nr8 = 1\ngoto again\nsecond:\nif r0 == 0 goto out\n*(u8 *)(r7 + 0) = 1\nout: r0 = 0",
    ],
    [
      "a null that was added to",
      "*(u32 *)(r10 - 4) = 9\nr2 = r10\nr2 += -4\nr1 = map[array]\ncall 1\nr0 += 8\nif r0 != 0 goto +0\nr1 = *(u8 *)(r0 + 0)",
    ],
    ["a wild key", "r1 = map[array]\nr2 = 5\ncall 1"],
    ["a wild map", "r1 = 4096\nr2 = r10\nr2 += -8\ncall 1"],
    ["a key that ends behind the frame", "r1 = map[array]\nr2 = r10\nr2 += -3\ncall 1\nr2 = r10\nr2 = *(u8 *)(r2 + 0)"],
    ["main through a pointer", "r1 = 1\nr2 = map[array]\ncallx r1"],
    ["a callback that is main", "r1 = 3\nr2 = 1\nr3 = map[array]\nr4 = 0\ncall 181"],
    ["a callback that is main, known to be", "r1 = 3\nr2 = subprog[-3]\nr3 = map[array]\nr4 = 0\ncall 181"],
    ["a callback that is no function", "r1 = 3\nr2 = 77\nr3 = 0\nr4 = 0\ncall 181"],
    ["a callback that loops for ever", loops("8000000", "\nagain: if r1 < 9000000 goto again")],
    ["loops that are too many in all", loops("8000000", "r1 = 8000000\nr2 = subprog[other]\nr4 = 0\ncall 181")],
    ["callbacks that call back without end", loops("2", "r1 = 2\nr2 = subprog[body]\nr4 = 0\ncall 181")],
    ["a callback that reads behind the frame", loops("2", "r1 = *(u64 *)(r2 - 7)", "r3 = r10")],
    ["a callback that writes behind the frame", loops("2", "*(u64 *)(r2 - 7) = 1", "r3 = r10")],
    ["a callback that reads below the frames", loops("2", "r1 = *(u64 *)(r2 - 4104)", "r3 = r10")],
    ["a callback that reads behind a value", loops("2", "r1 = *(u64 *)(r2 + 9)", "r3 = map[single][0]+0")],
    ["a callback that reads what it was not given", loops("2", "r1 = *(u64 *)(r1 + 0)", "r3 = 0")],
    ["a callback that reads behind a key", each("array", "r1 = *(u64 *)(r2 + 8)")],
    ["a callback that reads before a key", each("array", "r1 = *(u64 *)(r2 - 8)")],
    ["a callback that writes before a value", each("single", "*(u64 *)(r3 - 8) = 1")],
    ["a callback that writes behind a value", each("single", "*(u64 *)(r3 + 9) = 1")],
    ["a callback that has a map's head", each("array", "*(u64 *)(r1 + 0) = 1")],
    [
      "a callback of what is no map",
      "r1 = 4096\nr2 = subprog[body]\nr3 = 0\nr4 = 0\ncall 164\nr0 = 0\nexit\nbody: r0 = 0",
    ],
    [
      "a spilled pointer that a callback has changed",
      `r1 = map[single][0]+0\n*(u64 *)(r10 - 8) = r1\n${loops("1", "*(u64 *)(r2 - 8) = 77", "r3 = r10", "r1 = *(u64 *)(r10 - 8)\n*(u8 *)(r1 + 0) = 1")}`,
    ],
    ["frames without end", "r1 = subprog[+4]\ncallx r1\nr0 = 0\nexit\ncallx r1"],
    ["a loop without end", "again: if r6 != 0 goto again"],
    ["an atomic operation that is not aligned", "r1 = map[single][0]+1\nr2 = 1\nlock *(u64 *)(r1 + 0) += r2"],
  ])("%s", (_, text) => {
    expect(run(`${text}\nr0 = 0\nexit`)).toMatch(/Cannot run/);
  });
});

const register = fc.integer({ min: 0, max: 9 });
const size = fc.constantFrom(...SIZES);
const offset = fc.oneof(
  fc.integer({ min: -24, max: 24 }),
  fc.constantFrom(-512, -513, -511, -520, 504, 64, 60, 4096, -32768, 32767),
);
const base = fc.constantFrom(
  "r10",
  "map[single][0]+0",
  "map[single][0]+8",
  "map[array]",
  "map[hash]",
  "0",
  "-1",
  "4294967295 ll",
  "4294967296 ll",
  "9223372036854775807 ll",
  "65536",
  "*(u64 *)(r10 - 8)",
  "*(u64 *)(r10 - 16)",
);
const data = (bytes: number, reg: number): string => `${bytes === 8 ? "r" : "w"}${reg}`;
/** A call leaves nothing in r1 to r5. */
const FRESH = [1, 2, 3, 4, 5].map((n) => `r${n} = ${n}`).join("\n");
const line = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(register, base).map(([a, from]) => `r${a} = ${from}`) },
  { weight: 2, arbitrary: fc.tuple(register, register).map(([a, b]) => `r${a} = r${b}`) },
  { weight: 2, arbitrary: fc.tuple(register, offset).map(([a, off]) => `r${a} += ${off}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(register, register, fc.constantFrom("+=", "-=", "*=", "^=", "|="))
      .map(([a, b, sign]) => `r${a} ${sign} r${b}`),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(register, fc.constantFrom(1, 7, 15, 16, 255)).map(([a, mask]) => `r${a} &= ${mask}`),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(register, fc.constantFrom("+=", "&=", "="))
      .map(([a, sign]) => `w${a} ${sign} w${(a + 3) % 10}`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(register, register, size, offset)
      .map(([a, b, n, off]) => `${data(n, a)} = *(u${8 * n} *)(r${b} ${at(off)})`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(register, register, size, offset)
      .map(([a, b, n, off]) => `*(u${8 * n} *)(r${a} ${at(off)}) = ${data(n, b)}`),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(register, fc.constantFrom(-8, -16, -9)).map(([a, off]) => `*(u64 *)(r10 ${at(off)}) = r${a}`),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(register, register, offset)
      .map(([a, b, off]) => `r${b} = atomic_fetch_add((u64 *)(r${a} ${at(off)}), r${b})`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom("array", "hash"), fc.integer({ min: 0, max: 8 }), fc.constantFrom(1, 1, 1, 2, 3))
      .map(
        ([map, key, id]) =>
          `*(u32 *)(r10 - 20) = ${key}\nr1 = map[${map}]\nr2 = r10\nr2 += -20\nr3 = r10\nr3 += -40\nr4 = 0\ncall ${id}\n${FRESH}`,
      ),
  },
  { weight: 1, arbitrary: fc.constantFrom(1, 2, 3, 8).map((id) => `call ${id}\n${FRESH}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: 5 }), fc.constantFrom("add", "stop", "see", "any"), register)
      .map(([times, body, ctx]) => `r3 = r${ctx}\nr1 = ${times}\nr2 = subprog[_${body}]\nr4 = 0\ncall 181\n${FRESH}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom("array", "hash", "single"), fc.constantFrom("add", "stop", "see", "any"), register)
      .map(([map, body, ctx]) => `r3 = r${ctx}\nr1 = map[${map}]\nr2 = subprog[_${body}]\nr4 = 0\ncall 164\n${FRESH}`),
  },
  { weight: 1, arbitrary: fc.constantFrom(`call pc_wild\n${FRESH}`, `call pc_tame\n${FRESH}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(register, fc.constantFrom("==", "!=", "<", ">", "s<"), fc.constantFrom(0, 8, 16, -1), fc.nat(99))
      .map(([a, sign, imm, to]) => `if r${a} ${sign} ${imm} goto ${to}`),
  },
);

const lines = (maxLength: number): fc.Arbitrary<string[]> => fc.array(line, { minLength: 2, maxLength });

/** A function's text; jumps lead on, by a part of what follows. */
function bodyOf(label: string, texts: readonly string[]): string {
  const body = texts.map((text, n) => {
    const to = (_: string, part: string): string =>
      `goto ${label}${n + 1 + Math.floor(((texts.length - n) * Number(part)) / 100)}`;
    return `${label}${n}: ${text.replace(/goto (\d+)$/, to)}`;
  });
  return [...body, `${label}${texts.length}: exit`].join("\n");
}

describe("random programs that nobody has verified", () => {
  it("end compiled as interpreted", { timeout: 300_000 }, () => {
    fc.assert(
      fc.property(lines(24), lines(8), (main, called) => {
        run(
          [
            ...Array.from({ length: 10 }, (_, n) => (n === 6 ? "" : `r${n} = ${n}`)),
            "if r6 == 77 goto functions",
            bodyOf("l", main),
            "functions: call pc_wild\ncall pc_tame",
            "r1 = subprog[_add]\nr1 = subprog[_stop]\nr1 = subprog[_see]\nr1 = subprog[_any]\nexit",
            "_wild: *(u64 *)(r1 - 8) = r2\nr0 = r10\nr0 += 500\n*(u32 *)(r0 + 0) = r3\nexit",
            "_tame: *(u64 *)(r10 - 8) = r2\nr0 = *(u64 *)(r10 - 8)\nexit",
            "_add: r3 = *(u64 *)(r2 - 8)\nr3 += r1\n*(u64 *)(r2 - 8) = r3\nr0 = 0\nexit",
            "_stop: r0 = r1\nr0 &= 2\nexit",
            "_see: r0 = *(u32 *)(r2 + 0)\n*(u64 *)(r3 + 8) = r0\n*(u64 *)(r4 - 16) = r0\nr0 = 0\nexit",
            ["_any: r0 = 0", ...[6, 7, 8, 9].map((n) => `r${n} = ${n}`), bodyOf("m", called)].join("\n"),
          ].join("\n"),
        );
      }),
      { numRuns: Number(process.env["HOSTILE_RUNS"] ?? 2000) },
    );
  });

  it("leave the kernel's structures clean", () => {
    expect(kernel.check()).toEqual([]);
  });
});

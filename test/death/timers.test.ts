/**
 * Deaths in the lives of timers: a thread inits, starts, cancels and fires them, or takes away what they are of, and ends at each step.
 * What it had started fires in another thread, once.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Codec, bytes, struct, timer, u32, u64 } from "../../src/codec/index.js";
import { alarms } from "../../src/kernels/embedded/alarm.js";
import { jit } from "../../src/kernels/embedded/compiled_programs.js";
import type { EmbeddedKernel } from "../../src/kernels/embedded/embedded_kernel.js";
import { ArrayMap } from "../../src/maps/array.js";
import { HashMap } from "../../src/maps/hash.js";
import { assemble } from "../../src/insn/asm.js";
import { Program } from "../../src/program/program.js";
import { BPF_PROG_TYPE_SYSCALL, EBUSY, EINVAL, EPERM } from "../../src/uapi/index.js";
import { type Scenario, type Second, exhaust, exhaustPairs, isThorough, reaping, report } from "./harness.js";

const BPF_F_SLEEPABLE = 1 << 4;
const HOUR = 3_600_000_000_000n;

beforeAll(() => {
  alarms.areOff = true;
  jit.isOff = true;
});

const INIT = 0;
const SET_CALLBACK = 1;
const START = 2;
const CANCEL = 3;

/** Of a context: what is to be done, with the timer of which key, and when it fires. */
const contextOf = (op: number, key: number, nsecs: bigint): Uint8Array =>
  new Uint8Array(new BigUint64Array([BigInt(op), BigInt(key), nsecs]).buffer);

/** Does one thing with one timer, and returns what the helper did. A timer that fires adds one to the value's first word. */
const textFor = (fd: number): string => `
    r6 = r1
    r2 = *(u64 *)(r6 + 8)
    *(u32 *)(r10 - 4) = r2
    r2 = r10
    r2 += -4
    r1 = map[fd:${fd}]
    call 1
    r7 = r0
    r0 = 1000
    if r7 == 0 goto out
    r1 = r7
    r1 += 8
    r8 = *(u64 *)(r6 + 0)
    if r8 == ${SET_CALLBACK} goto set
    if r8 == ${START} goto start
    if r8 == ${CANCEL} goto cancel
    r2 = map[fd:${fd}]
    r3 = 1
    call 169
    goto out
  set:
    r2 = subprog[ring]
    call 170
    goto out
  start:
    r2 = *(u64 *)(r6 + 16)
    r3 = 0
    call 171
    goto out
  cancel:
    call 172
  out:
    exit
  ring:
    r1 = *(u64 *)(r3 + 0)
    r1 += 1
    *(u64 *)(r3 + 0) = r1
    r0 = 0
    exit
`;

interface Value {
  rang: bigint;
  timer: 0;
  more?: Uint8Array;
}

type TimedMap = ArrayMap<Value> | HashMap<number, Value>;

interface Things {
  readonly map: TimedMap;
  /** The same map, as the victim has it. */
  readonly theirMap: TimedMap;
  readonly mine: Program;
  /** The same program, as the victim has it. */
  readonly theirs: Program;
  /** What is in each value beside number and timer. */
  readonly zero: Value;
}

type Kind = "array" | "lines" | "slots";

const KEYS = [0, 1, 2, 3] as const;

function run(program: Program, op: number, key = 0, nsecs = 0n): number {
  return program.run({ context: contextOf(op, key, nsecs) }).retval | 0;
}

function arm(program: Program, key: number, nsecs: bigint): void {
  for (const op of [INIT, SET_CALLBACK, START]) expect(run(program, op, key, nsecs)).toBe(0);
}

function make(kind: Kind, kernel: EmbeddedKernel, victim: EmbeddedKernel): Things {
  const fields = { rang: u64, timer };
  const value = kind === "slots" ? struct({ ...fields, more: bytes(60) }) : struct(fields);
  const codecs = { key: u32, value: value as Codec<Value> };
  const options = { ...codecs, maxEntries: 6, name: "timed" };
  const map = kind === "array" ? ArrayMap.create(kernel, options) : HashMap.create(kernel, options);
  const theirMap = kind === "array" ? ArrayMap.fromId(victim, map.id, codecs) : HashMap.fromId(victim, map.id, codecs);
  const zero: Value = { rang: 0n, timer: 0, ...(kind === "slots" && { more: new Uint8Array(60) }) };
  if (kind !== "array") for (const key of KEYS) map.set(key, zero);
  const program = {
    name: "timers",
    type: BPF_PROG_TYPE_SYSCALL,
    license: "GPL",
    progFlags: BPF_F_SLEEPABLE,
    insns: assemble(textFor(map.fd)),
  };
  const mine = Program.load(kernel, program);
  return { map, theirMap, mine, theirs: Program.fromId(victim, mine.id), zero };
}

function close({ map, theirMap, mine, theirs }: Things, kernel: EmbeddedKernel): void {
  mine.close();
  kernel.close(theirs.fd);
  map.close();
  kernel.close(theirMap.fd);
}

interface Life {
  readonly name: string;
  readonly kinds?: readonly Kind[];
  setUp?(things: Things, victim: EmbeddedKernel): void;
  act(things: Things, victim: EmbeddedKernel): unknown;
  /** What is to be seen then. */
  verify(things: Things, kernel: EmbeddedKernel, died: boolean): void;
}

const rangOf = ({ map }: Things, key: number): number => Number(map.get(key)?.rang ?? -1n);

/** Whatever is due has fired, in whom: each timer that was started once. */
function verifyFired(things: Things, kernel: EmbeddedKernel, keys: readonly number[], least = 1): void {
  kernel.runTimers();
  for (const key of keys) {
    expect(rangOf(things, key), `times that timer ${key} fired`).toBeGreaterThanOrEqual(least);
    expect(rangOf(things, key), `times that timer ${key} fired`).toBeLessThanOrEqual(1);
  }
}

const oneOf = (found: number, ...wanted: number[]): void => expect(wanted).toContain(found);

/** Of the victim's timers some fire at other times, so that the one in question is in the middle of a heap. */
function armMany({ theirs }: Things): void {
  [3n, 1n, 4n, 2n].forEach((hours, key) => arm(theirs, key, hours * HOUR));
}

const lives: readonly Life[] = [
  {
    name: "init",
    act: ({ theirs }) => run(theirs, INIT),
    verify: (t, _, died) => oneOf(run(t.mine, CANCEL), 0, ...(died ? [-EINVAL] : [])),
  },
  {
    name: "set_callback",
    setUp: ({ mine }) => run(mine, INIT),
    act: ({ theirs }) => run(theirs, SET_CALLBACK),
    verify: (t, _, died) => oneOf(run(t.mine, START, 0, HOUR), 0, ...(died ? [-EINVAL] : [])),
  },
  {
    name: "start",
    setUp: ({ mine, theirs }) => {
      run(mine, INIT);
      run(mine, SET_CALLBACK);
      arm(theirs, 1, HOUR);
    },
    act: ({ theirs }) => run(theirs, START),
    verify: (t, kernel, died) => verifyFired(t, kernel, [0], died ? 0 : 1),
  },
  {
    name: "start of one that is armed",
    setUp: (things) => armMany(things),
    act: ({ theirs }) => run(theirs, START, 3),
    verify: (t, kernel, died) => {
      verifyFired(t, kernel, [3], died ? 0 : 1);
      // If it has not fired yet, it does so at its old time.
      if (rangOf(t, 3) === 0) expect(run(t.mine, CANCEL, 3)).toBe(1);
      for (const key of [0, 1, 2]) expect(run(t.mine, CANCEL, key)).toBe(1);
    },
  },
  {
    name: "cancel",
    setUp: (things) => armMany(things),
    act: ({ theirs }) => run(theirs, CANCEL, 1),
    verify: ({ mine }, _, died) => {
      oneOf(run(mine, CANCEL, 1), 0, ...(died ? [1] : []));
      for (const key of [0, 2, 3]) expect(run(mine, CANCEL, key)).toBe(1);
    },
  },
  {
    name: "fire",
    setUp: ({ theirs }) => {
      for (const key of KEYS) arm(theirs, key, 0n);
    },
    act: (_, victim) => victim.runTimers(),
    verify: (t, kernel, died) => {
      verifyFired(t, kernel, KEYS, died ? 0 : 1);
      // Of one alone it may be that it was about to fire, or in the middle of it.
      expect(KEYS.filter((key) => rangOf(t, key) === 0).length).toBeLessThanOrEqual(died ? 1 : 0);
      for (const key of KEYS) expect(run(t.mine, CANCEL, key)).toBe(0);
    },
  },
  {
    name: "update",
    setUp: (things) => armMany(things),
    act: ({ theirMap, zero }) => theirMap.set(2, { ...zero, rang: 7n }),
    verify: (t) => {
      const is = Number(t.map.get(2)!.rang);
      expect(run(t.mine, INIT, 2)).toBe(is === 7 ? 0 : -EBUSY);
      for (const key of [0, 1, 3]) expect(run(t.mine, CANCEL, key)).toBe(1);
    },
  },
  {
    name: "delete",
    kinds: ["lines", "slots"],
    setUp: (things) => armMany(things),
    act: ({ theirMap }) => (theirMap as HashMap<number, Value>).delete(2),
    verify: (t) => {
      const isThere = t.map.get(2) !== undefined;
      if (!isThere) for (const key of [2, 8, 9]) t.map.set(key, t.zero);
      for (const key of isThere ? [2] : [2, 8, 9]) expect(run(t.mine, INIT, key)).toBe(isThere ? -EBUSY : 0);
      for (const key of [0, 1, 3]) expect(run(t.mine, CANCEL, key)).toBe(1);
    },
  },
  {
    name: "close of the program that they hold",
    setUp: (things) => {
      armMany(things);
      things.mine.close();
    },
    act: ({ theirs }, victim) => victim.close(theirs.fd),
    verify: ({ mine: { id } }, kernel) => Program.fromId(kernel, id).close(),
  },
  {
    name: "close of the map's last fd",
    setUp: (things) => {
      armMany(things);
      things.map.close();
    },
    act: ({ theirMap }, victim) => victim.close(theirMap.fd),
    verify: ({ mine, theirMap }, kernel) => {
      const isOpen = kernel.fdinfo(theirMap.fd) !== undefined;
      expect(run(mine, INIT)).toBe(isOpen ? -EBUSY : -EPERM);
      for (const key of KEYS) expect(run(mine, CANCEL, key)).toBe(isOpen ? 1 : -EINVAL);
    },
  },
  {
    name: "taking over what another thread has left",
    setUp: ({ mine }) => arm(mine, 0, HOUR),
    act: ({ theirs }, victim) => {
      arm(theirs, 1, 0n);
      arm(theirs, 2, HOUR);
      victim[Symbol.dispose]();
    },
    verify: (t, kernel, died) => {
      run(t.mine, CANCEL, 3);
      verifyFired(t, kernel, [1], died ? 0 : 1);
      expect(run(t.mine, CANCEL, 0)).toBe(1);
      if (!died) expect(run(t.mine, CANCEL, 2)).toBe(1);
    },
  },
];

const scenarioOf = (life: Life, kind: Kind): Scenario<Things> => ({
  name: `${life.name}, ${kind}`,
  setUp({ survivor }, victim) {
    const things = make(kind, survivor, victim);
    life.setUp?.(things, victim);
    return things;
  },
  act: (victim, things) => life.act(things, victim),
  verify(world, things, died) {
    life.verify(things, world.survivor, died);
    close(things, world.survivor);
    world.verifySound();
    world.survivor.runTimers();
  },
});

const kinds: readonly Kind[] = ["array", "lines", "slots"];
const cases = lives.flatMap((life) =>
  (life.kinds ?? kinds).map((kind) => [`${life.name}, ${kind}`, life, kind] as const),
);

describe("death of a thread with timers", () => {
  it.each(cases)("%s", { timeout: 300_000 }, async (_, life, kind) => {
    expect(await exhaust(scenarioOf(life, kind))).toBeGreaterThan(1);
  });

  const second: Second<Things> = { ...(reaping as Second<Things>), stride: isThorough ? 1 : 41 };
  it.each(cases.filter(([, , kind]) => isThorough || kind === "lines"))(
    "%s; then of who reaps it",
    { timeout: 300_000 },
    async (_, life, kind) => {
      expect(await exhaustPairs(scenarioOf(life, kind), second)).toBeGreaterThan(1);
    },
  );
});

afterAll(() => console.log(report()));

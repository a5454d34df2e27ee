/**
 * bpf_timer: what each helper answers, what fires, and what ends a timer, on all kernels.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  ArrayMap,
  EmbeddedKernel,
  HashMap,
  HashOfMaps,
  type Kernel,
  type LruHashMap,
  QueueMap,
  bytes,
  struct,
  timer,
  u32,
  u64,
} from "tsbpf";
import { BpfObject, Program, ProgramFaultError } from "tsbpf/program";
import { EBUSY, EDEADLK, EINVAL, EPERM } from "tsbpf/uapi";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { whyNoLinux } from "../kernels.js";
import { compiled, whyNoClang } from "./_clang.js";
import { embedded, linux } from "./_kernels.js";

function isGone(open: () => void): boolean {
  try {
    open();
    return false;
  } catch {
    return true;
  }
}

interface Alarm {
  rang: bigint;
  timer: unknown;
  again: bigint;
  period: bigint;
  key: bigint;
  ret: bigint;
}

const ZERO: Alarm = { rang: 0n, timer: {}, again: 0n, period: 0n, key: 0n, ret: 0n };

/** As objects/alarms.c has them. */
const CELLS = 0;
const TABLE = 1;
const RECENT = 2;
const LINES = 3;
const INIT = 0;
const SET_CALLBACK = 1;
const START = 2;
const CANCEL = 3;
const DELETE = 4;
const UPDATE = 5;
const NOW = 6;
const RING = 0;
const STOP = 1;
const DROP = 2;

const CLOCK_REALTIME = 0n;
const CLOCK_MONOTONIC = 1n;
const CLOCK_BOOTTIME = 7n;
const BPF_F_TIMER_ABS = 1n;
const BPF_F_TIMER_CPU_PIN = 2n;
const HOUR = 3_600_000_000_000n;
const MS = 1_000_000n;

const why = whyNoClang ?? (whyNoLinux === undefined ? undefined : `Linux: ${whyNoLinux}`);
const kernels = whyNoLinux === undefined ? [linux, ...embedded] : embedded;

describe.skipIf(whyNoClang !== undefined).each(kernels)(
  `timers, $name${why === undefined ? "" : ` (${why})`}`,
  ({ open }) => {
    let kernel: Kernel;
    let object: BpfObject;

    beforeEach(async () => {
      kernel = await open();
      object = BpfObject.open(compiled("alarms")).load(kernel);
    });

    afterEach(() => {
      object.close();
      if (kernel instanceof EmbeddedKernel) {
        expect(kernel.check()).toEqual([]);
        expect(kernel.usage()).toMatchObject({ fds: 0, maps: 0 });
      }
      kernel[Symbol.dispose]();
    });

    interface Args {
      readonly map?: number;
      readonly key?: number;
      readonly callback?: number;
      readonly nsecs?: bigint;
      readonly flags?: bigint;
      readonly program?: Program;
    }

    /** One helper on one timer. @returns What it returned. */
    function act(
      op: number,
      { map = CELLS, key = 0, callback = RING, nsecs = 0n, flags = op === INIT ? 1n : 0n, program }: Args = {},
    ): number {
      const context = new Uint8Array(32);
      const view = new DataView(context.buffer);
      [op, map, key, callback].forEach((word, i) => view.setUint32(4 * i, word, true));
      view.setBigUint64(16, BigInt.asUintN(64, nsecs), true);
      view.setBigUint64(24, flags, true);
      return (program ?? object.programs["act"]!).run({ context }).retval | 0;
    }

    /** bpf_ktime_get_ns. */
    function ktime(): bigint {
      const { context } = object.programs["act"]!.run({ context: Uint8Array.of(NOW, ...Array<number>(31).fill(0)) });
      return new DataView(context.buffer, context.byteOffset).getBigUint64(16, true);
    }

    /** Inits, sets the function and starts. */
    function arm(args: Args): void {
      for (const op of [INIT, SET_CALLBACK])
        expect(act(op, { ...args, flags: op === INIT ? 1n : 0n }), `${op}`).toBe(0);
      expect(act(START, args)).toBe(0);
    }

    const cells = (): ArrayMap<Alarm> => object.maps["cells"] as ArrayMap<Alarm>;
    const table = (): HashMap<number, Alarm> => object.maps["table"] as HashMap<number, Alarm>;
    const recent = (): LruHashMap<number, { alarm: Alarm; more: unknown }> =>
      object.maps["recent"] as LruHashMap<number, { alarm: Alarm; more: unknown }>;
    const lines = (): HashMap<number, { timer: unknown; rang: bigint }> =>
      object.maps["lines"] as HashMap<number, { timer: unknown; rang: bigint }>;
    const WIDE = { alarm: ZERO, more: new Uint8Array(96) };

    /** Waits until it is so. The kernels fire by themselves. */
    async function until(is: () => boolean): Promise<void> {
      const end = performance.now() + 5000;
      while (!is() && performance.now() < end) await sleep(2);
      expect(is(), String(is)).toBe(true);
    }

    it("init, and the clocks that there are", () => {
      for (const flags of [2n, 3n, 8n, 9n, 16n, 17n, 1n << 32n, 5n]) {
        expect(act(INIT, { flags }), String(flags)).toBe(-EINVAL);
      }
      [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME].forEach((flags, key) => {
        expect(act(INIT, { key, flags })).toBe(0);
        expect(act(INIT, { key, flags })).toBe(-EBUSY);
      });
      expect(act(INIT, { flags: 2n })).toBe(-EINVAL);
    });

    it("nothing without init, and nothing starts without a function", () => {
      for (const op of [SET_CALLBACK, START, CANCEL]) expect(act(op)).toBe(-EINVAL);
      expect(act(START, { flags: 4n })).toBe(-EINVAL);
      expect(act(INIT)).toBe(0);
      expect(act(START)).toBe(-EINVAL);
      expect(act(CANCEL)).toBe(0);
      expect(act(SET_CALLBACK)).toBe(0);
      expect(act(START, { nsecs: HOUR, flags: 4n })).toBe(-EINVAL);
      expect(act(START, { nsecs: HOUR, flags: BPF_F_TIMER_CPU_PIN })).toBe(0);
      expect(act(CANCEL)).toBe(1);
      // It has lost its function.
      expect(act(START, { nsecs: HOUR })).toBe(-EINVAL);
      expect(act(CANCEL)).toBe(0);
      expect(act(INIT)).toBe(-EBUSY);
      expect(cells().get(0)).toEqual(ZERO);
    });

    it("fires once, with its elem", async () => {
      table().set(7, ZERO);
      recent().set(9, WIDE);
      lines().set(5, { timer: ZERO.timer, rang: 0n });
      arm({ key: 3, nsecs: 5n * MS });
      arm({ map: TABLE, key: 7, nsecs: MS });
      arm({ map: RECENT, key: 9 });
      arm({ map: LINES, key: 5 });
      await until(() => cells().get(3)!.rang === 1n && table().get(7)!.rang === 1n);
      await until(() => recent().get(9)!.alarm.rang === 1n);
      expect(cells().get(3)).toEqual({ ...ZERO, rang: 1n, key: 3n });
      expect(table().get(7)).toEqual({ ...ZERO, rang: 1n, key: 7n });
      expect(recent().get(9)!.alarm).toEqual({ ...ZERO, rang: 1n, key: 9n });
      await until(() => lines().get(5)!.rang === 5n);
      expect(act(CANCEL, { key: 3 })).toBe(0);
    });

    it("starts itself again", async () => {
      cells().set(0, { ...ZERO, again: 3n, period: MS });
      cells().set(1, { ...ZERO, again: 5n, period: 0n });
      arm({});
      arm({ key: 1 });
      await until(() => cells().get(0)!.rang === 4n && cells().get(1)!.rang === 6n);
      expect(cells().get(0)).toEqual({ ...ZERO, rang: 4n, period: MS });
      expect(act(START)).toBe(0);
      await until(() => cells().get(0)!.rang === 5n);
    });

    it("started again before it has fired, it fires once, at the new time", async () => {
      arm({ nsecs: HOUR });
      expect(act(START, { nsecs: MS })).toBe(0);
      arm({ key: 1, nsecs: MS });
      expect(act(START, { key: 1, nsecs: HOUR })).toBe(0);
      await until(() => cells().get(0)!.rang === 1n);
      await sleep(10);
      expect(cells().get(0)!.rang).toBe(1n);
      expect(cells().get(1)!.rang).toBe(0n);
      expect(act(CANCEL, { key: 1 })).toBe(1);
    });

    it("absolute times, which are of one clock for all; times that are past, and that never come", async () => {
      const now = ktime();
      arm({ key: 0, nsecs: 1n, flags: BPF_F_TIMER_ABS });
      expect(act(INIT, { key: 1, flags: CLOCK_REALTIME })).toBe(0);
      expect(act(SET_CALLBACK, { key: 1 })).toBe(0);
      expect(act(START, { key: 1, nsecs: now + 20n * MS, flags: BPF_F_TIMER_ABS })).toBe(0);
      expect(cells().get(1)!.rang).toBe(0n);
      arm({ key: 2, nsecs: 1n << 63n });
      arm({ key: 3, nsecs: (1n << 63n) - 1n });
      await until(() => cells().get(0)!.rang === 1n && cells().get(1)!.rang === 1n);
      expect(ktime()).toBeGreaterThanOrEqual(now + 19n * MS);
      expect(act(START, { key: 1, nsecs: now + HOUR, flags: BPF_F_TIMER_ABS })).toBe(0);
      await sleep(5);
      for (const key of [1, 2, 3]) expect(act(CANCEL, { key }), `${key}`).toBe(1);
      expect(act(SET_CALLBACK, { key: 2 })).toBe(0);
      expect(act(START, { key: 2, nsecs: 1n << 63n, flags: BPF_F_TIMER_ABS })).toBe(0);
      await sleep(5);
      expect(act(CANCEL, { key: 2 })).toBe(1);
      expect(cells().get(2)!.rang).toBe(0n);
    });

    it("does not cancel itself", async () => {
      arm({ callback: STOP });
      await until(() => cells().get(0)!.rang === 1n);
      expect(cells().get(0)!.ret).toBe(BigInt(-EDEADLK));
      // It has kept its function.
      expect(act(START)).toBe(0);
      await until(() => cells().get(0)!.rang === 2n);
    });

    it("may delete its own elem", async () => {
      table().set(1, ZERO);
      arm({ map: TABLE, key: 1, callback: DROP });
      await until(() => table().get(1) === undefined);
      table().set(1, ZERO);
      arm({ map: TABLE, key: 1 });
      await until(() => table().get(1)!.rang === 1n);
    });

    const gone: [string, () => void, Args][] = [
      ["delete of a hash's elem", () => table().delete(1), { map: TABLE, key: 1 }],
      ["delete by a program", () => act(DELETE, { map: TABLE, key: 1 }), { map: TABLE, key: 1 }],
      ["take", () => table().take(1), { map: TABLE, key: 1 }],
      ["update of a hash's elem", () => table().set(1, ZERO), { map: TABLE, key: 1 }],
      ["update by a program", () => act(UPDATE, { map: TABLE, key: 1 }), { map: TABLE, key: 1 }],
      ["update of an array's elem", () => cells().set(1, ZERO), { key: 1 }],
      ["update of an array's elem by a program", () => act(UPDATE, { key: 1 }), { key: 1 }],
      ["delete of a line's elem", () => lines().delete(1), { map: LINES, key: 1 }],
      ["delete of an LRU hash's elem", () => recent().delete(1), { map: RECENT, key: 1 }],
      ["update of an LRU hash's elem", () => recent().set(1, WIDE), { map: RECENT, key: 1 }],
      [
        "eviction",
        () => {
          for (let key = 10; recent().get(1) !== undefined && key < 1000; key++) recent().set(key, WIDE);
        },
        { map: RECENT, key: 1 },
      ],
    ];
    it.each(gone)("ends with its value: %s", async (_, end, args) => {
      const put = (): void => {
        table().set(1, ZERO);
        recent().set(1, WIDE);
        lines().set(1, { timer: ZERO.timer, rang: 0n });
      };
      put();
      arm({ ...args, nsecs: 10n * MS });
      expect(act(INIT, args)).toBe(-EBUSY);
      end();
      put();
      expect(act(CANCEL, args)).toBe(-EINVAL);
      expect(act(INIT, args)).toBe(0);
      expect(act(START, args)).toBe(-EINVAL);
      await sleep(20);
      expect(table().get(1)).toEqual(ZERO);
      expect(cells().get(1)).toEqual(ZERO);
      expect(recent().get(1)).toEqual(WIDE);
    });

    it("ends with the map's last fd, and can be had again with a new one", async () => {
      arm({ nsecs: 10n * MS });
      const { id } = cells();
      cells().close();
      for (const op of [SET_CALLBACK, START, CANCEL]) expect(act(op)).toBe(-EINVAL);
      expect(act(INIT)).toBe(-EPERM);
      await sleep(20);
      using again = ArrayMap.fromId(kernel, id, { value: bytes(56) });
      expect(again.get(0)).toEqual(new Uint8Array(56));
      expect(act(CANCEL)).toBe(-EINVAL);
      arm({});
      await until(() => again.get(0)![0] === 1);
    });

    it("holds its program", async () => {
      const { id } = object.programs["act"]!;
      cells().set(0, { ...ZERO, again: 2n, period: 10n * MS });
      arm({ nsecs: 10n * MS });
      object.programs["act"]!.close();
      using act2 = Program.fromId(kernel, id);
      await until(() => cells().get(0)!.rang === 3n);
      expect(act(CANCEL, { program: act2 })).toBe(0);
      act2.close();
      await until(() => isGone(() => Program.fromId(kernel, id).close()));
    });

    it("a program's function takes the place of another's, and its program is held instead", async () => {
      const { id } = object.programs["act"]!;
      arm({ nsecs: 10n * MS });
      expect(object.programs["other"]!.run({ data: new Uint8Array(64) }).retval).toBe(0);
      object.programs["act"]!.close();
      await until(() => isGone(() => Program.fromId(kernel, id).close()));
      await until(() => cells().get(0)!.rang === 100n);
    });

    it("a program that a timer alone holds ends with the timer", async () => {
      const { id } = object.programs["act"]!;
      table().set(1, ZERO);
      arm({ map: TABLE, key: 1, nsecs: HOUR });
      object.programs["act"]!.close();
      Program.fromId(kernel, id).close();
      table().delete(1);
      await until(() => isGone(() => Program.fromId(kernel, id).close()));
    });
  },
);

const BPF_F_SLEEPABLE = 1 << 4;
const VALUE = struct({ rang: u64, timer, after: u64 });

describe.each([true, false])("hostile programs with timers, compiled: %s", (compile) => {
  let kernel: EmbeddedKernel;
  let timed: HashMap<number, { rang: bigint; timer: 0; after: bigint }>;
  let others: HashMap<number, { rang: bigint; timer: 0; after: bigint }>;
  let plain: ArrayMap<bigint>;
  const zero = { rang: 0n, timer: 0, after: 0n } as const;

  beforeEach(async () => {
    kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 26, compile });
    const options = { key: u32, value: VALUE, maxEntries: 4 };
    timed = HashMap.create(kernel, options);
    others = HashMap.create(kernel, options);
    plain = ArrayMap.create(kernel, { value: u64, maxEntries: 4 });
    for (const map of [timed, others]) for (const key of [0, 1]) map.set(key, zero);
  });

  afterEach(() => {
    for (const map of [timed, others, plain]) map.close();
    expect(kernel.check()).toEqual([]);
    expect(kernel.usage()).toMatchObject({ fds: 0, maps: 0 });
    kernel[Symbol.dispose]();
  });

  /** Runs a program that has values of `timed` in r6, of `others` in r7, of `plain` in r8. */
  function run(body: string, functions = ""): number | string {
    const lookups = [timed, others, plain].map(
      ({ fd }, i) => `r2 = r10\nr2 += -4\nr1 = map[fd:${fd}]\ncall 1\nif r0 == 0 goto out\nr${6 + i} = r0`,
    );
    const ring = "ring: r1 = *(u64 *)(r3 + 0)\nr1 += 1\n*(u64 *)(r3 + 0) = r1\nr0 = 0\nexit";
    const all = ["r9 = subprog[ring]\n*(u32 *)(r10 - 4) = 0", ...lookups, body, "out: exit", ring, functions].join(
      "\n",
    );
    const program = { name: "hostile", type: 31, license: "GPL", progFlags: BPF_F_SLEEPABLE, insns: assemble(all) };
    using loaded = Program.load(kernel, program);
    try {
      return loaded.run().retval | 0;
    } catch (error) {
      if (!(error instanceof ProgramFaultError)) throw error;
      return error.fault.reason;
    }
  }

  it("the codec reads 0, and takes nothing else", () => {
    expect([timer.size, timer.align]).toEqual([16, 8]);
    expect(timed.get(0)).toEqual(zero);
    expect(() => timed.set(0, { ...zero, timer: 1 as never })).toThrow(
      "value.timer: wanted 0: a bpf_timer is the kernel's",
    );
  });

  const init = (at: string, map: HashMap<number, unknown> | ArrayMap<unknown>): string =>
    `r1 = ${at}\nr2 = map[fd:${map.fd}]\nr3 = 1\ncall 169`;
  const timerOf = (reg: string, off = 8): string => `${reg}\nr1 += ${off}`;
  const set = (at = timerOf("r6"), func = "r9"): string => `r1 = ${at}\nr2 = ${func}\ncall 170`;
  const start = (at = timerOf("r6")): string => `r1 = ${at}\nr2 = 0\nr3 = 0\ncall 171`;
  const cancel = (at = timerOf("r6")): string => `r1 = ${at}\ncall 172`;
  const WRONG = "gives a helper what it does not take";

  it("what a program writes over its timer is without effect", () => {
    const scribble = (n: number): string =>
      [0, 4, 8, 12].map((off) => `*(u32 *)(r6 + ${8 + off}) = ${n * (off + 1)}`).join("\n");
    const body = [
      scribble(-1),
      init(timerOf("r6"), timed),
      scribble(4096),
      set(),
      scribble(0x10000),
      start(),
      scribble(7),
    ];
    expect(run(body.join("\n"))).toBe(0);
    kernel.runTimers();
    expect(timed.get(0)!.rang).toBe(1n);
    expect(run(`${scribble(-1)}\n${cancel()}`)).toBe(0);
    // An update, and the lookup behind it, have zeroes there.
    timed.set(0, zero);
    expect(timed.get(0)).toEqual(zero);
    expect(run(cancel())).toBe(-EINVAL);
  });

  it("a copy of a value has no timer", () => {
    expect(run([init(timerOf("r6"), timed), set()].join("\n"))).toBe(0);
    const copy = [0, 8, 16, 24].map((off) => `r1 = *(u64 *)(r6 + ${off})\n*(u64 *)(r7 + ${off}) = r1`).join("\n");
    expect(run(`${copy}\n${cancel(timerOf("r7"))}`)).toBe(-EINVAL);
  });

  it.each([169, 170, 171, 172])("helper %i takes a timer, where it is, and nothing else", (helper) => {
    const call = (at: string): string =>
      helper === 169 ? init(at, timed) : helper === 170 ? set(at) : helper === 171 ? start(at) : cancel(at);
    for (let off = -40; off <= 64; off++) {
      // Those of other elems are its own, too.
      if ((off - 8) % 32 !== 0) expect(run(call(timerOf("r6", off))), `${off}`).toBe(WRONG);
    }
    const wild = ["0", "4096", "-1", "r9", "r10", timerOf("r10", -16), timerOf("r8", 0), "4294967296 ll"];
    for (const at of wild) expect(run(call(at)), at).toBe(WRONG);
    expect(run(call(`map[fd:${timed.fd}]`))).toBe(WRONG);
  });

  it("init wants the map that the timer is of", () => {
    expect(run(init(timerOf("r6"), others))).toBe(WRONG);
    expect(run(init(timerOf("r6"), plain))).toBe(WRONG);
    expect(run(init("r8", plain))).toBe(WRONG);
    expect(run(`r1 = r6\nr1 += 8\nr2 = r6\nr3 = 1\ncall 169`)).toBe(WRONG);
  });

  it("set_callback wants a function of the program's", () => {
    expect(run(init(timerOf("r6"), timed))).toBe(0);
    for (const func of ["0", "-1", "4096", "r6", "r10", "r9\nr2 += 1"]) {
      expect(run(set(timerOf("r6"), func)), func).toBe("calls what is no function of its");
    }
    expect(run(set())).toBe(0);
  });

  const calls = (func: string): string =>
    [init(timerOf("r6"), timed), set(timerOf("r6"), "subprog[bad]"), start()].join("\n") + func;

  it.each([
    ["wild pointer", "bad: r1 = 4096\nr0 = *(u64 *)(r1 + 0)\nexit", "touches memory that is not its own"],
    ["endless loop", "bad: goto bad", "has spent its budget of jumps back"],
    ["behind its value", "bad: *(u64 *)(r3 + 28) = 4096\nr0 = 0\nexit", "touches memory that is not its own"],
    ["its map as memory", "bad: *(u64 *)(r1 + 0) = 4096\nr0 = 0\nexit", "touches memory that is not its own"],
  ])("a function is ended that does what it must not: %s", (_, text, reason) => {
    kernel.setProgramBudget(10_000);
    expect(run(calls(""), text)).toBe(0);
    expect(kernel.runTimers()).toBe(1);
    expect(kernel.fault()?.reason).toContain(reason);
    expect(kernel.runTimers()).toBe(0);
    expect(timed.get(1)).toEqual(zero);
    expect(run("r0 = 5")).toBe(5);
  });

  it("what it returns does not matter, and its key may be written to", () => {
    expect(run(calls(""), "bad: *(u32 *)(r2 + 0) = 77\n*(u64 *)(r3 + 24) = 3\nr0 = 9\nexit")).toBe(0);
    expect(kernel.runTimers()).toBe(1);
    expect(kernel.fault()).toBeUndefined();
    expect(timed.get(0)).toEqual({ ...zero, after: 3n });
    expect(new Set(timed.keys())).toEqual(new Set([0, 1]));
  });

  it("one that starts itself at a past time again and again fires once a call", () => {
    const again =
      "bad: r6 = r3\nr1 = *(u64 *)(r3 + 0)\nr1 += 1\n*(u64 *)(r3 + 0) = r1\nr1 = r6\nr1 += 8\nr2 = 1\nr3 = 1\ncall 171\nr0 = 0\nexit";
    expect(run(calls(""), again)).toBe(0);
    for (let i = 1; i <= 20; i++) {
      expect(kernel.runTimers()).toBe(1);
      expect(timed.get(0)!.rang).toBe(BigInt(i));
    }
  });

  it("what a listener of traces throws leaves the timer, and the others, in order", () => {
    const print = "bad: *(u32 *)(r10 - 4) = 2593\nr1 = r10\nr1 += -4\nr2 = 3\ncall 6\nr0 = 0\nexit";
    kernel.onTrace(() => {
      throw new Error("not now");
    });
    expect(run(calls(""), print)).toBe(0);
    expect(() => kernel.runTimers()).toThrow("not now");
    kernel.onTrace(undefined);
    expect(kernel.check()).toEqual([]);
    expect(run(cancel())).toBe(0);
    expect(run([set(), start()].join("\n"))).toBe(0);
    expect(kernel.runTimers()).toBe(1);
  });

  it("of an elem of a map in a map", () => {
    const make = (): HashMap<number, unknown> => HashMap.create(kernel, { key: u32, value: VALUE, maxEntries: 4 });
    using outer = HashOfMaps.create(kernel, { key: u32, maxEntries: 2, inner: make });
    const inner = HashMap.create(kernel, { key: u32, value: VALUE, maxEntries: 4 });
    inner.set(0, zero);
    outer.set(0, inner);
    const lookup = (map: string): string => `r2 = r10\nr2 += -4\nr1 = ${map}\ncall 1\nif r0 == 0 goto out`;
    const find = `${lookup(`map[fd:${outer.fd}]`)}\nr8 = r0\n${lookup("r8")}\nr6 = r0`;
    const initInner = `r1 = r6\nr1 += 8\nr2 = r8\nr3 = 1\ncall 169`;
    expect(run([find, initInner, set(), start()].join("\n"))).toBe(0);
    expect(kernel.runTimers()).toBe(1);
    expect(inner.get(0)!.rang).toBe(1n);
    expect(run(`${find}\n${set()}\n${start()}`)).toBe(0);
    // The outer map's hold is none of a user's.
    inner.close();
    expect(kernel.runTimers()).toBe(0);
    expect(run(`${find}\n${initInner}`)).toBe(-EPERM);
  });

  it("no timer in programs of tracepoints", () => {
    for (const type of [5, 17]) {
      const insns = assemble(`r1 = map[fd:${timed.fd}]\nr0 = 0\nexit`);
      expect(() => Program.load(kernel, { name: "trace", type, license: "GPL", insns })).toThrow(
        /tracing progs cannot use bpf_timer/,
      );
    }
  });

  it("an elem that has gone while a program holds its address: the next one there has no timer", () => {
    // The elem is deleted, and its timer inited and started behind that.
    const gone = `*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:${timed.fd}]\ncall 3`;
    expect(run([gone, init(timerOf("r6"), timed), set(), start()].join("\n"))).toBe(0);
    for (let key = 10; timed.count() < 4; key++) timed.set(key, zero);
    expect(kernel.runTimers()).toBeLessThanOrEqual(1);
    for (const [, value] of timed.entries()) expect(value).toEqual(zero);
  });
});

it("many timers fire in the order of their times", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 27 });
  const n = 3000;
  using map = HashMap.create(kernel, { key: u32, value: VALUE, maxEntries: n });
  using order = QueueMap.create(kernel, { value: u64, maxEntries: n });
  const text = `
      r6 = r1
      r2 = r1
      r2 += 8
      r1 = map[fd:${map.fd}]
      call 1
      r7 = r0
      r0 = 1
      if r7 == 0 goto out
      r1 = r7
      r1 += 8
      r8 = *(u32 *)(r6 + 12)
      if r8 == 1 goto cancel
      r2 = map[fd:${map.fd}]
      r3 = 1
      call 169
      r1 = r7
      r1 += 8
      r2 = subprog[ring]
      call 170
      r1 = r7
      r1 += 8
      r2 = *(u64 *)(r6 + 0)
      r3 = 1
      call 171
      goto out
    cancel:
      call 172
    out:
      exit
    ring:
      r2 = r3
      r1 = map[fd:${order.fd}]
      r3 = 0
      call 87
      r0 = 0
      exit
  `;
  const insns = assemble(text);
  using program = Program.load(kernel, { name: "many", type: 31, license: "GPL", progFlags: BPF_F_SLEEPABLE, insns });
  let state = 1;
  const random = (): number => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff);
  const times = new Map<number, bigint>();
  const runOn = (key: number, time: bigint, op: number): number => {
    const context = new Uint8Array(new BigUint64Array([time, (BigInt(op) << 32n) | BigInt(key)]).buffer);
    return program.run({ context }).retval | 0;
  };
  for (let key = 0; key < n; key++) map.set(key, { rang: 0n, timer: 0, after: 0n });
  for (let i = 0; i < 3 * n; i++) {
    const key = random() % n;
    if (random() % 4 === 0) {
      const is = times.has(key);
      expect([is ? 1 : 0, ...(is ? [] : [-EINVAL])]).toContain(runOn(key, 0n, 1));
      times.delete(key);
      // An update frees it, so that it can be inited again; its number is what it says when it fires.
    } else {
      const time = BigInt(1 + (random() % 1_000_000_000));
      map.set(key, { rang: time, timer: 0, after: 0n });
      expect(runOn(key, time, 0)).toBe(0);
      times.set(key, time);
    }
  }
  expect(kernel.check()).toEqual([]);
  expect(kernel.runTimers()).toBe(times.size);
  const fired = Array.from({ length: times.size }, () => order.pop()!);
  expect(fired).toEqual([...times.values()].sort((a, b) => Number(a - b)));
  expect(order.pop()).toBeUndefined();
});

it("an image has the timers: they fire where it is loaded", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  using map = HashMap.create(kernel, { key: u32, value: VALUE, maxEntries: 4 });
  for (const key of [0, 1]) map.set(key, { rang: 0n, timer: 0, after: 0n });
  const text = `
      r6 = *(u64 *)(r1 + 0)
      *(u32 *)(r10 - 4) = r6
      r2 = r10
      r2 += -4
      r1 = map[fd:${map.fd}]
      call 1
      if r0 == 0 goto out
      r7 = r0
      r7 += 8
      r1 = r7
      r2 = map[fd:${map.fd}]
      r3 = 1
      call 169
      r1 = r7
      r2 = subprog[ring]
      call 170
      r1 = r7
      r2 = 20000000
      if r6 == 0 goto start
      r2 = 3600000000000 ll
    start:
      r3 = 0
      call 171
    out:
      exit
    ring:
      *(u64 *)(r3 + 0) = 7
      r0 = 0
      exit
  `;
  const insns = assemble(text);
  using program = Program.load(kernel, { name: "saved", type: 31, license: "GPL", progFlags: BPF_F_SLEEPABLE, insns });
  for (const key of [0, 1]) {
    expect(program.run({ context: new Uint8Array(new BigUint64Array([BigInt(key)]).buffer) }).retval).toBe(0);
  }
  const image = kernel.save();
  program.close();
  map.delete(0);
  map.delete(1);
  using other = await EmbeddedKernel.load(image);
  expect(other.check()).toEqual([]);
  using loaded = HashMap.fromId(other, map.id, { key: u32, value: VALUE });
  const end = performance.now() + 5000;
  while (loaded.get(0)!.rang !== 7n && performance.now() < end) await sleep(2);
  expect(loaded.get(0)!.rang).toBe(7n);
  expect(loaded.get(1)!.rang).toBe(0n);
});

/**
 * bpf_timer: what each helper answers, what fires, and what ends a timer, on all kernels.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ArrayMap, EmbeddedKernel, type HashMap, type Kernel, type LruHashMap, bytes } from "tsbpf";
import { BpfObject, Program } from "tsbpf/program";
import { EBUSY, EDEADLK, EINVAL, EPERM } from "tsbpf/uapi";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
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

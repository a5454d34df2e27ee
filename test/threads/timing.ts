/**
 * Timers of threads: a program that does one thing with the timer of one elem, and what the workers of timing.test.ts do with it.
 */
import { type EmbeddedKernel, HashMap, type KernelHandle, struct, timer, u32, u64 } from "tsbpf";
import { Program, assemble } from "tsbpf/program";
import { randomFrom } from "./clock.js";

export const BPF_PROG_TYPE_SYSCALL = 31;
const BPF_F_SLEEPABLE = 1 << 4;

/** The timer's function adds to `rang`, notes its CPU, and goes `rounds` times round before it notes that it is `done`. */
const value = struct({ rang: u64, timer, cpu: u64, rounds: u64, done: u64 });
export const ZERO = { rang: 0n, timer: 0, cpu: 0n, rounds: 0n, done: 0n } as const;
export type Timed = HashMap<number, { rang: bigint; timer: 0; cpu: bigint; rounds: bigint; done: bigint }>;

const codecs = { key: u32, value };
export const create = (kernel: EmbeddedKernel, maxEntries: number): Timed =>
  HashMap.create(kernel, { ...codecs, maxEntries });
export const open = (kernel: EmbeddedKernel, id: number): Timed => HashMap.fromId(kernel, id, codecs);

/** Inits (unless it is), sets the function, starts. */
export const ARM = 0;
export const CANCEL = 1;

export function load(kernel: EmbeddedKernel, { fd }: Timed): Program {
  const text = `
      r6 = r1
      r2 = r1
      r2 += 4
      r1 = map[fd:${fd}]
      call 1
      r7 = r0
      r0 = -2
      if r7 == 0 goto out
      r7 += 8
      r1 = r7
      r2 = *(u32 *)(r6 + 0)
      if r2 == ${CANCEL} goto cancel
      r2 = map[fd:${fd}]
      r3 = 1
      call 169
      r1 = r7
      r2 = subprog[ring]
      call 170
      r1 = r7
      r2 = *(u64 *)(r6 + 8)
      r3 = 0
      call 171
      goto out
    cancel:
      call 172
    out:
      exit
    ring:
      r6 = r3
      r1 = 1
      lock *(u64 *)(r6 + 0) += r1
      call 8
      *(u64 *)(r6 + 24) = r0
      r1 = *(u64 *)(r6 + 32)
    round:
      if r1 == 0 goto done
      r1 += -1
      goto round
    done:
      *(u64 *)(r6 + 40) = 1
      r0 = 0
      exit
  `;
  const insns = assemble(text);
  return Program.load(kernel, {
    name: "timing",
    type: BPF_PROG_TYPE_SYSCALL,
    license: "GPL",
    progFlags: BPF_F_SLEEPABLE,
    insns,
  });
}

export function act(program: Program, op: number, key: number, nsecs = 0n): number {
  const context = new Uint8Array(16);
  const view = new DataView(context.buffer);
  view.setUint32(0, op, true);
  view.setUint32(4, key, true);
  view.setBigUint64(8, nsecs, true);
  return program.run({ context }).retval | 0;
}

/** What a worker is told. */
export interface Orders {
  readonly handle: KernelHandle;
  readonly map: number;
  readonly program: number;
  /** Starts the timers of these keys, in so many nanoseconds; then */
  readonly keys: readonly number[];
  readonly nsecs: bigint;
  /** comes back to its event loop, or blocks it, or leaves the kernel, or never stops to start, cancel, update, delete and fire. */
  readonly afterwards: "idle" | "block" | "leave" | "churn";
  readonly seed: number;
}

/** One after the other, until the thread ends. */
export function churn(kernel: EmbeddedKernel, map: Timed, program: Program, { keys, seed }: Orders): void {
  const random = randomFrom(seed);
  for (;;) {
    const key = keys[random(keys.length)]!;
    const what = random(8);
    if (what < 3) act(program, ARM, key, BigInt(random(200_000)));
    else if (what === 3) act(program, CANCEL, key);
    else if (what === 4) map.set(key, ZERO);
    else if (what === 5) map.delete(key);
    else kernel.runTimers();
  }
}

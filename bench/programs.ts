/**
 * Programs: WebAssembly on the embedded kernel against Linux's JIT, the same instructions by BPF_PROG_TEST_RUN.
 *
 * They are of type tc: with an xdp program Linux waits some 20 ms in each call that repeats.
 */
import { ArrayMap, EmbeddedKernel, HashMap, type Kernel, u32, u64 } from "tsbpf";
import { Program, assemble } from "tsbpf/program";
import { BPF_PROG_TYPE_SCHED_CLS } from "tsbpf/uapi";
import { KEYS } from "./keys.js";
import type { Op, Ops, Suite } from "./measure.js";
import { openKernel } from "./typed.js";

export const ALU = "ALU loop, a round";
export const ARRAY = "array lookup + add";
export const HASH = "hash lookup + add";
export const PACKET = "a packet's addresses and ports";
const ATOMIC = "array lookup + atomic add";
const ONE = "hash lookup + add, one key";
const INTERPRETED = "interpreted";

/** Rounds of a program that loops. */
const ROUNDS = 1000;

/** What nobody reads afterwards, a compiler need not do: it is returned. */
const loop = (body: string, result = "r0"): string =>
  `r0 = 1\nr6 = 0\nagain:\n${body}\nr6 += 1\nif r6 < ${ROUNDS} goto again\nr0 = ${result}\nexit`;

const alu = loop("r0 *= 1103515245\nr0 += 12345\nr0 ^= r6\nr0 >>= 1");
const add = "r1 = *(u64 *)(r0 + 0)\nr1 += 1\n*(u64 *)(r0 + 0) = r1";
const atomicAdd = "r1 = 1\nlock *(u64 *)(r0 + 0) += r1";

/** Looks up the key of a word that lies in the frame already, and does something with its value. */
const lookup = (fd: number, then: string, label: string): string =>
  `r2 = r10\nr2 += -8\nr1 = map[fd:${fd}]\ncall 1\nif r0 == 0 goto ${label}\n${then}\n${label}:`;
const once = (fd: number, then: string): string => `*(u64 *)(r10 - 8) = 3\n${lookup(fd, then, "out")}\nr0 = 0\nexit`;

/** Adds up what a program that tells flows apart looks at: types, addresses, ports. */
const packet = `
  r2 = *(u32 *)(r1 + 80)
  r1 = *(u32 *)(r1 + 76)
  r0 = 1
  r3 = r1
  r3 += 38
  if r3 > r2 goto out
  r4 = *(u16 *)(r1 + 12)
  r4 = be16 r4
  r5 = *(u8 *)(r1 + 23)
  r4 += r5
  r5 = *(u32 *)(r1 + 26)
  r4 ^= r5
  r5 = *(u32 *)(r1 + 30)
  r4 ^= r5
  r5 = *(u32 *)(r1 + 34)
  r4 ^= r5
  r0 = r4
out:
  exit`;

function arrayFd(kernel: Kernel): number {
  return ArrayMap.create(kernel, { name: "bench", value: u64, maxEntries: 16 }).fd;
}

function smallHashFd(kernel: Kernel): number {
  const map = HashMap.create(kernel, { name: "bench", key: u64, value: u64, maxEntries: 64 });
  map.set(3n, 0n);
  return map.fd;
}

function largeHashFd(kernel: Kernel): number {
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: KEYS + 4096 });
  for (let key = 0; key < KEYS; key++) map.set(key, 0n);
  return map.fd;
}

/** Meets each key of a large hash once in 66 runs, in no order: its number goes on in the array's first elem. */
function spread(kernel: Kernel): string {
  const number = arrayFd(kernel);
  const next = `*(u64 *)(r10 - 8) = 0\n${lookup(number, "r7 = *(u64 *)(r0 + 0)\nr8 = r7\nr8 += 1\n*(u64 *)(r0 + 0) = r8", "have")}`;
  const body = `r7 *= 1103515245\nr7 += 12345\nr8 = r7\nr8 >>= 3\nr8 &= ${KEYS - 1}\n*(u64 *)(r10 - 8) = r8\n${lookup(largeHashFd(kernel), add, "next")}`;
  return `r7 = 0\n${next}\n${loop(body, "r7")}`;
}

/** A program, and how often one run does what is measured. */
const programs: Readonly<Record<string, readonly [text: (kernel: Kernel) => string, times: number]>> = {
  [ALU]: [() => alu, ROUNDS],
  [ARRAY]: [(kernel) => once(arrayFd(kernel), add), 1],
  [ATOMIC]: [(kernel) => once(arrayFd(kernel), atomicAdd), 1],
  [ONE]: [(kernel) => once(smallHashFd(kernel), add), 1],
  [HASH]: [spread, ROUNDS],
  [PACKET]: [() => packet, 1],
};

function opOf(kernel: Kernel, text: string, times: number): Op {
  const program = Program.load(kernel, {
    name: "bench",
    type: BPF_PROG_TYPE_SCHED_CLS,
    license: "GPL",
    insns: assemble(text),
  });
  const data = Uint8Array.from({ length: 64 }, (_, i) => i);
  return (_, n) => {
    const repeat = Math.max(1, Math.ceil(n / times));
    program.run({ data, repeat });
    return repeat * times;
  };
}

export const programSuite: Suite = {
  name: "programs",
  note: `Each by BPF_PROG_TEST_RUN with many repeats. ${HASH}: ${KEYS.toLocaleString("en")} keys of 4 bytes, in no order`,
  rows: Object.keys(programs),
  contenders: ["embedded", "linux", INTERPRETED],
  roundMs: 60,
  async open(contender): Promise<Ops> {
    const kernel =
      contender === INTERPRETED ? await EmbeddedKernel.create({ compile: false }) : await openKernel(contender);
    return Object.fromEntries(
      Object.entries(programs).map(([row, [text, times]]) => [row, opOf(kernel, text(kernel), times)]),
    );
  },
};

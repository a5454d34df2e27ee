/**
 * Programs: WebAssembly on the embedded kernel against Linux's JIT, the same instructions by BPF_PROG_TEST_RUN.
 *
 * They are of type tc: with an xdp program Linux waits some 20 ms in each call that repeats.
 */
import {
  ArrayMap,
  EmbeddedKernel,
  HashMap,
  type Kernel,
  ProgramArray,
  QueueMap,
  RingBuffer,
  spinLock,
  struct,
  u32,
  u64,
} from "tsbpf";
import { BtfBuilder, btfLoad } from "tsbpf/btf";
import { type Insn, Program, type ProgramAttr, assemble } from "tsbpf/program";
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
/** Of a ring: room for a million records of 8 bytes, with their headers. */
const RING_BYTES = 2 ** 24;
const RECORDS = RING_BYTES / 16;

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

/** Elems of maps that a program goes through. */
const ELEMS = 64;

/** A helper that calls `body` back, with a word of the frame as context. */
const callBack = (first: string, helper: number, body: string): string => `
  *(u64 *)(r10 - 8) = 0
  r1 = ${first}
  r2 = subprog[body]
  r3 = r10
  r3 += -8
  r4 = 0
  call ${helper}
  r0 = *(u64 *)(r10 - 8)
  exit
body:
  ${body}
  r0 = 0
  exit`;

const rounds = callBack(`${ROUNDS}`, 181, "r3 = *(u64 *)(r2 + 0)\nr3 += r1\n*(u64 *)(r2 + 0) = r3");
const each = (fd: number): string =>
  callBack(`map[fd:${fd}]`, 164, "r1 = *(u64 *)(r3 + 0)\nr1 += 1\n*(u64 *)(r3 + 0) = r1");

function eachOfArray(kernel: Kernel): string {
  return each(ArrayMap.create(kernel, { name: "bench", value: u64, maxEntries: ELEMS }).fd);
}

function eachOfHash(kernel: Kernel): string {
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: ELEMS });
  for (let key = 0; key < ELEMS; key++) map.set(key, 0n);
  return each(map.fd);
}

/** A call of a helper that takes nothing, or whose arguments stand in registers that last. */
const calls = (before: string, args: string, helper: number | string): string =>
  `${before}\n${loop(`${args}\ncall ${helper}`)}`;

const local = `${loop("r1 = r6\ncall pcbody")}\nbody:\nr0 = r1\nr0 += 1\nexit`;

/** Reserves a record of 8 bytes, writes to it, and submits it. */
function reserved(kernel: Kernel): Source {
  const { fd, empty } = ringOf(kernel);
  const body = `r1 = map[fd:${fd}]\nr2 = 8\nr3 = 0\ncall 131\nif r0 == 0 goto full\n*(u64 *)(r0 + 0) = r6\nr1 = r0\nr2 = 1\ncall 132\nfull:`;
  return { text: loop(body, "r6"), after: empty };
}

function output(kernel: Kernel): Source {
  const { fd, empty } = ringOf(kernel);
  const body = `*(u64 *)(r10 - 8) = r6\nr1 = map[fd:${fd}]\nr2 = r10\nr2 += -8\nr3 = 8\nr4 = 1\ncall 130`;
  return { text: loop(body), after: empty };
}

/** A ring, and what empties it: the reader's position is the writers' then. */
function ringOf(kernel: Kernel): { fd: number; empty: () => void } {
  const { fd } = RingBuffer.create(kernel, { name: "bench", size: RING_BYTES });
  const reader = kernel.mmap(fd, 4096, { writable: true });
  const writers = kernel.mmap(fd, 4096, { offset: 4096 });
  const position = ({ bytes }: { bytes: Uint8Array }): BigUint64Array =>
    new BigUint64Array(bytes.buffer, bytes.byteOffset, 1);
  const [from, to] = [position(reader), position(writers)];
  return { fd, empty: () => void (from[0] = to[0]!) };
}

function locked(kernel: Kernel): string {
  const value = struct({ sum: u64, lock: spinLock });
  const { fd } = ArrayMap.create(kernel, { name: "bench", value, maxEntries: 1 });
  const find = `*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:${fd}]\ncall 1\nif r0 == 0 goto none\nr7 = r0`;
  const body = "r1 = r7\nr1 += 8\ncall 93\nr1 = r7\nr1 += 8\ncall 94";
  return `${find}\n${loop(body, "r6")}\nnone:\nr0 = 0\nexit`;
}

function queued(kernel: Kernel): string {
  const { fd } = QueueMap.create(kernel, { name: "bench", value: u64, maxEntries: 64 });
  const at = `r1 = map[fd:${fd}]\nr2 = r10\nr2 += -8`;
  return loop(`*(u64 *)(r10 - 8) = r6\n${at}\nr3 = 0\ncall 87\n${at}\ncall 88`, "r6");
}

function updated(kernel: Kernel): string {
  const { fd } = HashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: 64 });
  const at = `r1 = map[fd:${fd}]\nr2 = r10\nr2 += -4`;
  const update = `*(u64 *)(r10 - 16) = r6\n${at}\nr3 = r10\nr3 += -16\nr4 = 0\ncall 2`;
  return loop(`*(u32 *)(r10 - 4) = 3\n${update}\n${at}\ncall 3`, "r6");
}

/** Goes over to itself as often as it may. */
function tailed(kernel: Kernel): Source {
  const steps = ProgramArray.create(kernel, { name: "bench", maxEntries: 1 });
  const text = `r2 = map[fd:${steps.fd}]\nr3 = 0\ncall 12\nr0 = 0\nexit`;
  return { text, loaded: ({ fd }) => steps.set(0, fd) };
}

const TAIL_CALLS = 33;

/** A program, and what is done with it. */
interface Source {
  readonly text: string;
  readonly loaded?: (program: Program) => unknown;
  /** After some runs. */
  readonly after?: () => void;
}

/** A program, and how often one run does what is measured. */
const programs: Readonly<Record<string, readonly [source: (kernel: Kernel) => string | Source, times: number]>> = {
  [ALU]: [() => alu, ROUNDS],
  [ARRAY]: [(kernel) => once(arrayFd(kernel), add), 1],
  [ATOMIC]: [(kernel) => once(arrayFd(kernel), atomicAdd), 1],
  [ONE]: [(kernel) => once(smallHashFd(kernel), add), 1],
  [HASH]: [spread, ROUNDS],
  [PACKET]: [() => packet, 1],
  "bpf_loop, a round": [() => rounds, ROUNDS],
  "for_each_map_elem, ARRAY, an elem": [eachOfArray, ELEMS],
  "for_each_map_elem, HASH, an elem": [eachOfHash, ELEMS],
  "local call": [() => local, ROUNDS],
  tail_call: [tailed, TAIL_CALLS],
  ktime_get_ns: [() => calls("", "", 5), ROUNDS],
  get_prandom_u32: [() => calls("", "", 7), ROUNDS],
  "ringbuf_reserve + submit": [reserved, ROUNDS],
  ringbuf_output: [output, ROUNDS],
  "spin_lock + unlock": [locked, ROUNDS],
  "queue push + pop": [queued, ROUNDS],
  "hash update + delete": [updated, ROUNDS],
};

/** Of a program with functions Linux wants to know their types: int(void), and static. */
function funcsOf(kernel: Kernel, insns: readonly Insn[]): Pick<ProgramAttr, "btfFd" | "funcInfo"> {
  const starts = new Set<number>();
  let slot = 0;
  for (const { opcode, imm } of insns) {
    if (opcode.op === "func" || opcode.op === "local") starts.add(slot + 1 + imm);
    slot += opcode.slots;
  }
  if (starts.size === 0) return {};
  const types = new BtfBuilder();
  const type = types.add({ kind: "FUNC_PROTO", name: "", retType: types.int("int", 4, "SIGNED"), params: [] });
  const funcInfo = [0, ...starts].map((insnOff, n) => {
    return { insnOff, rest: [types.add({ kind: "FUNC", name: `f${n}`, type, linkage: 0 })] };
  });
  return { btfFd: btfLoad(kernel, types.bytes()), funcInfo };
}

function opOf(kernel: Kernel, source: string | Source, times: number): Op {
  const { text, loaded, after }: Source = typeof source === "string" ? { text: source } : source;
  const insns = assemble(text);
  const attr = { name: "bench", type: BPF_PROG_TYPE_SCHED_CLS, license: "GPL", insns };
  const program = Program.load(kernel, { ...attr, ...funcsOf(kernel, insns) });
  loaded?.(program);
  const data = Uint8Array.from({ length: 64 }, (_, i) => i);
  const most = after === undefined ? Infinity : Math.floor(RECORDS / times);
  return (_, n) => {
    const repeat = Math.max(1, Math.ceil(n / times));
    for (let left = repeat; left > 0; left -= most) {
      program.run({ data, repeat: Math.min(left, most) });
      after?.();
    }
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
      Object.entries(programs).map(([row, [source, times]]) => [row, opOf(kernel, source(kernel), times)]),
    );
  },
};

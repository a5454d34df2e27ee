/**
 * The job of being hostile: bpf() is called with whatever hostile_call.ts thinks of. No call may trap, hang, or answer what is no
 * answer; what else must hold, the test looks at.
 */
import { BpfError, type EmbeddedKernel, type UserBuffer } from "tsbpf";
import {
  BPF_ATTR_SIZE,
  BPF_MAP_CREATE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_INFO_ID_OFF,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_BATCH,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  ENOENT,
  bpfAttr,
} from "tsbpf/uapi";
import { Random } from "../differential/random.js";
import { type Aims, HostileCaller, type HostileCall, type Range } from "./hostile_call.js";

/** Words of a thread's log: calls made, and of the call that is being made cmd, attr's address, and its size. */
export const LOG_WORDS = 4;

export interface HostileArg {
  readonly aims: Aims;
  /** User memory for this thread's own questions, which nobody aims at. */
  readonly desk: Range;
  readonly log: SharedArrayBuffer;
  readonly index: number;
  readonly seed: number;
  readonly ms: number;
}

/** How many calls had which answer. */
export interface Answers {
  readonly calls: number;
  /** By command: those that succeeded. */
  readonly succeeded: Record<number, number>;
  /** By errno: those that failed. */
  readonly failed: Record<number, number>;
}

/** Directories that come and go, and the names that maps are pinned at: half of them in such a one. */
const hostileDirectories = ["/sys/fs/bpf/d", "/sys/fs/bpf/e", "/sys/fs/bpf/d/d"];
export const hostilePaths: readonly string[] = Array.from(
  { length: 8 },
  (_, i) => `/sys/fs/bpf/${i % 2 === 0 ? "" : "d/"}hostile_${i}`,
);

/** A thread has this many fds at most, so that there is memory for new maps now and then. */
const maxFds = 12;
const MOST_RUNS = 10_000;
const givesFd = [BPF_MAP_CREATE, BPF_OBJ_GET, BPF_MAP_GET_FD_BY_ID, BPF_PROG_LOAD, BPF_PROG_GET_FD_BY_ID];
/** However slow the machine is. */
const leastCalls = 30_000;

export function beHostile(kernel: EmbeddedKernel, { aims, desk, log, index, seed, ms }: HostileArg): Answers {
  const random = new Random(seed);
  // Random programs go round in circles.
  kernel.setProgramBudget(2000);
  const { buffer } = kernel.share().memory;
  const caller = new HostileCaller(random, aims, index, buffer);
  const words = new Uint32Array(log, index * LOG_WORDS * 4, LOG_WORDS);
  const idOf = idReader(kernel, desk, buffer);
  const succeeded: Record<number, number> = {};
  const failed: Record<number, number> = {};
  const end = performance.now() + ms;
  let calls = 0;
  for (; calls < leastCalls || calls % 64 !== 0 || performance.now() < end; calls++) {
    const call = aside(caller.next(), aims, desk, buffer);
    if (call === undefined || isEndless(call, buffer)) continue;
    words.set([calls + 1, call.cmd, call.address, call.size]);
    const ret = answerOf(kernel, call, buffer);
    if (ret < 0 && !isEndOfBatches(call.cmd, ret)) {
      failed[-ret] = (failed[-ret] ?? 0) + 1;
      continue;
    }
    succeeded[call.cmd] = (succeeded[call.cmd] ?? 0) + 1;
    if (givesFd.includes(call.cmd)) {
      caller.fds.push(ret);
      caller.ids.push(idOf(ret));
    } else if (call.cmd === BPF_MAP_GET_NEXT_ID) {
      caller.ids.push(new DataView(buffer).getUint32(call.address + bpfAttr.getId.next_id.off, true));
    }
    if (caller.ids.length > 50) caller.ids.splice(random.below(50), 1);
    while (caller.fds.length > maxFds) kernel.close(caller.fds.splice(random.below(maxFds), 1)[0]!);
    if (random.percent(2)) kernel.close(3 + random.below(60));
    if (random.percent(1)) allocAndRename(kernel, random);
  }
  for (const fd of caller.fds) kernel.close(fd);
  return { calls, succeeded, failed };
}

/** Where on the desk attr lies of a call that is made aside. */
const ASIDE = 2048;

/**
 * A call that opens a map by its id is made with attr where no other thread writes: a guard's id, which BPF_MAP_GET_NEXT_ID gives, may come
 * to lie anywhere else before the kernel looks, and then all threads could use its fd. Undefined if it is there already.
 */
function aside(call: HostileCall, { guardIds }: Aims, desk: Range, buffer: ArrayBufferLike): HostileCall | undefined {
  const { cmd, address, size } = call;
  if (cmd !== BPF_MAP_GET_FD_BY_ID || address + BPF_ATTR_SIZE > buffer.byteLength) return call;
  const at = desk.address + ASIDE;
  const attr = new Uint8Array(buffer, at, BPF_ATTR_SIZE);
  attr.set(new Uint8Array(buffer, address, BPF_ATTR_SIZE));
  attr.fill(0, Math.min(size, 4), 4);
  return guardIds.includes(new DataView(buffer).getUint32(at, true)) ? undefined : { cmd, address: at, size };
}

/** Four thousand million runs of a program are no hang, but would look like one. */
function isEndless({ cmd, address }: HostileCall, buffer: ArrayBufferLike): boolean {
  const at = address + bpfAttr.test.repeat.off;
  if (cmd !== BPF_PROG_TEST_RUN || at + 4 > buffer.byteLength) return false;
  return new DataView(buffer).getUint32(at, true) > MOST_RUNS;
}

/** A batch that came to the map's end has succeeded. */
function isEndOfBatches(cmd: number, ret: number): boolean {
  return ret === -ENOENT && (cmd === BPF_MAP_LOOKUP_BATCH || cmd === BPF_MAP_LOOKUP_AND_DELETE_BATCH);
}

/** What bpf() returns. A trap comes out with the call that it befell. */
function answerOf(kernel: EmbeddedKernel, { cmd, address, size }: HostileCall, buffer: ArrayBufferLike): number {
  let ret: number;
  try {
    ret = kernel.bpf(cmd, userMemory({ address, length: 0 }, buffer), size);
  } catch (cause) {
    throw new Error(`${describeCall({ cmd, address, size }, buffer)} threw ${String(cause)}`, { cause });
  }
  if (!Number.isInteger(ret) || ret < -4095) {
    throw new Error(`${describeCall({ cmd, address, size }, buffer)} returned ${ret}`);
  }
  return ret;
}

/** A call, and the words of its attr that are there to be read. */
export function describeCall({ cmd, address, size }: HostileCall, buffer: ArrayBufferLike): string {
  const readable = Math.max(0, Math.min(size, 168, buffer.byteLength - address));
  const words = [...new Uint8Array(buffer, Math.min(address, buffer.byteLength), readable)]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .replaceAll(/(?<word>.{8})/g, "$<word> ");
  return `bpf(${cmd}, 0x${address.toString(16)}, ${size}) with attr ${words}`;
}

function userMemory({ address, length }: Range, buffer: ArrayBufferLike): UserBuffer {
  const bytes = new Uint8Array(buffer as ArrayBuffer, address > buffer.byteLength ? 0 : address, length);
  return { address, bytes, [Symbol.dispose]: () => {} };
}

/** Asks by attr and info that lie on the desk, since there may be no memory left for others. */
function idReader(kernel: EmbeddedKernel, desk: Range, buffer: ArrayBufferLike): (fd: number) => number {
  const { bpf_fd, info_len, info } = bpfAttr.info;
  const attrBytes = 64;
  const attr = userMemory({ ...desk, length: attrBytes }, buffer);
  const view = new DataView(buffer, desk.address, desk.length);
  return (fd) => {
    view.setUint32(bpf_fd.off, fd, true);
    view.setUint32(info_len.off, BPF_MAP_INFO_SIZE, true);
    view.setBigUint64(info.off, BigInt(desk.address + attrBytes), true);
    new Uint8Array(buffer, desk.address + attrBytes, BPF_MAP_INFO_SIZE).fill(0);
    // Another thread may have closed it: no map has id 0.
    return kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr, 16) === 0
      ? view.getUint32(attrBytes + BPF_MAP_INFO_ID_OFF, true)
      : 0;
  };
}

/** The other ways to memory and names, which must go on meanwhile. */
function allocAndRename(kernel: EmbeddedKernel, random: Random): void {
  try {
    using _buffer = kernel.alloc(1 + random.below(2 ** random.below(23)));
    const path = (): string => hostilePaths[random.below(hostilePaths.length)]!;
    const directory = random.pick(hostileDirectories);
    kernel.unlink(path());
    kernel.rename(path(), path());
    kernel.mkdir(directory);
    kernel.rename(directory, random.pick(hostileDirectories));
    kernel.readdir(directory);
    if (random.percent(20)) kernel.rmdir(directory);
  } catch (error) {
    if (!(error instanceof BpfError && error.code === "ENOMEM")) throw error;
  }
}

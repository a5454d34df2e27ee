/**
 * What BPF programs write to a perf_event_array, read where Linux puts it: a ring a CPU (perf_event_open(2)).
 *
 *     0         1024        1032                4096                            4096 + RING_BYTES
 *     | ....... | data_head | data_tail | ..... | records: | type | misc | size | ... |
 *                 Linux's     ours                             u32    u16    u16
 *
 *     a sample: | header | time u64 | size u32 | data |        lost: | header | id u64 | count u64 |
 */
import { BpfError } from "../kernels/error.js";
import type { UserBuffer } from "../kernels/kernel.js";
import type { LinuxKernel } from "../kernels/linux/index.js";
import { viewOf } from "../kernels/syscalls.js";

const PAGE_BYTES = 4096;
const RING_BYTES = 16 * PAGE_BYTES;
const HEAD = 1024 / 8;
const TAIL = 1032 / 8;

/** struct perf_event_attr: its size as of Linux 4.1, and what is not 0 in it. */
const ATTR_BYTES = 112;
const PERF_TYPE_SOFTWARE = 1;
const PERF_COUNT_SW_BPF_OUTPUT = 10;
const PERF_SAMPLE_TIME = 1 << 2;
const PERF_SAMPLE_RAW = 1 << 10;

const PERF_RECORD_LOST = 2;
const PERF_RECORD_SAMPLE = 9;

/** A record of the ring. */
export type PerfRecord = { readonly type: number; readonly size: number } & (
  | { readonly what: "sample"; readonly time: bigint; readonly data: Uint8Array }
  | { readonly what: "lost"; readonly id: bigint; readonly lost: bigint }
  | { readonly what: "other" }
);

/** A CPU's ring. */
export class PerfRing {
  readonly fd: number;
  readonly cpu: number;
  readonly index: number;
  readonly #kernel: LinuxKernel;
  readonly #memory: UserBuffer;
  readonly #positions: BigUint64Array;

  private constructor(kernel: LinuxKernel, fd: number, memory: UserBuffer, cpu: number, index: number) {
    this.#kernel = kernel;
    this.fd = fd;
    this.cpu = cpu;
    this.index = index;
    this.#memory = memory;
    this.#positions = new BigUint64Array(this.#memory.bytes.buffer, this.#memory.bytes.byteOffset, PAGE_BYTES / 8);
  }

  /** Opens the ring of a CPU; the caller puts its fd at `index` of the map. Returns a negative errno when it cannot. */
  static open(kernel: LinuxKernel, cpu: number, index: number): PerfRing | number {
    using attr = kernel.alloc(ATTR_BYTES);
    const view = viewOf(attr);
    view.setUint32(0, PERF_TYPE_SOFTWARE, true);
    view.setUint32(4, ATTR_BYTES, true);
    view.setUint32(8, PERF_COUNT_SW_BPF_OUTPUT, true);
    view.setUint32(16, 1, true); // sample_period
    view.setUint32(24, PERF_SAMPLE_TIME | PERF_SAMPLE_RAW, true);
    view.setUint32(48, 1, true); // wakeup_events
    const fd = kernel.perfEventOpen(attr, cpu);
    if (fd < 0) return fd;
    try {
      const memory = kernel.mmap(fd, PAGE_BYTES + RING_BYTES, { writable: true });
      return new PerfRing(kernel, fd, memory, cpu, index);
    } catch (error) {
      kernel.close(fd);
      if (error instanceof BpfError) return error.errno;
      throw error;
    }
  }

  /** Takes what is there. */
  *take(): Generator<PerfRecord> {
    const head = Atomics.load(this.#positions, HEAD);
    let tail = Atomics.load(this.#positions, TAIL);
    while (tail < head) {
      const { record, size } = this.#read(Number(tail % BigInt(RING_BYTES)));
      tail += BigInt(size);
      Atomics.store(this.#positions, TAIL, tail);
      yield record;
    }
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
    this.#kernel.close(this.fd);
  }

  /** Records lie at multiples of 8 bytes, so that a header does not wrap; what follows may. */
  #read(off: number): { record: PerfRecord; size: number } {
    const ring = this.#memory.bytes.subarray(PAGE_BYTES);
    const size = viewOf({ bytes: ring }).getUint16(off + 6, true);
    const bytes = new Uint8Array(Math.max(size, 24));
    const whole = ring.subarray(off, off + size);
    bytes.set(whole);
    bytes.set(ring.subarray(0, size - whole.length), whole.length);
    const view = viewOf({ bytes });
    const type = view.getUint32(0, true);
    if (type === PERF_RECORD_SAMPLE) {
      const data = bytes.subarray(20, 20 + view.getUint32(16, true));
      return { record: { what: "sample", type, size, time: view.getBigUint64(8, true), data }, size };
    }
    if (type === PERF_RECORD_LOST) {
      const [id, lost] = [view.getBigUint64(8, true), view.getBigUint64(16, true)];
      return { record: { what: "lost", type, size, id, lost }, size };
    }
    return { record: { what: "other", type, size }, size };
  }
}

/**
 * What BPF programs write to a perf_event_array, read where Linux puts it: a ring a CPU (perf_event_open(2)).
 *
 *     0         1024        1032                4096                            4096 * (1 + pages)
 *     | ....... | data_head | data_tail | ..... | records: | type | misc | size | ... |
 *                 Linux's     ours                             u32    u16    u16
 *
 *     a sample: | header | time u64 | size u32 | data |        lost: | header | id u64 | count u64 |
 */
import { BpfError } from "../kernels/error.js";
import type { Kernel, UserBuffer } from "../kernels/kernel.js";
import { viewOf } from "../kernels/syscalls.js";

const PAGE_BYTES = 4096;
/** A ring's size unless told. */
export const DEFAULT_PAGES = 16;
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

/** A kernel that has perf events. */
export type PerfKernel = Kernel & Required<Pick<Kernel, "perfEventOpen">>;

export function hasPerfEvents(kernel: Kernel): kernel is PerfKernel {
  return kernel.perfEventOpen !== undefined;
}

/** A CPU's ring. */
export class PerfRing {
  readonly fd: number;
  readonly cpu: number;
  readonly index: number;
  readonly #kernel: PerfKernel;
  readonly #memory: UserBuffer;
  readonly #bytes: Uint8Array;
  readonly #positions: BigUint64Array;

  private constructor(kernel: PerfKernel, fd: number, memory: UserBuffer, cpu: number, index: number) {
    this.#kernel = kernel;
    this.fd = fd;
    this.cpu = cpu;
    this.index = index;
    this.#memory = memory;
    this.#bytes = memory.bytes.subarray(PAGE_BYTES);
    this.#positions = new BigUint64Array(memory.bytes.buffer, memory.bytes.byteOffset, PAGE_BYTES / 8);
  }

  /**
   * Opens the ring of a CPU; the caller puts its fd at `index` of the map.
   *
   * @param pages A power of two.
   * @returns A negative errno when it cannot: -ENODEV for a CPU that is offline.
   */
  static open(kernel: PerfKernel, cpu: number, index: number, pages: number = DEFAULT_PAGES): PerfRing | number {
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
      const memory = kernel.mmap(fd, PAGE_BYTES * (1 + pages), { writable: true });
      return new PerfRing(kernel, fd, memory, cpu, index);
    } catch (error) {
      kernel.close(fd);
      if (error instanceof BpfError) return error.errno;
      throw error;
    }
  }

  /** Takes what is there. */
  *take(): Generator<PerfRecord> {
    for (let record = this.next(); record !== undefined; record = this.next()) yield record;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#positions, TAIL) >= Atomics.load(this.#positions, HEAD);
  }

  /** Takes the next record, if there is one. */
  next(): PerfRecord | undefined {
    const head = Atomics.load(this.#positions, HEAD);
    const tail = Atomics.load(this.#positions, TAIL);
    if (tail >= head) return undefined;
    const record = this.#read(Number(tail % BigInt(this.#bytes.length)));
    Atomics.store(this.#positions, TAIL, tail + BigInt(record.size));
    return record;
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
    this.#kernel.close(this.fd);
  }

  /** Records lie at multiples of 8 bytes, so that a header does not wrap; what follows may. */
  #read(off: number): PerfRecord {
    const ring = this.#bytes;
    const size = viewOf({ bytes: ring }).getUint16(off + 6, true);
    const bytes = new Uint8Array(Math.max(size, 24));
    const whole = ring.subarray(off, off + size);
    bytes.set(whole);
    bytes.set(ring.subarray(0, size - whole.length), whole.length);
    const view = viewOf({ bytes });
    const type = view.getUint32(0, true);
    if (type === PERF_RECORD_SAMPLE) {
      const data = bytes.subarray(20, 20 + view.getUint32(16, true));
      return { what: "sample", type, size, time: view.getBigUint64(8, true), data };
    }
    if (type === PERF_RECORD_LOST) {
      const [id, lost] = [view.getBigUint64(8, true), view.getBigUint64(16, true)];
      return { what: "lost", type, size, id, lost };
    }
    return { what: "other", type, size };
  }
}

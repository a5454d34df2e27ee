/**
 * PerfEventArray: what programs send, CPU by CPU.
 *
 * Where records are is the kernel's: on Linux in the ring of a perf event for each CPU (_perf_ring.ts), in the embedded kernel in a ring
 * buffer for each.
 */
import { BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_MAP_UPDATE_ELEM } from "../uapi/bpf.js";
import { EBADF, ENODEV } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import { i32, u32 } from "../codec/number.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel } from "../kernels/kernel.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { asU32 } from "./_arguments.js";
import { KeyedMap } from "./_keyed_map.js";
import { MapFd } from "./_map_fd.js";
import { type MapOptions, type OpenOptions, attrOfSizes, wanted } from "./_options.js";
import { DEFAULT_PAGES, PerfRing, hasPerfEvents } from "./_perf_ring.js";
import { PAGE_BYTES, type RecordCodec, type RingReadOptions, mustHold } from "./_ring.js";
import { RingBuffer } from "./ring_buffer.js";
import { TypedMap } from "./_typed_map.js";

const wantedMap = wanted("PerfEventArray", BPF_MAP_TYPE_PERF_EVENT_ARRAY, u32, i32);

/** The rings' fds on the way in; nobody gets them out. */
class RingFds extends KeyedMap<number, number> {
  constructor(mapFd: MapFd) {
    super(mapFd, u32, i32);
  }

  /** Empties an elem, if this fd still can: else it is the last thing that the ring is held by. */
  drop(index: number): void {
    try {
      this.remove(index);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
    }
  }

  failed(verb: string, ret: number): BpfError {
    return this.mapFd.failure(verb, ret, BPF_MAP_UPDATE_ELEM);
  }
}

/** What a perf_event_array is created with. */
export interface PerfEventArrayOptions<T> extends RecordCodec<T>, Omit<MapOptions, "maxEntries" | "btf">, OpenOptions {
  /** How many CPUs it has elems for: all, unless told. */
  readonly maxEntries?: number;
}

/** How events are read. */
export interface PerfEventsOptions {
  /** Pages of records that each CPU has room for, a power of two: 16 unless told. */
  readonly pages?: number;
}

/** What a program has sent. */
export interface PerfEvent<T> {
  /** The CPU that it ran on. */
  readonly cpu: number;
  /**
   * As the array's codec has it. Without one a copy of its bytes: behind what was sent there are up to 7 more, so that there are 4 less
   * than a multiple of 8.
   */
  readonly data: T;
}

/**
 * An array by which programs send records to user space, an elem for each CPU.
 *
 * Kernel name: BPF_MAP_TYPE_PERF_EVENT_ARRAY. Since Linux 4.3. A ring buffer (RingBuffer, since Linux 5.8) has one order for all
 * CPUs, and takes less memory.
 *
 * @example
 * ```ts
 * using array = PerfEventArray.create(kernel, { name: "events", record: struct({ pid: u32, bytes: u32 }) });
 * using events = array.events();
 * for await (const { cpu, data } of events) console.log(cpu, data.pid);
 * ```
 */
export class PerfEventArray<T = Uint8Array> extends TypedMap {
  readonly #codec: Codec<T> | undefined;
  readonly #fds: RingFds;
  #events: PerfEvents<T> | undefined;

  private constructor(mapFd: MapFd, codec: Codec<T> | undefined) {
    super(mapFd);
    this.#codec = codec;
    this.#fds = new RingFds(mapFd);
  }

  override get codecs(): RecordCodec<T> {
    return this.#codec === undefined ? {} : { record: this.#codec };
  }

  /**
   * Creates a map, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL, EPERM, ENOMEM, EMFILE; its hint says why
   */
  static create<T = Uint8Array>(kernel: Kernel, options: PerfEventArrayOptions<T> = {}): PerfEventArray<T> {
    return new PerfEventArray(MapFd.create(kernel, arrayAttrOf(kernel, options)), options.record);
  }

  /**
   * Opens the map that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a perf_event_array
   */
  static open<T = Uint8Array>(
    kernel: Kernel,
    path: string,
    options: RecordCodec<T> & OpenOptions = {},
  ): PerfEventArray<T> {
    return new PerfEventArray(MapFd.open(kernel, path, wantedMap, options), options.record);
  }

  /**
   * Opens the map that is pinned at a path; where nothing is pinned, creates one and pins it there.
   *
   * Threads and processes that do so at once all get the same map. One that is there must be as the options say: type, sizes,
   * maxEntries and flags; its name may be another.
   *
   * Kernel name: BPF_OBJ_GET, BPF_MAP_CREATE, BPF_OBJ_PIN.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EEXIST when the map there differs: the message and `details.differences` name each property that does; and
   * as `create`, `open` and `pin`
   */
  static openOrCreate<T = Uint8Array>(
    kernel: Kernel,
    path: string,
    options: PerfEventArrayOptions<T> = {},
  ): PerfEventArray<T> {
    const attr = arrayAttrOf(kernel, options);
    return new PerfEventArray(MapFd.openOrCreate(kernel, path, "PerfEventArray", attr), options.record);
  }

  /**
   * Opens the map that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a perf_event_array
   */
  static fromId<T = Uint8Array>(
    kernel: Kernel,
    id: number,
    options: RecordCodec<T> & OpenOptions = {},
  ): PerfEventArray<T> {
    return new PerfEventArray(MapFd.fromId(kernel, id, wantedMap, options), options.record);
  }

  /** How many elems it has, empty ones too. */
  get length(): number {
    return this.maxEntries;
  }

  /**
   * Begins to take what programs send: gives each CPU a ring, in its elem. What was there is not read any more. Until then, and when
   * the events or the array are closed, programs are told that nobody reads (ENOENT).
   *
   * Kernel name: BPF_MAP_UPDATE_ELEM; on Linux perf_event_open(2), too.
   *
   * @throws {RangeError} for a number of pages that is no power of two
   * @throws {Error} when they are being read already
   * @throws {BpfError} EACCES, EMFILE, ENOMEM; EPERM when the fd is read-only or the map frozen, or too much memory is locked; EBADF
   * when the map is closed
   */
  events(options: PerfEventsOptions = {}): PerfEvents<T> {
    if (!this.mapFd.isOpen) throw this.#fds.failed("read the events of", -EBADF);
    if (this.#events?.isOpen === true) throw new Error(`The events of "${this.name}" are being read already`);
    return (this.#events = new PerfEvents(this.#fds, this.#codec, asPages(options.pages ?? DEFAULT_PAGES)));
  }

  /** Closes the map's fd, and the events that are read by it. */
  override close(): void {
    this.#events?.close();
    this.#fds.close();
  }
}

function arrayAttrOf<T>(kernel: Kernel, options: PerfEventArrayOptions<T>): MapAttr {
  const { maxEntries = kernel.possibleCpus } = options;
  return attrOfSizes(BPF_MAP_TYPE_PERF_EVENT_ARRAY, u32.size, i32.size, { ...options, maxEntries });
}

function asPages(pages: number): number {
  const isPowerOf2 = (asU32("pages", pages) & (pages - 1)) === 0 && pages > 0;
  if (isPowerOf2 && pages <= MAX_PAGES) return pages;
  throw new RangeError(`pages is ${pages}: wanted a power of two, at most ${MAX_PAGES}`);
}

/** 1 GiB a CPU. */
const MAX_PAGES = 2 ** 18;

/** Called with where a record is. */
type Visit = (memory: DataView, offset: number, length: number) => void;

/** The records of a CPU. */
interface CpuRing {
  readonly cpu: number;
  readonly fd: number;
  /** Whether there are records, where waiting for the fd does not tell. */
  readonly isReady?: () => boolean;
  /** How many records found no room, as far as is known. */
  readonly lost: number;
  /** Takes up to `max` records that are there. */
  take(visit: Visit, max: number): void;
  [Symbol.dispose](): void;
}

/** A ring of Linux's. */
class EventRing implements CpuRing {
  readonly cpu: number;
  readonly fd: number;
  readonly isReady = (): boolean => !this.#ring.isEmpty;
  lost = 0;
  readonly #ring: PerfRing;

  constructor(ring: PerfRing) {
    this.#ring = ring;
    this.cpu = ring.cpu;
    this.fd = ring.fd;
  }

  take(visit: Visit, max: number): void {
    for (let taken = 0; taken < max;) {
      const record = this.#ring.next();
      if (record === undefined) return;
      if (record.what === "lost") this.lost += Number(record.lost);
      if (record.what !== "sample") continue;
      const { buffer, byteOffset, length } = record.data;
      visit(new DataView(buffer, byteOffset, length), 0, length);
      taken++;
    }
  }

  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]();
  }
}

/** A ring buffer in the place of one. */
class BufferRing implements CpuRing {
  readonly cpu: number;
  readonly #ring: RingBuffer;

  constructor(kernel: Kernel, cpu: number, pages: number) {
    this.cpu = cpu;
    this.#ring = RingBuffer.create(kernel, { name: `cpu${cpu}`, size: pages * PAGE_BYTES });
  }

  get fd(): number {
    return this.#ring.fd;
  }

  get lost(): number {
    return this.#ring.lost ?? 0;
  }

  take(visit: Visit, max: number): void {
    this.#ring.forEach(visit, max);
  }

  [Symbol.dispose](): void {
    this.#ring.close();
  }
}

/**
 * What programs send by a PerfEventArray, for one reader.
 *
 * What programs of one CPU send comes in its order; between those of different CPUs there is none.
 */
export class PerfEvents<T = Uint8Array> {
  readonly #fds: RingFds;
  readonly #codec: Codec<T> | undefined;
  readonly #rings: CpuRing[] = [];
  /** The ring that is looked at first: none is to wait for long behind others that are always full. */
  #first = 0;
  /** What was taken from rings, and from nobody's loop yet; `#at` is the next. */
  #taken: PerfEvent<T>[] = [];
  #at = 0;
  readonly #closed = new AbortController();
  /** What `lost` was when the rings were closed. */
  #lostBefore = 0;

  /** @internal */
  constructor(fds: RingFds, codec: Codec<T> | undefined, pages: number) {
    this.#fds = fds;
    this.#codec = codec;
    const { kernel, maxEntries } = fds;
    try {
      for (let cpu = 0; cpu < Math.min(kernel.possibleCpus, maxEntries); cpu++) {
        const ring = openRing(kernel, cpu, pages);
        if (ring === undefined) continue;
        this.#rings.push(ring);
        fds.set(cpu, ring.fd);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return !this.#closed.signal.aborted;
  }

  /** How many records found no room. Linux tells when there is room again, by what is read then. */
  get lost(): number {
    return this.#rings.reduce((sum, ring) => sum + ring.lost, this.#lostBefore);
  }

  /**
   * Takes up to `max` events that are there now.
   *
   * @throws {BpfError} EBADF when they are closed
   * @throws {RangeError} when a record is shorter than what the codec reads
   */
  poll(max: number = Number.POSITIVE_INFINITY): PerfEvent<T>[] {
    if (!this.isOpen) throw this.#fds.failed("read the events of", -EBADF);
    if (this.#left < max) this.#take(max - this.#left);
    const events = this.#taken.slice(this.#at, this.#at + max);
    this.#at += events.length;
    return events;
  }

  /**
   * Events, as they come. The loop ends when they are closed.
   *
   * @throws the signal's reason
   */
  async *records(options: RingReadOptions = {}): AsyncGenerator<PerfEvent<T>, void, undefined> {
    const { signal } = options;
    while (this.isOpen) {
      signal?.throwIfAborted();
      if (this.#left === 0) this.#take(BATCH);
      const event = this.#taken[this.#at];
      if (event === undefined) {
        await this.#wait(signal);
      } else {
        this.#at++;
        yield event;
      }
    }
  }

  /**
   * All events that are there, as they come: at least one each time.
   *
   * @throws the signal's reason
   */
  async *batches(options: RingReadOptions = {}): AsyncGenerator<PerfEvent<T>[], void, undefined> {
    const { signal } = options;
    while (this.isOpen) {
      signal?.throwIfAborted();
      const events = this.poll();
      if (events.length > 0) yield events;
      else await this.#wait(signal);
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<PerfEvent<T>, void, undefined> {
    return this.records();
  }

  /** Takes the rings out of the array, and closes them. What was not read is gone. Twice is no error. */
  close(): void {
    if (!this.isOpen) return;
    this.#lostBefore = this.lost;
    this.#closed.abort();
    for (const ring of this.#rings.splice(0)) {
      this.#fds.drop(ring.cpu);
      ring[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #left(): number {
    return this.#taken.length - this.#at;
  }

  /** Takes up to so many events out of the rings, behind those that are left. */
  #take(max: number): void {
    const events = this.#taken.slice(this.#at);
    const most = events.length + max;
    this.#taken = events;
    this.#at = 0;
    for (let i = 0; i < this.#rings.length && events.length < most; i++) {
      const ring = this.#rings[this.#first]!;
      this.#first = (this.#first + 1) % this.#rings.length;
      const { cpu } = ring;
      ring.take((memory, offset, length) => {
        events.push({ cpu, data: this.#decode(memory, offset, length) });
      }, most - events.length);
    }
  }

  #decode(memory: DataView, offset: number, length: number): T {
    const codec = this.#codec;
    if (codec === undefined) return new Uint8Array(memory.buffer, memory.byteOffset + offset, length).slice() as T;
    mustHold(codec, length, this.#fds.name);
    return codec.read(memory, offset);
  }

  /** Until there may be events in one of the rings, or they are closed. */
  async #wait(given: AbortSignal | undefined): Promise<void> {
    const over = new AbortController();
    const signals = [over.signal, this.#closed.signal];
    const signal = AbortSignal.any(given === undefined ? signals : [...signals, given]);
    try {
      const waits = this.#rings.map(({ fd, isReady }) => this.#fds.kernel.readable(fd, { signal, isReady }));
      await Promise.race(waits);
    } catch (error) {
      if (this.isOpen) throw error;
    } finally {
      over.abort();
    }
  }
}

/** Events that are taken at a time by a loop that wants one after the other. */
const BATCH = 256;

/** A CPU's ring; undefined for a CPU that is offline. */
function openRing(kernel: Kernel, cpu: number, pages: number): CpuRing | undefined {
  if (!hasPerfEvents(kernel)) return new BufferRing(kernel, cpu, pages);
  const ring = PerfRing.open(kernel, cpu, cpu, pages);
  if (typeof ring !== "number") return new EventRing(ring);
  if (ring === -ENODEV) return undefined;
  throw new BpfError(`Cannot open a perf event on CPU ${cpu}`, ring, { syscall: "perf_event_open" });
}

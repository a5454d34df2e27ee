/**
 * RingBuffer: records, in the order in which they were reserved, for one reader.
 *
 * The reader is the same on both kernels: it reads the ring's memory through `Kernel.mmap`, and makes no system call but to wait.
 */
import { BPF_MAP_TYPE_RINGBUF, BPF_RINGBUF_HDR_SZ, BPF_MAP_UPDATE_ELEM } from "../uapi/bpf.js";
import { EAGAIN, EBADF, EOPNOTSUPP } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import type { DirectRing, Kernel, UserBuffer } from "../kernels/kernel.js";
import { asCString, asU32 } from "./_arguments.js";
import { MapFd, type Wanted } from "./_map_fd.js";
import { TypedMap } from "./_typed_map.js";

const PAGE_BYTES = 4096;
const DISCARD = 0x40000000;
const LEN_MASK = 0x3fffffff;
/** Between two looks at a record that Linux calls readable and whose writer has not submitted it. */
const BUSY_MS = 1;

/** What the records of a ring are. */
export interface RecordCodec<T> {
  /** Decodes records; without it they are views of the ring's bytes. */
  readonly record?: Codec<T>;
}

/** What a ring is created with. */
export interface RingOptions<T> extends RecordCodec<T> {
  /** At most 15 letters, digits, "_" and ".". */
  readonly name?: string;
  /** Bytes of records, their headers of 8 bytes included: a power of two, and a multiple of 4096. Kernel name: max_entries. */
  readonly size: number;
}

/** How a ring is read. */
export interface RingReadOptions {
  /** Ends the reading: what waits is rejected with its reason. */
  readonly signal?: AbortSignal;
}

const wantedRing: Wanted = {
  className: "RingBuffer",
  type: BPF_MAP_TYPE_RINGBUF,
  key: { size: 0, type: "no key" },
  value: { size: 0, type: "no value" },
};

/**
 * A ring buffer. Many threads write, one reads.
 *
 * Kernel name: BPF_MAP_TYPE_RINGBUF. Since Linux 5.8.
 *
 * Records without a codec are views of the ring: they are good until the next step of the loop, or the next `poll`.
 *
 * @example
 * ```ts
 * using ring = RingBuffer.create(kernel, { name: "events", size: 65536 });
 * ring.output(new Uint8Array([1, 2, 3])); // in any thread
 * for await (const record of ring) console.log(record);
 * ```
 */
export class RingBuffer<T = Uint8Array> extends TypedMap {
  readonly #codec: Codec<T> | undefined;
  readonly #mask: number;
  readonly #consumer: UserBuffer;
  readonly #producer: UserBuffer;
  readonly #direct: DirectRing | undefined;
  readonly #consumerWords: Int32Array;
  readonly #producerWords: Int32Array;
  readonly #view: DataView;
  /** Where the reader is, of which the kernel may not know yet. */
  #position: bigint;
  #low: number;
  #ref = true;

  private constructor(mapFd: MapFd, codec: Codec<T> | undefined) {
    super(mapFd);
    this.#codec = codec;
    const size = mapFd.info.maxEntries;
    this.#mask = size - 1;
    try {
      this.#consumer = this.kernel.mmap(mapFd.fd, PAGE_BYTES, { writable: true });
      try {
        // Linux has the data twice in a row, so that a record may cross the end.
        const bytes = PAGE_BYTES + size * (this.kernel.name === "linux" ? 2 : 1);
        this.#producer = this.kernel.mmap(mapFd.fd, bytes, { offset: PAGE_BYTES });
      } catch (error) {
        this.#consumer[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      mapFd.close();
      throw error;
    }
    this.#direct = this.kernel.directRing?.(mapFd.fd);
    this.#consumerWords = wordsOf(this.#consumer);
    this.#producerWords = wordsOf(this.#producer);
    const { buffer, byteOffset, byteLength } = this.#producer.bytes;
    this.#view = new DataView(buffer, byteOffset, byteLength);
    this.#position = new DataView(this.#consumer.bytes.buffer, this.#consumer.bytes.byteOffset).getBigUint64(0, true);
    this.#low = Number(BigInt.asUintN(32, this.#position));
  }

  /**
   * Creates a ring, and opens it.
   *
   * Kernel name: BPF_MAP_CREATE.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EINVAL for a size that is no power of two, or not whole pages; EPERM, ENOMEM, EMFILE
   */
  static create<T = Uint8Array>(kernel: Kernel, options: RingOptions<T>): RingBuffer<T> {
    const attr = {
      mapType: BPF_MAP_TYPE_RINGBUF,
      keySize: 0,
      valueSize: 0,
      maxEntries: asU32("size", options.size),
      mapName: asCString("name", options.name ?? ""),
    };
    return new RingBuffer(MapFd.create(kernel, attr), options.record);
  }

  /**
   * Opens the ring that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a ring buffer
   */
  static open<T = Uint8Array>(kernel: Kernel, path: string, codec: RecordCodec<T> = {}): RingBuffer<T> {
    return new RingBuffer(MapFd.open(kernel, path, wantedRing), codec.record);
  }

  /**
   * Opens the ring that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a ring buffer
   */
  static fromId<T = Uint8Array>(kernel: Kernel, id: number, codec: RecordCodec<T> = {}): RingBuffer<T> {
    return new RingBuffer(MapFd.fromId(kernel, id, wantedRing), codec.record);
  }

  /** Bytes of records that it holds, headers included. */
  get size(): number {
    return this.#mask + 1;
  }

  /** Bytes that are reserved or written, and not read yet. */
  get pending(): number {
    this.#mustBeOpen("look at");
    return (Atomics.load(this.#producerWords, 0) - Atomics.load(this.#consumerWords, 0)) >>> 0;
  }

  /** How many records found no room; undefined on Linux, which does not count them. */
  get lost(): number | undefined {
    this.#mustBeOpen("look at");
    return this.#direct?.lost();
  }

  /** Takes up to `max` records that are there now. What the poll before returned is free for writers again. */
  poll(max: number = Number.POSITIVE_INFINITY): T[] {
    this.#mustBeOpen("read");
    this.#release();
    const records: T[] = [];
    while (records.length < max) {
      const record = this.#take();
      if (record === undefined) break;
      records.push(record);
    }
    // Only discarded records were there: nobody has views of them.
    if (records.length === 0) this.#release();
    return records;
  }

  /**
   * Records, as they come. The loop ends when the ring is closed.
   *
   * @throws the signal's reason
   */
  async *records(options: RingReadOptions = {}): AsyncGenerator<T, void, undefined> {
    for await (const batch of this.#batches(1, options.signal)) yield batch[0]!;
  }

  /**
   * All records that are there, as they come: at least one each time.
   *
   * @throws the signal's reason
   */
  batches(options: RingReadOptions = {}): AsyncGenerator<T[], void, undefined> {
    return this.#batches(Infinity, options.signal);
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return this.records();
  }

  async *#batches(max: number, signal: AbortSignal | undefined): AsyncGenerator<T[], void, undefined> {
    try {
      while (this.mapFd.isOpen) {
        signal?.throwIfAborted();
        const records = this.poll(max);
        if (records.length > 0) {
          yield records;
          continue;
        }
        await this.kernel.readable(this.fd, { signal, ref: this.#ref });
        if (this.#isBusy()) await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
      }
    } finally {
      if (this.mapFd.isOpen) this.#release();
    }
  }

  /** Waiting keeps Node's event loop alive, which it does unless told. */
  ref(): this {
    this.#ref = true;
    return this;
  }

  /** Waiting that begins from now on does not keep Node's event loop alive. On Linux it does all the same. */
  unref(): this {
    this.#ref = false;
    return this;
  }

  /**
   * Writes a record.
   *
   * Kernel name: bpf_ringbuf_output. On Linux only programs write.
   *
   * @returns false when there is no room for it: it is lost.
   * @throws {BpfError} EOPNOTSUPP on Linux; EBADF when the ring is closed
   */
  output(record: Uint8Array): boolean {
    const ret = this.#writer().output(record, 0);
    if (ret === 0) return true;
    if (ret === -EAGAIN) return false;
    throw this.mapFd.failure("write to", ret, BPF_MAP_UPDATE_ELEM);
  }

  /**
   * Reserves a record, to be filled and then given to `submit` or `discard` by the same thread; readers wait for it meanwhile.
   *
   * Kernel name: bpf_ringbuf_reserve. On Linux only programs write.
   *
   * @returns undefined when there is no room for it.
   * @throws {BpfError} EOPNOTSUPP on Linux; EBADF when the ring is closed
   */
  reserve(size: number): RingRecord | undefined {
    const writer = this.#writer();
    const bytes = writer.reserve(asU32("size", size));
    if (bytes === undefined) return undefined;
    const end = (ret: number): void => {
      if (ret !== 0) throw this.mapFd.failure("end a record of", ret, BPF_MAP_UPDATE_ELEM);
    };
    return {
      bytes,
      submit: () => end(this.#writer().submit(bytes, 0)),
      discard: () => end(this.#writer().discard(bytes, 0)),
    };
  }

  /** Closes the ring's fd. Views of records are not to be used afterwards. */
  override close(): void {
    if (!this.mapFd.isOpen) return;
    this.#release();
    this.#direct?.[Symbol.dispose]();
    this.#producer[Symbol.dispose]();
    this.#consumer[Symbol.dispose]();
    this.mapFd.close();
  }

  #mustBeOpen(verb: string): void {
    if (!this.mapFd.isOpen) throw this.mapFd.failure(verb, -EBADF, BPF_MAP_UPDATE_ELEM);
  }

  #writer(): DirectRing {
    this.#mustBeOpen("write to");
    if (this.#direct === undefined) throw this.mapFd.failure("write to", -EOPNOTSUPP, BPF_MAP_UPDATE_ELEM);
    return this.#direct;
  }

  /** The next record that was submitted, if it is there. */
  #take(): T | undefined {
    const words = this.#producerWords;
    for (;;) {
      if (Atomics.load(words, 0) === (this.#low | 0)) return undefined;
      const offset = PAGE_BYTES + (this.#low & this.#mask);
      const header = Atomics.load(words, offset >>> 2);
      if (header < 0) return undefined;
      const length = header & LEN_MASK;
      this.#advance((length + BPF_RINGBUF_HDR_SZ + 7) & ~7);
      if ((header & DISCARD) === 0) return this.#decode(offset + BPF_RINGBUF_HDR_SZ, length);
    }
  }

  #isBusy(): boolean {
    if (!this.mapFd.isOpen || Atomics.load(this.#producerWords, 0) === (this.#low | 0)) return false;
    return Atomics.load(this.#producerWords, (PAGE_BYTES + (this.#low & this.#mask)) >>> 2) < 0;
  }

  #decode(at: number, length: number): T {
    const codec = this.#codec;
    if (codec === undefined) return this.#producer.bytes.subarray(at, at + length) as T;
    if (length < codec.size) {
      throw new RangeError(`A record of "${this.name}" has ${length} bytes: ${codec.type} wants ${codec.size}`);
    }
    return codec.read(this.#view, at);
  }

  #advance(bytes: number): void {
    const low = this.#low + bytes;
    this.#low = low >>> 0;
    if (low > 0xffffffff) this.#position += 1n << 32n;
  }

  /** Tells the kernel how far the reader has come. */
  #release(): void {
    const words = this.#consumerWords;
    const high = Number(BigInt.asIntN(32, this.#position >> 32n));
    if (words[1] !== high) {
      // Both halves at once.
      const position = (this.#position & ~0xffffffffn) | BigInt(this.#low);
      const { buffer, byteOffset } = this.#consumer.bytes;
      Atomics.store(new BigInt64Array(buffer, byteOffset, 1), 0, BigInt.asIntN(64, position));
    } else if (words[0] !== (this.#low | 0)) {
      Atomics.store(words, 0, this.#low | 0);
    }
  }
}

/** A record that is reserved. */
export interface RingRecord {
  /** To be filled; not to be used once it was submitted or discarded. */
  readonly bytes: Uint8Array;
  /** Gives it to the reader. Kernel name: bpf_ringbuf_submit. */
  submit(): void;
  /** Takes it back. Kernel name: bpf_ringbuf_discard. */
  discard(): void;
}

function wordsOf({ bytes }: UserBuffer): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
}

/**
 * RingBuffer: records, in the order in which they were reserved, for one reader.
 *
 * The reader is the same on both kernels: it reads the ring's memory through `Kernel.mmap`, and makes no system call but to wait.
 */
import { BPF_MAP_TYPE_RINGBUF, BPF_RINGBUF_HDR_SZ, BPF_MAP_UPDATE_ELEM } from "../uapi/bpf.js";
import { EAGAIN, EBADF, EOPNOTSUPP } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import type { DirectRing, Kernel, UserBuffer } from "../kernels/kernel.js";
import { asU32 } from "./_arguments.js";
import { MapFd } from "./_map_fd.js";
import {
  DISCARD,
  LEN_MASK,
  LOOK_MS,
  PAGE_BYTES,
  type RecordCodec,
  RingMemory,
  type RingOptions,
  type RingReadOptions,
  type RingRecord,
  ringAttrOf,
  mustHold,
  storePosition,
  wantedRing,
} from "./_ring.js";
import { TypedMap } from "./_typed_map.js";

const wanted = wantedRing("RingBuffer", BPF_MAP_TYPE_RINGBUF);

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
  readonly #memory: RingMemory;
  readonly #consumerWords: Int32Array;
  readonly #producerWords: Int32Array;
  /** Where the reader is, of which the kernel may not know yet. */
  #position: bigint;
  #low: number;
  /** How far records were there at the last look, the lower 32 bits: a look takes the line of memory from the writers. */
  #end: number;
  #length = 0;
  /** Whether something was read that the kernel does not know of yet. */
  #hasRead = false;
  /** Ends what waits when the ring is closed. */
  readonly #closed = new AbortController();
  #ref = true;
  /** Where `push` encodes to. */
  #scratch: { readonly buffer: UserBuffer; readonly view: DataView } | undefined;

  private constructor(mapFd: MapFd, codec: Codec<T> | undefined) {
    super(mapFd);
    this.#codec = codec;
    this.#mask = mapFd.info.maxEntries - 1;
    this.#memory = new RingMemory(mapFd, "consumer");
    this.#consumerWords = this.#memory.consumerWords;
    this.#producerWords = this.#memory.producerWords;
    this.#position = this.#consumerPosition();
    this.#low = Number(BigInt.asUintN(32, this.#position));
    this.#end = this.#low;
  }

  override get codecs(): RecordCodec<T> {
    return this.#codec === undefined ? {} : { record: this.#codec };
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
    return new RingBuffer(MapFd.create(kernel, ringAttrOf(BPF_MAP_TYPE_RINGBUF, options)), options.record);
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
    return new RingBuffer(MapFd.open(kernel, path, wanted), codec.record);
  }

  /**
   * Opens the ring that is pinned at a path; where nothing is pinned, creates one and pins it there.
   *
   * Threads and processes that do so at once all get the same ring. One that is there must be of this type and size.
   *
   * Kernel name: BPF_OBJ_GET, BPF_MAP_CREATE, BPF_OBJ_PIN.
   *
   * @throws {TypeError | RangeError} for an option of the wrong type, or out of range
   * @throws {BpfError} EEXIST when the map there differs: the message and `details.differences` name each property that does; and
   * as `create`, `open` and `pin`
   */
  static openOrCreate<T = Uint8Array>(kernel: Kernel, path: string, options: RingOptions<T>): RingBuffer<T> {
    const attr = ringAttrOf(BPF_MAP_TYPE_RINGBUF, options);
    return new RingBuffer(MapFd.openOrCreate(kernel, path, "RingBuffer", attr), options.record);
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
    return new RingBuffer(MapFd.fromId(kernel, id, wanted), codec.record);
  }

  /** Bytes of records that it holds, headers included. */
  get size(): number {
    return this.#mask + 1;
  }

  /** Bytes that are reserved or written, and not read yet. */
  get pending(): number {
    this.#mustBeOpen("look at");
    return this.#memory.pending;
  }

  /** How many records found no room; undefined on Linux, which does not count them. */
  get lost(): number | undefined {
    this.#mustBeOpen("look at");
    return this.#memory.direct?.lost();
  }

  /** Takes up to `max` records that are there now. What the poll before returned is free for writers again. */
  poll(max: number = Number.POSITIVE_INFINITY): T[] {
    this.#mustBeOpen("read");
    this.#release();
    const records: T[] = [];
    while (records.length < max) {
      const at = this.#take();
      if (at === undefined) break;
      records.push(this.#decode(at, this.#length));
    }
    // Only discarded records were there: nobody has views of them.
    if (records.length === 0) this.#release();
    return records;
  }

  /**
   * Visits up to `max` records that are there now, and makes no object of them: with the ring's memory, where in it the record begins,
   * and how long it is. What is visited is free for writers again when this returns.
   *
   * @returns How many there were.
   */
  forEach(visit: (memory: DataView, offset: number, length: number) => void, max: number = Infinity): number {
    this.#mustBeOpen("read");
    this.#release();
    const { view } = this.#memory;
    let count = 0;
    try {
      for (; count < max; count++) {
        const at = this.#take();
        if (at === undefined) break;
        visit(view, at, this.#length);
      }
    } finally {
      if (this.mapFd.isOpen) this.#release();
    }
    return count;
  }

  /**
   * Records, as they come. The loop ends when the ring is closed.
   *
   * A step frees the record before for writers, if not at once, then when the loop waits, or an eighth of the ring was read.
   *
   * @throws the signal's reason
   */
  async *records(options: RingReadOptions = {}): AsyncGenerator<T, void, undefined> {
    const { signal } = options;
    const wait = this.#waiter(signal);
    const words = this.#consumerWords;
    const most = this.size >>> 3;
    try {
      while (this.mapFd.isOpen) {
        signal?.throwIfAborted();
        if ((this.#low - words[0]!) >>> 0 >= most) this.#release();
        const at = this.#take();
        if (at !== undefined) {
          yield this.#decode(at, this.#length);
          continue;
        }
        this.#release();
        await wait();
      }
    } finally {
      if (this.mapFd.isOpen) this.#release();
    }
  }

  /**
   * All records that are there, as they come: at least one each time.
   *
   * @throws the signal's reason
   */
  async *batches(options: RingReadOptions = {}): AsyncGenerator<T[], void, undefined> {
    const { signal } = options;
    const wait = this.#waiter(signal);
    try {
      while (this.mapFd.isOpen) {
        signal?.throwIfAborted();
        const records = this.poll();
        if (records.length > 0) yield records;
        else await wait();
      }
    } finally {
      if (this.mapFd.isOpen) this.#release();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return this.records();
  }

  /** A function that waits until there may be records, or the ring is closed. */
  #waiter(given: AbortSignal | undefined): () => Promise<void> {
    const closed = this.#closed.signal;
    const signal = given === undefined ? closed : AbortSignal.any([given, closed]);
    return async () => {
      try {
        await this.kernel.readable(this.fd, { signal, ref: this.#ref });
      } catch (error) {
        if (this.mapFd.isOpen) throw error;
      }
      // Linux calls a record readable whose writer has not submitted it.
      if (this.#isBusy()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    };
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
   * Writes a record as the ring's codec has it; without one it is `output`.
   *
   * Kernel name: bpf_ringbuf_output. On Linux only programs write.
   *
   * @returns false when there is no room for it: it is lost.
   * @throws {TypeError | RangeError} for what the codec refuses
   * @throws {BpfError} EOPNOTSUPP on Linux; EBADF when the ring is closed
   */
  push(record: T): boolean {
    const codec = this.#codec;
    if (codec === undefined) return this.output(record as Uint8Array);
    const writer = this.#writer();
    if (this.#scratch === undefined) {
      const buffer = this.kernel.alloc(Math.max(codec.size, 1));
      this.#scratch = { buffer, view: new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset, codec.size) };
    }
    codec.write(this.#scratch.view, 0, record, "record");
    return this.#written(writer.outputFrom(this.#scratch.buffer.address, codec.size, 0));
  }

  /**
   * Writes bytes as a record.
   *
   * Kernel name: bpf_ringbuf_output. On Linux only programs write.
   *
   * @returns false when there is no room for it: it is lost.
   * @throws {BpfError} EOPNOTSUPP on Linux; EBADF when the ring is closed
   */
  output(record: Uint8Array): boolean {
    return this.#written(this.#writer().output(record, 0));
  }

  #written(ret: number): boolean {
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
    this.#scratch?.buffer[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
    this.mapFd.close();
    this.#closed.abort();
  }

  #mustBeOpen(verb: string): void {
    if (!this.mapFd.isOpen) throw this.mapFd.failure(verb, -EBADF, BPF_MAP_UPDATE_ELEM);
  }

  #writer(): DirectRing {
    this.#mustBeOpen("write to");
    const { direct } = this.#memory;
    if (direct === undefined) throw this.mapFd.failure("write to", -EOPNOTSUPP, BPF_MAP_UPDATE_ELEM);
    return direct;
  }

  /** Where the next record that was submitted begins, if it is there; `#length` is its length. */
  #take(): number | undefined {
    const words = this.#producerWords;
    for (;;) {
      const low = this.#low;
      if (low === this.#end && low === (this.#end = Atomics.load(words, 0) >>> 0)) return undefined;
      const offset = PAGE_BYTES + (low & this.#mask);
      const header = Atomics.load(words, offset >>> 2);
      if (header < 0) return undefined;
      const length = header & LEN_MASK;
      this.#advance((length + BPF_RINGBUF_HDR_SZ + 7) & ~7);
      this.#length = length;
      if ((header & DISCARD) === 0) return offset + BPF_RINGBUF_HDR_SZ;
    }
  }

  #isBusy(): boolean {
    if (!this.mapFd.isOpen || Atomics.load(this.#producerWords, 0) === (this.#low | 0)) return false;
    return Atomics.load(this.#producerWords, (PAGE_BYTES + (this.#low & this.#mask)) >>> 2) < 0;
  }

  #decode(at: number, length: number): T {
    const codec = this.#codec;
    if (codec === undefined) return this.#memory.producer.bytes.subarray(at, at + length) as T;
    mustHold(codec, length, this.name);
    return codec.read(this.#memory.view, at);
  }

  #advance(bytes: number): void {
    const low = this.#low + bytes;
    this.#low = low >>> 0;
    this.#hasRead = true;
    if (low > 0xffffffff) this.#position += 1n << 32n;
  }

  #consumerPosition(): bigint {
    const { buffer, byteOffset } = this.#memory.consumer.bytes;
    return new DataView(buffer, byteOffset).getBigUint64(0, true);
  }

  /** Tells the kernel how far the reader has come. What has not read tells nothing: another may have, and goes on from there. */
  #release(): void {
    const words = this.#consumerWords;
    if (!this.#hasRead) {
      if (Atomics.load(words, 0) === (this.#low | 0)) return;
      this.#position = this.#consumerPosition();
      this.#low = Number(BigInt.asUintN(32, this.#position));
      this.#end = this.#low;
      return;
    }
    this.#hasRead = false;
    const high = Number(BigInt.asIntN(32, this.#position >> 32n));
    if (words[1] !== high) {
      storePosition(this.#memory.consumer, (this.#position & ~0xffffffffn) | BigInt(this.#low));
    } else if (words[0] !== (this.#low | 0)) {
      Atomics.store(words, 0, this.#low | 0);
    }
  }
}

/**
 * UserRingBuffer: the ring buffer the other way round. User space writes records, the kernel takes them out.
 *
 * The writer is the same on both kernels: it writes the ring's memory through `Kernel.mmap`, and makes no system call but to wait.
 * It stores a record's header, then its bytes, then producer_pos; the last store publishes.
 */
import { BPF_MAP_TYPE_USER_RINGBUF, BPF_MAP_UPDATE_ELEM, BPF_RINGBUF_HDR_SZ } from "../uapi/bpf.js";
import { EAGAIN, EBADF, ENODATA, EOPNOTSUPP } from "../uapi/errno.js";
import type { Codec } from "../codec/codec.js";
import type { Kernel } from "../kernels/kernel.js";
import { asU32 } from "./_arguments.js";
import { MapFd } from "./_map_fd.js";
import {
  BUSY,
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

const wanted = wantedRing("UserRingBuffer", BPF_MAP_TYPE_USER_RINGBUF);

/**
 * A ring buffer that user space writes.
 *
 * Kernel name: BPF_MAP_TYPE_USER_RINGBUF. Since Linux 6.1.
 *
 * One thread writes at a time. On Linux programs take the records out; on the embedded kernel `drain` does, in any thread.
 *
 * @example
 * ```ts
 * using ring = UserRingBuffer.create(kernel, { name: "commands", size: 65536, record: u32 });
 * while (!ring.push(7)) await ring.writable();
 * ring.drain(); // [ 7 ]
 * ```
 */
export class UserRingBuffer<T = Uint8Array> extends TypedMap {
  readonly #codec: Codec<T> | undefined;
  readonly #mask: number;
  readonly #memory: RingMemory;
  /** Whether the data are there twice in a row. */
  readonly #isDoubled: boolean;
  /** Ends what waits when the ring is closed. */
  readonly #closed = new AbortController();
  #ref = true;

  private constructor(mapFd: MapFd, codec: Codec<T> | undefined) {
    super(mapFd);
    this.#codec = codec;
    this.#mask = mapFd.info.maxEntries - 1;
    this.#memory = new RingMemory(mapFd, "producer");
    this.#isDoubled = this.kernel.name === "linux";
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
  static create<T = Uint8Array>(kernel: Kernel, options: RingOptions<T>): UserRingBuffer<T> {
    return new UserRingBuffer(MapFd.create(kernel, ringAttrOf(BPF_MAP_TYPE_USER_RINGBUF, options)), options.record);
  }

  /**
   * Opens the ring that is pinned at a path.
   *
   * Kernel name: BPF_OBJ_GET.
   *
   * @throws {BpfError} ENOENT, EACCES, EPERM
   * @throws {TypeError} when it is not a user ring buffer
   */
  static open<T = Uint8Array>(kernel: Kernel, path: string, codec: RecordCodec<T> = {}): UserRingBuffer<T> {
    return new UserRingBuffer(MapFd.open(kernel, path, wanted), codec.record);
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
  static openOrCreate<T = Uint8Array>(kernel: Kernel, path: string, options: RingOptions<T>): UserRingBuffer<T> {
    const attr = ringAttrOf(BPF_MAP_TYPE_USER_RINGBUF, options);
    return new UserRingBuffer(MapFd.openOrCreate(kernel, path, "UserRingBuffer", attr), options.record);
  }

  /**
   * Opens the ring that has an id.
   *
   * Kernel name: BPF_MAP_GET_FD_BY_ID.
   *
   * @throws {BpfError} ENOENT, EPERM
   * @throws {TypeError} when it is not a user ring buffer
   */
  static fromId<T = Uint8Array>(kernel: Kernel, id: number, codec: RecordCodec<T> = {}): UserRingBuffer<T> {
    return new UserRingBuffer(MapFd.fromId(kernel, id, wanted), codec.record);
  }

  /** Bytes of records that it holds, headers included. */
  get size(): number {
    return this.#mask + 1;
  }

  /** Bytes that are reserved or written, and not taken out yet. */
  get pending(): number {
    this.#mustBeOpen("look at");
    return this.#memory.pending;
  }

  /**
   * Writes a record.
   *
   * @returns false when there is no room for it now.
   * @throws {TypeError | RangeError} for what the codec refuses, or what is larger than the ring
   * @throws {BpfError} EBADF when the ring is closed
   */
  push(record: T): boolean {
    this.#mustBeOpen("write to");
    const codec = this.#codec;
    const size = codec === undefined ? (record as Uint8Array).byteLength : codec.size;
    const at = this.#room(size);
    if (at === undefined) return false;
    if (codec === undefined) this.#memory.producer.bytes.set(record as Uint8Array, at + BPF_RINGBUF_HDR_SZ);
    else codec.write(this.#memory.view, at + BPF_RINGBUF_HDR_SZ, record, "record");
    this.#publish(at, size);
    return true;
  }

  /**
   * Reserves a record, to be filled and then submitted or discarded; what is written after it waits for that.
   *
   * @returns undefined when there is no room for it now.
   * @throws {RangeError} for what is larger than the ring
   * @throws {BpfError} EBADF when the ring is closed
   */
  reserve(size: number): RingRecord | undefined {
    this.#mustBeOpen("write to");
    const at = this.#room(asU32("size", size));
    if (at === undefined) return undefined;
    this.#publish(at, (size | BUSY) >>> 0);
    let isOpen = true;
    const end = (header: number): void => {
      this.#mustBeOpen("end a record of");
      if (isOpen) Atomics.store(this.#memory.producerWords, at >>> 2, header);
      isOpen = false;
    };
    const from = at + BPF_RINGBUF_HDR_SZ;
    return {
      bytes: this.#memory.producer.bytes.subarray(from, from + size),
      submit: () => end(size),
      discard: () => end(size | DISCARD),
    };
  }

  /**
   * Resolves when there is room for a record of `size` bytes.
   *
   * @param size Of the codec's size, or empty, unless told.
   * @throws {RangeError} for what is larger than the ring
   * @throws {BpfError} EBADF when the ring is closed meanwhile
   * @throws the signal's reason
   */
  async writable(size: number = this.#codec?.size ?? 0, options: RingReadOptions = {}): Promise<void> {
    const given = options.signal;
    const closed = this.#closed.signal;
    const signal = given === undefined ? closed : AbortSignal.any([given, closed]);
    for (;;) {
      this.#mustBeOpen("wait for");
      given?.throwIfAborted();
      if (this.#room(asU32("size", size)) !== undefined) return;
      try {
        await this.kernel.writable(this.fd, { signal, ref: this.#ref });
      } catch (error) {
        if (this.mapFd.isOpen) throw error;
      }
      // Both kernels call it writable as soon as any room is there.
      if (this.mapFd.isOpen && this.#room(size) === undefined) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
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
   * Takes up to `max` records out: what the kernel's side does.
   *
   * Kernel name: bpf_user_ringbuf_drain. On Linux only programs do that.
   *
   * @returns Those that are there, up to one that is reserved and not submitted. Without a codec, copies of their bytes.
   * @throws {BpfError} EOPNOTSUPP on Linux; EINVAL when there is what no record can be; EBADF when the ring is closed
   * @throws {RangeError} when a record is shorter than its codec reads; it is taken out
   */
  drain(max: number = Number.POSITIVE_INFINITY): T[] {
    this.#mustBeOpen("drain");
    const { direct } = this.#memory;
    if (direct === undefined) throw this.mapFd.failure("drain", -EOPNOTSUPP, BPF_MAP_UPDATE_ELEM);
    const records: T[] = [];
    while (records.length < max) {
      const record = direct.drain();
      if (record === -EAGAIN || record === -ENODATA) break;
      if (typeof record === "number") throw this.mapFd.failure("drain", record, BPF_MAP_UPDATE_ELEM);
      records.push(this.#decode(record));
    }
    return records;
  }

  /** Closes the ring's fd. Records that are reserved are not to be used afterwards. */
  override close(): void {
    if (!this.mapFd.isOpen) return;
    this.#memory[Symbol.dispose]();
    this.mapFd.close();
    this.#closed.abort();
  }

  #mustBeOpen(verb: string): void {
    if (!this.mapFd.isOpen) throw this.mapFd.failure(verb, -EBADF, BPF_MAP_UPDATE_ELEM);
  }

  #decode(record: Uint8Array): T {
    const codec = this.#codec;
    if (codec === undefined) return record as T;
    mustHold(codec, record.byteLength, this.name);
    return codec.read(new DataView(record.buffer, record.byteOffset, record.byteLength), 0);
  }

  /** Where the header of a record of so many bytes goes; undefined when there is no room for it. */
  #room(size: number): number | undefined {
    const ringSize = this.#mask + 1;
    if (size > LEN_MASK || size + BPF_RINGBUF_HDR_SZ > ringSize) {
      throw new RangeError(
        `A record of ${size} bytes is too large for "${this.name}": it holds ${ringSize - BPF_RINGBUF_HDR_SZ}`,
      );
    }
    const bytes = recordBytes(size);
    let room = ringSize - this.#memory.pending;
    let at = Atomics.load(this.#memory.producerWords, 0) & this.#mask;
    const toEnd = ringSize - at;
    if (bytes > toEnd && !this.#isDoubled) {
      // What is left at the end is discarded even if the record does not fit yet: then, once all is taken out, any does.
      if (toEnd > room) return undefined;
      this.#publish(PAGE_BYTES + at, (toEnd - BPF_RINGBUF_HDR_SZ) | DISCARD);
      room -= toEnd;
      at = 0;
    }
    return bytes <= room ? PAGE_BYTES + at : undefined;
  }

  /** Writes a header, and gives what lies behind it to the kernel. */
  #publish(at: number, header: number): void {
    const words = this.#memory.producerWords;
    words[(at >>> 2) + 1] = 0;
    Atomics.store(words, at >>> 2, header | 0);
    const low = Atomics.load(words, 0) >>> 0;
    const next = low + recordBytes(header & LEN_MASK);
    if (next <= 0xffffffff) {
      Atomics.store(words, 0, next | 0);
      return;
    }
    storePosition(this.#memory.producer, (BigInt(words[1]! >>> 0) << 32n) + BigInt(next));
  }
}

/** Of a record in the ring: its header, its bytes, and padding. */
function recordBytes(size: number): number {
  return (size + BPF_RINGBUF_HDR_SZ + 7) & ~7;
}

/**
 * What both ring buffers have in common: how they are created and mapped, and what their records look like from user space.
 *
 *      consumer    a page: consumer_pos, 8 bytes
 *      producer    a page: producer_pos, 8 bytes; then the data: on Linux twice in a row, so that a record may cross the end
 */
import type { Codec } from "../codec/codec.js";
import type { DirectRing, UserBuffer } from "../kernels/kernel.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { asCString, asU32 } from "./_arguments.js";
import type { MapFd, Wanted } from "./_map_fd.js";

/** Where the data begin in the producer's memory. */
export const PAGE_BYTES = 4096;
/** In a record's header: it is reserved and not submitted yet. */
export const BUSY = 0x80000000;
export const DISCARD = 0x40000000;
export const LEN_MASK = 0x3fffffff;
/** Between two looks at what no kernel wakes for. */
export const LOOK_MS = 1;

/** What the records of a ring are. */
export interface RecordCodec<T> {
  /** Encodes and decodes records; without it they are bytes. */
  readonly record?: Codec<T>;
}

/** What a ring is created with. */
export interface RingOptions<T> extends RecordCodec<T> {
  /** At most 15 letters, digits, "_" and ".". */
  readonly name?: string;
  /** Bytes of records, their headers of 8 bytes included: a power of two, and a multiple of 4096. Kernel name: max_entries. */
  readonly size: number;
}

/** How a ring is read, or waited for. */
export interface RingReadOptions {
  /** Ends the waiting: what waits is rejected with its reason. */
  readonly signal?: AbortSignal;
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

/** What a ring class takes a map for. */
export function wantedRing(className: string, type: number): Wanted {
  return { className, type, key: { size: 0, type: "no key" }, value: { size: 0, type: "no value" } };
}

/** attr for BPF_MAP_CREATE. */
export function ringAttrOf<T>(mapType: number, { size, name = "" }: RingOptions<T>): MapAttr {
  return { mapType, keySize: 0, valueSize: 0, maxEntries: asU32("size", size), mapName: asCString("name", name) };
}

/** A ring's memory, for who reads it or who writes it. */
export class RingMemory {
  readonly consumer: UserBuffer;
  readonly producer: UserBuffer;
  readonly consumerWords: Int32Array;
  readonly producerWords: Int32Array;
  /** Of `producer`, for codecs. */
  readonly view: DataView;
  readonly direct: DirectRing | undefined;

  /**
   * Maps the position that user space moves for writing. Closes the fd if that fails.
   *
   * @throws {BpfError} what mmap(2) answers
   */
  constructor(mapFd: MapFd, writes: "consumer" | "producer") {
    const { kernel, fd } = mapFd;
    try {
      this.consumer = kernel.mmap(fd, PAGE_BYTES, { writable: writes === "consumer" });
      try {
        const bytes = PAGE_BYTES + mapFd.info.maxEntries * (kernel.name === "linux" ? 2 : 1);
        this.producer = kernel.mmap(fd, bytes, { offset: PAGE_BYTES, writable: writes === "producer" });
      } catch (error) {
        this.consumer[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      mapFd.close();
      throw error;
    }
    this.direct = kernel.directRing?.(fd);
    this.consumerWords = wordsOf(this.consumer);
    this.producerWords = wordsOf(this.producer);
    const { buffer, byteOffset, byteLength } = this.producer.bytes;
    this.view = new DataView(buffer, byteOffset, byteLength);
  }

  /** Bytes between the two positions. */
  get pending(): number {
    return (Atomics.load(this.producerWords, 0) - Atomics.load(this.consumerWords, 0)) >>> 0;
  }

  [Symbol.dispose](): void {
    this.direct?.[Symbol.dispose]();
    this.producer[Symbol.dispose]();
    this.consumer[Symbol.dispose]();
  }
}

function wordsOf({ bytes }: UserBuffer): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
}

/** Stores both halves of a position at once. */
export function storePosition({ bytes }: UserBuffer, position: bigint): void {
  Atomics.store(new BigInt64Array(bytes.buffer, bytes.byteOffset, 1), 0, BigInt.asIntN(64, position));
}

/** @throws {RangeError} when a record is shorter than what its codec reads */
export function mustHold(codec: Codec<unknown>, length: number, name: string): void {
  if (length < codec.size) {
    throw new RangeError(`A record of "${name}" has ${length} bytes: ${codec.type} wants ${codec.size}`);
  }
}

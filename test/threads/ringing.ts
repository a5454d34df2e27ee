/**
 * Writers of a ring buffer.
 */
import { type EmbeddedKernel, RingBuffer } from "tsbpf";

/** A record: who wrote it, the how manieth of theirs it is, and then the same number again up to its end. */
export const recordWords = (i: number): number => 2 + (i % 9);

export interface Writing {
  readonly id: number;
  readonly writer: number;
  readonly records: number;
}

/** Writes so many records, every third by `output`, and tries again while the ring is full. Every fifth is followed by one discarded. */
export function write(kernel: EmbeddedKernel, { id, writer, records }: Writing): void {
  using ring = RingBuffer.fromId(kernel, id);
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < records; i++) {
    const words = new Uint32Array(recordWords(i)).fill(i);
    words[0] = writer;
    const bytes = new Uint8Array(words.buffer);
    if (i % 3 === 0) {
      while (!ring.output(bytes)) Atomics.wait(nap, 0, 0, 1);
      continue;
    }
    let record = ring.reserve(bytes.length);
    for (; record === undefined; record = ring.reserve(bytes.length)) Atomics.wait(nap, 0, 0, 1);
    record.bytes.set(bytes);
    record.submit();
    if (i % 5 === 0) ring.reserve(40)?.discard();
  }
}

/**
 * A ring buffer of the isolated page: its workers write records, its main thread, which cannot sleep, reads them with `for await`.
 */
import { type EmbeddedKernel, type KernelHandle, RingBuffer, struct, u32 } from "../../dist/index.js";

/** A record: its writer, the how manieth of theirs it is, and a sum of both, for what is torn. */
export const record = struct({ writer: u32, n: u32, sum: u32 });

export const sumOf = (writer: number, n: number): number => (Math.imul(n, 2654435761) ^ writer) >>> 0;

/** Records of each writer: many times around the ring. */
export const records = 20_000;

/** What a writer is given. */
export interface Writing {
  readonly handle: KernelHandle;
  readonly id: number;
  readonly writer: number;
}

/** Writes all records of a writer, and returns how often it found the ring full. */
export function writeAll(kernel: EmbeddedKernel, { id, writer }: Writing): number {
  using ring = RingBuffer.fromId(kernel, id);
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const bytes = new Uint8Array(record.size);
  const view = new DataView(bytes.buffer);
  let full = 0;
  for (let n = 0; n < records; n++) {
    record.write(view, 0, { writer, n, sum: sumOf(writer, n) });
    for (; !ring.output(bytes); full++) Atomics.wait(nap, 0, 0, 1);
    // Now and then so slowly that the reader waits.
    if (n % 4000 === 0) Atomics.wait(nap, 0, 0, 20);
  }
  return full;
}

/**
 * Writers of a ring buffer and of a queue that are terminated: what each was about to write, and has written, outlives it.
 */
import { type EmbeddedKernel, type KernelHandle, QueueMap, RingBuffer, struct, u32 } from "tsbpf";
import { randomFrom } from "./clock.js";

/** Places for writers; the next in a place goes on where the last one ended. */
export const places = 4;

/** A value of the queue: `twin` is `n` again, as are all words of a record but the first. */
export const value = struct({ place: u32, n: u32, pad: u32, twin: u32 });

/** Words of a place's journal: what is written to the ring, then the same of the queue. */
const INTENDED = 0;
const DONE = 1;
export const JOURNAL_WORDS = 4;
export const RING = 0;
export const QUEUE = 2;

/** What a writer is started with. */
export interface EndingOrders {
  readonly handle: KernelHandle;
  readonly ringId: number;
  readonly queueId: number;
  readonly journal: SharedArrayBuffer;
  readonly place: number;
  readonly seed: number;
}

/** What was about to be written last, and what was written last. */
export function lastOf(journal: SharedArrayBuffer, place: number, to: number): { intended: number; done: number } {
  const words = new Int32Array(journal, 4 * JOURNAL_WORDS * place);
  return { intended: Atomics.load(words, to + INTENDED), done: Atomics.load(words, to + DONE) };
}

/** Words of a record: some are larger than what is copied under the ring's lock. */
export const recordWords = (n: number): number => (n % 50 === 0 ? 300 : 2 + (n % 9));

/** Writes until it is terminated. */
export function writeUntilTheEnd(kernel: EmbeddedKernel, orders: EndingOrders): never {
  const { place } = orders;
  const random = randomFrom(orders.seed);
  const words = new Int32Array(orders.journal, 4 * JOURNAL_WORDS * place);
  const ring = RingBuffer.fromId(kernel, orders.ringId);
  const queue = QueueMap.fromId(kernel, orders.queueId, { value });
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const write = (to: number, attempt: (n: number) => boolean): void => {
    const n = words[to + INTENDED]! + 1;
    Atomics.store(words, to + INTENDED, n);
    while (!attempt(n)) Atomics.wait(nap, 0, 0, 0.2);
    Atomics.store(words, to + DONE, n);
  };
  for (;;) {
    if (random(3) === 0) write(QUEUE, (n) => pushed(queue, { place, n, pad: 0, twin: n }));
    else if (random(8) === 0) ring.reserve(8 * random(40))?.discard();
    else write(RING, (n) => isWritten(ring, place, n, random(2) === 0));
  }
}

function isWritten(ring: RingBuffer, place: number, n: number, whole: boolean): boolean {
  const words = new Uint32Array(recordWords(n)).fill(n);
  words[0] = place;
  const bytes = new Uint8Array(words.buffer);
  if (whole) return ring.output(bytes);
  const record = ring.reserve(bytes.length);
  if (record === undefined) return false;
  record.bytes.set(bytes);
  record.submit();
  return true;
}

function pushed(
  queue: QueueMap<{ place: number; n: number; pad: number; twin: number }>,
  job: Parameters<typeof queue.push>[0],
): boolean {
  try {
    queue.push(job);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== "E2BIG") throw error;
    return false;
  }
}

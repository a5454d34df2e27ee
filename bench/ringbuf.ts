/**
 * Records from a thread to another: RingBuffer of the embedded kernel, read without waiting and with `for await`, and ringbuf.js. A
 * nanosecond here is a record's, from the writer's start to the reader's end.
 *
 * Each record begins with its number, which the reader looks at: none may be lost, or out of its writer's order. Where a ring is full
 * or empty, both contenders' threads look again for a moment, and then sleep for a twentieth of a millisecond.
 */
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, RingBuffer } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { outputOnLinux } from "../test/linux/_ringbuf_prog.js";
import type { Op, Ops, Suite } from "./measure.js";
import { load } from "./npm_package.js";

export const RING_BYTES = 2 ** 20;
export const WRITERS = 4;

/** Bytes of the records of each row. */
export const SIZES: Readonly<Record<string, number>> = {
  "8 bytes": 8,
  "64 bytes": 64,
  "1,024 bytes": 1024,
  "8 bytes, for await": 8,
  "64 bytes, for await": 64,
  "4 writers, 8 bytes": 8,
};

/** Words that threads share: a turn's number, how many records each writer writes in it, and the size of one. */
export const TURN = 0;
export const COUNT = 1;
export const SIZE = 2;

/** What a writer is started with: one of two rings. */
export interface WriterData {
  readonly words: Int32Array;
  readonly writer: number;
  readonly shared?: { readonly handle: ReturnType<EmbeddedKernel["share"]>; readonly id: number };
  readonly sab?: SharedArrayBuffer;
}

/** Of ringbuf.js. Its elements are numbers: records are as many as there is room for 8 bytes. */
export interface JsRing {
  push(elements: Float64Array): number;
  pop(elements: Float64Array): number;
  available_read(): number;
  available_write(): number;
}

interface JsRingClass {
  new (sab: SharedArrayBuffer, type: typeof Float64Array): JsRing;
  getStorageForCapacity(capacity: number, type: typeof Float64Array): SharedArrayBuffer;
}

export const jsRingClass = (): JsRingClass => (load("ringbuf") as { RingBuffer: JsRingClass }).RingBuffer;

const LOOKS = 256;
const NAP_MS = 0.05;
const nap = new Int32Array(new SharedArrayBuffer(4));

/** Tries until it works. */
export function insist(attempt: () => boolean): void {
  for (let looks = 0; !attempt(); looks++) if (looks % LOOKS === LOOKS - 1) Atomics.wait(nap, 0, 0, NAP_MS);
}

async function start(data: WriterData): Promise<void> {
  const worker = new Worker(new URL("ringbuf_worker.js", import.meta.url), { workerData: data });
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.on("error", reject);
  });
}

/** Has a turn of `writers` begin, and returns what is to be called with each record's first word, and how many records there are. */
class Turn {
  readonly records: number;
  readonly #next: Float64Array;
  seen = 0;

  constructor(words: Int32Array, writers: number, size: number, n: number) {
    const each = Math.ceil(n / writers);
    this.records = each * writers;
    this.#next = new Float64Array(writers);
    words[COUNT] = each;
    words[SIZE] = size;
    Atomics.add(words, TURN, 1);
    Atomics.notify(words, TURN);
  }

  /** A record's first word: the number of its writer, and of the record. */
  readonly see = (word: number): void => {
    const writer = word % WRITERS;
    if (Math.floor(word / WRITERS) !== this.#next[writer]) {
      throw new Error(`Record ${Math.floor(word / WRITERS)} of writer ${writer} came for ${this.#next[writer]}`);
    }
    this.#next[writer]++;
    this.seen++;
  };

  get isOver(): boolean {
    return this.seen === this.records;
  }
}

const newWords = (): Int32Array => new Int32Array(new SharedArrayBuffer(12));

async function embeddedOps(): Promise<Ops> {
  const kernel = await EmbeddedKernel.create();
  const ringOf = async (writers: number): Promise<{ ring: RingBuffer; words: Int32Array }> => {
    const ring = RingBuffer.create(kernel, { name: "bench", size: RING_BYTES });
    const words = newWords();
    for (let writer = 0; writer < writers; writer++) {
      await start({ words, writer, shared: { handle: kernel.share(), id: ring.id } });
    }
    return { ring, words };
  };
  const one = await ringOf(1);
  const four = await ringOf(WRITERS);
  const reading =
    ({ ring, words }: typeof one, writers: number, size: number): Op =>
    (_, n) => {
      const turn = new Turn(words, writers, size, n);
      const visit = (memory: DataView, at: number): void => turn.see(memory.getFloat64(at, true));
      insist(() => {
        // As long as records come, it looks on at once.
        while (ring.forEach(visit) > 0);
        return turn.isOver;
      });
      return turn.records;
    };
  const memory = new Float64Array(kernel.share().memory.buffer);
  const awaiting =
    ({ ring, words }: typeof one, size: number): Op =>
    async (_, n) => {
      const turn = new Turn(words, 1, size, n);
      for await (const batch of ring.batches()) {
        for (const record of batch) turn.see(memory[record.byteOffset / 8]!);
        if (turn.isOver) break;
      }
      return turn.records;
    };
  return Object.fromEntries(
    Object.entries(SIZES).map(([row, size]) => {
      if (row.startsWith(`${WRITERS} writers`)) return [row, reading(four, WRITERS, size)];
      return [row, row.endsWith("for await") ? awaiting(one, size) : reading(one, 1, size)];
    }),
  );
}

async function jsOps(): Promise<Ops> {
  const JsRing = jsRingClass();
  const sab = JsRing.getStorageForCapacity(RING_BYTES / 8, Float64Array);
  const ring = new JsRing(sab, Float64Array);
  const words = newWords();
  await start({ words, writer: 0, sab });
  const reading =
    (size: number): Op =>
    (_, n) => {
      const turn = new Turn(words, 1, size, n);
      const record = new Float64Array(size / 8);
      insist(() => {
        while (ring.available_read() >= record.length) {
          ring.pop(record);
          turn.see(record[0]!);
        }
        return turn.isOver;
      });
      return turn.records;
    };
  return Object.fromEntries(
    Object.entries(SIZES)
      .filter(([row]) => !row.includes(","))
      .concat([["1,024 bytes", 1024]])
      .map(([row, size]) => [row, reading(size)]),
  );
}

/** Records that a program writes, which all are the same: they are counted. */
function linuxOps(): Ops {
  const kernel = LinuxKernel.open();
  const ring = RingBuffer.create(kernel, { name: "bench", size: RING_BYTES });
  const most = RING_BYTES / 16 - 1;
  return {
    "8 bytes": (_, n) => {
      let seen = 0;
      let sum = 0;
      while (seen < n) {
        const wanted = Math.min(most, n - seen);
        outputOnLinux(kernel, ring.fd, 1, wanted);
        const found = ring.forEach((memory, at) => (sum += memory.getUint32(at, true)));
        if (found !== wanted) throw new Error(`${found} records came for ${wanted}`);
        seen += found;
      }
      if (sum !== seen) throw new Error("A record is torn");
      return seen;
    },
  };
}

export const ringbufSuite: Suite = {
  name: "ring buffer, thread to thread",
  titles: { ringbuf: "npm ringbuf.js" },
  note: `Rings of 1 MiB, in which a record of the embedded kernel takes 8 more. ringbuf.js has one writer, no records
  (its elements are float64 here, the fastest there are), and no way to wait. 8 bytes are pushed as an f64, others as bytes. On
  Linux a program writes, which BPF_PROG_TEST_RUN runs in the reader's thread`,
  rows: Object.keys(SIZES),
  contenders: ["embedded", "ringbuf", "linux"],
  roundMs: 40,
  async open(contender) {
    if (contender === "linux") return linuxOps();
    return contender === "ringbuf" ? jsOps() : embeddedOps();
  },
};

/**
 * A writer of ringbuf.ts: writes its share of each turn.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EmbeddedKernel, RingBuffer, f64 } from "tsbpf";
import { COUNT, SIZE, TURN, WRITERS, type WriterData, insist, jsRingClass } from "./ringbuf.js";

const { words, writer, shared, sab } = workerData as WriterData;

/** Writes records of so many bytes whose first word is writer, writer + WRITERS, ... */
type Write = (size: number, count: number) => void;

async function embeddedWrite({ handle, id }: NonNullable<typeof shared>): Promise<Write> {
  const kernel = await EmbeddedKernel.attach(handle);
  const ring = RingBuffer.fromId(kernel, id, { record: f64 });
  return (size, count) => {
    const numbers = new Float64Array(size / 8);
    const bytes = new Uint8Array(numbers.buffer);
    for (let i = 0; i < count; i++) {
      const word = i * WRITERS + writer;
      numbers[0] = word;
      insist(size === 8 ? () => ring.push(word) : () => ring.output(bytes));
    }
  };
}

function jsWrite(buffer: SharedArrayBuffer): Write {
  const ring = new (jsRingClass())(buffer, Float64Array);
  return (size, count) => {
    const numbers = new Float64Array(size / 8);
    for (let i = 0; i < count; i++) {
      numbers[0] = i * WRITERS + writer;
      insist(() => ring.available_write() >= numbers.length && ring.push(numbers) !== 0);
    }
  };
}

const write = shared === undefined ? jsWrite(sab!) : await embeddedWrite(shared);

parentPort!.postMessage("ready");
for (let turn = 0; ; turn++) {
  Atomics.wait(words, TURN, turn);
  write(words[SIZE]!, words[COUNT]!);
}

/**
 * What the main thread and the workers share: the capture, the program's id, and two words of shared memory.
 *
 *     0  gate     closed (0) until all workers are ready
 *     1  next     the number of the next chunk of packets that nobody has taken
 */
import type { KernelHandle } from "tsbpf";
import type { Capture } from "./capture_file.js";

const GATE = 0;
const NEXT = 1;
const WORDS = 2;

/** Workers take so many packets at a time: few enough that all end together, enough that taking costs nothing. */
export const CHUNK_PACKETS = 512;

/** A worker's `workerData`. */
export interface Job {
  /** The shared kernel, or that there is only one to open. */
  readonly kernel: KernelHandle | "linux";
  /** The program that counts a packet in the maps: its id. */
  readonly program: number;
  readonly capture: Capture;
  readonly words: Int32Array;
  /** The worker's number, from 0. */
  readonly worker: number;
}

/** What a worker counted beside the maps, in plain numbers: what the maps are checked against. */
export interface Tally {
  readonly ipPackets: number;
  readonly ipBytes: number;
}

/** What a worker says: first that it is ready, then what it counted. */
export type Message = "ready" | Tally;

/** The words of a new job. */
export function makeWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));
}

/** Lets the workers begin. */
export function openGate(words: Int32Array): void {
  Atomics.store(words, GATE, 1);
  Atomics.notify(words, GATE);
}

/** Sleeps until the gate is open. */
export function waitAtGate(words: Int32Array): void {
  Atomics.wait(words, GATE, 0);
}

/** Takes a chunk: the packets from `from` to `to` (not included) belong to the caller. Undefined when none is left. */
export function takeChunk({ words, capture }: Job): { from: number; to: number } | undefined {
  const { count } = capture.index;
  const from = Atomics.add(words, NEXT, 1) * CHUNK_PACKETS;
  return from < count ? { from, to: Math.min(from + CHUNK_PACKETS, count) } : undefined;
}

/** Leaves no chunk to take: the workers end. */
export function takeAllChunks(words: Int32Array, { index }: Capture): void {
  Atomics.store(words, NEXT, Math.ceil(index.count / CHUNK_PACKETS));
}

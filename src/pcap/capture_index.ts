/**
 * The index of a capture file: where each packet lies and how long it was, as columns in shared memory. Made by one
 * thread in one pass over the headers; worker threads are given the file's bytes, the index and a range of packets.
 */

/** Where and why a capture stops making sense. */
export interface CaptureBreak {
  /** The byte of the file at which the unusable record begins. */
  readonly offset: number;
  /** The number of the packet that is unusable, the first being 1; undefined where the damage is not in a packet. */
  readonly packet: number | undefined;
  /** What was found and what was wanted. */
  readonly reason: string;
}

/** A capture's packets in the file's order. All columns have `count` rows; `postMessage` shares them, without a copy. */
export interface CaptureIndex {
  /** How many whole packets the file has, up to the break if there is one. */
  readonly count: number;
  /** Where the captured bytes of a packet begin in the file. */
  readonly offsets: Float64Array;
  /** How many bytes of a packet the file has. */
  readonly captured: Uint32Array;
  /** How many bytes a packet had on the wire. */
  readonly lengths: Uint32Array;
  /** What a packet's first header is: a LINKTYPE_ number of the pcap registry. */
  readonly linkTypes: Uint16Array;
  /** When a packet was captured: whole seconds since 1970, 0 where the file does not say. */
  readonly seconds: Float64Array;
  /** The nanoseconds past `seconds`. */
  readonly nanoseconds: Uint32Array;
  /** Set when the file is truncated or damaged: what lies before it is in the index. */
  readonly broken: CaptureBreak | undefined;
}

/** Says a break in one line: "packet 812 at byte 93,112: header says 70,000 captured bytes, 41 left in the file". */
export function breakText({ packet, offset, reason }: CaptureBreak): string {
  return `${packet === undefined ? "" : `packet ${count(packet)} `}at byte ${count(offset)}: ${reason}`;
}

/** A number as the reasons write it: 93112 is "93,112". */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** Grows an index packet by packet. */
export class IndexBuilder {
  count = 0;
  broken: CaptureBreak | undefined;
  #capacity: number;
  #offsets: Float64Array;
  #captured: Uint32Array;
  #lengths: Uint32Array;
  #linkTypes: Uint16Array;
  #seconds: Float64Array;
  #nanoseconds: Uint32Array;

  /** @param capacity The rows to begin with; the columns double when they are full. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#offsets = new Float64Array(new SharedArrayBuffer(capacity * 8));
    this.#captured = new Uint32Array(new SharedArrayBuffer(capacity * 4));
    this.#lengths = new Uint32Array(new SharedArrayBuffer(capacity * 4));
    this.#linkTypes = new Uint16Array(new SharedArrayBuffer(capacity * 2));
    this.#seconds = new Float64Array(new SharedArrayBuffer(capacity * 8));
    this.#nanoseconds = new Uint32Array(new SharedArrayBuffer(capacity * 4));
  }

  add(offset: number, captured: number, length: number, linkType: number, seconds: number, nanoseconds: number): void {
    if (this.count === this.#capacity) this.#grow();
    const row = this.count++;
    this.#offsets[row] = offset;
    this.#captured[row] = captured;
    this.#lengths[row] = length;
    this.#linkTypes[row] = linkType;
    this.#seconds[row] = seconds;
    this.#nanoseconds[row] = nanoseconds;
  }

  /** Ends the index at a record of the file that is no packet. */
  break(offset: number, reason: string): void {
    this.broken = { offset, packet: undefined, reason };
  }

  /** Ends the index at the packet that would have been the next. */
  breakPacket(offset: number, reason: string): void {
    this.broken = { offset, packet: this.count + 1, reason };
  }

  finish(): CaptureIndex {
    const { count, broken } = this;
    return {
      count,
      offsets: this.#offsets.subarray(0, count),
      captured: this.#captured.subarray(0, count),
      lengths: this.#lengths.subarray(0, count),
      linkTypes: this.#linkTypes.subarray(0, count),
      seconds: this.#seconds.subarray(0, count),
      nanoseconds: this.#nanoseconds.subarray(0, count),
      broken,
    };
  }

  #grow(): void {
    const larger = new IndexBuilder(this.#capacity * 2);
    larger.#offsets.set(this.#offsets);
    larger.#captured.set(this.#captured);
    larger.#lengths.set(this.#lengths);
    larger.#linkTypes.set(this.#linkTypes);
    larger.#seconds.set(this.#seconds);
    larger.#nanoseconds.set(this.#nanoseconds);
    this.#capacity = larger.#capacity;
    this.#offsets = larger.#offsets;
    this.#captured = larger.#captured;
    this.#lengths = larger.#lengths;
    this.#linkTypes = larger.#linkTypes;
    this.#seconds = larger.#seconds;
    this.#nanoseconds = larger.#nanoseconds;
  }
}

/** What the tests of examples/packets share: the recorded captures, files made by hand, an index as plain rows. */
import { readFileSync } from "node:fs";
import type { CaptureIndex } from "tsbpf/pcap";

/** The recorded files. */
export const captureNames = ["capture.pcap", "capture.pcapng"] as const;

export function readCapture(name: (typeof captureNames)[number]): Uint8Array {
  // Not a Buffer, whose slice() would be no copy.
  return new Uint8Array(readFileSync(new URL(`../../examples/packets/${name}`, import.meta.url)));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes written as hex; blanks and line ends do not count. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export interface Row {
  readonly offset: number;
  readonly captured: number;
  readonly length: number;
  readonly linkType: number;
  readonly seconds: number;
  readonly nanoseconds: number;
}

export function rowsOf(index: CaptureIndex): Row[] {
  return Array.from({ length: index.count }, (_, i) => ({
    offset: index.offsets[i]!,
    captured: index.captured[i]!,
    length: index.lengths[i]!,
    linkType: index.linkTypes[i]!,
    seconds: index.seconds[i]!,
    nanoseconds: index.nanoseconds[i]!,
  }));
}

/** Do the first `count` packets of two indexes agree in all columns? Faster than comparing rows. */
export function samePackets(a: CaptureIndex, b: CaptureIndex, count: number): boolean {
  const bytesOf = ({ buffer, byteOffset, BYTES_PER_ELEMENT: size }: Float64Array | Uint32Array | Uint16Array) =>
    Buffer.from(buffer, byteOffset, count * size);
  const columns = ["offsets", "captured", "lengths", "linkTypes", "seconds", "nanoseconds"] as const;
  return columns.every((column) => bytesOf(a[column]).equals(bytesOf(b[column])));
}

/** A packet to write; times default to 0, the length on the wire to what is there. */
export interface PacketToWrite {
  readonly data: Uint8Array;
  readonly length?: number;
  readonly seconds?: number;
  readonly nanoseconds?: number;
}

export interface PcapOptions {
  readonly little?: boolean;
  readonly nanoseconds?: boolean;
  readonly linkType?: number;
}

export function writePcap(packets: readonly PacketToWrite[], options: PcapOptions = {}): Uint8Array {
  const { little = true, nanoseconds = false, linkType = 1 } = options;
  const size = packets.reduce((sum, { data }) => sum + 16 + data.length, 24);
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  view.setUint32(0, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, little);
  view.setUint16(4, 2, little);
  view.setUint16(6, 4, little);
  view.setUint32(16, 65_535, little);
  view.setUint32(20, linkType, little);
  let at = 24;
  for (const { data, length = data.length, seconds = 0, nanoseconds: ns = 0 } of packets) {
    view.setUint32(at, seconds, little);
    view.setUint32(at + 4, nanoseconds ? ns : Math.floor(ns / 1000), little);
    view.setUint32(at + 8, data.length, little);
    view.setUint32(at + 12, length, little);
    bytes.set(data, at + 16);
    at += 16 + data.length;
  }
  return bytes;
}

/** Writes pcapng blocks of one byte order. */
export class BlockWriter {
  readonly little: boolean;
  constructor(little: boolean) {
    this.little = little;
  }

  block(type: number, body: Uint8Array): Uint8Array {
    const size = this.u32(12 + Math.ceil(body.length / 4) * 4);
    return join(this.u32(type), size, body, new Uint8Array(-body.length & 3), size);
  }

  section(): Uint8Array {
    return this.block(0x0a0d0d0a, join(this.u32(0x1a2b3c4d), this.u16(1), this.u16(0), hex("ffffffffffffffff")));
  }

  /** @param options Each option's code and value. */
  interface(linkType: number, snapLength = 0, options: readonly (readonly [number, Uint8Array])[] = []): Uint8Array {
    return this.block(1, join(this.u16(linkType), this.u16(0), this.u32(snapLength), this.options(options)));
  }

  options(options: readonly (readonly [number, Uint8Array])[]): Uint8Array {
    if (options.length === 0) return new Uint8Array();
    const written = options.map(([code, value]) =>
      join(this.u16(code), this.u16(value.length), value, new Uint8Array(-value.length & 3)),
    );
    return join(...written, this.u32(0));
  }

  enhanced(id: number, time: bigint, data: Uint8Array, length = data.length): Uint8Array {
    const padding = new Uint8Array(-data.length & 3);
    const comment = this.options([[1, Buffer.from("comment")]]);
    return this.block(
      6,
      join(this.u32(id), ...this.#time(time), this.u32(data.length), this.u32(length), data, padding, comment),
    );
  }

  obsolete(id: number, time: bigint, data: Uint8Array, length = data.length): Uint8Array {
    const head = [this.u16(id), this.u16(0xffff), ...this.#time(time), this.u32(data.length), this.u32(length)];
    return this.block(2, join(...head, data));
  }

  simple(data: Uint8Array, length = data.length): Uint8Array {
    return this.block(3, join(this.u32(length), data));
  }

  u16(value: number): Uint8Array {
    const bytes = new Uint8Array(2);
    viewOf(bytes).setUint16(0, value, this.little);
    return bytes;
  }

  u32(value: number): Uint8Array {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, this.little);
    return bytes;
  }

  i64(value: bigint): Uint8Array {
    const bytes = new Uint8Array(8);
    viewOf(bytes).setBigInt64(0, value, this.little);
    return bytes;
  }

  #time(time: bigint): Uint8Array[] {
    return [this.u32(Number(time >> 32n)), this.u32(Number(time & 0xffff_ffffn))];
  }
}

/** TEST_SEED, or a seed of its own, printed: a failure can be had again. */
export function testSeed(): number {
  const seed = Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`test/packets: TEST_SEED=${seed}`);
  return seed;
}

/** Random integers from 0 to below `limit`, the same for the same seed (mulberry32). */
export function randomIntegers(seed: number): (limit: number) => number {
  let state = seed | 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

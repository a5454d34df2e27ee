/**
 * Reads captures: pcap (draft-ietf-opsawg-pcap; either byte order, micro- or nanoseconds) here, pcapng in pcapng.ts.
 *
 * No packet byte is copied. Nothing throws for what a file contains: a truncated or damaged one gives the packets
 * before the damage, and `broken` says where it is and what it is. As in libpcap, a cut record is no packet. Stricter
 * than libpcap, these are damage: a fraction of a second that is a second or more, more bytes captured than the packet
 * had, a packet of no bytes (as zeroes at a file's end would be).
 *
 *     file header, 24 bytes                               a packet's record
 *     0   magic: a1b2c3d4 (us) or a1b23c4d (ns)           0   seconds
 *     4   version, u16 major and u16 minor                4   micro- or nanoseconds
 *     8   two reserved u32                                8   captured bytes
 *     16  snapshot length                                 12  bytes on the wire
 *     20  link type (low 16 bits)                         16  the captured bytes
 */
import { type CaptureIndex, count, IndexBuilder } from "./capture_index.js";
import { indexPcapng, MAGIC_PCAPNG } from "./pcapng.js";

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const FILE_HEADER_SIZE = 24;
const RECORD_HEADER_SIZE = 16;
/** libpcap's MAXIMUM_SNAPLEN: what is larger is a damaged header, not a packet. */
const MAX_CAPTURED = 262_144;
/** A guess of a packet's bytes in a file, for the index's first size. */
const TYPICAL_RECORD_SIZE = 256;

/** A packet of a capture. */
export interface CapturedPacket {
  /** The captured bytes: a view of the file's. */
  readonly data: Uint8Array;
  /** Bytes on the wire. */
  readonly length: number;
  /** Since 1970; 0 where the file does not say. */
  readonly timestampNs: bigint;
  /** A LINKTYPE_ number: 1 is Ethernet. */
  readonly linkType: number;
}

/** Finds the packets of a pcap or pcapng file. */
export function indexCapture(bytes: Uint8Array): CaptureIndex {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const index = new IndexBuilder(Math.ceil(bytes.length / TYPICAL_RECORD_SIZE) + 1);
  if (bytes.length < 4) {
    index.break(0, `${bytes.length === 0 ? "the file is empty" : "the file ends"}, wanted a pcap or pcapng header`);
  } else if (view.getUint32(0) === MAGIC_PCAPNG) {
    indexPcapng(view, index);
  } else {
    indexPcap(view, index);
  }
  return index.finish();
}

/** The packets numbered `from` (the first is 0) to `to` (not included), in the file's order. */
export function* packets(
  bytes: Uint8Array,
  index: CaptureIndex,
  from: number = 0,
  to: number = index.count,
): Generator<CapturedPacket> {
  for (let row = Math.max(from, 0); row < Math.min(to, index.count); row++) {
    const offset = index.offsets[row]!;
    yield {
      data: bytes.subarray(offset, offset + index.captured[row]!),
      length: index.lengths[row]!,
      timestampNs: BigInt(index.seconds[row]!) * 1_000_000_000n + BigInt(index.nanoseconds[row]!),
      linkType: index.linkTypes[row]!,
    };
  }
}

function isPcapMagic(magic: number): boolean {
  return magic === MAGIC_MICROSECONDS || magic === MAGIC_NANOSECONDS;
}

function indexPcap(view: DataView, index: IndexBuilder): void {
  const little = isPcapMagic(view.getUint32(0, true));
  const magic = view.getUint32(0, little);
  if (!isPcapMagic(magic)) {
    index.break(0, `the file begins with 0x${magic.toString(16).padStart(8, "0")}, wanted a pcap or pcapng header`);
    return;
  }
  const size = view.byteLength;
  if (size < FILE_HEADER_SIZE) {
    index.break(0, `${size} bytes left in the file, wanted a file header of ${FILE_HEADER_SIZE}`);
    return;
  }
  const major = view.getUint16(4, little);
  const minor = view.getUint16(6, little);
  if (major !== 2 || minor !== 4) {
    index.break(4, `the file says pcap version ${major}.${minor}, wanted 2.4`);
    return;
  }
  const linkType = view.getUint32(20, little) & 0xffff;
  const unit = magic === MAGIC_NANOSECONDS ? 1 : 1000;

  let at = FILE_HEADER_SIZE;
  while (at < size) {
    const data = at + RECORD_HEADER_SIZE;
    if (data > size) {
      index.breakPacket(at, `${size - at} bytes left in the file, wanted a record header of ${RECORD_HEADER_SIZE}`);
      return;
    }
    const fraction = view.getUint32(at + 4, little);
    const captured = view.getUint32(at + 8, little);
    const length = view.getUint32(at + 12, little);
    const isWhole = captured <= MAX_CAPTURED && captured <= length && captured <= size - data;
    if (!isWhole || length === 0 || fraction * unit >= 1e9) {
      index.breakPacket(at, recordFault(fraction, unit, captured, length, size - data));
      return;
    }
    index.add(data, captured, length, linkType, view.getUint32(at, little), fraction * unit);
    at = data + captured;
  }
}

/** Says why a record's header cannot be right. */
function recordFault(fraction: number, unit: number, captured: number, length: number, left: number): string {
  const says = `header says ${count(captured)} captured bytes`;
  if (captured > MAX_CAPTURED) return `${says}, at most ${count(MAX_CAPTURED)} are possible`;
  if (captured > length) return `${says} of a packet of ${count(length)}`;
  if (length === 0) return "header says a packet of 0 bytes";
  if (captured > left) return `${says}, ${count(left)} left in the file`;
  return `header says ${count(fraction)} ${unit === 1 ? "nano" : "micro"}seconds, wanted less than a second`;
}

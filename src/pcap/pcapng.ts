/**
 * Reads pcapng (draft-ietf-opsawg-pcapng): sections of either byte order, each with its own interfaces, each of these
 * with its own link type and clock. Blocks that hold no packets are skipped.
 *
 *     a block                              enhanced packet        simple packet         packet (obsolete)
 *     0   type                             8   interface          8   bytes on wire     8   interface, u16
 *     4   size, a multiple of 4            12  time, high half    12  captured bytes    10  drops, u16
 *     8   body                             16  time, low half                           12  time, high half
 *     size - 4   size again                20  captured bytes                           16  time, low half
 *                                          24  bytes on wire                            20  captured bytes
 *                                          28  the bytes, padded                        24  bytes on wire, 28 the bytes
 *
 * A section header has its byte order's magic at 8, the version's two u16 at 12. An interface has its link type (u16)
 * at 8, its snapshot length at 12, options from 16: code u16, size u16, value padded to 4.
 */
import { count, type IndexBuilder } from "./capture_index.js";

/** The type of the first block; it reads the same in both byte orders. */
export const MAGIC_PCAPNG = 0x0a0d0d0a;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const BLOCK_INTERFACE = 1;
const BLOCK_PACKET = 2;
const BLOCK_SIMPLE_PACKET = 3;
const BLOCK_ENHANCED_PACKET = 6;
const OPTION_END = 0;
const OPTION_TSRESOL = 9;
const OPTION_TSOFFSET = 14;

const MIN_BLOCK_SIZE = 12;
const SECTION_SIZE = 28;
const INTERFACE_SIZE = 20;
const PACKET_SIZE = 32;
const SIMPLE_PACKET_SIZE = 16;

interface Interface {
  readonly linkType: number;
  /** 0: no limit. */
  readonly snapLength: number;
  /** Units of time in a second: if_tsresol. */
  readonly unitsPerSecond: number;
  /** In seconds: if_tsoffset. */
  readonly timeOffset: number;
}

interface Section {
  little: boolean;
  interfaces: Interface[];
}

/** Indexes a file that begins with MAGIC_PCAPNG. */
export function indexPcapng(view: DataView, index: IndexBuilder): void {
  const section: Section = { little: false, interfaces: [] };
  for (let at = 0, size = 0; at < view.byteLength; at += size) {
    const left = view.byteLength - at;
    if (left < MIN_BLOCK_SIZE) {
      index.break(at, `${left} bytes left in the file, wanted a block of at least ${MIN_BLOCK_SIZE}`);
      return;
    }
    if (view.getUint32(at) === MAGIC_PCAPNG) {
      // Before the size: its byte order is not known otherwise.
      section.little = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC;
      section.interfaces = [];
      const magic = view.getUint32(at + 8, section.little);
      if (magic !== BYTE_ORDER_MAGIC) {
        index.break(at, `section header has byte order 0x${magic.toString(16)}, wanted 0x1a2b3c4d`);
        return;
      }
    }
    const type = view.getUint32(at, section.little);
    size = view.getUint32(at + 4, section.little);
    const fault = sizeFault(view, at, size, left, section.little) ?? readBlock(view, at, type, size, section, index);
    if (fault !== undefined) {
      if (isPacket(type)) index.breakPacket(at, fault);
      else index.break(at, fault);
      return;
    }
  }
}

function isPacket(type: number): boolean {
  return type === BLOCK_ENHANCED_PACKET || type === BLOCK_SIMPLE_PACKET || type === BLOCK_PACKET;
}

/** Takes what a whole block says; or says why it cannot be right. */
function readBlock(
  view: DataView,
  at: number,
  type: number,
  size: number,
  section: Section,
  index: IndexBuilder,
): string | undefined {
  switch (type) {
    case MAGIC_PCAPNG:
      return sectionFault(view, at, size, section.little);
    case BLOCK_INTERFACE:
      return addInterface(view, at, size, section);
    case BLOCK_ENHANCED_PACKET:
    case BLOCK_PACKET:
      return addPacket(view, at, type, size, section, index);
    case BLOCK_SIMPLE_PACKET:
      return addSimplePacket(view, at, size, section, index);
    default:
      return undefined;
  }
}

/** Says why a block's sizes cannot be right. */
function sizeFault(view: DataView, at: number, size: number, left: number, little: boolean): string | undefined {
  if (size < MIN_BLOCK_SIZE) return `block says ${size} bytes, at least ${MIN_BLOCK_SIZE} are possible`;
  if (size > left) return `block says ${count(size)} bytes, ${count(left)} left in the file`;
  if (size % 4 !== 0) return `block says ${count(size)} bytes, wanted a multiple of 4`;
  const again = view.getUint32(at + size - 4, little);
  if (again !== size) return `block says ${count(size)} bytes at its beginning and ${count(again)} at its end`;
  return undefined;
}

function sectionFault(view: DataView, at: number, size: number, little: boolean): string | undefined {
  if (size < SECTION_SIZE) return `section header has ${size} bytes, wanted at least ${SECTION_SIZE}`;
  const major = view.getUint16(at + 12, little);
  return major === 1 ? undefined : `section has version ${major}.${view.getUint16(at + 14, little)}, wanted 1.0`;
}

function addInterface(view: DataView, at: number, size: number, { little, interfaces }: Section): string | undefined {
  if (size < INTERFACE_SIZE) return `interface block has ${size} bytes, wanted at least ${INTERFACE_SIZE}`;
  let unitsPerSecond = 1e6;
  let timeOffset = 0;
  const end = at + size - 4;
  for (let option = at + 16; option + 4 <= end;) {
    const code = view.getUint16(option, little);
    const length = view.getUint16(option + 2, little);
    const value = option + 4;
    if (code === OPTION_END) break;
    if (value + length > end) return `interface option ${code} says ${count(length)} bytes, ${end - value} left`;
    if (code === OPTION_TSRESOL && length >= 1) {
      const resolution = view.getUint8(value);
      unitsPerSecond = resolution & 0x80 ? 2 ** (resolution & 0x7f) : 10 ** resolution;
      if (unitsPerSecond > 2 ** 64) return `interface says a clock of ${unitsPerSecond} units a second, wanted 64 bits`;
    } else if (code === OPTION_TSOFFSET && length >= 8) {
      timeOffset = Number(view.getBigInt64(value, little));
    }
    option = value + ((length + 3) & ~3);
  }
  const linkType = view.getUint16(at + 8, little);
  const snapLength = view.getUint32(at + 12, little);
  interfaces.push({ linkType, snapLength, unitsPerSecond, timeOffset });
  return undefined;
}

function addPacket(
  view: DataView,
  at: number,
  type: number,
  size: number,
  { little, interfaces }: Section,
  index: IndexBuilder,
): string | undefined {
  if (size < PACKET_SIZE) return `packet block has ${size} bytes, wanted at least ${PACKET_SIZE}`;
  const id = type === BLOCK_PACKET ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
  const from = interfaces[id];
  if (from === undefined) return noInterface(id, interfaces);
  const captured = view.getUint32(at + 20, little);
  const length = view.getUint32(at + 24, little);
  const room = size - PACKET_SIZE;
  if (captured > room) return `header says ${count(captured)} captured bytes, the block has room for ${count(room)}`;
  if (captured > length) return `header says ${count(captured)} captured bytes of a packet of ${count(length)}`;
  splitTime(view.getUint32(at + 12, little), view.getUint32(at + 16, little), from.unitsPerSecond);
  index.add(at + 28, captured, length, from.linkType, time.seconds + from.timeOffset, time.nanoseconds);
  return undefined;
}

/** A simple packet is of the first interface, has no time, and is cut by nothing but that interface's snapshot length. */
function addSimplePacket(
  view: DataView,
  at: number,
  size: number,
  { little, interfaces }: Section,
  index: IndexBuilder,
): string | undefined {
  if (size < SIMPLE_PACKET_SIZE) return `packet block has ${size} bytes, wanted at least ${SIMPLE_PACKET_SIZE}`;
  const from = interfaces[0];
  if (from === undefined) return noInterface(0, interfaces);
  const length = view.getUint32(at + 8, little);
  const captured = from.snapLength === 0 ? length : Math.min(length, from.snapLength);
  const room = size - SIMPLE_PACKET_SIZE;
  if (captured > room) return `header says ${count(captured)} captured bytes, the block has room for ${count(room)}`;
  index.add(at + 12, captured, length, from.linkType, 0, 0);
  return undefined;
}

function noInterface(id: number, interfaces: readonly Interface[]): string {
  return `packet is of interface ${count(id)}, the section has ${interfaces.length} interfaces`;
}

/** What `splitTime` found; reused, since it is called for every packet. */
const time = { seconds: 0, nanoseconds: 0 };

/** Divides a 64-bit time by the units in a second. */
function splitTime(high: number, low: number, unitsPerSecond: number): void {
  const nsPerUnit = 1e9 / unitsPerSecond;
  if (Number.isInteger(nsPerUnit)) {
    // Long division in base 2^16, exact in doubles: no bigint a packet for the usual clocks, micro- and nanoseconds.
    const middle = (high % unitsPerSecond) * 0x10000 + (low >>> 16);
    const last = (middle % unitsPerSecond) * 0x10000 + (low & 0xffff);
    const upper = Math.floor(high / unitsPerSecond) * 0x10000 + Math.floor(middle / unitsPerSecond);
    time.seconds = upper * 0x10000 + Math.floor(last / unitsPerSecond);
    time.nanoseconds = (last % unitsPerSecond) * nsPerUnit;
  } else {
    const units = BigInt(unitsPerSecond);
    const whole = (BigInt(high) << 32n) | BigInt(low);
    time.seconds = Number(whole / units);
    time.nanoseconds = Number(((whole % units) * 1_000_000_000n) / units);
  }
}

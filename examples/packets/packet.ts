/**
 * Takes a packet's headers apart: link layer, VLAN tags, ARP, IPv4 and IPv6 up to the ports.
 *
 * The hot path of the example: one PacketInfo is filled again and again, nothing is allocated. A packet that the
 * snapshot length cut, or that makes no sense, is parsed as far as its headers go.
 */
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  LINKTYPE_ETHERNET,
  LINKTYPE_IPV4,
  LINKTYPE_IPV6,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_LINUX_SLL2,
  LINKTYPE_LOOP,
  LINKTYPE_NULL,
  LINKTYPE_RAW,
} from "./link_types.js";

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;
/** What switches used for the outer tag before 802.1ad. */
const ETHERTYPE_QINQ_OLD = 0x9100;
/** Below it, the field is the length of an IEEE 802.3 frame. */
const MIN_ETHERTYPE = 0x0600;

const IPPROTO_HOPOPTS = 0;
const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_ROUTING = 43;
const IPPROTO_FRAGMENT = 44;
const IPPROTO_AH = 51;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_DSTOPTS = 60;

/** What a packet is, as a small number: an index into `packetKinds`. */
export const PacketKind = { other: 0, arp: 1, icmp: 2, icmp6: 3, tcp: 4, udp: 5, ip: 6 } as const;
export type PacketKind = (typeof PacketKind)[keyof typeof PacketKind];

/** The names of the kinds. "ip" is IP of any other protocol, "other" what has neither ARP nor a whole IP header. */
export const packetKinds = ["other", "arp", "icmp", "icmp6", "tcp", "udp", "ip"] as const;

/**
 * What the packets of one direction of a conversation have in common: the key of a map, 40 bytes as a C struct.
 *
 * Of what is not IP, only `vlan` and an ARP packet's addresses are set.
 */
export interface FlowKey {
  /** IPv6, or IPv4 as ::ffff:a.b.c.d; 16 bytes. */
  src: Uint8Array;
  dst: Uint8Array;
  /** Of TCP and UDP, else 0. Fragments but the first have no ports. */
  srcPort: number;
  dstPort: number;
  /** The IP protocol after all extension headers. */
  protocol: number;
  /** The VLAN of the outermost tag, 0 without. */
  vlan: number;
}

/** What a packet's headers say. Make one with `new PacketInfo()` and fill it with `parsePacket`. */
export class PacketInfo {
  kind: PacketKind = PacketKind.other;
  /** The last EtherType; 0 where there is none (802.3, unknown link types). */
  etherType = 0;
  /** How many VLAN tags the packet has. */
  tags = 0;
  /** The VLAN of the innermost tag, when there are at least two. */
  innerVlan = 0;
  /** Overwritten by the next packet, its addresses too. ARP: the sender's and the target's protocol address. */
  readonly flow: FlowKey;
  /** Is it an IP fragment? */
  fragment = false;
  /** Where the fragment's bytes belong. */
  fragmentOffset = 0;
  /** The TCP header's flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16. */
  tcpFlags = 0;
  /** ICMP and ICMPv6. */
  icmpType = 0;
  icmpCode = 0;
  /** False when the headers were cut or made no sense before their end. */
  complete = false;
  /** The flow's addresses, for copying without a view a packet. */
  readonly src: DataView;
  readonly dst: DataView;

  constructor() {
    const addresses = new ArrayBuffer(32);
    this.src = new DataView(addresses, 0, 16);
    this.dst = new DataView(addresses, 16, 16);
    const src = new Uint8Array(addresses, 0, 16);
    const dst = new Uint8Array(addresses, 16, 16);
    this.flow = { src, dst, srcPort: 0, dstPort: 0, protocol: 0, vlan: 0 };
  }
}

/**
 * Fills `info` with what a packet's headers say.
 *
 * @param view The file, or any bytes that hold the packet.
 * @param offset Where the packet begins in `view`.
 * @param captured How many of its bytes there are, in bytes; they lie inside `view`.
 * @param linkType A LINKTYPE_ number: 1 is Ethernet.
 */
export function parsePacket(
  view: DataView,
  offset: number,
  captured: number,
  linkType: number,
  info: PacketInfo,
): void {
  clear(info);
  const end = offset + captured;
  switch (linkType) {
    case LINKTYPE_ETHERNET:
      if (captured >= 14) parseEtherType(view, offset + 12, end, info);
      break;
    case LINKTYPE_LINUX_SLL:
      if (captured >= 16) parseEtherType(view, offset + 14, end, info);
      break;
    case LINKTYPE_LINUX_SLL2:
      if (captured >= 20) parseNetwork(view, view.getUint16(offset), offset + 20, end, info);
      break;
    case LINKTYPE_NULL:
    case LINKTYPE_LOOP:
      // An address family in the byte order of whoever captured it, and of another value on each BSD.
      parseVersion(view, offset + 4, end, info);
      break;
    case LINKTYPE_RAW:
    case LINKTYPE_IPV4:
    case LINKTYPE_IPV6:
      parseVersion(view, offset, end, info);
      break;
  }
}

function clear(info: PacketInfo): void {
  info.kind = PacketKind.other;
  info.etherType = 0;
  info.tags = 0;
  info.innerVlan = 0;
  info.fragment = false;
  info.fragmentOffset = 0;
  info.tcpFlags = 0;
  info.icmpType = 0;
  info.icmpCode = 0;
  info.complete = false;
  const { flow, src, dst } = info;
  flow.srcPort = 0;
  flow.dstPort = 0;
  flow.protocol = 0;
  flow.vlan = 0;
  for (let i = 0; i < 16; i += 4) {
    src.setUint32(i, 0);
    dst.setUint32(i, 0);
  }
}

/** Goes on at an EtherType. */
function parseEtherType(view: DataView, at: number, end: number, info: PacketInfo): void {
  parseNetwork(view, view.getUint16(at), at + 2, end, info);
}

/** Goes on behind an EtherType: takes off VLAN tags, then parses what is inside. */
function parseNetwork(view: DataView, type: number, at: number, end: number, info: PacketInfo): void {
  while (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ || type === ETHERTYPE_QINQ_OLD) {
    if (end - at < 4) {
      info.etherType = type;
      return;
    }
    const vlan = view.getUint16(at) & 0xfff;
    if (info.tags === 0) info.flow.vlan = vlan;
    else info.innerVlan = vlan;
    info.tags++;
    type = view.getUint16(at + 2);
    at += 4;
  }
  info.etherType = type < MIN_ETHERTYPE ? 0 : type;
  if (type === ETHERTYPE_IPV4) parseIpv4(view, at, end, info);
  else if (type === ETHERTYPE_IPV6) parseIpv6(view, at, end, info);
  else if (type === ETHERTYPE_ARP) parseArp(view, at, end, info);
  else info.complete = true;
}

/** Goes on at an IP header of either version. */
function parseVersion(view: DataView, at: number, end: number, info: PacketInfo): void {
  if (at >= end) return;
  const version = view.getUint8(at) >> 4;
  if (version === 4) parseNetwork(view, ETHERTYPE_IPV4, at, end, info);
  else if (version === 6) parseNetwork(view, ETHERTYPE_IPV6, at, end, info);
}

/** RFC 826. Its addresses are taken when they are IPv4's. */
function parseArp(view: DataView, at: number, end: number, info: PacketInfo): void {
  info.kind = PacketKind.arp;
  if (end - at < 8) return;
  const hardwareSize = view.getUint8(at + 4);
  const sender = at + 8 + hardwareSize;
  const target = sender + 4 + hardwareSize;
  if (view.getUint16(at + 2) === ETHERTYPE_IPV4 && view.getUint8(at + 5) === 4) {
    if (end < target + 4) return;
    copyIpv4(view, sender, info.src);
    copyIpv4(view, target, info.dst);
  }
  info.complete = true;
}

/** RFC 791. */
function parseIpv4(view: DataView, at: number, end: number, info: PacketInfo): void {
  if (end - at < 20 || view.getUint8(at) >> 4 !== 4) return;
  info.kind = PacketKind.ip;
  info.flow.protocol = view.getUint8(at + 9);
  copyIpv4(view, at + 12, info.src);
  copyIpv4(view, at + 16, info.dst);
  const fragment = view.getUint16(at + 6);
  info.fragmentOffset = (fragment & 0x1fff) * 8;
  info.fragment = (fragment & 0x3fff) !== 0;

  const headerSize = (view.getUint8(at) & 0xf) * 4;
  // 0 is what a network card is given to cut into segments itself.
  const size = view.getUint16(at + 2) || end - at;
  if (headerSize < 20 || size < headerSize) {
    setKind(info);
    return;
  }
  // Ethernet pads short frames: what is behind the packet's size is no header.
  parseTransport(view, at + headerSize, Math.min(end, at + size), info);
}

/** RFC 8200. */
function parseIpv6(view: DataView, at: number, end: number, info: PacketInfo): void {
  if (end - at < 40 || view.getUint8(at) >> 4 !== 6) return;
  info.kind = PacketKind.ip;
  copyIpv6(view, at + 8, info.src);
  copyIpv6(view, at + 24, info.dst);
  const payload = view.getUint16(at + 4);
  let next = view.getUint8(at + 6);
  at += 40;
  // 0 is a jumbogram, or what a network card is given to cut into segments itself.
  if (payload !== 0) end = Math.min(end, at + payload);

  // Each round goes on by at least 8 bytes.
  while (isExtension(next)) {
    if (end - at < 8) {
      info.flow.protocol = next;
      return;
    }
    const type = next;
    next = view.getUint8(at);
    if (type === IPPROTO_FRAGMENT) {
      const fragment = view.getUint16(at + 2);
      info.fragment = true;
      info.fragmentOffset = fragment & 0xfff8;
      at += 8;
      if (info.fragmentOffset !== 0) break;
    } else if (type === IPPROTO_AH) {
      at += (view.getUint8(at + 1) + 2) * 4;
    } else {
      at += (view.getUint8(at + 1) + 1) * 8;
    }
  }
  info.flow.protocol = next;
  parseTransport(view, at, end, info);
}

function isExtension(protocol: number): boolean {
  return (
    protocol === IPPROTO_HOPOPTS ||
    protocol === IPPROTO_ROUTING ||
    protocol === IPPROTO_FRAGMENT ||
    protocol === IPPROTO_AH ||
    protocol === IPPROTO_DSTOPTS
  );
}

/** Goes on behind the IP headers, at the header of `info.flow.protocol`; `at` may lie behind `end`. */
function parseTransport(view: DataView, at: number, end: number, info: PacketInfo): void {
  setKind(info);
  const left = end - at;
  const { kind, flow } = info;
  if (info.fragmentOffset !== 0) {
    info.complete = true;
  } else if (kind === PacketKind.tcp || kind === PacketKind.udp) {
    if (left < 4) return;
    flow.srcPort = view.getUint16(at);
    flow.dstPort = view.getUint16(at + 2);
    if (kind === PacketKind.tcp && left >= 14) info.tcpFlags = view.getUint8(at + 13);
    info.complete = left >= (kind === PacketKind.tcp ? 20 : 8);
  } else if (kind === PacketKind.icmp || kind === PacketKind.icmp6) {
    if (left < 2) return;
    info.icmpType = view.getUint8(at);
    info.icmpCode = view.getUint8(at + 1);
    info.complete = left >= 4;
  } else {
    info.complete = left >= 0;
  }
}

/** ICMP over IPv6 and ICMPv6 over IPv4 are no ICMP. */
function setKind(info: PacketInfo): void {
  const { protocol } = info.flow;
  const isIpv4 = info.etherType === ETHERTYPE_IPV4;
  if (protocol === IPPROTO_TCP) info.kind = PacketKind.tcp;
  else if (protocol === IPPROTO_UDP) info.kind = PacketKind.udp;
  else if (protocol === IPPROTO_ICMP && isIpv4) info.kind = PacketKind.icmp;
  else if (protocol === IPPROTO_ICMPV6 && !isIpv4) info.kind = PacketKind.icmp6;
  else info.kind = PacketKind.ip;
}

function copyIpv4(view: DataView, at: number, to: DataView): void {
  to.setUint32(8, 0xffff);
  to.setUint32(12, view.getUint32(at));
}

function copyIpv6(view: DataView, at: number, to: DataView): void {
  to.setUint32(0, view.getUint32(at));
  to.setUint32(4, view.getUint32(at + 4));
  to.setUint32(8, view.getUint32(at + 8));
  to.setUint32(12, view.getUint32(at + 12));
}

/**
 * How values are written for people: addresses, protocols, numbers, bars.
 */
import { ipv6 } from "tsbpf";
import type { FlowKey } from "./packet.js";

const MAPPED = "::ffff:";
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

const protocolNames: Readonly<Record<number, string>> = {
  1: "ICMP",
  2: "IGMP",
  4: "IPIP",
  [IPPROTO_TCP]: "TCP",
  [IPPROTO_UDP]: "UDP",
  41: "IPv6",
  47: "GRE",
  50: "ESP",
  51: "AH",
  58: "ICMPv6",
  59: "none",
  89: "OSPF",
  103: "PIM",
  112: "VRRP",
  132: "SCTP",
};

/** "192.0.2.1", "2001:db8::1": the text of an address in 16 bytes. */
export function addressText(address: Uint8Array): string {
  const text = ipv6.read(new DataView(address.buffer, address.byteOffset, address.byteLength), 0);
  return text.startsWith(MAPPED) ? text.slice(MAPPED.length) : text;
}

/** The two ends of a flow, with ports where it has some: "192.0.2.1:80", "[2001:db8::1]:80", "192.0.2.1". */
export function endTexts({ src, dst, srcPort, dstPort, protocol }: FlowKey): [string, string] {
  const hasPorts = (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) && (srcPort !== 0 || dstPort !== 0);
  const end = (address: Uint8Array, port: number): string => {
    const text = addressText(address);
    if (!hasPorts) return text;
    return text.includes(":") ? `[${text}]:${port}` : `${text}:${port}`;
  };
  return [end(src, srcPort), end(dst, dstPort)];
}

/** "TCP", or the number of one that has no name here. */
export function protocolText(protocol: number): string {
  return protocolNames[protocol] ?? String(protocol);
}

/** 1234567 is "1,234,567". */
export function thousands(value: number | bigint): string {
  return value.toLocaleString("en-US");
}

/** Seconds with three digits that matter: "0.0213", "4.57", "12.3". */
export function secondsText(seconds: number): string {
  return seconds.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

/** A bar of `share` (0 to 1) of `width` columns, drawn in eighths of a column. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(Math.max(share, 0), 1) * width * 8);
  return "█".repeat(eighths >> 3) + ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths & 7]!;
}

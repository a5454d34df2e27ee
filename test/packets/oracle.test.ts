/** The recorded captures, read by us and by tcpdump: packet by packet, by filters, cut, and in other formats. */
import { describe, expect, test } from "vitest";
import { indexCapture, packets } from "tsbpf/pcap";
import { PacketInfo, PacketKind, packetKinds, parsePacket } from "../../examples/packets/packet.js";
import { captureNames, join, randomIntegers, readCapture, testSeed, viewOf, writePcap } from "./_captures.js";
import { tcpdump, tcpdumpMissing } from "./_tcpdump.js";

/** What both readers can say of a packet. */
interface Seen {
  readonly time: string;
  readonly length: number | undefined;
  readonly vlans: readonly number[];
  readonly kind: string | undefined;
  readonly src: string | undefined;
  readonly dst: string | undefined;
  readonly ports: readonly [number, number] | undefined;
}

/** Calls `see` for each packet of a capture, parsed. */
function forEachPacket(bytes: Uint8Array, see: (info: PacketInfo, row: number) => void): void {
  const index = indexCapture(bytes);
  const view = viewOf(bytes);
  const info = new PacketInfo();
  for (let row = 0; row < index.count; row++) {
    parsePacket(view, index.offsets[row]!, index.captured[row]!, index.linkTypes[row]!, info);
    see(info, row);
  }
}

function countOf(bytes: Uint8Array, wanted: (info: PacketInfo) => boolean): number {
  let count = 0;
  forEachPacket(bytes, (info) => {
    if (wanted(info)) count++;
  });
  return count;
}

/** The text that tcpdump prints for a flow's address. */
function addressText(address: Uint8Array): string {
  const view = viewOf(address);
  if (view.getBigUint64(0) === 0n && view.getUint32(8) === 0xffff) return address.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function seenByUs(bytes: Uint8Array): Seen[] {
  const index = indexCapture(bytes);
  const all: Seen[] = [];
  forEachPacket(bytes, (info, row) => {
    const { flow, kind, tags } = info;
    const isIp = kind !== PacketKind.other && kind !== PacketKind.arp;
    const hasPorts = (kind === PacketKind.tcp || kind === PacketKind.udp) && info.fragmentOffset === 0;
    expect(info.complete, `packet ${row + 1}`).toBe(true);
    all.push({
      time: `${index.seconds[row]}.${String(index.nanoseconds[row]).padStart(9, "0")}`,
      length: kind === PacketKind.other ? undefined : index.lengths[row],
      vlans: [flow.vlan, info.innerVlan].slice(0, tags),
      kind: packetKinds[kind],
      src: kind === PacketKind.other ? undefined : addressText(flow.src),
      dst: kind === PacketKind.other ? undefined : addressText(flow.dst),
      ports: isIp && hasPorts ? [flow.srcPort, flow.dstPort] : undefined,
    });
  });
  return all;
}

/** tcpdump's text -> kind. A fragment but the first is known by its protocol's name or number. */
const kindPatterns: readonly (readonly [string, RegExp])[] = [
  ["arp", /, ARP, /],
  ["icmp6", /ICMP6/],
  ["icmp", /: ICMP |: ip-proto-1$/],
  ["tcp", /: tcp \d/],
  ["udp", /UDP, length|: ip-proto-17$/],
  ["ip", /: igmp/],
];

function seenByTcpdump(lines: readonly string[]): Seen[] {
  return lines.map((line) => {
    // A fragment of IPv6 but the first is "frag (offset|size)", whatever it is of.
    const isFragment = /frag \([1-9]/.test(line);
    const kind = isFragment ? undefined : (kindPatterns.find(([, pattern]) => pattern.test(line))?.[0] ?? "other");
    const frame = line.replace(/^.*?, (?=IPv|ARP|802)/, "");
    const arp = /(?:who-has|Reply) (\S+) (?:tell|is-at) ([0-9.]*)/.exec(frame);
    const ip = /(?:^IPv[46], length \d+|, IPv[46]): ([0-9a-f.:]+) > ([0-9a-f.:]+): (.*)$/.exec(
      frame.replace(/, (IPv[46]), /, ", $1: "),
    );
    const isRequest = frame.includes("who-has");
    // A port is a fifth number behind an IPv4 address, or the only one behind an IPv6 address.
    const [src, srcPort] = splitPort(ip?.[1]);
    const [dst, dstPort] = splitPort(ip?.[2]);
    // Behind extension headers the ports follow in the text.
    const later = /(?:^|\s)(\d+) > (\d+): /.exec(ip?.[3] ?? "");
    let ports: [number, number] | undefined;
    if (srcPort !== undefined && dstPort !== undefined) ports = [srcPort, dstPort];
    else if (later !== null) ports = [Number(later[1]), Number(later[2])];
    return {
      time: line.slice(0, line.indexOf(" ")),
      length: kind === "other" ? undefined : Number(/, length (\d+)/.exec(line)?.[1]),
      vlans: [...line.matchAll(/vlan (\d+),/g)].map((match) => Number(match[1])),
      kind,
      src: arp === null ? src : isRequest ? arp[2] : arp[1],
      dst: arp === null ? dst : isRequest ? arp[1] : undefined,
      ports,
    };
  });
}

function splitPort(text: string | undefined): [address: string | undefined, port: number | undefined] {
  if (text === undefined) return [undefined, undefined];
  const match = (text.includes(":") ? /^(.*)\.(\d+)$/ : /^(\d+\.\d+\.\d+\.\d+)\.(\d+)$/).exec(text);
  return match === null ? [text, undefined] : [match[1], Number(match[2])];
}

/** Filters of tcpdump with what we take them to mean. They look behind one tag more with every "vlan and" before them. */
const filters: readonly (readonly [string, (info: PacketInfo) => boolean])[] = [
  ["arp", (info) => info.kind === PacketKind.arp],
  ["ip", (info) => info.etherType === 0x0800],
  ["ip6", (info) => info.etherType === 0x86dd],
  ["icmp", (info) => info.kind === PacketKind.icmp],
  // protochain looks behind extension headers too.
  ["ip6 protochain 58", (info) => info.kind === PacketKind.icmp6],
  ["ip6 protochain 17", (info) => info.kind === PacketKind.udp && info.etherType === 0x86dd],
  ["ip proto \\tcp", (info) => info.kind === PacketKind.tcp && info.etherType === 0x0800],
  ["ip proto \\udp", (info) => info.kind === PacketKind.udp && info.etherType === 0x0800],
  ["ip6 proto \\tcp", (info) => info.kind === PacketKind.tcp && info.etherType === 0x86dd],
  ["ip proto 2", (info) => info.flow.protocol === 2],
  ["udp port 53", (info) => info.kind === PacketKind.udp && (info.flow.srcPort === 53 || info.flow.dstPort === 53)],
  ["tcp dst port 80", (info) => info.kind === PacketKind.tcp && info.flow.dstPort === 80],
  ["ip and tcp[tcpflags] & tcp-rst != 0", (info) => info.etherType === 0x0800 && (info.tcpFlags & 4) !== 0],
  ["ip and tcp[tcpflags] = tcp-syn", (info) => info.etherType === 0x0800 && info.tcpFlags === 2],
  ["icmp[icmptype] = icmp-echo", (info) => info.kind === PacketKind.icmp && info.icmpType === 8],
  ["icmp[icmptype] = icmp-unreach and icmp[icmpcode] = 3", (info) => info.icmpType === 3 && info.icmpCode === 3],
  ["ip[6:2] & 0x3fff != 0", (info) => info.etherType === 0x0800 && info.fragment],
  ["ip[6:2] & 0x1fff = 185", (info) => info.etherType === 0x0800 && info.fragmentOffset === 1480],
  ["ip6 protochain 44", (info) => info.etherType === 0x86dd && info.fragment],
];

describe.skipIf(tcpdumpMissing() !== undefined)("tcpdump sees the same", () => {
  test.each(captureNames)("%s: time, length, tags, kind, addresses and ports of every packet", (name) => {
    const bytes = readCapture(name);
    const { lines, complaint } = tcpdump(bytes);
    expect(complaint).toBeUndefined();
    const theirs = seenByTcpdump(lines);
    const ours = seenByUs(bytes);
    expect(ours.length).toBe(theirs.length);
    expect(ours.length).toBeGreaterThan(700);
    for (const [i, seen] of ours.entries()) {
      const { kind, dst } = theirs[i]!;
      // tcpdump does not print whom an ARP reply is for, nor what a later fragment of IPv6 is of.
      const said = { ...seen, kind: kind && seen.kind, dst: dst && seen.dst };
      expect(said, lines[i]).toEqual(theirs[i]);
    }
  });

  test("every kind of traffic is in the capture", () => {
    const kinds = new Set<string>();
    forEachPacket(readCapture("capture.pcap"), (info) => {
      kinds.add(`${packetKinds[info.kind]} ${info.etherType.toString(16)} tags ${info.tags}`);
      if (info.fragment) kinds.add(`fragment ${info.etherType.toString(16)}`);
    });
    const ip = ["icmp 800", "icmp6 86dd", "tcp 800", "tcp 86dd", "udp 800", "udp 86dd", "arp 806"];
    const wanted = ip.flatMap((kind) => [0, 1, 2].map((tags) => `${kind} tags ${tags}`));
    expect([...kinds]).toEqual(
      expect.arrayContaining([...wanted, "other 0 tags 0", "ip 800 tags 0", "fragment 800", "fragment 86dd"]),
    );
  });

  test.each(filters)("filter %s, behind 0, 1 and 2 tags", (filter, wanted) => {
    const bytes = readCapture("capture.pcap");
    let total = 0;
    for (const tags of [0, 1, 2]) {
      const prefix = "vlan and ".repeat(tags);
      const ours = countOf(bytes, (info) => info.tags === tags && wanted(info));
      expect(ours, `${prefix}(${filter})`).toBe(tcpdump(bytes, `${prefix}(${filter})`).lines.length);
      total += ours;
    }
    expect(total).toBeGreaterThan(0);
  });

  test.each([10, 100])("filter vlan %i", (vlan) => {
    const bytes = readCapture("capture.pcap");
    const ours = countOf(bytes, (info) => info.tags > 0 && info.flow.vlan === vlan);
    expect(ours).toBe(tcpdump(bytes, `vlan ${vlan}`).lines.length);
    expect(ours).toBeGreaterThan(1000);
  });

  test.each([
    ["Linux cooked v1 (113)", 113, (type: Uint8Array) => join(new Uint8Array(14), type)],
    ["Linux cooked v2 (276)", 276, (type: Uint8Array) => join(type, new Uint8Array(18))],
  ])("%s", (_, linkType, header) => {
    const bytes = readCapture("capture.pcap");
    const cooked = [...packets(bytes, indexCapture(bytes))].map(({ data }) => ({
      data: join(header(data.subarray(12, 14)), data.subarray(14)),
    }));
    const file = writePcap(cooked, { linkType });
    for (const [filter, kind] of [
      ["arp", PacketKind.arp],
      ["icmp", PacketKind.icmp],
      ["tcp", PacketKind.tcp],
    ] as const) {
      const ours = countOf(file, (info) => info.tags === 0 && info.kind === kind);
      expect(ours, filter).toBe(tcpdump(file, filter).lines.length);
      expect(ours, filter).toBeGreaterThan(0);
    }
    expect(seenByUs(file).map(({ src, dst, ports }) => [src, dst, ports])).toEqual(
      seenByUs(bytes).map(({ src, dst, ports }) => [src, dst, ports]),
    );
  });

  test("raw IP (101)", () => {
    const bytes = readCapture("capture.pcap");
    const isUntaggedIp = (data: Uint8Array): boolean => [0x0800, 0x86dd].includes(viewOf(data).getUint16(12));
    const raw = [...packets(bytes, indexCapture(bytes))].filter(({ data }) => isUntaggedIp(data));
    const file = writePcap(
      raw.map(({ data }) => ({ data: data.subarray(14) })),
      { linkType: 101 },
    );
    for (const [filter, kind] of [
      ["icmp", PacketKind.icmp],
      ["tcp", PacketKind.tcp],
    ] as const) {
      const ours = countOf(file, (info) => info.kind === kind);
      expect(ours, filter).toBe(tcpdump(file, filter).lines.length);
      expect(ours, filter).toBeGreaterThan(0);
    }
  });

  test.each([
    [true, false],
    [false, false],
    [true, true],
    [false, true],
  ])("pcap written anew: little endian %s, nanoseconds %s", (little, nanoseconds) => {
    const bytes = readCapture("capture.pcapng");
    const index = indexCapture(bytes);
    const rows = [...packets(bytes, index)].map(({ data, length }, i) => ({
      data,
      length,
      seconds: index.seconds[i]!,
      nanoseconds: index.nanoseconds[i]!,
    }));
    const file = writePcap(rows, { little, nanoseconds });
    expect(seenByUs(file).map(({ time }) => time)).toEqual(seenByTcpdump(tcpdump(file).lines).map(({ time }) => time));
    expect(seenByUs(file).map(({ src, ports }) => [src, ports])).toEqual(
      seenByUs(bytes).map(({ src, ports }) => [src, ports]),
    );
  });

  test("cut at random bytes, both count the same packets and complain of the same files", () => {
    const random = randomIntegers(testSeed());
    for (const name of captureNames) {
      const bytes = readCapture(name);
      for (let i = 0; i < 15; i++) {
        const cut = bytes.subarray(0, 200 + random(bytes.length - 200));
        const index = indexCapture(cut);
        const { lines, complaint } = tcpdump(cut);
        expect(index.count, `${name} cut at ${cut.length}`).toBe(lines.length);
        expect(index.broken !== undefined, `${name} cut at ${cut.length}: ${complaint}`).toBe(complaint !== undefined);
      }
    }
  });
});

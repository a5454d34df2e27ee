/** Packets made by hand, one for each thing that the parser knows, cut at each byte; and garbage. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PacketInfo, PacketKind, packetKinds, parsePacket } from "../../examples/packets/packet.js";
import { hex, join, testSeed, viewOf } from "./_captures.js";

const ETHERNET = 1;
const MACS = "020000000002 020000000001";
const SRC6 = "20010db8000000000000000000000001";
const DST6 = "20010db8000000000000000000000002";
const TCP = "c350 0050 00000001 00000002 5012 ffff 0000 0000";
const UDP = "c351 0035 000c 0000 01020304";

const u16 = (value: number): string => value.toString(16).padStart(4, "0");

/** An IPv4 packet from 192.0.2.1 to 192.0.2.2. */
function ipv4(protocol: number, payload: string, { options = "", fragment = 0, size = -1 } = {}): string {
  const header = 20 + hex(options).length;
  const total = size === -1 ? header + hex(payload).length : size;
  const first = `4${(header / 4).toString(16)}00 ${u16(total)} 0001 ${u16(fragment)}`;
  return `${first} 40${u16(protocol).slice(2)} 0000 c0000201 c0000202 ${options} ${payload}`;
}

/** An IPv6 packet from 2001:db8::1 to 2001:db8::2. */
function ipv6(next: number, payload: string, size = hex(payload).length): string {
  return `60000000 ${u16(size)} ${u16(next).slice(2)}40 ${SRC6} ${DST6} ${payload}`;
}

function ethernet(type: string, payload: string): string {
  return `${MACS} ${type} ${payload}`;
}

const V4 = { src: "00000000000000000000ffffc0000201", dst: "00000000000000000000ffffc0000202" };
const V6 = { src: SRC6, dst: DST6 };
const NONE = { src: "0".repeat(32), dst: "0".repeat(32) };

/** All that a PacketInfo says, as plain values. */
function said(info: PacketInfo) {
  const { flow } = info;
  return {
    kind: packetKinds[info.kind],
    etherType: info.etherType,
    tags: info.tags,
    innerVlan: info.innerVlan,
    fragment: info.fragment,
    fragmentOffset: info.fragmentOffset,
    tcpFlags: info.tcpFlags,
    icmpType: info.icmpType,
    icmpCode: info.icmpCode,
    complete: info.complete,
    src: Buffer.from(flow.src).toString("hex"),
    dst: Buffer.from(flow.dst).toString("hex"),
    srcPort: flow.srcPort,
    dstPort: flow.dstPort,
    protocol: flow.protocol,
    vlan: flow.vlan,
  };
}

type Said = ReturnType<typeof said>;

/** A packet of which nothing is known. */
const nothing: Said = {
  kind: "other",
  etherType: 0,
  tags: 0,
  innerVlan: 0,
  fragment: false,
  fragmentOffset: 0,
  tcpFlags: 0,
  icmpType: 0,
  icmpCode: 0,
  complete: false,
  ...NONE,
  srcPort: 0,
  dstPort: 0,
  protocol: 0,
  vlan: 0,
};

/** Used for all packets: what one leaves behind would be seen in the next. */
const info = new PacketInfo();

/** Cases as objects, which `test.each` keeps the types of. */
function named(all: readonly Case[]) {
  return all.map(([what, packet, wanted, linkType = ETHERNET]) => ({ what, bytes: hex(packet), wanted, linkType }));
}

/** Parses a packet that lies between bytes which are not its own. */
function parse(bytes: Uint8Array, linkType = ETHERNET): Said {
  const around = new Uint8Array(64).fill(0xff);
  parsePacket(viewOf(join(around, bytes, around)), 64, bytes.length, linkType, info);
  return said(info);
}

const tcp4 = {
  ...V4,
  kind: "tcp",
  etherType: 0x0800,
  protocol: 6,
  srcPort: 50000,
  dstPort: 80,
  tcpFlags: 0x12,
} as const;
const udp4 = { ...V4, kind: "udp", etherType: 0x0800, protocol: 17, srcPort: 50001, dstPort: 53 } as const;
const tcp6 = { ...tcp4, ...V6, etherType: 0x86dd } as const;
const udp6 = { ...udp4, ...V6, etherType: 0x86dd } as const;

/** What, the packet, what is to be said of it (beside `nothing`, complete), its link type. */
type Case = readonly [what: string, packet: string, wanted: Partial<Said>, linkType?: number];

const cases: readonly Case[] = [
  ["IPv4 TCP", ethernet("0800", ipv4(6, TCP)), tcp4],
  ["IPv4 UDP", ethernet("0800", ipv4(17, UDP)), udp4],
  [
    "IPv4 ICMP",
    ethernet("0800", ipv4(1, "0304 0000 00000000")),
    { ...V4, kind: "icmp", etherType: 0x0800, protocol: 1, icmpType: 3, icmpCode: 4 },
  ],
  ["IPv4 with options", ethernet("0800", ipv4(17, UDP, { options: "94040000 01010101" })), udp4],
  ["IPv4 with 40 bytes of options", ethernet("0800", ipv4(6, TCP, { options: "01".repeat(40) })), tcp4],
  [
    "IPv4 of another protocol",
    ethernet("0800", ipv4(47, "00000800")),
    { ...V4, kind: "ip", etherType: 0x0800, protocol: 47 },
  ],
  ["ICMPv6 over IPv4", ethernet("0800", ipv4(58, "8000 0000")), { ...V4, kind: "ip", etherType: 0x0800, protocol: 58 }],
  ["IPv4, do not fragment", ethernet("0800", ipv4(17, UDP, { fragment: 0x4000 })), udp4],
  ["IPv4, first fragment", ethernet("0800", ipv4(17, UDP, { fragment: 0x2000 })), { ...udp4, fragment: true }],
  [
    "IPv4, second fragment: no ports",
    ethernet("0800", ipv4(17, UDP, { fragment: 0x20b9 })),
    { ...udp4, srcPort: 0, dstPort: 0, fragment: true, fragmentOffset: 1480 },
  ],
  [
    "IPv4, last fragment",
    ethernet("0800", ipv4(6, "00", { fragment: 0x1fff })),
    { ...tcp4, srcPort: 0, dstPort: 0, tcpFlags: 0, fragment: true, fragmentOffset: 65_528 },
  ],
  [
    "IPv4, last fragment of an ICMP: no type",
    ethernet("0800", ipv4(1, "0805", { fragment: 1 })),
    { ...V4, kind: "icmp", etherType: 0x0800, protocol: 1, fragment: true, fragmentOffset: 8 },
  ],
  ["IPv4 with Ethernet's padding", ethernet("0800", ipv4(17, UDP) + "00".repeat(14)), udp4],
  ["IPv4 of size 0, for the card to cut", ethernet("0800", ipv4(6, TCP, { size: 0 })), tcp4],
  ["IPv6 TCP", ethernet("86dd", ipv6(6, TCP)), tcp6],
  ["IPv6 UDP", ethernet("86dd", ipv6(17, UDP)), udp6],
  [
    "IPv6 ICMPv6",
    ethernet("86dd", ipv6(58, "8700 0000 00000000")),
    { ...V6, kind: "icmp6", etherType: 0x86dd, protocol: 58, icmpType: 135 },
  ],
  ["ICMP over IPv6", ethernet("86dd", ipv6(1, "0800 0000")), { ...V6, kind: "ip", etherType: 0x86dd, protocol: 1 }],
  ["IPv6 without next header", ethernet("86dd", ipv6(59, "")), { ...V6, kind: "ip", etherType: 0x86dd, protocol: 59 }],
  [
    "IPv6 ESP is where headers end",
    ethernet("86dd", ipv6(50, "11".repeat(16))),
    { ...V6, kind: "ip", etherType: 0x86dd, protocol: 50 },
  ],
  [
    "IPv6 hop-by-hop options",
    ethernet("86dd", ipv6(0, `3a00 050200000100 8f00 0000 00000000`)),
    { ...V6, kind: "icmp6", etherType: 0x86dd, protocol: 58, icmpType: 143 },
  ],
  ["IPv6 destination options of 24 bytes", ethernet("86dd", ipv6(60, `0602 0114 ${"00".repeat(20)} ${TCP}`)), tcp6],
  ["IPv6 routing header", ethernet("86dd", ipv6(43, `1102 0401 00000000 ${DST6} ${UDP}`)), udp6],
  [
    "IPv6 authentication header",
    ethernet("86dd", ipv6(51, `0604 0000 00000001 00000001 ${"aa".repeat(12)} ${TCP}`)),
    tcp6,
  ],
  [
    "IPv6, a fragment that is all",
    ethernet("86dd", ipv6(44, `1100 0000 00000007 ${UDP}`)),
    { ...udp6, fragment: true },
  ],
  ["IPv6, first fragment", ethernet("86dd", ipv6(44, `1100 0001 00000007 ${UDP}`)), { ...udp6, fragment: true }],
  [
    "IPv6, second fragment: no ports",
    ethernet("86dd", ipv6(44, `1100 05a9 00000007 ${UDP}`)),
    { ...udp6, srcPort: 0, dstPort: 0, fragment: true, fragmentOffset: 1448 },
  ],
  [
    "IPv6, second fragment of options",
    ethernet("86dd", ipv6(44, `3c00 0008 00000007 ${UDP}`)),
    { ...V6, kind: "ip", etherType: 0x86dd, protocol: 60, fragment: true, fragmentOffset: 8 },
  ],
  [
    "IPv6, all of them",
    ethernet(
      "86dd",
      ipv6(
        0,
        `3c00 010400000000 2b00 010400000000 2c02 0401 00000000 ${DST6} 3300 0001 00000007 0604 0000 00000001 00000001 ${"aa".repeat(12)} ${TCP}`,
      ),
    ),
    { ...tcp6, fragment: true },
  ],
  ["IPv6 of size 0, a jumbogram", ethernet("86dd", ipv6(0, `0600 c204 00100000 ${TCP}`, 0)), tcp6],
  ["802.1Q", ethernet("8100", `200a 0800 ${ipv4(17, UDP)}`), { ...udp4, tags: 1, vlan: 10 }],
  ["802.1ad", ethernet("88a8", `0064 8100 0014 86dd ${ipv6(6, TCP)}`), { ...tcp6, tags: 2, vlan: 100, innerVlan: 20 }],
  [
    "QinQ by 0x9100",
    ethernet("9100", `0064 8100 0014 0800 ${ipv4(6, TCP)}`),
    { ...tcp4, tags: 2, vlan: 100, innerVlan: 20 },
  ],
  [
    "three tags",
    ethernet("8100", `0001 8100 0002 8100 0fff 0800 ${ipv4(6, TCP)}`),
    { ...tcp4, tags: 3, vlan: 1, innerVlan: 4095 },
  ],
  ["a priority tag", ethernet("8100", `e000 0800 ${ipv4(6, TCP)}`), { ...tcp4, tags: 1 }],
  [
    "ARP",
    ethernet("0806", "0001 0800 0604 0001 020000000001 c0000201 000000000000 c0000202"),
    { ...V4, kind: "arp", etherType: 0x0806 },
  ],
  [
    "ARP behind a tag",
    ethernet("8100", "000a 0806 0001 0800 0604 0001 020000000001 c0000201 000000000000 c0000202"),
    { ...V4, kind: "arp", etherType: 0x0806, tags: 1, vlan: 10 },
  ],
  [
    "ARP of another protocol",
    ethernet("0806", "0001 809b 0603 0001 020000000001 112233 000000000000 445566"),
    { kind: "arp", etherType: 0x0806 },
  ],
  ["802.3", ethernet("0026", "424203 0000 0000 00"), {}],
  ["an unknown EtherType", ethernet("88cc", "0207 0400"), { etherType: 0x88cc }],
  ["Linux cooked v1", `0000 0001 0006 020000000001 0000 0800 ${ipv4(6, TCP)}`, tcp4, 113],
  [
    "Linux cooked v1 with a tag",
    `0000 0001 0006 020000000001 0000 8100 000a 86dd ${ipv6(17, UDP)}`,
    { ...udp6, tags: 1, vlan: 10 },
    113,
  ],
  ["Linux cooked v2", `86dd 0000 00000002 0001 00 06 0200000000010000 ${ipv6(6, TCP)}`, tcp6, 276],
  ["raw IPv4", ipv4(6, TCP), tcp4, 101],
  ["raw IPv6", ipv6(17, UDP), udp6, 101],
  ["LINKTYPE_IPV4", ipv4(17, UDP), udp4, 228],
  ["LINKTYPE_IPV6", ipv6(17, UDP), udp6, 229],
  ["BSD loopback, little endian", `02000000 ${ipv4(6, TCP)}`, tcp4, 0],
  ["BSD loopback, big endian", `0000001c ${ipv6(6, TCP)}`, tcp6, 108],
];

describe("whole packets", () => {
  test.each(named(cases))("$what", ({ bytes, wanted, linkType }) => {
    expect(parse(bytes, linkType)).toEqual({ ...nothing, complete: true, ...wanted });
  });

  test("an info starts as nothing", () => {
    expect(said(new PacketInfo())).toEqual(nothing);
  });

  test("the kinds have their names", () => {
    for (const [name, kind] of Object.entries(PacketKind)) expect(packetKinds[kind]).toBe(name);
    expect(Object.keys(PacketKind)).toEqual([...packetKinds]);
  });
});

describe("cut and senseless packets", () => {
  // What is known is known as in the whole packet; the kind at most goes from "other" over "ip" to what it is.
  test.each(named(cases))("$what, cut at each byte", ({ bytes, wanted, linkType }) => {
    const whole = { ...nothing, complete: true, ...wanted };
    for (let length = 0; length < bytes.length; length++) {
      const cut = parse(bytes.subarray(0, length), linkType);
      for (const field of ["srcPort", "dstPort", "tcpFlags", "icmpType", "icmpCode", "vlan"] as const)
        expect([0, whole[field]], `${field} of ${length} bytes`).toContain(cut[field]);
      expect(cut.tags, `tags of ${length} bytes`).toBeLessThanOrEqual(whole.tags);
      expect(["other", "ip", whole.kind], `kind of ${length} bytes`).toContain(cut.kind);
      expect([NONE.src, whole.src], `src of ${length} bytes`).toContain(cut.src);
      expect([NONE.dst, whole.dst], `dst of ${length} bytes`).toContain(cut.dst);
      if (cut.complete) expect(cut, `${length} bytes`).toEqual(whole);
    }
  });

  const ip4 = { ...V4, etherType: 0x0800 } as const;
  const ip6 = { ...V6, etherType: 0x86dd } as const;
  // What, the packet, what is to be said of it beside `nothing`: complete is false.
  const senseless: readonly Case[] = [
    ["no bytes", "", {}],
    ["13 bytes", `${MACS} 08`, {}],
    ["nothing behind the EtherType", ethernet("0800", ""), { etherType: 0x0800 }],
    ["half a tag", ethernet("8100", "000a"), { etherType: 0x8100 }],
    ["a tag before half a tag", ethernet("88a8", "0064 8100 0014"), { etherType: 0x8100, tags: 1, vlan: 100 }],
    ["19 bytes of IPv4", ethernet("0800", ipv4(6, "").slice(0, -3)), { etherType: 0x0800 }],
    ["IPv4 that says it is IPv6", ethernet("0800", ipv6(6, TCP)), { etherType: 0x0800 }],
    ["IPv6 that says it is IPv4", ethernet("86dd", ipv4(6, TCP + "00".repeat(20))), { etherType: 0x86dd }],
    ["raw IP of version 5", `50${ipv4(6, TCP).slice(2)}`, {}, 101],
    [
      "an IPv4 header of 16 bytes",
      ethernet("0800", `44${ipv4(6, TCP).slice(2)}`),
      { ...ip4, kind: "tcp", protocol: 6 },
    ],
    [
      "an IPv4 packet smaller than its header",
      ethernet("0800", ipv4(6, TCP, { size: 19 })),
      { ...ip4, kind: "tcp", protocol: 6 },
    ],
    [
      "IPv4 options behind the end",
      ethernet("0800", `4f${ipv4(6, TCP).slice(2)}`),
      { ...ip4, kind: "tcp", protocol: 6 },
    ],
    [
      "no TCP header in the IPv4 packet, padding behind it",
      ethernet("0800", ipv4(6, TCP, { size: 20 })),
      { ...ip4, kind: "tcp", protocol: 6 },
    ],
    [
      "no UDP header in the IPv6 packet, padding behind it",
      ethernet("86dd", `${ipv6(17, "0000", 2)} 0000`),
      { ...ip6, kind: "udp", protocol: 17 },
    ],
    [
      "ports and no more",
      ethernet("0800", ipv4(6, TCP.slice(0, 9))),
      { ...ip4, kind: "tcp", protocol: 6, srcPort: 50000, dstPort: 80 },
    ],
    ["TCP without its last bytes", ethernet("0800", ipv4(6, TCP.slice(0, -5))), tcp4],
    ["39 bytes of IPv6", ethernet("86dd", ipv6(6, "").trim().slice(0, -2)), { etherType: 0x86dd }],
    ["half an extension header", ethernet("86dd", ipv6(0, "0600 0104")), { ...ip6, kind: "ip", protocol: 0 }],
    [
      "an extension header longer than the packet",
      ethernet("86dd", ipv6(60, `06ff 0104 00000000 ${TCP}`)),
      { ...ip6, kind: "tcp", protocol: 6 },
    ],
    [
      "an extension chain behind the end",
      ethernet("86dd", ipv6(60, "3c00 0104 00000000 2b05 0104 00000000")),
      { ...ip6, kind: "ip", protocol: 43 },
    ],
    ["half an ARP", ethernet("0806", "0001 0800 0604 0001 020000000001 c0000201"), { kind: "arp", etherType: 0x0806 }],
    [
      "ARP with long hardware addresses",
      ethernet("0806", "0001 0800 ff04 0001 020000000001 c0000201 000000000000 c0000202"),
      { kind: "arp", etherType: 0x0806 },
    ],
    ["a link type that is not known", ethernet("0800", ipv4(6, TCP)), {}, 147],
  ];
  test.each(named(senseless))("$what", ({ bytes, wanted, linkType }) => {
    expect(parse(bytes, linkType)).toEqual({ ...nothing, ...wanted });
  });

  test("garbage does not throw, and is read inside its bounds", () => {
    const linkTypes = [0, 1, 101, 108, 113, 228, 229, 276, 9999];
    const starts = cases.map(([, packet]) => hex(packet));
    const packet = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .tuple(fc.constantFrom(...starts), fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 8 }), fc.nat(150))
        .map(([start, changes, length]) => {
          const bytes = start.slice(0, length);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          return bytes;
        }),
    );
    fc.assert(
      fc.property(packet, fc.constantFrom(...linkTypes), (bytes, linkType) => {
        // Alone, a read outside throws; between other bytes, it would change what is said.
        parsePacket(viewOf(bytes), 0, bytes.length, linkType, info);
        const alone = said(info);
        expect(parse(bytes, linkType)).toEqual(alone);
        expect(alone.srcPort).toBeLessThanOrEqual(0xffff);
        expect(alone.vlan).toBeLessThanOrEqual(0xfff);
        expect(alone.protocol).toBeLessThanOrEqual(0xff);
      }),
      { seed: testSeed(), numRuns: 5000 },
    );
  });
});

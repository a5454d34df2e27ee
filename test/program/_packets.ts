/**
 * Packets for programs: made by hand, of all lengths that programs look at, and some of the example's capture.
 */
import { indexCapture, packets as packetsOf } from "tsbpf/pcap";
import { readCapture } from "../packets/_captures.js";

const ETHERNET = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

const u16 = (value: number): number[] => [value >> 8, value & 255];

/** An Ethernet frame with IPv4 in it, with a checksum that is right. */
function ipv4(protocol: number, ttl: number, last: number, payload: readonly number[], tags: readonly number[] = []) {
  const length = 20 + payload.length;
  const header = [0x45, 0, ...u16(length), 0x12, 0x34, 0x40, 0, ttl, protocol, 0, 0, 10, 1, 2, last, 192, 168, last, 7];
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (header[i]! << 8) | header[i + 1]!;
  sum = (sum & 0xffff) + (sum >> 16);
  const check = u16(~(sum + (sum >> 16)) & 0xffff);
  header.splice(10, 2, ...check);
  return Uint8Array.from([...ETHERNET, ...tags, 8, 0, ...header, ...payload]);
}

const bytes = (length: number, seed = 0): number[] => Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 255);
const tcp = (port: number, length: number): number[] => [
  ...u16(40000 + port),
  ...u16(port),
  ...bytes(8, port),
  0x50,
  0x18,
  ...bytes(6, 3),
  ...bytes(length, port),
];
const udp = (port: number, length: number): number[] =>
  [...u16(5353), ...u16(port), ...u16(8 + length), 0x55, 0xaa].concat(bytes(length, port));

const VLAN = [0x81, 0, 0, 10];
const QINQ = [0x88, 0xa8, 0, 100, 0x81, 0, 0, 20];
const IPV6 = [0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64, ...bytes(32, 9)];

function made(): Uint8Array[] {
  const list = [
    ipv4(6, 64, 1, tcp(80, 0)),
    ipv4(6, 1, 2, tcp(443, 5)),
    ipv4(6, 128, 3, tcp(8080, 1200)),
    ipv4(17, 64, 4, udp(53, 30)),
    ipv4(17, 2, 5, udp(9999, 31)),
    ipv4(1, 255, 6, bytes(64)),
    ipv4(6, 64, 200, tcp(22, 7), VLAN),
    ipv4(17, 64, 201, udp(123, 48), QINQ),
    Uint8Array.from([...ETHERNET, ...IPV6, ...tcp(80, 20)]),
    Uint8Array.from([...ETHERNET, 8, 6, ...bytes(46)]),
    Uint8Array.from([...ETHERNET, 0x88, 0xcc, ...bytes(50)]),
  ];
  // A header that lies about its length, and one that ends early.
  const odd = ipv4(6, 64, 9, tcp(80, 3));
  odd[14] = 0x4f;
  list.push(odd, ipv4(6, 64, 9, [1, 2, 3]), ipv4(17, 64, 10, []));
  for (let length = 60; length < 80; length++) {
    list.push(Uint8Array.from([...ETHERNET, 8, 0, ...bytes(length - 14, length)]));
  }
  return list;
}

/** So many of the capture's, from all over it. */
function captured(count: number): Uint8Array[] {
  const bytes = readCapture("capture.pcap");
  const index = indexCapture(bytes);
  const step = Math.floor(index.count / count);
  return Array.from({ length: count }, (_, i) => {
    const [packet] = packetsOf(bytes, index, i * step, i * step + 1);
    return packet!.data.slice();
  });
}

/** All are at least 34 bytes long. */
export const packets: readonly Uint8Array[] = [...made(), ...captured(40)].filter(({ length }) => length >= 34);

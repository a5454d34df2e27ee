/** What examples/packets is to find in a capture, counted by one thread in JavaScript's own maps. */
import { indexCapture } from "tsbpf/pcap";
import { PacketInfo, packetKinds, parsePacket } from "../../examples/packets/packet.js";
import { addressText } from "../../examples/packets/format.js";
import { viewOf } from "./_captures.js";

export interface Count {
  packets: number;
  bytes: number;
}

export interface Expected {
  readonly totals: Count;
  /** Those with IP. */
  readonly ip: Count;
  /** By the name of the kind; all kinds. */
  readonly protocols: Record<string, Count>;
  /** By the flow, as text. */
  readonly flows: Record<string, Count>;
  /** By the address's text. */
  readonly sources: Record<string, Count>;
}

interface Flow {
  readonly src: string;
  readonly dst: string;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly protocol: number;
  readonly vlan: number;
}

export function flowText({ src, dst, srcPort, dstPort, protocol, vlan }: Flow): string {
  return `${src} ${srcPort} > ${dst} ${dstPort} protocol ${protocol} vlan ${vlan}`;
}

export function expectedOf(bytes: Uint8Array): Expected {
  const index = indexCapture(bytes);
  const view = viewOf(bytes);
  const info = new PacketInfo();
  const none = (): Count => ({ packets: 0, bytes: 0 });
  const totals = none();
  const ip = none();
  const protocols = Object.fromEntries(packetKinds.map((name) => [name, none()]));
  const flows: Record<string, Count> = {};
  const sources: Record<string, Count> = {};
  for (let row = 0; row < index.count; row++) {
    parsePacket(view, index.offsets[row]!, index.captured[row]!, index.linkTypes[row]!, info);
    const name = packetKinds[info.kind];
    const counts = [totals, protocols[name]!];
    if (name !== "other" && name !== "arp") {
      const src = addressText(info.flow.src);
      const dst = addressText(info.flow.dst);
      counts.push(ip, (flows[flowText({ ...info.flow, src, dst })] ??= none()), (sources[src] ??= none()));
    }
    for (const count of counts) {
      count.packets++;
      count.bytes += index.lengths[row]!;
    }
  }
  return { totals, ip, protocols, flows, sources };
}

/**
 * The maps that packets are counted in, and what their keys and values are: the same bytes as in packets.c.
 *
 *     flows      hash            struct { src, dst, srcPort, dstPort, protocol, vlan }  ->  { packets, bytes }
 *     protocols  per-CPU array   index into packetKinds                                 ->  { packets, bytes } on each CPU
 *     sources    hash            address                                                ->  { packets, bytes }
 *     refused    array           0 flows, 1 sources                                     ->  what found no room there
 *
 * The main thread creates them, and reads them; the program counts in them, in all threads.
 */
import { ArrayMap, be, bytes, HashMap, type Kernel, type Of, PerCpuArray, struct, u16, u64, u8 } from "tsbpf";
import { type FlowKey, packetKinds } from "./packet.js";

/** Addresses stay bytes here, IPv4 as ::ffff:a.b.c.d: only the few that are shown become text. */
const address = bytes(16);
const flow = struct({ src: address, dst: address, srcPort: be.u16, dstPort: be.u16, protocol: u8, vlan: u16 });
const count = struct({ packets: u64, bytes: u64 });

/** How many packets, and how many bytes they had on the wire. */
export type Count = Of<typeof count>;

/** The maps. */
export class PacketMaps {
  readonly flows: HashMap<FlowKey, Count>;
  readonly protocols: PerCpuArray<Count>;
  readonly sources: HashMap<Uint8Array, Count>;
  readonly refused: ArrayMap<Count>;

  private constructor(
    flows: HashMap<FlowKey, Count>,
    protocols: PerCpuArray<Count>,
    sources: HashMap<Uint8Array, Count>,
    refused: ArrayMap<Count>,
  ) {
    this.flows = flows;
    this.protocols = protocols;
    this.sources = sources;
    this.refused = refused;
  }

  /** Creates them, with room for so many flows, and for as many sources. */
  static create(kernel: Kernel, maxEntries: number): PacketMaps {
    return new PacketMaps(
      HashMap.create(kernel, { name: "flows", key: flow, value: count, maxEntries }),
      PerCpuArray.create(kernel, { name: "protocols", value: count, maxEntries: packetKinds.length }),
      HashMap.create(kernel, { name: "sources", key: address, value: count, maxEntries }),
      ArrayMap.create(kernel, { name: "refused", value: count, maxEntries: 2 }),
    );
  }

  [Symbol.dispose](): void {
    this.flows.close();
    this.protocols.close();
    this.sources.close();
    this.refused.close();
  }
}

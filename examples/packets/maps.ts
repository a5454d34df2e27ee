/**
 * The three maps that packets are counted in, and what their keys and values are.
 *
 *     flows      hash            struct { src, dst, srcPort, dstPort, protocol, vlan }  ->  { packets, bytes }
 *     protocols  per-CPU array   index into packetKinds                                 ->  { packets, bytes } on each CPU
 *     sources    hash            address                                                ->  { packets, bytes }
 *
 * The main thread creates them; worker threads open the same maps by their ids.
 */
import { be, bytes, HashMap, type Kernel, type Of, PerCpuArray, struct, u16, u64, u8 } from "tsbpf";
import { type FlowKey, packetKinds } from "./packet.js";

/** Addresses stay bytes here, IPv4 as ::ffff:a.b.c.d: only the few that are shown become text. */
const address = bytes(16);
const flow = struct({ src: address, dst: address, srcPort: be.u16, dstPort: be.u16, protocol: u8, vlan: u16 });
const count = struct({ packets: u64, bytes: u64 });

/** How many packets, and how many bytes they had on the wire. */
export type Count = Of<typeof count>;

/** What other threads find the maps by. */
export interface MapIds {
  readonly flows: number;
  readonly protocols: number;
  readonly sources: number;
}

/** The maps, open in one thread. */
export class PacketMaps {
  readonly flows: HashMap<FlowKey, Count>;
  readonly protocols: PerCpuArray<Count>;
  readonly sources: HashMap<Uint8Array, Count>;

  private constructor(
    flows: HashMap<FlowKey, Count>,
    protocols: PerCpuArray<Count>,
    sources: HashMap<Uint8Array, Count>,
  ) {
    this.flows = flows;
    this.protocols = protocols;
    this.sources = sources;
  }

  /** Creates them, with room for so many flows, and for as many sources. */
  static create(kernel: Kernel, maxEntries: number): PacketMaps {
    return new PacketMaps(
      HashMap.create(kernel, { name: "flows", key: flow, value: count, maxEntries }),
      PerCpuArray.create(kernel, { name: "protocols", value: count, maxEntries: packetKinds.length }),
      HashMap.create(kernel, { name: "sources", key: address, value: count, maxEntries }),
    );
  }

  /** Opens those that another thread has created. */
  static fromIds(kernel: Kernel, ids: MapIds): PacketMaps {
    return new PacketMaps(
      HashMap.fromId(kernel, ids.flows, { key: flow, value: count }),
      PerCpuArray.fromId(kernel, ids.protocols, { value: count }),
      HashMap.fromId(kernel, ids.sources, { key: address, value: count }),
    );
  }

  get ids(): MapIds {
    return { flows: this.flows.id, protocols: this.protocols.id, sources: this.sources.id };
  }

  [Symbol.dispose](): void {
    this.flows.close();
    this.protocols.close();
    this.sources.close();
  }
}

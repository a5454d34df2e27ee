/**
 * What the maps hold, read into plain lists; and sums of counts.
 */
import type { PerCpu } from "tsbpf";
import type { CaptureIndex } from "tsbpf/pcap";
import type { Count, PacketMaps } from "./maps.js";
import { type FlowKey, packetKinds } from "./packet.js";

/** What the maps hold. */
export interface Tables {
  /** A row for each of packetKinds, in their order. */
  readonly protocols: readonly { readonly name: string; readonly perCpu: PerCpu<Count>; readonly sum: Count }[];
  /** Those with most bytes first. */
  readonly flows: readonly (readonly [FlowKey, Count])[];
  readonly sources: readonly (readonly [Uint8Array, Count])[];
}

/** Reads the maps. They may change meanwhile: a walk ends all the same, and meets no key twice. */
export function readTables(maps: PacketMaps): Tables {
  return {
    protocols: packetKinds.map((name, kind) => {
      const perCpu = maps.protocols.get(kind)!;
      return { name, perCpu, sum: perCpu.sum() };
    }),
    flows: [...maps.flows].sort(([a, x], [b, y]) => mostFirst(x, y) || compareFlows(a, b)),
    sources: [...maps.sources].sort(([a, x], [b, y]) => mostFirst(x, y) || Buffer.compare(a, b)),
  };
}

function mostFirst(a: Count, b: Count): number {
  return compare(b.bytes, a.bytes) || compare(b.packets, a.packets);
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}

function compareFlows(a: FlowKey, b: FlowKey): number {
  return (
    Buffer.compare(a.src, b.src) ||
    Buffer.compare(a.dst, b.dst) ||
    a.srcPort - b.srcPort ||
    a.dstPort - b.dstPort ||
    a.protocol - b.protocol ||
    a.vlan - b.vlan
  );
}

/** The packets and bytes of a file, counted without any map. */
export function fileTotals({ count, lengths }: CaptureIndex): Count {
  let bytes = 0;
  for (let row = 0; row < count; row++) bytes += lengths[row]!;
  return { packets: BigInt(count), bytes: BigInt(bytes) };
}

/** Adds up counts. */
export function sumOf(counts: Iterable<Count>): Count {
  const sum = { packets: 0n, bytes: 0n };
  for (const { packets, bytes } of counts) {
    sum.packets += packets;
    sum.bytes += bytes;
  }
  return sum;
}

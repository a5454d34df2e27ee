/**
 * The check at the end: the maps hold what was in the file, no more and no less.
 *
 * What was in the file is counted without the maps: all packets from the file's index, those with IP by each worker in
 * plain numbers.
 */
import type { Tally } from "./job.js";
import type { Count } from "./maps.js";
import { sumOf, type Tables } from "./tables.js";

/** One comparison. */
export interface Check {
  /** The map that is checked. */
  readonly map: "protocols" | "flows" | "sources";
  /** Which packets it is to hold. */
  readonly of: "all packets" | "packets with IP";
  readonly unit: keyof Count;
  readonly inFile: bigint;
  readonly inMap: bigint;
  /** What the map had no room for. */
  readonly refused: bigint;
  /** Whether the map holds all but what it refused. */
  readonly equal: boolean;
}

/** What the full maps refused. */
export interface Refused {
  readonly flows: Count;
  readonly sources: Count;
}

/** Compares each map with the file, in packets and in bytes. */
export function checkMaps(totals: Count, tallies: readonly Tally[], refused: Refused, tables: Tables): Check[] {
  const ip = sumOf(tallies.map(({ ipPackets, ipBytes }) => ({ packets: BigInt(ipPackets), bytes: BigInt(ipBytes) })));
  const protocols = sumOf(tables.protocols.map(({ sum }) => sum));
  const flows = sumOf(tables.flows.map(([, count]) => count));
  const sources = sumOf(tables.sources.map(([, count]) => count));
  const compare = (map: Check["map"], of: Check["of"], inFile: Count, inMap: Count, lost: Count): Check[] => {
    return (["packets", "bytes"] as const).map((unit) => ({
      map,
      of,
      unit,
      inFile: inFile[unit],
      inMap: inMap[unit],
      refused: lost[unit],
      equal: inFile[unit] === inMap[unit] + lost[unit],
    }));
  };
  return [
    ...compare("protocols", "all packets", totals, protocols, { packets: 0n, bytes: 0n }),
    ...compare("flows", "packets with IP", ip, flows, refused.flows),
    ...compare("sources", "packets with IP", ip, sources, refused.sources),
  ];
}

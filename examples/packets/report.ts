/**
 * What a count says: while it runs, at its end, and as JSON.
 */
import type { KernelUsage } from "tsbpf";
import { breakText, type CaptureBreak } from "tsbpf/pcap";
import type { Check } from "./check.js";
import { addressText } from "./format.js";
import type { Count } from "./maps.js";
import type { Tables } from "./tables.js";

interface About {
  readonly file: string;
  readonly kernel: "embedded" | "linux";
  readonly workers: number;
  /** What the file's index says. */
  readonly totals: Count;
}

/** A look at the maps while they change. */
export interface Progress extends About, Tables {}

/** What is known at the end. */
export interface Report extends About, Tables {
  /** That the workers took. */
  readonly seconds: number;
  readonly check: readonly Check[];
  /** Where the file stops making sense. */
  readonly broken: CaptureBreak | undefined;
  /** What the embedded kernel has in use when all is closed: nothing. */
  readonly left: KernelUsage | undefined;
}

/** The object that --json prints. */
export function toJson(report: Report): string {
  const { file, kernel, workers, seconds, totals, protocols, flows, sources, check, broken, left } = report;
  const object = {
    file,
    kernel,
    workers,
    seconds,
    totals,
    protocols: protocols.map(({ name, perCpu, sum }) => ({ name, ...sum, perCpu })),
    flows: flows.map(([flow, count]) => ({
      ...flow,
      src: addressText(flow.src),
      dst: addressText(flow.dst),
      ...count,
    })),
    sources: sources.map(([address, count]) => ({ address: addressText(address), ...count })),
    check,
    broken: broken === undefined ? null : { ...broken, packet: broken.packet ?? null, text: breakText(broken) },
    left: left ?? null,
  };
  return JSON.stringify(object, (_, value: unknown) => (typeof value === "bigint" ? numberOrText(value) : value));
}

function numberOrText(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}

/**
 * The machine that figures are of.
 */
import { cpus, loadavg, release, totalmem } from "node:os";

export interface Machine {
  /** When the benchmark began: "2026-11-25 14:03 UTC". */
  readonly date: string;
  readonly node: string;
  readonly v8: string;
  readonly os: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGb: number;
  /** How many threads wanted to run when the benchmark began, on average over a minute. */
  readonly load: number;
}

export function thisMachine(): Machine {
  return {
    date: `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
    node: process.version,
    v8: process.versions.v8,
    os: `${process.platform} ${release()}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpus: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    load: Math.round(loadavg()[0]! * 100) / 100,
  };
}

/** Whether so much else went on that medians are too high. */
export const isBusy = ({ load, cpus }: Machine): boolean => load > cpus / 2;

/** A sentence for people; it warns of other work on the machine. */
export function describe(machine: Machine): string {
  const { node, os, cpu, cpus, load } = machine;
  const line = `Node.js ${node}, ${os}, ${cpus} CPUs (${cpu}), load ${load}`;
  if (!isBusy(machine)) return line;
  return `${line}\nThe machine was busy with other work: medians are too high, best rounds say more`;
}

/**
 * The machine that figures are of.
 */
import { cpus, loadavg, release } from "node:os";

export interface Machine {
  readonly node: string;
  readonly v8: string;
  readonly os: string;
  readonly cpu: string;
  readonly cpus: number;
  /** How many threads wanted to run when the benchmark began, on average over a minute. */
  readonly load: number;
}

export function thisMachine(): Machine {
  return {
    node: process.version,
    v8: process.versions.v8,
    os: `${process.platform} ${release()}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpus: cpus().length,
    load: Math.round(loadavg()[0]! * 100) / 100,
  };
}

/** A sentence for people; it warns of other work on the machine. */
export function describe({ node, os, cpu, cpus, load }: Machine): string {
  const line = `Node.js ${node}, ${os}, ${cpus} CPUs (${cpu}), load ${load}`;
  if (load <= cpus / 2) return line;
  return `${line}\nThe machine was busy with other work: medians are too high, best rounds say more`;
}

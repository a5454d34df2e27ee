/**
 * Counts what comes in at an interface of this machine: the same program, attached by XDP, and the same maps.
 */
import { LinuxKernel } from "tsbpf/linux";
import { PacketMaps } from "./maps.js";
import type { Options } from "./options.js";
import { loadObject } from "./program.js";
import type { Progress, Report } from "./report.js";
import { readTables, sumOf } from "./tables.js";

/** How often the maps are read meanwhile. */
const LOOK_MS = 200;

/**
 * Counts an interface's packets, for some seconds or until the process is told to end (SIGINT, SIGTERM).
 *
 * @param watch Is shown the maps while they change.
 * @throws {BpfError} when the kernel refuses, or has no such interface
 */
export async function countInterface(
  name: string,
  { seconds, maxFlows }: Pick<Options, "seconds" | "maxFlows">,
  watch?: (progress: Progress) => void,
): Promise<Report> {
  using kernel = LinuxKernel.open();
  using maps = PacketMaps.create(kernel, maxFlows);
  using object = loadObject(kernel, maps);
  using link = object.programs["live"]!.attach({ xdp: name });
  const start = performance.now();
  const look = (): Progress => {
    const tables = readTables(maps);
    const totals = sumOf(tables.protocols.map(({ sum }) => sum));
    return { file: name, kernel: "linux", workers: 0, totals, ...tables };
  };
  const timer = watch === undefined ? undefined : setInterval(() => watch(look()), LOOK_MS);
  try {
    await toldToEnd(seconds);
  } finally {
    clearInterval(timer);
  }
  const taken = (performance.now() - start) / 1000;
  link.detach();
  return { ...look(), seconds: taken, check: [], broken: undefined, left: undefined };
}

function toldToEnd(seconds: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    // Something has to keep the process alive.
    const timer = setTimeout(end, 1000 * (seconds ?? 2 ** 21));
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, end);
    function end(): void {
      clearTimeout(timer);
      for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, end);
      resolve();
    }
  });
}

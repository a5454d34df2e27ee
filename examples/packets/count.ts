/**
 * The whole job: reads a capture, counts it in maps on a kernel with worker threads, and checks the maps against the
 * file. main.ts puts a command line before it and tables behind it.
 */
import { EmbeddedKernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { readCapture } from "./capture_file.js";
import { checkMaps } from "./check.js";
import { type CrewResult, runCrew } from "./crew.js";
import type { Job } from "./job.js";
import { PacketMaps } from "./maps.js";
import type { CountOptions } from "./options.js";
import type { Progress, Report } from "./report.js";
import { loadObject } from "./program.js";
import { fileTotals, readRefused, readTables } from "./tables.js";

/** How often the maps are read meanwhile, at most. */
const LOOK_MS = 100;
/** Reading large maps takes time that the workers would use: at most so much of it. */
const LOOK_SHARE = 0.2;

/**
 * Counts a capture's packets.
 *
 * @param watch Is shown the maps while they change, some ten times a second.
 * @throws {Failure} when the file cannot be read, or is no capture
 * @throws {BpfError} when the kernel refuses
 */
export async function count(options: CountOptions, watch?: (progress: Progress) => void): Promise<Report> {
  const { file, workers, maxFlows } = options;
  const capture = readCapture(file);
  const totals = fileTotals(capture.index);
  using kernel =
    options.kernel === "linux" ? LinuxKernel.open() : await EmbeddedKernel.create({ possibleCpus: workers });
  const about = { file, kernel: options.kernel, workers, totals };

  const countInMaps = async (): Promise<Omit<Report, "left">> => {
    using maps = PacketMaps.create(kernel, maxFlows);
    using object = loadObject(kernel, maps);
    const program = object.programs["replay"]!.id;
    const running = runCrew({ kernel: shareable(kernel), program, capture }, workers);
    const look = (): void => watch?.({ ...about, ...readTables(maps) });
    const { tallies, seconds } = await (watch === undefined ? running : lookWhile(running, look));
    const tables = readTables(maps);
    return {
      ...about,
      ...tables,
      seconds,
      check: checkMaps(totals, tallies, readRefused(maps), tables),
      broken: capture.index.broken,
    };
  };
  const report = await countInMaps();
  return { ...report, left: kernel instanceof EmbeddedKernel ? kernel.usage() : undefined };
}

/** What another thread needs to reach the same kernel. */
function shareable(kernel: EmbeddedKernel | LinuxKernel): Job["kernel"] {
  return kernel instanceof EmbeddedKernel ? kernel.share() : "linux";
}

/** Calls `look` again and again while the workers run. */
async function lookWhile(running: Promise<CrewResult>, look: () => void): Promise<CrewResult> {
  let timer: NodeJS.Timeout | undefined;
  const lookAgain = (): void => {
    const start = performance.now();
    look();
    timer = setTimeout(lookAgain, Math.max(LOOK_MS, (performance.now() - start) / LOOK_SHARE));
  };
  lookAgain();
  try {
    return await running;
  } finally {
    clearTimeout(timer);
  }
}

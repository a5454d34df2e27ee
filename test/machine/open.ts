/**
 * Machines, on kernels that are there and on kernels of their own.
 */
import { EmbeddedKernel, type Kernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { Machine } from "./machine.js";
import { MountedFolder, embeddedFolder } from "./pin_folder.js";

/** Enough for the maps of a story or a sequence. */
const MEMORY = 2 ** 28;

/** A machine on a kernel that is there; disposing it leaves nothing behind, but for the kernel. */
export function openMachine(kernel: Kernel): Machine {
  return new Machine(kernel, kernel.name === "embedded" ? embeddedFolder : new MountedFolder());
}

/** A machine on a new embedded kernel. */
export async function openEmbedded(possibleCpus: number): Promise<Machine> {
  return openMachine(await EmbeddedKernel.create({ possibleCpus, maxMemory: MEMORY }));
}

/**
 * A machine on Linux.
 *
 * @throws {BpfError} where bpf(2) is not to be had
 */
export function openLinux(): Machine {
  return openMachine(LinuxKernel.open());
}

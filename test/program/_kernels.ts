/**
 * The kernels that programs are compared on. Linux is the one that is right.
 */
import { EmbeddedKernel, type Kernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";

/** A kernel that runs programs, in a way of its own. */
export interface ProgramKernel {
  readonly name: string;
  readonly open: () => Promise<Kernel>;
}

export const linux: ProgramKernel = { name: "Linux", open: async () => LinuxKernel.open() };

/** The embedded kernel, in all its ways to run a program. */
export const embedded: readonly ProgramKernel[] = [
  { name: "compiled", open: () => EmbeddedKernel.create({ maxMemory: 2 ** 28 }) },
  { name: "interpreted", open: () => EmbeddedKernel.create({ maxMemory: 2 ** 28, compile: false }) },
];

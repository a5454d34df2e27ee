/**
 * "tsbpf/linux": the real bpf(2). Loads koffi when a LinuxKernel is opened, not before.
 */
export { LinuxKernel } from "./linux_kernel.js";
export type { Kernel, MmapOptions, UserBuffer } from "../kernel.js";

/**
 * "tsbpf/linux": the real bpf(2), and what of Linux the embedded kernel can use. Loads koffi when it is first needed, not before.
 */
export { adviseHugePages } from "./huge_pages.js";
export { LinuxKernel } from "./linux_kernel.js";
export type { Kernel, MmapOptions, UserBuffer } from "../kernel.js";

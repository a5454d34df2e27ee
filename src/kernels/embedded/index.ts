/**
 * The embedded kernel, as the package's root entry exports it.
 */
export { EPOCH } from "./engine.js";
export {
  EmbeddedKernel,
  type EmbeddedKernelOptions,
  type KernelHandle,
  type KernelUsage,
  type WatchedWorker,
} from "./embedded_kernel.js";
export { ImageError } from "./image.js";
export { KernelBug } from "./kernel_bug.js";
export type { PinnedName } from "./pins.js";

/**
 * The embedded kernel, as the package's root entry exports it.
 */
export {
  EmbeddedKernel,
  type EmbeddedKernelOptions,
  type KernelHandle,
  type KernelUsage,
  type PinnedName,
} from "./embedded_kernel.js";
export { ImageError } from "./image.js";

/**
 * The leak check: what a kernel has in use must be the same before and after, and the embedded kernel's structures sound.
 */
import { readdirSync } from "node:fs";
import { EmbeddedKernel, type Kernel } from "tsbpf";

/** What a kernel has in use, as text: fds, maps and memory of an embedded one, this process's fds for Linux. */
export function inUse(kernel: Kernel): string {
  if (kernel instanceof EmbeddedKernel) {
    const { fds, maps, bytes } = kernel.usage();
    return `${fds} fds, ${maps} maps, ${bytes} bytes`;
  }
  return `${readdirSync("/proc/self/fd").length} fds`;
}

/**
 * Notes what is in use now.
 *
 * @returns A function that throws when that is not what is in use any more.
 */
export function watchLeaks(kernel: Kernel): () => void {
  const before = inUse(kernel);
  return () => {
    const after = inUse(kernel);
    const wrong = kernel instanceof EmbeddedKernel ? kernel.check() : [];
    if (wrong.length > 0) throw new Error(`The embedded kernel is damaged: ${wrong.join("; ")}`);
    if (after !== before)
      throw new Error(`The ${kernel.name} kernel has ${after} in use: expected ${before}, as before`);
  };
}

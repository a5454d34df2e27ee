/**
 * Which kernels there are to test: every suite that is the same on all of them runs through `forEachKernel`.
 *
 * Where bpf(2) is not to be had, Linux is skipped and the reason printed; in CI (the environment variable is set) that is
 * a failure.
 */
import { EmbeddedKernel, type Kernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { afterAll, afterEach, beforeEach, describe } from "vitest";
import { watchLeaks } from "./leaks.js";

/** Why there is no Linux kernel to test; undefined when there is. */
export const whyNoLinux: string | undefined = (() => {
  try {
    LinuxKernel.open()[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (process.env["CI"] !== undefined) throw error;
    console.warn(`Tests on the Linux kernel are skipped: ${(error as Error).message}`);
    return (error as Error).message;
  }
})();

/** `describe` for what needs the Linux kernel. */
export const describeLinux = describe.skipIf(whyNoLinux !== undefined);

/** 2, and a number that neither a power of two nor this machine's number of CPUs is likely to hide. */
const embeddedCpus = [2, 5];

/**
 * Describes the same tests for each kernel: embedded ones with 2 and with 5 CPUs, and Linux.
 *
 * `open` gives a kernel of that kind (a new one, where kernels can be made). It is disposed after the test that opened it, or
 * after all tests if none did. After every test all open kernels must have in use what they had before it.
 */
export function forEachKernel(define: (name: string, open: () => Promise<Kernel>) => void): void {
  for (const possibleCpus of embeddedCpus) {
    const name = `embedded kernel, ${possibleCpus} CPUs`;
    describe(name, () =>
      define(
        name,
        checked(() => EmbeddedKernel.create({ possibleCpus, maxMemory: 2 ** 28 })),
      ),
    );
  }
  describeLinux("Linux kernel", () =>
    define(
      "Linux kernel",
      checked(async () => LinuxKernel.open()),
    ),
  );
}

/** Has the kernels of the suite that is being described checked and disposed. */
function checked(open: () => Promise<Kernel>): () => Promise<Kernel> {
  const ofSuite = new Map<Kernel, () => void>();
  let ofTest: Map<Kernel, () => void> | undefined;
  beforeEach(() => {
    for (const kernel of ofSuite.keys()) ofSuite.set(kernel, watchLeaks(kernel));
    ofTest = new Map();
  });
  afterEach(() => {
    const checks = [...ofSuite.values(), ...(ofTest?.values() ?? [])];
    for (const check of checks) check();
    for (const kernel of ofTest?.keys() ?? []) kernel[Symbol.dispose]();
    ofTest = undefined;
  });
  afterAll(() => {
    for (const kernel of ofSuite.keys()) kernel[Symbol.dispose]();
  });
  return async () => {
    const kernel = await open();
    (ofTest ?? ofSuite).set(kernel, watchLeaks(kernel));
    return kernel;
  };
}

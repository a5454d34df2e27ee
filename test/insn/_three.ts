/**
 * Programs three ways: compiled and interpreted by the embedded kernel, and by Linux.
 */
import { ArrayMap, EmbeddedKernel, type Kernel, bytes } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { Program, VerifierError } from "tsbpf/program";
import { jit } from "../../dist/kernels/embedded/compiled_programs.js";
import { assemble } from "../../src/insn/asm.js";
import type { Insn } from "../../src/insn/insn.js";

const BPF_PROG_TYPE_SOCKET_FILTER = 1;
export const VALUE_BYTES = 16384;

/** A kernel with a map for results. */
interface Way {
  readonly name: string;
  readonly kernel: Kernel;
  readonly map: ArrayMap<Uint8Array>;
  readonly isInterpreted: boolean;
}

const begin = new Uint8Array(VALUE_BYTES).map((_, i) => (i * 37 + (i >> 8)) & 255);

/** Which ways there are to run a program. */
export class ThreeWays implements Disposable {
  readonly #ways: readonly Way[];

  private constructor(ways: readonly Way[]) {
    this.#ways = ways;
  }

  /** `hasLinux`: whether there is that kernel. */
  static async open(hasLinux: boolean): Promise<ThreeWays> {
    const embedded = await EmbeddedKernel.create({ maxMemory: 2 ** 28 });
    const linux = hasLinux ? [["Linux", LinuxKernel.open(), false] as const] : [];
    const kernels = [["interpreted", embedded, true] as const, ["compiled", embedded, false] as const, ...linux];
    return new ThreeWays(
      kernels.map(([name, kernel, isInterpreted]): Way => {
        const map = ArrayMap.create(kernel, { value: bytes(VALUE_BYTES), maxEntries: 1 });
        return { name, kernel, map, isInterpreted };
      }),
    );
  }

  /** What it returns and leaves in the map's value, which is in r9: each way. Undefined if Linux refuses the program. */
  run(body: readonly Insn[]): Map<string, string> | undefined {
    const outcomes = new Map<string, string>();
    for (const way of this.#ways.toReversed()) {
      const outcome = runOn(way, body);
      if (outcome === undefined) return undefined;
      outcomes.set(way.name, outcome);
    }
    return outcomes;
  }

  [Symbol.dispose](): void {
    for (const { map } of this.#ways) map.close();
    for (const kernel of new Set(this.#ways.map(({ kernel }) => kernel))) kernel[Symbol.dispose]();
  }
}

function runOn({ name, kernel, map, isInterpreted }: Way, body: readonly Insn[]): string | undefined {
  map.set(0, begin);
  const insns = [...assemble(`r9 = map[fd:${map.fd}][0]+0`), ...body];
  try {
    using program = Program.load(kernel, { name: "three", type: BPF_PROG_TYPE_SOCKET_FILTER, license: "GPL", insns });
    jit.isOff = isInterpreted;
    const { retval } = program.run({ data: new Uint8Array(64) });
    return `${retval} ${Buffer.from(map.get(0)!).toString("base64")}`;
  } catch (error) {
    if (name === "Linux" && error instanceof VerifierError) {
      if (process.env["SHOW_REFUSED"] !== undefined) console.log(error.message);
      return undefined;
    }
    throw error;
  } finally {
    jit.isOff = false;
  }
}

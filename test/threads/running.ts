/**
 * The job of running programs: the same one, which all workers share, again and again.
 */
import type { EmbeddedKernel } from "tsbpf";
import { Program } from "tsbpf/program";

export interface RunningArg {
  readonly id: number;
  /** Times that it runs: calls, and runs of a call. */
  readonly calls: number;
  readonly repeat: number;
}

/** Returns what the last run returned. */
export function runProgram(kernel: EmbeddedKernel, { id, calls, repeat }: RunningArg): number {
  using program = Program.fromId(kernel, id);
  const data = new Uint8Array(64);
  let retval = 0;
  for (let n = 0; n < calls; n++) retval = program.run({ data, repeat }).retval;
  return retval;
}

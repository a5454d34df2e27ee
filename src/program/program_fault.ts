/**
 * ProgramFaultError: the embedded kernel has ended a program that did what it must not.
 */
import { BpfError } from "../kernels/error.js";
import type { ProgramFault } from "../kernels/kernel.js";
import { BPF_PROG_TEST_RUN } from "../uapi/bpf.js";
import { cmdName } from "../uapi/names.js";

/** A program that was ended. Its maps are as it left them; what it held is released. */
export class ProgramFaultError extends BpfError {
  readonly fault: ProgramFault;
  /** The line of the source, where the program tells lines: "counts.c:12: x = *p;". */
  readonly source: string | undefined;

  constructor(
    what: string,
    ret: number,
    fault: ProgramFault,
    sourceOf: ((slot: number) => string | undefined) | undefined,
  ) {
    const source = sourceOf?.(fault.insn);
    const where = source === undefined ? `insn ${fault.insn}` : `insn ${fault.insn}, ${source}`;
    const address = fault.address === 0n ? "" : `: 0x${fault.address.toString(16)}`;
    super(what, ret, { cmd: cmdName(BPF_PROG_TEST_RUN), hint: `at ${where}, it ${fault.reason}${address}` });
    this.fault = fault;
    this.source = source;
  }
}

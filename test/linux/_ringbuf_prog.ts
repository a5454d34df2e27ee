/**
 * A BPF program that writes to a ring buffer: on Linux only programs do.
 */
import type { Kernel } from "tsbpf";
import { Program, assemble } from "tsbpf/program";
import { BPF_PROG_TYPE_SOCKET_FILTER } from "tsbpf/uapi";

/** Runs a program so often, on a packet that it does not look at. */
export function runOnLinux(kernel: Kernel, text: string, times: number): void {
  const type = BPF_PROG_TYPE_SOCKET_FILTER;
  using program = Program.load(kernel, { name: "writes", type, license: "GPL", insns: assemble(text) });
  program.run({ data: new Uint8Array(64), repeat: times });
}

/** Runs `bpf_ringbuf_output` of an 8-byte record so often. Its lower four bytes are `word`. */
export function outputOnLinux(kernel: Kernel, ringFd: number, word: number, times = 1): void {
  const text = `
    *(u64 *)(r10 - 8) = ${word | 0}
    r1 = map[fd:${ringFd}]
    r2 = r10
    r2 += -8
    r3 = 8
    r4 = 0
    call 130 // bpf_ringbuf_output
    r0 = 0
    exit`;
  runOnLinux(kernel, text, times);
}

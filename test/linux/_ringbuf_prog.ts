/**
 * A BPF program that writes to a ring buffer, assembled by hand: on Linux only programs do.
 */
import type { Kernel } from "tsbpf";

const BPF_PROG_LOAD = 5;
const BPF_PROG_TEST_RUN = 10;
const SOCKET_FILTER = 1;
const RINGBUF_OUTPUT = 130;

/** Runs `bpf_ringbuf_output` of an 8-byte record so often. Its lower four bytes are `word`. */
export function outputOnLinux(kernel: Kernel, ringFd: number, word: number, times = 1): void {
  const insns: [code: number, registers: number, off: number, imm: number][] = [
    [0x7a, 0x0a, -8, word], // *(u64 *)(r10 - 8) = word
    [0x18, 0x11, 0, ringFd], // r1 = the map
    [0x00, 0x00, 0, 0],
    [0xbf, 0xa2, 0, 0], // r2 = r10 - 8
    [0x07, 0x02, 0, -8],
    [0xb7, 0x03, 0, 8], // r3 = 8
    [0xb7, 0x04, 0, 0], // r4 = 0
    [0x85, 0x00, 0, RINGBUF_OUTPUT],
    [0xb7, 0x00, 0, 0], // return 0
    [0x95, 0x00, 0, 0],
  ];
  using code = kernel.alloc(8 * insns.length);
  const view = new DataView(code.bytes.buffer, code.bytes.byteOffset);
  for (const [i, [op, registers, off, imm]] of insns.entries()) {
    view.setUint8(8 * i, op);
    view.setUint8(8 * i + 1, registers);
    view.setInt16(8 * i + 2, off, true);
    view.setInt32(8 * i + 4, imm, true);
  }
  using license = kernel.alloc(4);
  license.bytes.set(new TextEncoder().encode("GPL"));
  using attr = kernel.alloc(128);
  const field = new DataView(attr.bytes.buffer, attr.bytes.byteOffset);
  field.setUint32(0, SOCKET_FILTER, true);
  field.setUint32(4, insns.length, true);
  field.setBigUint64(8, BigInt(code.address), true);
  field.setBigUint64(16, BigInt(license.address), true);
  const fd = kernel.bpf(BPF_PROG_LOAD, attr);
  if (fd < 0) throw new Error(`BPF_PROG_LOAD returned ${fd}`);
  try {
    using packet = kernel.alloc(64);
    attr.bytes.fill(0);
    field.setUint32(0, fd, true);
    field.setUint32(8, 64, true); // data_size_in
    field.setBigUint64(16, BigInt(packet.address), true);
    field.setUint32(32, times, true);
    const ret = kernel.bpf(BPF_PROG_TEST_RUN, attr);
    if (ret !== 0) throw new Error(`BPF_PROG_TEST_RUN returned ${ret}`);
  } finally {
    kernel.close(fd);
  }
}

/**
 * Giving BTF to a kernel.
 */
import { BPF_BTF_LOAD } from "../uapi/bpf.js";
import { cmdName } from "../uapi/names.js";
import { BpfError } from "../kernels/error.js";
import { hintFor } from "../kernels/hints.js";
import type { Kernel } from "../kernels/kernel.js";
import * as syscalls from "../kernels/syscalls.js";

/**
 * Loads BTF into a kernel.
 *
 * Kernel name: BPF_BTF_LOAD. Since Linux 4.18.
 *
 * @returns An fd, for `btf_fd` of BPF_MAP_CREATE; the caller closes it.
 * @throws {BpfError} EINVAL the kernel does not take the BTF; EPERM; E2BIG more than 16 MiB
 */
export function btfLoad(kernel: Kernel, bytes: Uint8Array): number {
  const fd = syscalls.btfLoad(kernel, bytes);
  if (fd >= 0) return fd;
  const hint = hintFor({ errno: -fd, cmd: BPF_BTF_LOAD, kernel: kernel.name });
  throw new BpfError(`Cannot load BTF of ${bytes.length} bytes`, fd, {
    cmd: cmdName(BPF_BTF_LOAD),
    ...(hint !== undefined && { hint }),
  });
}

/**
 * How LRU hashes are created: BPF_MAP_CREATE, and what no system call can ask for.
 */
import { BPF_MAP_CREATE } from "../uapi/bpf.js";
import { EOPNOTSUPP } from "../uapi/errno.js";
import type { Kernel } from "../kernels/kernel.js";
import type { MapAttr } from "../kernels/syscalls.js";
import { MapFd } from "./_map_fd.js";

/**
 * @param exact Whether it is to keep the true order of uses.
 * @throws {TypeError} when that is no boolean
 * @throws {BpfError} whatever BPF_MAP_CREATE answers, with the hint; EOPNOTSUPP when the true order cannot be had
 */
export function createLru(kernel: Kernel, attr: MapAttr, exact: boolean = false): MapFd {
  if (typeof exact !== "boolean") throw new TypeError(`options.exact is ${typeof exact}: wanted a boolean`);
  const mapFd = MapFd.create(kernel, attr);
  if (!exact) return mapFd;
  try {
    using direct = kernel.direct?.(mapFd.fd);
    const ret = direct?.setExact() ?? -EOPNOTSUPP;
    if (ret !== 0) throw mapFd.failure("keep the exact order of uses of", ret, BPF_MAP_CREATE);
    return mapFd;
  } catch (error) {
    mapFd.close();
    throw error;
  }
}

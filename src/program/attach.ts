/**
 * Attaching programs on Linux: places where packets or events pass, and links, which hold a program there.
 *
 * XDP, tcx, cgroups and raw tracepoints take a program by bpf(2) alone. Tracepoints, kprobes and uprobes are perf events first.
 */
import { ElfError } from "../elf/sections.js";
import { elfFunctionOffset } from "../elf/symbols.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel, Places } from "../kernels/kernel.js";
import { cString, fillAttr, objPin, viewOf } from "../kernels/syscalls.js";
import {
  BPF_LINK_CREATE,
  BPF_LINK_DETACH,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  BPF_PERF_EVENT,
  BPF_RAW_TRACEPOINT_OPEN,
  BPF_TCX_EGRESS,
  BPF_TCX_INGRESS,
  BPF_XDP,
} from "../uapi/bpf.js";
import { EBUSY, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM } from "../uapi/errno.js";
import { bpfAttr } from "../uapi/layouts.js";
import { cmdName } from "../uapi/names.js";
import { BPF_ATTR_SIZE } from "../uapi/offsets.js";

/** Where a program is attached. Interfaces by name or by index. */
export type AttachTarget =
  /** Packets as they come in at an interface. `flags`: XDP_FLAGS_SKB_MODE 2, XDP_FLAGS_DRV_MODE 4. */
  | { readonly xdp: string | number; readonly flags?: number }
  /** Packets of an interface behind XDP, or on their way out: programs of type sched_cls. Since Linux 6.6. */
  | { readonly tcx: string | number; readonly direction: "ingress" | "egress" }
  /** "syscalls/sys_enter_openat", as /sys/kernel/tracing/events has them. */
  | { readonly tracepoint: string }
  /** The same places by their names alone, with what the kernel has at hand there: "sched_switch". */
  | { readonly rawTracepoint: string }
  /** A function of the kernel, where it begins or where it returns. */
  | { readonly kprobe: string; readonly offset?: number; readonly atReturn?: boolean }
  /** A function of an executable or a library, by its symbol, or a place in the file by its offset; of a process or of all. */
  | {
      readonly uprobe: string;
      readonly symbol?: string;
      readonly offset?: number;
      readonly atReturn?: boolean;
      readonly pid?: number;
    }
  /** Sockets and packets of the processes of a cgroup, a directory of a cgroup2. `type` BPF_CGROUP_*: what the program was loaded for unless told. */
  | { readonly cgroup: string; readonly type?: number };

type PerfTarget = { readonly tracepoint: string } | { readonly kprobe: string } | { readonly uprobe: string };

/** What is attached. */
interface Attachable {
  readonly kernel: Kernel;
  readonly name: string;
  readonly fd: number;
  readonly expectedAttachType: number;
}

/** As much of `struct bpf_link_info` as has type, id and prog_id. */
const LINK_INFO_BYTES = 12;

/**
 * A program at its place. The fd is owned: `close` gives it back, and the program leaves the place unless the link is pinned.
 */
export class Link {
  readonly kernel: Kernel;
  /** Where it is: "xdp lo", "tracepoint syscalls/sys_enter_getpid". */
  readonly place: string;
  readonly id: number;
  #fd: number;
  /** Of the perf event that it hangs on, or -1. */
  #perfFd: number;

  /** Of `Program.attach`; takes over both fds. */
  constructor(kernel: Kernel, place: string, fd: number, perfFd: number) {
    this.kernel = kernel;
    this.place = place;
    this.#fd = fd;
    this.#perfFd = perfFd;
    this.id = this.#idOf();
  }

  /** -1 once it is closed. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Takes the program away from its place, whoever else holds the link, and closes it.
   *
   * Kernel name: BPF_LINK_DETACH. Links of tracepoints, kprobes and uprobes know no such thing: they are closed.
   *
   * @throws {BpfError} EPERM
   */
  detach(): void {
    if (this.#fd < 0) return;
    using attr = this.kernel.alloc(BPF_ATTR_SIZE);
    fillAttr(attr, bpfAttr.linkDetach, { link_fd: this.#fd });
    const ret = this.kernel.bpf(BPF_LINK_DETACH, attr);
    if (ret < 0 && ret !== -EOPNOTSUPP) throw failure(`Cannot detach from ${this.place}`, ret, BPF_LINK_DETACH);
    this.close();
  }

  /**
   * Gives the link a name in a bpffs: the program stays at its place when this process ends.
   *
   * Kernel name: BPF_OBJ_PIN.
   *
   * @throws {BpfError} EEXIST, ENOENT, EPERM
   */
  pin(path: string): void {
    const ret = objPin(this.kernel, this.#fd, path);
    if (ret < 0) throw failure(`Cannot pin link of ${this.place} at "${path}"`, ret, BPF_OBJ_PIN);
  }

  /** Gives the fd back. */
  close(): void {
    // The link first: it holds the event.
    for (const fd of [this.#fd, this.#perfFd]) if (fd >= 0) this.kernel.close(fd);
    this.#fd = this.#perfFd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #idOf(): number {
    using info = this.kernel.alloc(LINK_INFO_BYTES);
    using attr = this.kernel.alloc(BPF_ATTR_SIZE);
    fillAttr(attr, bpfAttr.info, { bpf_fd: this.#fd, info_len: LINK_INFO_BYTES, info: info.address });
    // Raw tracepoints of before Linux 5.8 have no id.
    return this.kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr) < 0 ? 0 : viewOf(info).getUint32(4, true);
  }
}

/** Attaches a program: see Program.attach. */
export function attachProgram(program: Attachable, target: AttachTarget): Link {
  const { places } = program.kernel;
  const place = placeOf(target);
  if (places === undefined) {
    const hint = "the embedded kernel has no packets and events of its own: run(...) gives a program what it works on";
    throw failure(`Cannot attach program "${program.name}" to ${place}`, -EOPNOTSUPP, BPF_LINK_CREATE, hint);
  }
  const ifindexOf = (named: string | number): number => (typeof named === "number" ? named : places.ifindex(named));
  if ("xdp" in target) {
    return linked(program, place, { target: ifindexOf(target.xdp), type: BPF_XDP, flags: target.flags ?? 0 });
  }
  if ("tcx" in target) {
    const type = target.direction === "ingress" ? BPF_TCX_INGRESS : BPF_TCX_EGRESS;
    return linked(program, place, { target: ifindexOf(target.tcx), type });
  }
  if ("cgroup" in target) return inCgroup(program, place, places, target);
  if ("rawTracepoint" in target) return rawTracepoint(program, place, target.rawTracepoint);
  return onEvent(program, place, eventOf(places, target));
}

/** The fd of a perf event, or a negative errno. */
function eventOf(places: Places, target: Extract<AttachTarget, PerfTarget>): number {
  if ("tracepoint" in target) return places.tracepoint(target.tracepoint);
  const { offset = 0, atReturn = false } = target;
  if ("kprobe" in target) return places.kprobe(target.kprobe, { offset, atReturn });
  const { uprobe, symbol, pid = -1 } = target;
  const begin = symbol === undefined ? 0 : functionOffset(places, uprobe, symbol);
  return begin < 0 ? begin : places.uprobe(uprobe, { offset: begin + offset, atReturn, pid });
}

/** Where a function lies in a file; -ENOENT where it has none of the name, -EINVAL where it is no executable and no library. */
function functionOffset(places: Places, path: string, symbol: string): number {
  const bytes = places.readFile(path);
  if (typeof bytes === "number") return bytes;
  try {
    return elfFunctionOffset(bytes, symbol) ?? -ENOENT;
  } catch (error) {
    if (error instanceof ElfError) return -EINVAL;
    throw error;
  }
}

function inCgroup(
  program: Attachable,
  place: string,
  places: Places,
  { cgroup, type }: { readonly cgroup: string; readonly type?: number },
): Link {
  const fd = places.openDirectory(cgroup);
  if (fd < 0) throw refusal(program, place, fd, BPF_LINK_CREATE);
  try {
    return linked(program, place, { target: fd, type: type ?? program.expectedAttachType });
  } finally {
    program.kernel.close(fd);
  }
}

/** BPF_LINK_CREATE. */
function linked(
  program: Attachable,
  place: string,
  { target, type, flags = 0, perfFd = -1 }: { target: number; type: number; flags?: number; perfFd?: number },
): Link {
  const { kernel } = program;
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, bpfAttr.linkCreate, { prog_fd: program.fd, target_fd: target, attach_type: type, flags });
  const fd = kernel.bpf(BPF_LINK_CREATE, attr);
  if (fd < 0) throw refusal(program, place, fd, BPF_LINK_CREATE);
  return new Link(kernel, place, fd, perfFd);
}

function rawTracepoint(program: Attachable, place: string, name: string): Link {
  const { kernel } = program;
  using text = cString(kernel, name);
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, bpfAttr.rawTracepoint, { name: text.address, prog_fd: program.fd });
  const fd = kernel.bpf(BPF_RAW_TRACEPOINT_OPEN, attr);
  if (fd < 0) throw refusal(program, place, fd, BPF_RAW_TRACEPOINT_OPEN);
  return new Link(kernel, place, fd, -1);
}

/** Links the program to a perf event, which counts already. */
function onEvent(program: Attachable, place: string, perfFd: number): Link {
  if (perfFd < 0) throw refusal(program, place, perfFd, BPF_LINK_CREATE);
  try {
    return linked(program, place, { target: perfFd, type: BPF_PERF_EVENT, perfFd });
  } catch (error) {
    program.kernel.close(perfFd);
    throw error;
  }
}

function placeOf(target: AttachTarget): string {
  if ("xdp" in target) return `xdp ${target.xdp}`;
  if ("tcx" in target) return `tcx ${target.tcx} ${target.direction}`;
  if ("tracepoint" in target) return `tracepoint ${target.tracepoint}`;
  if ("rawTracepoint" in target) return `raw tracepoint ${target.rawTracepoint}`;
  if ("cgroup" in target) return `cgroup ${target.cgroup}`;
  const kind = target.atReturn === true ? "ret" : "";
  if ("kprobe" in target) return `k${kind}probe ${target.kprobe}`;
  return `u${kind}probe ${target.uprobe}:${target.symbol ?? target.offset ?? 0}`;
}

function refusal(program: Attachable, place: string, ret: number, cmd: number): BpfError {
  return failure(`Cannot attach program "${program.name}" to ${place}`, ret, cmd, reasonOf(ret));
}

const REASONS: Readonly<Record<number, string>> = {
  [EBUSY]: "another program is there",
  [EINVAL]: "a program of this type, or loaded for another place, does not go there; or there is no such place",
  [ENODEV]: "there is no such interface here, in this network namespace",
  [ENOENT]: "there is no such place",
  [EOPNOTSUPP]: "the interface's driver, or this Linux, does not take programs there",
  [EPERM]: "attaching needs root, or CAP_BPF with CAP_NET_ADMIN (networking) or CAP_PERFMON (tracing)",
};

function reasonOf(ret: number): string | undefined {
  return REASONS[-ret];
}

function failure(what: string, ret: number, cmd: number, hint?: string): BpfError {
  return new BpfError(what, ret, { cmd: cmdName(cmd), ...(hint !== undefined && { hint }) });
}

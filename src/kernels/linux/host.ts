/**
 * Whether this process may use bpf(2), and if not, what is missing: the checks behind LinuxKernel.open().
 *
 * The facts come in as a Host, so that tests can tell of machines that they do not run on.
 */
import { readFileSync } from "node:fs";
import { BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY, BPF_OBJ_GET_INFO_BY_FD } from "../../uapi/bpf.js";
import { EACCES, ELIBACC, ENOSYS, EPERM } from "../../uapi/errno.js";
import {
  BPF_ATTR_INFO_BPF_FD_OFF,
  BPF_ATTR_MAP_CREATE_KEY_SIZE_OFF,
  BPF_ATTR_MAP_CREATE_MAP_TYPE_OFF,
  BPF_ATTR_MAP_CREATE_MAX_ENTRIES_OFF,
  BPF_ATTR_MAP_CREATE_VALUE_SIZE_OFF,
  BPF_ATTR_SIZE,
} from "../../uapi/offsets.js";
import { BpfError, type BpfErrorDetails } from "../error.js";
import { mapAnonymous } from "./mapping.js";
import { bpfSyscallNumber, openSys, type Sys } from "./sys.js";

const CAP_SYS_ADMIN = 21n;
const CAP_BPF = 39n;

/** The machine and the process, as far as they decide on the right to bpf(2). */
export interface Host {
  readonly platform: string;
  readonly arch: string;
  /** Throws when there is no FFI. */
  openSys(): Sys;
  /** Creates the smallest map there is, and closes it: 0 or a negative errno. */
  createMap(sys: Sys): number;
  /** BPF_OBJ_GET_INFO_BY_FD of fd -1: -EBADFD where the call gets as far as bpf(2) itself. */
  askAboutNoFd(sys: Sys): number;
  /** The text of a file in /proc, or undefined when it cannot be read. */
  read(path: string): string | undefined;
}

function callWith(sys: Sys, cmd: number, words: readonly (readonly [off: number, value: number])[]): number {
  const attr = mapAnonymous(sys, BPF_ATTR_SIZE);
  const view = new DataView(attr.bytes.buffer);
  for (const [off, value] of words) view.setInt32(off, value, true);
  const returned = sys.bpf(cmd, attr.address, attr.bytes.length);
  attr[Symbol.dispose]();
  return returned;
}

/** The machine and the process that this runs on. */
export const thisHost: Host = {
  platform: process.platform,
  arch: process.arch,
  openSys,
  createMap(sys) {
    const fd = callWith(sys, BPF_MAP_CREATE, [
      [BPF_ATTR_MAP_CREATE_MAP_TYPE_OFF, BPF_MAP_TYPE_ARRAY],
      [BPF_ATTR_MAP_CREATE_KEY_SIZE_OFF, 4],
      [BPF_ATTR_MAP_CREATE_VALUE_SIZE_OFF, 4],
      [BPF_ATTR_MAP_CREATE_MAX_ENTRIES_OFF, 1],
    ]);
    return fd < 0 ? fd : sys.close(fd);
  },
  askAboutNoFd: (sys) => callWith(sys, BPF_OBJ_GET_INFO_BY_FD, [[BPF_ATTR_INFO_BPF_FD_OFF, -1]]),
  read(path) {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  },
};

function field(text: string | undefined, name: string): string | undefined {
  return new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(text ?? "")?.[1];
}

/** Why BPF_MAP_CREATE gave EPERM or EACCES: no right to call at all, no capability, or one that does not count. */
function whyNotPermitted(host: Host, sys: Sys, errno: number): string {
  const status = host.read("/proc/self/status");
  if (host.askAboutNoFd(sys) === errno) {
    return field(status, "Seccomp") === "0"
      ? "a security module refuses bpf(2) altogether"
      : "a seccomp filter, as containers have one, refuses bpf(2) altogether: start the container with --cap-add BPF or with another seccomp profile";
  }
  const caps = BigInt(`0x${field(status, "CapEff") ?? "0"}`);
  const capable = ((caps >> CAP_BPF) & 1n) === 1n || ((caps >> CAP_SYS_ADMIN) & 1n) === 1n;
  const disabled = host.read("/proc/sys/kernel/unprivileged_bpf_disabled")?.trim();
  if (!capable && disabled !== "0") {
    return `this process has neither CAP_BPF nor CAP_SYS_ADMIN, and kernel.unprivileged_bpf_disabled is ${disabled ?? "not readable"}: run it as root or with CAP_BPF`;
  }
  return "this process has the right, but it does not count: inside a user namespace, under a security module or, before Linux 5.11, beyond RLIMIT_MEMLOCK";
}

/** Why BPF_MAP_CREATE failed. */
function whyNoMap(host: Host, sys: Sys, errno: number): string {
  switch (-errno) {
    case EPERM:
    case EACCES:
      return whyNotPermitted(host, sys, errno);
    case ENOSYS:
      return "this kernel has no bpf(2): it was built without CONFIG_BPF_SYSCALL, or it is a sandbox that plays Linux";
    default:
      return "not even the smallest array can be created";
  }
}

/** Where it is no use to go on. */
type Refusal = (errno: number, why: string, about?: BpfErrorDetails) => BpfError;

const refusal: Refusal = (errno, why, about = {}) => {
  const hint = `${why}; or use EmbeddedKernel from "tsbpf", which needs no right and no Linux`;
  return new BpfError("Cannot open the Linux kernel", errno, { ...about, hint });
};

/**
 * Loads the system calls of a host.
 *
 * @throws {BpfError} ENOSYS when this is not Linux, or an architecture that is not supported
 * @throws {BpfError} ELIBACC when koffi is missing or does not load
 */
export function loadSys(host: Host, refuse: Refusal): Sys {
  if (host.platform !== "linux") throw refuse(ENOSYS, `this is ${host.platform}, expected Linux`);
  if (!bpfSyscallNumber.has(host.arch)) {
    const wanted = [...bpfSyscallNumber.keys()].join(", ");
    throw refuse(ENOSYS, `this is Node for ${host.arch}, expected one for ${wanted}`);
  }
  try {
    return host.openSys();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === "MODULE_NOT_FOUND" ? "it is not installed: npm install koffi" : message;
    throw refuse(ELIBACC, `the package koffi does not load: ${why}`, { syscall: "dlopen", cause });
  }
}

/**
 * Opens the system calls of a host, after checking that maps can be created with them.
 *
 * @throws {BpfError} ENOSYS when this is not Linux, an architecture that is not supported, or a kernel without bpf(2)
 * @throws {BpfError} ELIBACC when koffi is missing or does not load
 * @throws {BpfError} EPERM when the process has no right to create maps
 */
export function openHost(host: Host): Sys {
  const sys = loadSys(host, refusal);
  const errno = host.createMap(sys);
  if (errno === 0) return sys;
  throw refusal(errno, whyNoMap(host, sys, errno), { cmd: "BPF_MAP_CREATE" });
}

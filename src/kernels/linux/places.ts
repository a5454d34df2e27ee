/**
 * LinuxPlaces: where programs are attached, as the file system names it, and perf events.
 *
 *     0      4      8        16                     56        64        struct perf_event_attr: what is not 0 of it
 *     | type | size | config | ...                  | config1 | config2 |
 *     tracepoint: config is its id; kprobe, uprobe: config bit 0 is "at its return", config1 a name or a path, config2 an offset
 */
import { openSync, readFileSync } from "node:fs";
import { EINVAL, ENOENT, EOPNOTSUPP } from "../../uapi/errno.js";
import type { Places, ProbePlace, UserBuffer } from "../kernel.js";
import { cString, viewOf } from "../syscalls.js";
import type { LinuxKernel } from "./linux_kernel.js";

const PERF_TYPE_TRACEPOINT = 2;
const ATTR_BYTES = 112;
const TRACING = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] as const;

interface PerfEvent {
  readonly type: number;
  readonly config: number;
  readonly config1?: number;
  readonly config2?: number;
  readonly pid?: number;
}

/** The running kernel's. */
export class LinuxPlaces implements Places {
  readonly #kernel: LinuxKernel;

  constructor(kernel: LinuxKernel) {
    this.#kernel = kernel;
  }

  ifindex(name: string): number {
    return Math.max(0, readNumber(`/sys/class/net/${name}/ifindex`));
  }

  openDirectory(path: string): number {
    try {
      return openSync(path, "r");
    } catch (error) {
      return errnoOf(error);
    }
  }

  tracepoint(name: string): number {
    const ids = TRACING.map((folder) => readNumber(`${folder}/events/${name}/id`));
    const id = ids.find((found) => found >= 0) ?? ids.find((found) => found !== -ENOENT) ?? -ENOENT;
    return id < 0 ? id : this.#open({ type: PERF_TYPE_TRACEPOINT, config: id });
  }

  kprobe(name: string, { offset, atReturn }: ProbePlace): number {
    return this.#probe("kprobe", name, { config: atReturn ? 1 : 0, config2: offset });
  }

  uprobe(path: string, { offset, atReturn, pid }: ProbePlace & { readonly pid: number }): number {
    return this.#probe("uprobe", path, { config: atReturn ? 1 : 0, config2: offset, pid });
  }

  readFile(path: string): Uint8Array | number {
    try {
      return readFileSync(path);
    } catch (error) {
      return errnoOf(error);
    }
  }

  #probe(pmu: "kprobe" | "uprobe", of: string, event: Omit<PerfEvent, "type" | "config1">): number {
    const type = readNumber(`/sys/bus/event_source/devices/${pmu}/type`);
    // A Linux that was built without.
    if (type < 0) return -EOPNOTSUPP;
    using name = cString(this.#kernel, of);
    return this.#open({ ...event, type, config1: name.address });
  }

  /** The event counts from now on. */
  #open({ type, config, config1 = 0, config2 = 0, pid = -1 }: PerfEvent): number {
    using attr: UserBuffer = this.#kernel.alloc(ATTR_BYTES);
    const view = viewOf(attr);
    view.setUint32(0, type, true);
    view.setUint32(4, ATTR_BYTES, true);
    view.setBigUint64(8, BigInt(config), true);
    view.setBigUint64(56, BigInt(config1), true);
    view.setBigUint64(64, BigInt(config2), true);
    return this.#kernel.perfEventOpen(attr, pid < 0 ? 0 : -1, pid);
  }
}

/** What a file of the kernel's says; a negative errno where there is none. */
function readNumber(path: string): number {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch (error) {
    return errnoOf(error);
  }
}

function errnoOf(error: unknown): number {
  return (error as NodeJS.ErrnoException).errno ?? -EINVAL;
}

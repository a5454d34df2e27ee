/**
 * What the name of a section says of its programs: libbpf's conventions.
 */
import {
  BPF_CGROUP_INET_EGRESS,
  BPF_CGROUP_INET_INGRESS,
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_XDP,
  BPF_TCX_EGRESS,
  BPF_TCX_INGRESS,
  BPF_XDP,
} from "../uapi/bpf.js";

/** How a program is loaded. */
export interface SectionKind {
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  /** What BPF_PROG_LOAD is told, or 0. */
  readonly expectedAttachType: number;
  /** BPF_F_SLEEPABLE, or 0. */
  readonly progFlags: number;
}

const BPF_F_SLEEPABLE = 1 << 4;
const of = (type: number, expectedAttachType = 0, progFlags = 0): SectionKind => ({
  type,
  expectedAttachType,
  progFlags,
});

/** A name, or what comes before its first slash: whichever comes first here. */
const KINDS: readonly (readonly [string, SectionKind])[] = [
  ["xdp", of(BPF_PROG_TYPE_XDP, BPF_XDP)],
  ["tcx/ingress", of(BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_INGRESS)],
  ["tcx/egress", of(BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_EGRESS)],
  ["tc", of(BPF_PROG_TYPE_SCHED_CLS)],
  ["classifier", of(BPF_PROG_TYPE_SCHED_CLS)],
  ["socket", of(BPF_PROG_TYPE_SOCKET_FILTER)],
  ["tracepoint", of(BPF_PROG_TYPE_TRACEPOINT)],
  ["tp", of(BPF_PROG_TYPE_TRACEPOINT)],
  ["raw_tracepoint", of(BPF_PROG_TYPE_RAW_TRACEPOINT)],
  ["raw_tp", of(BPF_PROG_TYPE_RAW_TRACEPOINT)],
  ["kprobe", of(BPF_PROG_TYPE_KPROBE)],
  ["kretprobe", of(BPF_PROG_TYPE_KPROBE)],
  ["uprobe", of(BPF_PROG_TYPE_KPROBE)],
  ["uretprobe", of(BPF_PROG_TYPE_KPROBE)],
  ["syscall", of(BPF_PROG_TYPE_SYSCALL, 0, BPF_F_SLEEPABLE)],
  ["cgroup_skb/ingress", of(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS)],
  ["cgroup_skb/egress", of(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS)],
];

/** Undefined for a section that tells no type of program. */
export function kindOfSection(section: string): SectionKind | undefined {
  return KINDS.find(([name]) => section === name || section.startsWith(`${name}/`))?.[1];
}

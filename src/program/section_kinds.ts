/**
 * What the name of a section says of its programs: libbpf's conventions.
 */
import * as bpf from "../uapi/bpf.js";

/** How a program is loaded. */
export interface SectionKind {
  /** BPF_PROG_TYPE_*. */
  readonly type: number;
  /** What BPF_PROG_LOAD is told, or 0. */
  readonly expectedAttachType: number;
  /** BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS, or 0. */
  readonly progFlags: number;
}

const of = (type: number, expectedAttachType = 0, progFlags = 0): SectionKind => ({
  type,
  expectedAttachType,
  progFlags,
});

/** A name, or what comes before its first slash: whichever comes first here. */
const KINDS: readonly (readonly [string, SectionKind])[] = [
  ["xdp.frags/devmap", of(bpf.BPF_PROG_TYPE_XDP, bpf.BPF_XDP_DEVMAP, bpf.BPF_F_XDP_HAS_FRAGS)],
  ["xdp/devmap", of(bpf.BPF_PROG_TYPE_XDP, bpf.BPF_XDP_DEVMAP)],
  ["xdp.frags/cpumap", of(bpf.BPF_PROG_TYPE_XDP, bpf.BPF_XDP_CPUMAP, bpf.BPF_F_XDP_HAS_FRAGS)],
  ["xdp/cpumap", of(bpf.BPF_PROG_TYPE_XDP, bpf.BPF_XDP_CPUMAP)],
  ["xdp.frags", of(bpf.BPF_PROG_TYPE_XDP, bpf.BPF_XDP, bpf.BPF_F_XDP_HAS_FRAGS)],
  ["xdp", of(bpf.BPF_PROG_TYPE_XDP, bpf.BPF_XDP)],
  ["tcx/ingress", of(bpf.BPF_PROG_TYPE_SCHED_CLS, bpf.BPF_TCX_INGRESS)],
  ["tcx/egress", of(bpf.BPF_PROG_TYPE_SCHED_CLS, bpf.BPF_TCX_EGRESS)],
  ["tc", of(bpf.BPF_PROG_TYPE_SCHED_CLS)],
  ["classifier", of(bpf.BPF_PROG_TYPE_SCHED_CLS)],
  ["action", of(bpf.BPF_PROG_TYPE_SCHED_ACT)],
  ["socket", of(bpf.BPF_PROG_TYPE_SOCKET_FILTER)],
  ["tracepoint", of(bpf.BPF_PROG_TYPE_TRACEPOINT)],
  ["tp", of(bpf.BPF_PROG_TYPE_TRACEPOINT)],
  ["raw_tracepoint.w", of(bpf.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE)],
  ["raw_tp.w", of(bpf.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE)],
  ["raw_tracepoint", of(bpf.BPF_PROG_TYPE_RAW_TRACEPOINT)],
  ["raw_tp", of(bpf.BPF_PROG_TYPE_RAW_TRACEPOINT)],
  ["kprobe.multi", of(bpf.BPF_PROG_TYPE_KPROBE, bpf.BPF_TRACE_KPROBE_MULTI)],
  ["kretprobe.multi", of(bpf.BPF_PROG_TYPE_KPROBE, bpf.BPF_TRACE_KPROBE_MULTI)],
  ["kprobe", of(bpf.BPF_PROG_TYPE_KPROBE)],
  ["kretprobe", of(bpf.BPF_PROG_TYPE_KPROBE)],
  ["ksyscall", of(bpf.BPF_PROG_TYPE_KPROBE)],
  ["kretsyscall", of(bpf.BPF_PROG_TYPE_KPROBE)],
  ["usdt", of(bpf.BPF_PROG_TYPE_KPROBE)],
  ["uprobe.s", of(bpf.BPF_PROG_TYPE_KPROBE, 0, bpf.BPF_F_SLEEPABLE)],
  ["uretprobe.s", of(bpf.BPF_PROG_TYPE_KPROBE, 0, bpf.BPF_F_SLEEPABLE)],
  ["uprobe", of(bpf.BPF_PROG_TYPE_KPROBE)],
  ["uretprobe", of(bpf.BPF_PROG_TYPE_KPROBE)],
  ["perf_event", of(bpf.BPF_PROG_TYPE_PERF_EVENT)],
  ["syscall", of(bpf.BPF_PROG_TYPE_SYSCALL, 0, bpf.BPF_F_SLEEPABLE)],
  ["lwt_in", of(bpf.BPF_PROG_TYPE_LWT_IN)],
  ["lwt_out", of(bpf.BPF_PROG_TYPE_LWT_OUT)],
  ["lwt_xmit", of(bpf.BPF_PROG_TYPE_LWT_XMIT)],
  ["lwt_seg6local", of(bpf.BPF_PROG_TYPE_LWT_SEG6LOCAL)],
  ["sockops", of(bpf.BPF_PROG_TYPE_SOCK_OPS, bpf.BPF_CGROUP_SOCK_OPS)],
  ["sk_skb/stream_parser", of(bpf.BPF_PROG_TYPE_SK_SKB, bpf.BPF_SK_SKB_STREAM_PARSER)],
  ["sk_skb/stream_verdict", of(bpf.BPF_PROG_TYPE_SK_SKB, bpf.BPF_SK_SKB_STREAM_VERDICT)],
  ["sk_skb", of(bpf.BPF_PROG_TYPE_SK_SKB)],
  ["sk_msg", of(bpf.BPF_PROG_TYPE_SK_MSG, bpf.BPF_SK_MSG_VERDICT)],
  ["sk_lookup", of(bpf.BPF_PROG_TYPE_SK_LOOKUP, bpf.BPF_SK_LOOKUP)],
  ["sk_reuseport/migrate", of(bpf.BPF_PROG_TYPE_SK_REUSEPORT, bpf.BPF_SK_REUSEPORT_SELECT_OR_MIGRATE)],
  ["sk_reuseport", of(bpf.BPF_PROG_TYPE_SK_REUSEPORT, bpf.BPF_SK_REUSEPORT_SELECT)],
  ["lirc_mode2", of(bpf.BPF_PROG_TYPE_LIRC_MODE2, bpf.BPF_LIRC_MODE2)],
  ["flow_dissector", of(bpf.BPF_PROG_TYPE_FLOW_DISSECTOR, bpf.BPF_FLOW_DISSECTOR)],
  ["cgroup_skb/ingress", of(bpf.BPF_PROG_TYPE_CGROUP_SKB, bpf.BPF_CGROUP_INET_INGRESS)],
  ["cgroup_skb/egress", of(bpf.BPF_PROG_TYPE_CGROUP_SKB, bpf.BPF_CGROUP_INET_EGRESS)],
  ["cgroup/skb", of(bpf.BPF_PROG_TYPE_CGROUP_SKB)],
  ["cgroup/sock_create", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK, bpf.BPF_CGROUP_INET_SOCK_CREATE)],
  ["cgroup/sock_release", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK, bpf.BPF_CGROUP_INET_SOCK_RELEASE)],
  ["cgroup/sock", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK, bpf.BPF_CGROUP_INET_SOCK_CREATE)],
  ["cgroup/post_bind4", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK, bpf.BPF_CGROUP_INET4_POST_BIND)],
  ["cgroup/post_bind6", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK, bpf.BPF_CGROUP_INET6_POST_BIND)],
  ["cgroup/bind4", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET4_BIND)],
  ["cgroup/bind6", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET6_BIND)],
  ["cgroup/connect4", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET4_CONNECT)],
  ["cgroup/connect6", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET6_CONNECT)],
  ["cgroup/sendmsg4", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_UDP4_SENDMSG)],
  ["cgroup/sendmsg6", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_UDP6_SENDMSG)],
  ["cgroup/recvmsg4", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_UDP4_RECVMSG)],
  ["cgroup/recvmsg6", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_UDP6_RECVMSG)],
  ["cgroup/getpeername4", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET4_GETPEERNAME)],
  ["cgroup/getpeername6", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET6_GETPEERNAME)],
  ["cgroup/getsockname4", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET4_GETSOCKNAME)],
  ["cgroup/getsockname6", of(bpf.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, bpf.BPF_CGROUP_INET6_GETSOCKNAME)],
  ["cgroup/sysctl", of(bpf.BPF_PROG_TYPE_CGROUP_SYSCTL, bpf.BPF_CGROUP_SYSCTL)],
  ["cgroup/getsockopt", of(bpf.BPF_PROG_TYPE_CGROUP_SOCKOPT, bpf.BPF_CGROUP_GETSOCKOPT)],
  ["cgroup/setsockopt", of(bpf.BPF_PROG_TYPE_CGROUP_SOCKOPT, bpf.BPF_CGROUP_SETSOCKOPT)],
  ["cgroup/dev", of(bpf.BPF_PROG_TYPE_CGROUP_DEVICE, bpf.BPF_CGROUP_DEVICE)],
];

/** Undefined for a section that tells no type of program. */
export function kindOfSection(section: string): SectionKind | undefined {
  return KINDS.find(([name]) => section === name || section.startsWith(`${name}/`))?.[1];
}

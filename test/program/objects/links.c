// Counts what passes at each kind of place. Packets to UDP port 5555 are dropped by XDP while `drop` is set.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

__u64 xdp_udp, tcx_in, tcx_out, events, raw_events, calls, returns, cgroup_out;
__u32 drop;

SEC("xdp")
int on_xdp(struct xdp_md *ctx) {
  void *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = (void *)(long)ctx->data;
  struct iphdr *ip = (void *)(eth + 1);
  struct udphdr *udp = (void *)(ip + 1);
  if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != 17) return XDP_PASS;
  if (udp->dest != bpf_htons(5555)) return XDP_PASS;
  __sync_fetch_and_add(&xdp_udp, 1);
  return drop ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int on_ingress(struct __sk_buff *skb) {
  __sync_fetch_and_add(&tcx_in, 1);
  return -1;
}

SEC("tc")
int on_egress(struct __sk_buff *skb) {
  __sync_fetch_and_add(&tcx_out, 1);
  return -1;
}

const volatile __u32 pid;

SEC("tracepoint/syscalls/sys_enter_close")
int on_tracepoint(void *ctx) {
  if (bpf_get_current_pid_tgid() >> 32 == pid) __sync_fetch_and_add(&events, 1);
  return 0;
}

SEC("raw_tracepoint/sys_enter")
int on_raw_tracepoint(struct bpf_raw_tracepoint_args *ctx) {
  if (bpf_get_current_pid_tgid() >> 32 == pid) __sync_fetch_and_add(&raw_events, 1);
  return 0;
}

SEC("uprobe")
int on_call(void *ctx) {
  __sync_fetch_and_add(&calls, 1);
  return 0;
}

SEC("uretprobe")
int on_return(void *ctx) {
  __sync_fetch_and_add(&returns, 1);
  return 0;
}

SEC("cgroup_skb/egress")
int on_cgroup(struct __sk_buff *skb) {
  __sync_fetch_and_add(&cgroup_out, 1);
  return 1;
}

char _license[] SEC("license") = "GPL";

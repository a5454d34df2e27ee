// Parses Ethernet, VLAN tags, IPv4, IPv6 and ports; counts by protocol in an array and by port in a hash.
#include "_packet.h"
#include <linux/ipv6.h>

MAP(protocols, ARRAY, __u32, __u64, 256);
MAP(ports, HASH, __be16, __u64, 1024);
MAP(sizes, ARRAY, __u32, __u64, 16);

struct vlan {
  __be16 tag, next;
};

static NOINLINE void count(__u32 protocol, __u64 bytes) {
  __u64 *packets = bpf_map_lookup_elem(&protocols, &protocol);
  if (packets) __sync_fetch_and_add(packets, 1);
  __u32 bucket = bytes < 64 ? 0 : bytes < 128 ? 1 : bytes < 512 ? 2 : bytes < 1500 ? 3 : 4;
  __u64 *size = bpf_map_lookup_elem(&sizes, &bucket);
  if (size) *size += bytes;
}

static __always_inline int transport(void *at, void *end, __u8 protocol, __u64 bytes) {
  count(protocol, bytes);
  if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) return XDP_PASS;
  __be16 *port = at;
  if (at + 4 > end) return XDP_ABORTED;
  __be16 key = port[1];
  __u64 *seen = bpf_map_lookup_elem(&ports, &key), one = 1;
  if (seen) (*seen)++;
  else bpf_map_update_elem(&ports, &key, &one, BPF_NOEXIST);
  return bpf_ntohs(key) < 1024 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int parse(struct xdp_md *ctx) {
  void *at = BEGIN(ctx), *end = END(ctx);
  __u64 bytes = end - at;
  struct ethhdr *eth = at;
  if (at + sizeof(*eth) > end) return XDP_ABORTED;
  __be16 type = eth->h_proto;
  at += sizeof(*eth);
#pragma unroll
  for (int i = 0; i < 2; i++) {
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
    struct vlan *vlan = at;
    if (at + sizeof(*vlan) > end) return XDP_ABORTED;
    type = vlan->next;
    at += sizeof(*vlan);
  }
  if (type == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = at;
    if (at + sizeof(*ip) > end) return XDP_ABORTED;
    if (ip->version != 4 || ip->ihl < 5) return XDP_DROP;
    return transport(at + ip->ihl * 4, end, ip->protocol, bytes);
  }
  if (type == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip = at;
    if (at + sizeof(*ip) > end) return XDP_ABORTED;
    return transport(at + sizeof(*ip), end, ip->nexthdr, bytes);
  }
  count(255, bytes);
  return XDP_PASS;
}

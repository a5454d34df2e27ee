// Sends packets back: swaps addresses, takes one from the TTL and mends the checksum.
#include "_packet.h"

MAP(ttls, HASH, __u8, __u32, 256);

SEC("xdp")
int bounce(struct xdp_md *ctx) {
  void *at = BEGIN(ctx), *end = END(ctx);
  struct ethhdr *eth = at;
  struct iphdr *ip = at + sizeof(*eth);
  if (at + sizeof(*eth) + sizeof(*ip) > end) return XDP_PASS;
  for (int i = 0; i < ETH_ALEN; i++) {
    __u8 byte = eth->h_source[i];
    eth->h_source[i] = eth->h_dest[i];
    eth->h_dest[i] = byte;
  }
  if (eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_TX;
  __u32 src = ip->saddr;
  ip->saddr = ip->daddr;
  ip->daddr = src;
  __u8 ttl = ip->ttl;
  __u32 bytes = end - at;
  bpf_map_update_elem(&ttls, &ttl, &bytes, BPF_ANY);
  if (ttl <= 1) return XDP_DROP;
  ip->ttl--;
  __u32 check = ip->check + bpf_htons(0x0100);
  ip->check = check + (check >= 0xffff);
  return XDP_TX;
}

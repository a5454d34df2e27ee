// Sums of pieces of packets, and of what is on the stack.
#include "_packet.h"

__s64 sums[8];

static __always_inline __u16 folded(__u64 sum) {
  for (int i = 0; i < 4; i++) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

SEC("xdp")
int check(struct xdp_md *ctx) {
  void *at = BEGIN(ctx), *end = END(ctx);
  struct iphdr *ip = at + sizeof(struct ethhdr);
  if ((void *)(ip + 1) > end) return XDP_PASS;
  __u32 words[4] = {ip->saddr, ip->daddr, 0x01020304, 0xfffefdfc};
  // Sums may be represented in two ways; folded, there is one.
  sums[0] = folded((__u32)bpf_csum_diff(0, 0, (__be32 *)ip, sizeof(*ip), 0));
  sums[1] = folded((__u32)bpf_csum_diff(words, 8, words + 2, 8, 0));
  sums[2] = folded((__u32)bpf_csum_diff(words, 16, 0, 0, 7));
  sums[3] = folded((__u32)bpf_csum_diff(0, 0, words, 16, 0xffffffff));
  ip->check = 0;
  ip->tos ^= 0x54;
  ip->check = folded((__u32)bpf_csum_diff(0, 0, (__be32 *)ip, sizeof(*ip), 0));
  return ip->check;
}

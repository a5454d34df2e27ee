// Packets to another interface: the answer, not the way there.
#include "_object.h"

SEC("xdp")
int away(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  return bpf_redirect(1, size & 1);
}

SEC("tc")
int away_tc(struct __sk_buff *skb) {
  return bpf_redirect(1, skb->len & 6);
}

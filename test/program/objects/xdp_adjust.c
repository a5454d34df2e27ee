// Moves both ends of packets, and puts bytes before them.
#include "_packet.h"

__s64 results[8];

SEC("xdp")
int push(struct xdp_md *ctx) {
  results[0] = bpf_xdp_adjust_head(ctx, -8);
  __u8 *at = BEGIN(ctx);
  if (at + 8 > (__u8 *)END(ctx)) return XDP_ABORTED;
  for (int i = 0; i < 8; i++) at[i] = 0xa0 + i;
  return XDP_PASS;
}

SEC("xdp")
int pull(struct xdp_md *ctx) {
  results[1] = bpf_xdp_adjust_head(ctx, 6);
  results[2] = bpf_xdp_adjust_head(ctx, -4000);
  results[3] = bpf_xdp_adjust_head(ctx, 100000);
  return END(ctx) - BEGIN(ctx);
}

SEC("xdp")
int cut(struct xdp_md *ctx) {
  results[4] = bpf_xdp_adjust_tail(ctx, -10);
  results[5] = bpf_xdp_adjust_tail(ctx, -100000);
  return END(ctx) - BEGIN(ctx);
}

SEC("xdp")
int grow(struct xdp_md *ctx) {
  results[6] = bpf_xdp_adjust_tail(ctx, 24);
  __u64 sum = 0;
  __u8 *end = END(ctx), *at = BEGIN(ctx);
  // The new bytes are zero.
  for (int i = 0; i < 64; i++) {
    if (at + i + 1 > end) break;
    sum += at[i];
  }
  return sum;
}

SEC("xdp")
int meta(struct xdp_md *ctx) {
  results[7] = bpf_xdp_adjust_meta(ctx, -8);
  __u32 *at = (void *)(long)ctx->data_meta;
  if ((void *)(at + 2) > BEGIN(ctx)) return XDP_ABORTED;
  at[0] = 0x11223344;
  at[1] = END(ctx) - BEGIN(ctx);
  return at[1] ^ (BEGIN(ctx) - (void *)at);
}

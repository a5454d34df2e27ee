// Reads and writes of packets by helpers, within the packet and beyond it.
#include "_packet.h"

struct result {
  __s64 ret[6];
  __u8 bytes[32];
};
MAP(results, ARRAY, __u32, struct result, 1);

SEC("xdp")
int copy(struct xdp_md *ctx) {
  __u32 zero = 0;
  __u64 size = SIZE(ctx);
  struct result *result = bpf_map_lookup_elem(&results, &zero);
  if (!result) return XDP_ABORTED;
  __u8 bytes[16] = {};
  result->ret[0] = bpf_xdp_load_bytes(ctx, 0, bytes, 14);
  for (int i = 0; i < 16; i++) result->bytes[i] += bytes[i];
  result->ret[1] = bpf_xdp_load_bytes(ctx, size - 4, result->bytes + 16, 4);
  result->ret[2] = bpf_xdp_load_bytes(ctx, size - 3, result->bytes + 20, 4);
  result->ret[3] = bpf_xdp_load_bytes(ctx, 0xffff, result->bytes + 24, 8);
  for (int i = 0; i < 16; i++) bytes[i] ^= 0xff;
  result->ret[4] = bpf_xdp_store_bytes(ctx, 1, bytes, 12);
  result->ret[5] = bpf_xdp_store_bytes(ctx, size - 11, bytes, 12);
  bpf_xdp_store_bytes(ctx, size - 1, bytes, 1);
  return size & 0xff;
}

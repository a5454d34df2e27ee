// A bloom filter: what was pushed is there; here it is so large that nothing else seems to be.
#include "_object.h"

struct {
  __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
  __uint(max_entries, 100000);
  __uint(map_extra, 8);
  __type(value, __u32);
} seen SEC(".maps");
__s64 ret[4];
__u64 fresh, again;

SEC("xdp")
int filter(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  ret[0] = bpf_map_peek_elem(&seen, &size);
  if (ret[0]) fresh++;
  else again++;
  ret[1] = bpf_map_push_elem(&seen, &size, BPF_ANY);
  ret[2] = bpf_map_peek_elem(&seen, &size);
  ret[3] = bpf_map_push_elem(&seen, &size, BPF_EXIST);
  return ret[0];
}

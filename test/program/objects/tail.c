// Programs that go on in others, until there have been too many.
#include "_object.h"

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 4);
  __uint(key_size, 4);
  __uint(value_size, 4);
} next SEC(".maps");
__u64 visits[4];

SEC("xdp")
int begin(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  visits[0]++;
  bpf_tail_call(ctx, &next, size & 3);
  bpf_tail_call(ctx, &next, 100);
  return 100 + (size & 3);
}

SEC("xdp")
int again(struct xdp_md *ctx) {
  visits[1]++;
  bpf_tail_call(ctx, &next, 1);
  return 201;
}

static NOINLINE int from_function(struct xdp_md *ctx) {
  volatile int local = 5;
  bpf_tail_call(ctx, &next, 3);
  return local;
}

SEC("xdp")
int deep(struct xdp_md *ctx) {
  visits[2]++;
  return from_function(ctx) + 1000;
}

SEC("xdp")
int last(struct xdp_md *ctx) {
  visits[3]++;
  return 303;
}

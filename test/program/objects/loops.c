// bpf_loop: with context, ended early, one in another.
#include "_packet.h"

struct sum {
  __u64 total;
  __u32 until;
};
__s64 ret[6];
__u64 cells[32];

static long add(__u32 index, struct sum *sum) {
  sum->total += index * 3;
  return index == sum->until;
}

static long inner(__u32 index, __u64 *count) {
  *count += 1;
  return 0;
}

static long outer(__u32 index, __u64 *count) {
  bpf_loop(index & 7, inner, count, 0);
  cells[index & 31] += *count;
  return 0;
}

SEC("xdp")
int loop(struct xdp_md *ctx) {
  __u32 size = END(ctx) - BEGIN(ctx);
  struct sum sum = {0, 1000000};
  ret[0] = bpf_loop(size, add, &sum, 0);
  sum.until = 20;
  ret[1] = bpf_loop(1000, add, &sum, 0);
  ret[2] = bpf_loop(0, add, &sum, 0);
  // The verifier may put the loop here, and then the error is of 32 bits.
  ret[3] = (int)bpf_loop((1 << 23) + 1, add, &sum, 0);
  ret[4] = bpf_loop(3, add, &sum, 1);
  __u64 count = 0;
  bpf_loop(40, outer, &count, 0);
  return sum.total + count;
}

// A queue and a stack, until they are full and until they are empty.
#include "_object.h"

struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 5);
  __type(value, __u64);
} queue SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_STACK);
  __uint(max_entries, 4);
  __type(value, __u64);
} stack SEC(".maps");
__s64 ret[16];
__u64 got[8];

SEC("xdp")
int turn(struct xdp_md *ctx) {
  __u64 size = SIZE(ctx), value = size, taken = 77;
  ret[0] = bpf_map_push_elem(&queue, &value, 0);
  value++;
  ret[1] = bpf_map_push_elem(&queue, &value, BPF_EXIST);
  ret[2] = bpf_map_peek_elem(&queue, &taken);
  got[0] += taken;
  if (size & 1) ret[3] = bpf_map_pop_elem(&queue, &taken);
  got[1] ^= taken;
  ret[4] = bpf_map_push_elem(&stack, &value, 0);
  ret[5] = bpf_map_push_elem(&stack, &taken, BPF_NOEXIST);
  if (size & 2) {
    for (int i = 0; i < 3; i++) {
      ret[6 + i] = bpf_map_pop_elem(&stack, &taken);
      got[2 + i] += taken;
    }
  }
  ret[9] = bpf_map_peek_elem(&stack, &taken);
  got[5] ^= taken;
  return taken;
}

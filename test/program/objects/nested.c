// Maps of maps, with what they hold from the start.
#include "_object.h"

struct counters {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u64);
} first SEC(".maps"), second SEC(".maps"), third SEC(".maps");
struct table {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} even SEC(".maps"), uneven SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 5);
  __type(key, __u32);
  __array(values, struct counters);
} by_size SEC(".maps") = {.values = {[0] = &first, [1] = &second, [3] = &third}};
struct {
  __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
  __uint(max_entries, 4);
  __type(key, __u32);
  __array(values, struct table);
} by_parity SEC(".maps") = {.values = {[0] = &even, [1] = &uneven}};
__u64 missing;

SEC("xdp")
int sort_in(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx), index = size % 5, slot = size & 3;
  void *inner = bpf_map_lookup_elem(&by_size, &index);
  if (inner) {
    __u64 *sum = bpf_map_lookup_elem(inner, &slot);
    if (sum) *sum += size;
  } else {
    missing++;
  }
  __u32 parity = size & 1, n = size * 7;
  inner = bpf_map_lookup_elem(&by_parity, &parity);
  if (inner) bpf_map_update_elem(inner, &size, &n, BPF_ANY);
  parity = 9;
  return bpf_map_lookup_elem(&by_parity, &parity) ? 1 : index;
}

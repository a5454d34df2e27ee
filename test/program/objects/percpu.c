// Maps with a value for each CPU.
#include "_object.h"

MAP(counts, PERCPU_ARRAY, __u32, __u64, 4);
MAP(flows, PERCPU_HASH, __u32, __u64, 64);
MAP(recent, LRU_PERCPU_HASH, __u32, __u64, 1024);
__s64 ret[8];

SEC("xdp")
int count(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx), index = size & 3, cpu = bpf_get_smp_processor_id();
  __u64 *sum = bpf_map_lookup_elem(&counts, &index);
  if (!sum) return -1;
  *sum += size;
  ret[0] = bpf_map_lookup_percpu_elem(&counts, &index, cpu) == sum;
  ret[1] = bpf_map_lookup_percpu_elem(&counts, &index, 100000) == 0;
  index = 4;
  ret[2] = bpf_map_lookup_elem(&counts, &index) == 0;

  __u64 zero = 0;
  ret[3] = bpf_map_update_elem(&flows, &size, &zero, BPF_NOEXIST);
  sum = bpf_map_lookup_elem(&flows, &size);
  if (sum) *sum += 1;
  ret[4] = bpf_map_lookup_percpu_elem(&flows, &size, cpu) == sum;
  sum = bpf_map_lookup_elem(&recent, &size);
  if (sum) *sum += 3;
  else ret[5] = bpf_map_update_elem(&recent, &size, &zero, BPF_ANY);
  __u64 five = 5;
  index = 1;
  ret[6] = bpf_map_update_elem(&counts, &index, &five, BPF_NOEXIST);
  return 1;
}

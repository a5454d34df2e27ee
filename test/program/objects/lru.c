// Hashes that forget; here with room for all.
#include "_object.h"

MAP(recent, LRU_HASH, __u64, __u64, 4096);
MAP(own, LRU_HASH, __u32, __u32, 4096, __uint(map_flags, BPF_F_NO_COMMON_LRU););
__s64 ret[4];

SEC("xdp")
int remember(struct xdp_md *ctx) {
  __u64 size = SIZE(ctx), *times = bpf_map_lookup_elem(&recent, &size), one = 1;
  if (times) __sync_fetch_and_add(times, size);
  else ret[0] = bpf_map_update_elem(&recent, &size, &one, BPF_NOEXIST);
  ret[1] = bpf_map_update_elem(&recent, &size, &one, BPF_NOEXIST);
  __u32 key = size & 31, value = size;
  ret[2] = bpf_map_update_elem(&own, &key, &value, BPF_ANY);
  if ((size & 3) == 0) ret[3] = bpf_map_delete_elem(&own, &key);
  return times ? *times : 0;
}

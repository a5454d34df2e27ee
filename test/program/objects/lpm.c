// Longest prefixes: routes that tests put in, and those that the program puts in and takes out.
#include "_packet.h"

struct route {
  __u32 bits;
  __u8 address[4];
};
MAP(routes, LPM_TRIE, struct route, __u32, 256, __uint(map_flags, BPF_F_NO_PREALLOC););
MAP(hits, HASH, __u32, __u64, 256);
__s64 ret[4];

SEC("xdp")
int route(struct xdp_md *ctx) {
  void *at = BEGIN(ctx);
  struct ethhdr *eth = at;
  struct iphdr *ip = at + sizeof(*eth);
  if ((void *)(ip + 1) > END(ctx)) return XDP_PASS;
  struct route key = {32};
  __builtin_memcpy(key.address, &ip->daddr, 4);
  __u32 *hop = bpf_map_lookup_elem(&routes, &key);
  __u32 to = hop ? *hop : 0;
  __u64 *n = bpf_map_lookup_elem(&hits, &to), one = 1;
  if (n) *n += 1;
  else bpf_map_update_elem(&hits, &to, &one, BPF_ANY);
  key.bits = 20 + (key.address[3] & 7);
  __u32 mine = 1000 + key.bits;
  if (key.address[3] & 8) ret[0] = bpf_map_delete_elem(&routes, &key);
  else ret[1] = bpf_map_update_elem(&routes, &key, &mine, BPF_ANY);
  key.bits = 33;
  ret[2] = bpf_map_update_elem(&routes, &key, &mine, BPF_ANY);
  ret[3] = bpf_map_delete_elem(&routes, &key);
  return to;
}

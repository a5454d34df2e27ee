// Packets to the devices of maps: the answer, not the way there; and what programs read of such maps.
#include "_packet.h"

MAP(ports, DEVMAP, __u32, __u32, 4);
MAP(vlans, DEVMAP_HASH, __u32, __u32, 4);
__u32 seen[8];

SEC("xdp")
int by_index(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  __u32 key = size & 7;
  __u32 *port = bpf_map_lookup_elem(&ports, &key);
  seen[size & 7] += port ? *port : 100;
  return bpf_redirect_map(&ports, key, size >> 3 & 31);
}

SEC("xdp")
int by_key(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx);
  __u32 key = size & 3;
  __u32 *port = bpf_map_lookup_elem(&vlans, &key);
  seen[size & 3] += port ? *port << 16 : 1 << 24;
  return bpf_redirect_map(&vlans, key, size >> 2 & 3);
}

SEC("xdp")
int to_all(struct xdp_md *ctx) {
  return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

SEC("xdp")
int with_flags(struct xdp_md *ctx) {
  return bpf_redirect_map(&vlans, 2, (SIZE(ctx) & 1) ? 1ull << 40 : 0);
}

// Changes an address and a port, and mends both checksums.
#include "_packet.h"

__s64 ret[6];
const volatile __u32 address = 0x0a0b0c0d;
const volatile __u16 port = 4242;

#define OFF(field) (sizeof(struct ethhdr) + offsetof(struct iphdr, field))
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

SEC("tc")
int nat(struct __sk_buff *skb) {
  struct iphdr ip;
  if (skb->protocol != bpf_htons(ETH_P_IP)) return TC_ACT_UNSPEC;
  if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &ip, sizeof(ip)) < 0) return TC_ACT_SHOT;
  if (ip.ihl != 5) return TC_ACT_OK;
  __u32 new = bpf_htonl(address), transport = sizeof(struct ethhdr) + sizeof(ip);
  __u32 check = 0;
  if (ip.protocol == IPPROTO_TCP) check = transport + 16;
  if (ip.protocol == IPPROTO_UDP) check = transport + 6;
  ret[0] = bpf_l3_csum_replace(skb, OFF(check), ip.saddr, new, 4);
  ret[1] = bpf_skb_store_bytes(skb, OFF(saddr), &new, 4, 0);
  if (check == 0) return TC_ACT_OK;
  ret[2] = bpf_l4_csum_replace(skb, check, ip.saddr, new, BPF_F_PSEUDO_HDR | 4);
  __u16 was, now = bpf_htons(port);
  if (bpf_skb_load_bytes(skb, transport, &was, 2) < 0) return TC_ACT_SHOT;
  ret[3] = bpf_l4_csum_replace(skb, check, was, now, 2 | (ip.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0));
  ret[4] = bpf_skb_store_bytes(skb, transport, &now, 2, 0);
  ret[5] = bpf_l3_csum_replace(skb, 60000, 1, 2, 2);
  return TC_ACT_REDIRECT;
}

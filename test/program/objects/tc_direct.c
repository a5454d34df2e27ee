// Fields of __sk_buff, and direct access to the packet.
#include "_packet.h"

MAP(lengths, HASH, __u32, __u32, 256);

SEC("tc")
int look(struct __sk_buff *skb) {
  __u32 length = skb->len, protocol = skb->protocol;
  bpf_map_update_elem(&lengths, &length, &protocol, BPF_ANY);
  skb->mark = length * 3;
  skb->priority = 7;
  skb->cb[0] = skb->cb[1] + 5;
  skb->cb[4] = length;
  skb->tc_classid = 1;
  __u8 *at = BEGIN(skb), *end = END(skb);
  if (at + 34 > end) return TC_ACT_SHOT;
  at[0] = skb->mark;
  at[1] = skb->mark >> 8;
  return at[12] << 8 | at[13];
}

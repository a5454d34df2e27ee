// A socket filter: reads by helper, lengths by protocol.
#include "_packet.h"

MAP(bytes, ARRAY, __u32, __u64, 256);

SEC("socket")
int filter(struct __sk_buff *skb) {
  __u8 protocol = 0;
  bpf_skb_load_bytes(skb, 9, &protocol, 1);
  __u32 index = protocol;
  __u64 *sum = bpf_map_lookup_elem(&bytes, &index);
  if (sum) __sync_fetch_and_add(sum, skb->len);
  return skb->len > 200 ? 200 : -1;
}

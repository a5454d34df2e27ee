// Reads and writes of an skb by helpers.
#include "_packet.h"

__s64 ret[8];
__u8 bytes[64];

SEC("tc")
int copy(struct __sk_buff *skb) {
  __u8 local[16] = {};
  ret[0] = bpf_skb_load_bytes(skb, 0, bytes, 14);
  ret[1] = bpf_skb_load_bytes(skb, skb->len - 8, bytes + 16, 8);
  ret[2] = bpf_skb_load_bytes(skb, skb->len - 7, bytes + 24, 8);
  ret[3] = bpf_skb_load_bytes(skb, 14, local, 16);
  for (int i = 0; i < 16; i++) local[i] = ~local[i];
  ret[4] = bpf_skb_store_bytes(skb, 14, local, 16, 0);
  ret[5] = bpf_skb_store_bytes(skb, skb->len - 15, local, 16, 0);
  ret[6] = bpf_skb_store_bytes(skb, 0, local, 3, 0x80);
  ret[7] = bpf_skb_load_bytes(skb, 14, bytes + 32, 16);
  return TC_ACT_OK;
}

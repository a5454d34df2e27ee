// The verifier refuses it: the value is used before it is known to be there.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} totals SEC(".maps");

SEC("socket")
int unchecked(struct __sk_buff *skb) {
  __u32 index = skb->len;
  __u64 *total = bpf_map_lookup_elem(&totals, &index);
  return *total;
}

char _license[] SEC("license") = "GPL";

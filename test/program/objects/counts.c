// Maps of several kinds, variables of all sections, a function that two programs share, and one map inside of another.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow {
  __u32 src;
  __u16 port;
  __u16 pad;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct flow);
  __type(value, __u64);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u64);
} totals SEC(".maps");

struct inner {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u32);
} first SEC(".maps"), second SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 3);
  __type(key, __u32);
  __array(values, struct inner);
} outer SEC(".maps") = {.values = {[1] = &second}};

const volatile __u32 limit = 7;
__u64 seen;
__u32 start = 5;

static __attribute__((noinline)) void add(__u32 index, __u64 n) {
  __u64 *total = bpf_map_lookup_elem(&totals, &index);
  if (total) __sync_fetch_and_add(total, n);
}

SEC("xdp")
int count(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (data + 14 > end) return XDP_ABORTED;
  seen++;
  struct flow key = {start, 80, 0};
  __u64 one = 1;
  bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
  add(1, limit);
  add(2, end - data);
  return end - data > limit ? XDP_DROP : XDP_PASS;
}

SEC("socket")
int filter(struct __sk_buff *skb) {
  add(3, skb->len);
  return 0;
}

char _license[] SEC("license") = "GPL";

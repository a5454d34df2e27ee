// Values with a lock.
#include "_object.h"

struct guarded {
  struct bpf_spin_lock lock;
  __u32 times;
  __u64 sum;
};
MAP(cells, ARRAY, __u32, struct guarded, 4);
MAP(table, HASH, __u32, struct guarded, 64);

static __always_inline void add(struct guarded *value, __u32 size) {
  bpf_spin_lock(&value->lock);
  value->times++;
  value->sum += size;
  if (value->times & 1) value->sum ^= 0xff;
  bpf_spin_unlock(&value->lock);
}

SEC("tc")
int guard(struct __sk_buff *skb) {
  __u32 size = skb->len, index = size & 3;
  struct guarded *value = bpf_map_lookup_elem(&cells, &index), fresh = {.times = size};
  if (!value) return 2;
  add(value, size);
  bpf_map_update_elem(&table, &size, &fresh, BPF_NOEXIST);
  value = bpf_map_lookup_elem(&table, &size);
  if (!value) return 3;
  add(value, size);
  fresh.sum = 9;
  return bpf_map_update_elem(&table, &index, &fresh, BPF_F_LOCK) == 0;
}

// bpf_for_each_map_elem over several types.
#include "_object.h"

MAP(cells, ARRAY, __u32, __u64, 8);
MAP(table, HASH, __u32, __u64, 64);
MAP(slots, PERCPU_ARRAY, __u32, __u64, 3);
MAP(recent, LRU_HASH, __u32, __u64, 256);
__s64 ret[8];
__u32 left;

struct sum {
  __u64 keys, values;
};

static long add(void *map, __u32 *key, __u64 *value, struct sum *sum) {
  sum->keys += *key;
  sum->values += *value;
  *value += 1;
  return --left == 0;
}

// Runs may be on several CPUs: which slot has been visited how often is chance.
static long visit(void *map, __u32 *key, __u64 *value, struct sum *sum) {
  sum->keys += *key;
  *value += 1;
  return 0;
}

static long drop(void *map, __u32 *key, __u64 *value, void *ctx) {
  if (*value & 1) bpf_map_delete_elem(map, key);
  return 0;
}

SEC("xdp")
int walk(struct xdp_md *ctx) {
  __u32 size = SIZE(ctx), index = size & 7;
  __u64 value = size;
  bpf_map_update_elem(&cells, &index, &value, BPF_ANY);
  bpf_map_update_elem(&table, &size, &value, BPF_ANY);
  bpf_map_update_elem(&recent, &size, &value, BPF_ANY);
  struct sum sum = {0, 0};
  left = 1000;
  ret[0] = bpf_for_each_map_elem(&cells, add, &sum, 0);
  ret[1] = bpf_for_each_map_elem(&table, add, &sum, 0);
  ret[2] = bpf_for_each_map_elem(&slots, visit, &sum, 0);
  ret[3] = bpf_for_each_map_elem(&recent, add, &sum, 0);
  left = 3;
  ret[4] = bpf_for_each_map_elem(&cells, add, &sum, 0);
  ret[5] = bpf_for_each_map_elem(&table, drop, &sum, 0);
  ret[6] = bpf_for_each_map_elem(&table, drop, &sum, 1);
  return sum.keys + sum.values;
}
